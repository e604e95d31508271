package zmq_test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"lintel.dev/zmq"
)

// A receiver that waits for many messages at once gets the last few of a burst,
// too, by whichever call it receives: nothing follows them.
func TestBursts(t *testing.T) {
	frames := func(r rig, s *zmq.Pull, n int, got func([]byte)) {
		for b, err := range s.Views(r.ctx) {
			if err != nil {
				r.Error(err)
				return
			}
			got(b)
			if n--; n == 0 {
				return
			}
		}
	}
	calls := map[string]func(r rig, s *zmq.Pull) ([]byte, error){
		"RecvBytes": func(r rig, s *zmq.Pull) ([]byte, error) { return s.RecvBytes(r.ctx) },
		"RecvInto":  func(r rig, s *zmq.Pull) ([]byte, error) { return s.RecvInto(r.ctx, nil) },
		"Recv": func(r rig, s *zmq.Pull) ([]byte, error) {
			m, err := s.Recv(r.ctx)
			if err != nil {
				return nil, err
			}
			return m[0], nil
		},
	}
	how := map[string]func(r rig, s *zmq.Pull, n int, got func([]byte)){"Frames": frames}
	for name, call := range calls {
		how[name] = func(r rig, s *zmq.Pull, n int, got func([]byte)) {
			for range n {
				b, err := call(r, s)
				if err != nil {
					r.Error(err)
					return
				}
				got(b)
			}
		}
	}
	for name, receive := range how {
		t.Run(name, func(t *testing.T) {
			r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
			push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
			pull.Bind("inproc://a")
			push.Connect("inproc://a")
			sizes := []int{1, 100, 3000, 1, 700, 33, 5000, 2, 257, 9000, 64, 64, 64}
			done := make(chan struct{})
			go func() {
				var next uint64
				for _, n := range sizes {
					receive(r, pull, n, func(b []byte) {
						if i := binary.BigEndian.Uint64(b); i != next {
							r.Errorf("message %d where %d was due", i, next)
						}
						next++
					})
					done <- struct{}{}
				}
			}()
			var sent uint64
			for _, n := range sizes {
				for range n {
					if err := push.SendBytes(r.ctx, binary.BigEndian.AppendUint64(nil, sent)); err != nil {
						t.Fatal(err)
					}
					sent++
				}
				<-done
			}
		})
	}
}

// Several receivers of a burst get all of it between them.
func TestBurstsForSeveral(t *testing.T) {
	const bursts, size = 20, 1500
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
	pull.Bind("inproc://a")
	push.Connect("inproc://a")
	var got atomic.Int64
	all := make(chan struct{}, bursts)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for _, err := range pull.Views(r.ctx) {
				if err != nil {
					return
				}
				if got.Add(1)%size == 0 {
					all <- struct{}{}
				}
			}
		})
	}
	for range bursts {
		for range size {
			if err := push.SendBytes(r.ctx, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		<-all
	}
	pull.Close()
	wg.Wait()
}
