//go:build !windows

#include "textflag.h"

// func PrefetchSlot(slot *uint64, own *int64)
TEXT ·PrefetchSlot(SB), NOSPLIT, $0-16
	MOVD slot+0(FP), R0
	MOVD own+8(FP), R1
	PRFM (R0), PLDL1KEEP
	PRFM (R1), PSTL1KEEP
	RET

// func prefetchRecord(p *byte)
TEXT ·prefetchRecord(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM 128(R0), PLDL1KEEP
	RET

// func prefetchChange(p, segment, own *byte)
TEXT ·prefetchChange(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD segment+8(FP), R1
	MOVD own+16(FP), R2
	PRFM (R0), PSTL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM (R1), PSTL1KEEP
	PRFM (R2), PSTL1KEEP
	RET

// func prefetchAppend(p *byte)
TEXT ·prefetchAppend(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM 64(R0), PSTL1KEEP
	PRFM 128(R0), PSTL1KEEP
	RET

// func Pause()
TEXT ·Pause(SB), NOSPLIT, $0-0
	YIELD
	YIELD
	RET
