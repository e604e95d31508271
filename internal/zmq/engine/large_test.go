package engine

import (
	"math"
	"testing"
)

// TestGrown: each buffer is larger than what has arrived, by at most growth
// times, and the last one has the size of the frame.
func TestGrown(t *testing.T) {
	for _, n := range []int{maxTrust + 1, 1 << 20, 1<<20 + 1, 512 << 20, math.MaxInt} {
		sum := 0
		for filled := maxTrust; filled < n; {
			size := grown(filled, n)
			if size <= filled || size > n || (size-1)/growth >= filled {
				t.Fatalf("grown(%d, %d) = %d", filled, n, size)
			}
			if filled = size; size < n {
				sum += size
			}
		}
		if sum > n/(growth-1)+64 {
			t.Errorf("a frame of %d octets is copied from buffers of %d octets", n, sum)
		}
	}
}
