package zmq_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"lintel.dev/zmq"
)

func benchEndpoints(b *testing.B) map[string]string {
	return map[string]string{
		"tcp":    "tcp://127.0.0.1:*",
		"ipc":    "ipc://" + filepath.Join(b.TempDir(), "s"),
		"inproc": "inproc://bench",
	}
}

func BenchmarkPushPull(b *testing.B) {
	for _, net := range []string{"tcp", "ipc", "inproc"} {
		for _, size := range []int{8, 64, 1 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", net, size), func(b *testing.B) {
				ctx := context.Background()
				zctx := new(zmq.Context)
				push, _ := zmq.NewPush(zmq.InContext(zctx))
				pull, _ := zmq.NewPull(zmq.InContext(zctx))
				defer push.Close()
				defer pull.Close()
				e, err := pull.Bind(benchEndpoints(b)[net])
				if err != nil {
					b.Fatal(err)
				}
				push.Connect(e.Addr())
				msg := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				go func() {
					m := zmq.Msg{msg}
					for range b.N {
						if size >= 8<<10 {
							push.SendOwned(ctx, m)
						} else {
							push.SendBytes(ctx, msg)
						}
					}
				}()
				for range b.N {
					f, err := pull.RecvBytes(ctx)
					if err != nil {
						b.Fatal(err)
					}
					zmq.Msg{f}.Release()
				}
			})
		}
	}
}

func BenchmarkReqRep(b *testing.B) {
	for _, net := range []string{"tcp", "inproc"} {
		b.Run(net, func(b *testing.B) {
			ctx := context.Background()
			zctx := new(zmq.Context)
			req, _ := zmq.NewReq(zmq.InContext(zctx))
			rep, _ := zmq.NewRep(zmq.InContext(zctx))
			defer req.Close()
			e, err := rep.Bind(benchEndpoints(b)[net])
			if err != nil {
				b.Fatal(err)
			}
			req.Connect(e.Addr())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					m, err := rep.RecvBytes(ctx)
					if err != nil {
						return
					}
					rep.SendBytes(ctx, m)
				}
			}()
			msg := make([]byte, 8)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				req.SendBytes(ctx, msg)
				if _, err := req.RecvBytes(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			rep.Close()
			<-done
		})
	}
}
