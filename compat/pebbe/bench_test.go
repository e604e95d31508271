package zmq4

import (
	"context"
	"fmt"
	"testing"

	"lintel.dev/zmq"
)

// BenchmarkPushPull sends messages over tcp: through this package, and through
// lintel.dev/zmq directly. Both return what they receive in memory of its own.
func BenchmarkPushPull(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		data := make([]byte, size)
		b.Run(fmt.Sprintf("zmq/%d", size), func(b *testing.B) { benchZMQ(b, data) })
		b.Run(fmt.Sprintf("shim/%d", size), func(b *testing.B) { benchShim(b, data) })
	}
}

func benchZMQ(b *testing.B, data []byte) {
	pull, err := zmq.NewPull()
	if err != nil {
		b.Fatal(err)
	}
	defer pull.Close()
	e, err := pull.Bind(anyPort)
	if err != nil {
		b.Fatal(err)
	}
	push, err := zmq.NewPush()
	if err != nil {
		b.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect(e.Addr()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	go func() {
		for range b.N {
			_ = push.SendBytes(context.Background(), data)
		}
	}()
	for range b.N {
		if _, err := pull.RecvInto(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchShim(b *testing.B, data []byte) {
	pull, err := NewSocket(PULL)
	if err != nil {
		b.Fatal(err)
	}
	defer pull.Close()
	if err := pull.Bind(anyPort); err != nil {
		b.Fatal(err)
	}
	end, err := pull.GetLastEndpoint()
	if err != nil {
		b.Fatal(err)
	}
	push, err := NewSocket(PUSH)
	if err != nil {
		b.Fatal(err)
	}
	defer push.Close()
	_ = push.SetLinger(0)
	if err := push.Connect(end); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	go func() {
		for range b.N {
			_, _ = push.SendBytes(data, 0)
		}
	}()
	for range b.N {
		if _, err := pull.RecvBytes(0); err != nil {
			b.Fatal(err)
		}
	}
}
