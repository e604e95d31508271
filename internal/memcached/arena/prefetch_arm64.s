//go:build !windows

#include "textflag.h"

// func prefetchSlot(slot unsafe.Pointer, sh *shard)
TEXT ·prefetchSlot(SB), NOSPLIT, $0-16
	MOVD slot+0(FP), R0
	MOVD sh+8(FP), R1
	PRFM (R0), PLDL1KEEP
	PRFM (R1), PSTL1KEEP
	RET

// func prefetchRecord(p unsafe.Pointer)
TEXT ·prefetchRecord(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM 128(R0), PLDL1KEEP
	RET

// func prefetchChange(p, segment, own unsafe.Pointer)
TEXT ·prefetchChange(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD segment+8(FP), R1
	MOVD own+16(FP), R2
	PRFM (R0), PSTL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM (R1), PSTL1KEEP
	PRFM (R2), PSTL1KEEP
	RET

// func prefetchAppend(p unsafe.Pointer)
TEXT ·prefetchAppend(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM 64(R0), PSTL1KEEP
	PRFM 128(R0), PSTL1KEEP
	RET

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	YIELD
	YIELD
	RET
