package zmq_test

import (
	"fmt"
	"testing"

	"lintel.dev/zmq"
)

// TestAllocations is a gate: sending and receiving a small message allocates
// next to nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, n := range networks()[:3] {
		for _, multi := range []bool{false, true} {
			t.Run(fmt.Sprint(n.name, " Recv ", multi), func(t *testing.T) {
				r := over(t, n)
				push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
				r.connect(push, r.bind(pull))
				body := make([]byte, 64)
				const batch = 500
				got := testing.AllocsPerRun(40, func() {
					for range batch {
						if err := push.SendBytes(r.ctx, body); err != nil {
							t.Fatal(err)
						}
					}
					for range batch {
						var err error
						if multi {
							_, err = pull.Recv(r.ctx)
						} else {
							_, err = pull.RecvBytes(r.ctx)
						}
						if err != nil {
							t.Fatal(err)
						}
					}
				})
				if per := got / batch; per > 0.1 {
					t.Errorf("%.3f allocations for each message, at most 0.1 wanted", per)
				}
			})
		}
	}
}

// Within a process messages need no new memory at all when the receiver keeps
// none.
func TestAllocationsWithinProcess(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, size := range []int{8, 64, 1 << 10, 7000} {
		for _, views := range []bool{false, true} {
			t.Run(fmt.Sprint(size, " views ", views), func(t *testing.T) {
				r := over(t, networks()[2])
				push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
				r.connect(push, r.bind(pull))
				body := make([]byte, size)
				var buf []byte
				const batch = 500
				got := testing.AllocsPerRun(40, func() {
					for range batch {
						if err := push.SendBytes(r.ctx, body); err != nil {
							t.Fatal(err)
						}
					}
					left := batch
					for !views && left > 0 {
						var err error
						if buf, err = pull.RecvInto(r.ctx, buf[:0]); err != nil {
							t.Fatal(err)
						}
						left--
					}
					if left == 0 {
						return
					}
					for _, err := range pull.Views(r.ctx) {
						if err != nil {
							t.Fatal(err)
						}
						if left--; left == 0 {
							break
						}
					}
				})
				if per := got / batch; per > 0.05 {
					t.Errorf("%.3f allocations for each message, at most 0.05 wanted", per)
				}
			})
		}
	}
}
