//go:build !unix

package exec

import "time"

// CPUTime returns 0: the CPU time is not known here.
func CPUTime() (user, system time.Duration) { return 0, 0 }
