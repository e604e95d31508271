//go:build !windows

#include "textflag.h"

// The assembler does not know PREFETCHW, which processors without it take for a no-op.
#define PREFETCHW_AX BYTE $0x0f; BYTE $0x0d; BYTE $0x08
#define PREFETCHW_BX BYTE $0x0f; BYTE $0x0d; BYTE $0x0b
#define PREFETCHW_CX BYTE $0x0f; BYTE $0x0d; BYTE $0x09

// func PrefetchSlot(slot *uint64, own *int64)
TEXT ·PrefetchSlot(SB), NOSPLIT, $0-16
	MOVQ slot+0(FP), AX
	MOVQ own+8(FP), BX
	PREFETCHT0 (AX)
	PREFETCHW_BX
	RET

// func prefetchRecord(p *byte)
TEXT ·prefetchRecord(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	PREFETCHT0 128(AX)
	RET

// func prefetchChange(p, segment, own *byte)
TEXT ·prefetchChange(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ segment+8(FP), BX
	MOVQ own+16(FP), CX
	PREFETCHW_AX
	PREFETCHT0 64(AX)
	PREFETCHW_BX
	PREFETCHW_CX
	RET

// func prefetchAppend(p *byte)
TEXT ·prefetchAppend(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	LEAQ 64(AX), BX
	LEAQ 128(AX), CX
	PREFETCHW_BX
	PREFETCHW_CX
	RET

// func Pause()
TEXT ·Pause(SB), NOSPLIT, $0-0
	PAUSE
	PAUSE
	RET
