#include "textflag.h"

// One step of four quarter rounds at once: B ^= (A+D) <<< R for each of them.
#define STEP(R, A0, D0, B0, A1, D1, B1, A2, D2, B2, A3, D3, B3) \
	VPADDD A0, D0, Z16  \
	VPADDD A1, D1, Z17  \
	VPADDD A2, D2, Z18  \
	VPADDD A3, D3, Z19  \
	VPROLD $R, Z16, Z16 \
	VPROLD $R, Z17, Z17 \
	VPROLD $R, Z18, Z18 \
	VPROLD $R, Z19, Z19 \
	VPXORD Z16, B0, B0  \
	VPXORD Z17, B1, B1  \
	VPXORD Z18, B2, B2  \
	VPXORD Z19, B3, B3

// Words of the state in all sixteen lanes.
#define FILL(N, Z) VPBROADCASTD (4*N)(SI), Z

// The first state added to the last.
#define SUM(N, Z) VPADDD.BCST (4*N)(SI), Z, Z

// Four registers of one word of sixteen blocks each become four of four words
// of every fourth block.
#define FOUR(A, B, C, D) \
	VPUNPCKLDQ  B, A, Z16   \
	VPUNPCKHDQ  B, A, Z17   \
	VPUNPCKLDQ  D, C, Z18   \
	VPUNPCKHDQ  D, C, Z19   \
	VPUNPCKLQDQ Z18, Z16, A \
	VPUNPCKHQDQ Z18, Z16, B \
	VPUNPCKLQDQ Z19, Z17, C \
	VPUNPCKHQDQ Z19, Z17, D

// Blocks N, N+4, N+8 and N+12, whose quarters are in A, B, C and D: each is
// put together, mixed with the input and written.
#define OUT(N, A, B, C, D) \
	VSHUFI32X4 $0x88, B, A, Z16     \
	VSHUFI32X4 $0xdd, B, A, Z17     \
	VSHUFI32X4 $0x88, D, C, Z18     \
	VSHUFI32X4 $0xdd, D, C, Z19     \
	VSHUFI32X4 $0x88, Z18, Z16, Z20 \
	VSHUFI32X4 $0x88, Z19, Z17, Z21 \
	VSHUFI32X4 $0xdd, Z18, Z16, Z22 \
	VSHUFI32X4 $0xdd, Z19, Z17, Z23 \
	VPXORD     (64*N)(DX), Z20, Z20      \
	VPXORD     (64*N+256)(DX), Z21, Z21  \
	VPXORD     (64*N+512)(DX), Z22, Z22  \
	VPXORD     (64*N+768)(DX), Z23, Z23  \
	VMOVDQU32  Z20, (64*N)(DI)     \
	VMOVDQU32  Z21, (64*N+256)(DI) \
	VMOVDQU32  Z22, (64*N+512)(DI) \
	VMOVDQU32  Z23, (64*N+768)(DI)

DATA lanes<>+0(SB)/4, $0
DATA lanes<>+4(SB)/4, $1
DATA lanes<>+8(SB)/4, $2
DATA lanes<>+12(SB)/4, $3
DATA lanes<>+16(SB)/4, $4
DATA lanes<>+20(SB)/4, $5
DATA lanes<>+24(SB)/4, $6
DATA lanes<>+28(SB)/4, $7
DATA lanes<>+32(SB)/4, $8
DATA lanes<>+36(SB)/4, $9
DATA lanes<>+40(SB)/4, $10
DATA lanes<>+44(SB)/4, $11
DATA lanes<>+48(SB)/4, $12
DATA lanes<>+52(SB)/4, $13
DATA lanes<>+56(SB)/4, $14
DATA lanes<>+60(SB)/4, $15
GLOBL lanes<>(SB), RODATA|NOPTR, $64

// func salsaXOR16(dst, src *byte, state *[16]uint32)
TEXT ·salsaXOR16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), DX
	MOVQ state+16(FP), SI

	FILL(0, Z0)
	FILL(1, Z1)
	FILL(2, Z2)
	FILL(3, Z3)
	FILL(4, Z4)
	FILL(5, Z5)
	FILL(6, Z6)
	FILL(7, Z7)
	FILL(8, Z8)
	FILL(9, Z9)
	FILL(10, Z10)
	FILL(11, Z11)
	FILL(12, Z12)
	FILL(13, Z13)
	FILL(14, Z14)
	FILL(15, Z15)
	VPADDD lanes<>(SB), Z8, Z8
	VMOVDQA32 Z8, Z24

	MOVQ $10, CX

round:
	STEP(7, Z0, Z12, Z4, Z5, Z1, Z9, Z10, Z6, Z14, Z15, Z11, Z3)
	STEP(9, Z4, Z0, Z8, Z9, Z5, Z13, Z14, Z10, Z2, Z3, Z15, Z7)
	STEP(13, Z8, Z4, Z12, Z13, Z9, Z1, Z2, Z14, Z6, Z7, Z3, Z11)
	STEP(18, Z12, Z8, Z0, Z1, Z13, Z5, Z6, Z2, Z10, Z11, Z7, Z15)
	STEP(7, Z0, Z3, Z1, Z5, Z4, Z6, Z10, Z9, Z11, Z15, Z14, Z12)
	STEP(9, Z1, Z0, Z2, Z6, Z5, Z7, Z11, Z10, Z8, Z12, Z15, Z13)
	STEP(13, Z2, Z1, Z3, Z7, Z6, Z4, Z8, Z11, Z9, Z13, Z12, Z14)
	STEP(18, Z3, Z2, Z0, Z4, Z7, Z5, Z9, Z8, Z10, Z14, Z13, Z15)
	DECQ CX
	JNZ  round

	SUM(0, Z0)
	SUM(1, Z1)
	SUM(2, Z2)
	SUM(3, Z3)
	SUM(4, Z4)
	SUM(5, Z5)
	SUM(6, Z6)
	SUM(7, Z7)
	VPADDD Z24, Z8, Z8
	SUM(9, Z9)
	SUM(10, Z10)
	SUM(11, Z11)
	SUM(12, Z12)
	SUM(13, Z13)
	SUM(14, Z14)
	SUM(15, Z15)

	FOUR(Z0, Z1, Z2, Z3)
	FOUR(Z4, Z5, Z6, Z7)
	FOUR(Z8, Z9, Z10, Z11)
	FOUR(Z12, Z13, Z14, Z15)
	OUT(0, Z0, Z4, Z8, Z12)
	OUT(1, Z1, Z5, Z9, Z13)
	OUT(2, Z2, Z6, Z10, Z14)
	OUT(3, Z3, Z7, Z11, Z15)

	VZEROUPPER
	RET
