//go:build !unix

package memcached

import "time"

// cpuTime is not to be had here.
func cpuTime() (user, system time.Duration) { return 0, 0 }
