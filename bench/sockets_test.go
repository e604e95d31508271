package bench

import (
	"context"
	"fmt"
	"testing"
)

// pair connects two sockets of a kind over tcp on the loopback interface.
func pair(b *testing.B, kind socketMaker, bound, connected string) (x, y socket) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	ends := [2]socket{}
	for i, typ := range []string{bound, connected} {
		s, err := kind.make(ctx, typ)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		ends[i] = s
	}
	addr, err := ends[0].bind("tcp://127.0.0.1:*")
	if err != nil {
		b.Fatal(err)
	}
	if err := ends[1].connect(addr); err != nil {
		b.Fatal(err)
	}
	return ends[0], ends[1]
}

// BenchmarkPushPull is one-way throughput: the time per message until the last
// one has been received.
func BenchmarkPushPull(b *testing.B) {
	for _, size := range []int{8, 64, 1 << 10, 64 << 10} {
		for _, kind := range sockets {
			b.Run(fmt.Sprintf("size=%d/peer=%s", size, kind.name), func(b *testing.B) {
				pull, push := pair(b, kind, "PULL", "PUSH")
				sent := make(chan error, 1)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				go func() {
					m := make([]byte, size)
					for range b.N {
						if err := push.send(m); err != nil {
							sent <- err
							return
						}
					}
					sent <- nil
				}()
				for range b.N {
					m, err := pull.recv()
					if err != nil {
						b.Fatal(err)
					}
					if len(m) != size {
						b.Fatalf("a message of %d bytes, not %d", len(m), size)
					}
				}
				if err := <-sent; err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkReqRep is the round trip of one request at a time.
func BenchmarkReqRep(b *testing.B) {
	for _, size := range []int{1, 1 << 10} {
		for _, kind := range sockets {
			b.Run(fmt.Sprintf("size=%d/peer=%s", size, kind.name), func(b *testing.B) {
				rep, req := pair(b, kind, "REP", "REQ")
				served := make(chan error, 1)
				go func() {
					for range b.N {
						m, err := rep.recv()
						if err == nil {
							err = rep.send(m)
						}
						if err != nil {
							served <- err
							return
						}
					}
					served <- nil
				}()
				m := make([]byte, size)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if err := req.send(m); err != nil {
						b.Fatal(err)
					}
					if _, err := req.recv(); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				if err := <-served; err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
