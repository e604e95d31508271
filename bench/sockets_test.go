package bench

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

var transports = []string{"tcp", "ipc", "inproc"}

var inprocNames atomic.Int64

// endpoint returns an unused endpoint to bind to.
func endpoint(b *testing.B, transport string) string {
	switch transport {
	case "tcp":
		return "tcp://127.0.0.1:*"
	case "ipc":
		return "ipc://" + filepath.Join(b.TempDir(), "s")
	}
	return fmt.Sprintf("inproc://bench-%d", inprocNames.Add(1))
}

// star connects n sockets of a kind to a bound one.
func star(b *testing.B, kind socketMaker, transport, bound, connected string, n int) (hub socket, rays []socket) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	open := func(typ, name string) socket {
		s, err := kind.make(ctx, typ, name)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		return s
	}
	hub = open(bound, "hub")
	addr, err := hub.bind(endpoint(b, transport))
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		s := open(connected, fmt.Sprintf("ray-%d", i))
		if err := s.connect(addr); err != nil {
			b.Fatal(err)
		}
		rays = append(rays, s)
	}
	return hub, rays
}

// each runs a benchmark for each transport, size and kind of socket.
func each(b *testing.B, transports []string, sizes []int, run func(b *testing.B, kind socketMaker, transport string, size int)) {
	for _, transport := range transports {
		for _, size := range sizes {
			for _, kind := range sockets {
				b.Run(fmt.Sprintf("transport=%s/size=%d/peer=%s", transport, size, kind.name), func(b *testing.B) {
					if kind.name == "go-zeromq" && transport == "inproc" && size > 255 {
						b.Skip("its frames of more than 255 bytes arrive empty in process")
					}
					b.ReportAllocs()
					run(b, kind, transport, size)
				})
			}
		}
	}
}

// receive takes n messages and looks at the size of each.
func receive(s socket, n, size int) error {
	for range n {
		m, err := s.recv()
		if err != nil {
			return err
		}
		if len(m) != size {
			return fmt.Errorf("a message of %d bytes, not %d", len(m), size)
		}
	}
	return nil
}

// BenchmarkPushPull is one-way throughput: the time per message until the last
// one has been received. As in all of them, the connection is there before the
// clock starts.
func BenchmarkPushPull(b *testing.B) {
	each(b, transports, []int{8, 64, 1 << 10, 64 << 10}, func(b *testing.B, kind socketMaker, transport string, size int) {
		pull, push := star(b, kind, transport, "PULL", "PUSH", 1)
		sent := make(chan error, 1)
		if err := push[0].send(make([]byte, size)); err != nil {
			b.Fatal(err)
		}
		if err := receive(pull, 1, size); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(size))
		b.ResetTimer()
		go func() {
			m := make([]byte, size)
			for range b.N {
				if err := push[0].send(m); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		if err := receive(pull, b.N, size); err != nil {
			b.Fatal(err)
		}
		if err := <-sent; err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkPubSub publishes to four subscribers that want everything: the time
// per publication until all have the last one. The publisher never goes further
// than a bound ahead of the slowest, and so nothing is lost: the sockets have no
// high-water marks here, for libzmq's publisher sees late that there is room.
func BenchmarkPubSub(b *testing.B) {
	const subscribers, ahead, step = 4, 800, 200
	each(b, transports, []int{64, 1 << 10}, func(b *testing.B, kind socketMaker, transport string, size int) {
		pub, subs := star(b, kind, transport, "PUB", "SUB", subscribers)
		subscribed := make(chan struct{}, subscribers)
		errs := make(chan error, subscribers)
		var room [subscribers]chan struct{}
		start := make(chan struct{})
		for i, sub := range subs {
			room[i] = make(chan struct{}, b.N/step+ahead/step)
			for range ahead / step {
				room[i] <- struct{}{}
			}
			go func() {
				if _, err := sub.recv(); err != nil {
					errs <- err
					return
				}
				subscribed <- struct{}{}
				<-start
				m, err := sub.recv()
				for err == nil && len(m) == 1 {
					m, err = sub.recv()
				}
				if err == nil && len(m) != size {
					err = fmt.Errorf("a message of %d bytes, not %d", len(m), size)
				}
				for left := b.N - 1; err == nil && left > 0; left -= step {
					err = receive(sub, min(left, step), size)
					room[i] <- struct{}{}
				}
				errs <- err
			}()
		}
		for waiting := subscribers; waiting > 0; {
			if err := pub.send([]byte{0}); err != nil {
				b.Fatal(err)
			}
			select {
			case <-subscribed:
				waiting--
			case err := <-errs:
				b.Fatal(err)
			case <-time.After(time.Millisecond):
			}
		}
		b.SetBytes(subscribers * int64(size))
		b.ResetTimer()
		close(start)
		m := make([]byte, size)
		for i := range b.N {
			if i%step == 0 {
				for _, c := range room {
					<-c
				}
			}
			if err := pub.send(m); err != nil {
				b.Fatal(err)
			}
		}
		for range subscribers {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReqRep is the round trip of one request at a time.
func BenchmarkReqRep(b *testing.B) {
	each(b, transports, []int{1, 1 << 10}, func(b *testing.B, kind socketMaker, transport string, size int) {
		rep, req := star(b, kind, transport, "REP", "REQ", 1)
		served := make(chan error, 1)
		go func() {
			for range b.N + 1 {
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
		for i := range b.N + 1 {
			if err := req[0].send(m); err != nil {
				b.Fatal(err)
			}
			if err := receive(req[0], 1, size); err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				b.ResetTimer()
			}
		}
		b.StopTimer()
		if err := <-served; err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkRouterDealer is an echo for ten clients that each have one request
// under way: the time per echo.
func BenchmarkRouterDealer(b *testing.B) {
	const clients = 10
	each(b, transports, []int{64}, func(b *testing.B, kind socketMaker, transport string, size int) {
		router, dealers := star(b, kind, transport, "ROUTER", "DEALER", clients)
		errs := make(chan error, clients+1)
		body := bytes.Repeat([]byte("x"), size)
		ask := func(dealer socket) error {
			if err := dealer.sendFrames([][]byte{body}); err != nil {
				return err
			}
			m, err := dealer.recvFrames()
			if err == nil && (len(m) != 1 || len(m[0]) != size) {
				err = fmt.Errorf("an echo of %d frames, expected one of %d bytes", len(m), size)
			}
			return err
		}
		go func() {
			for range clients + b.N {
				m, err := router.recvFrames()
				if err == nil {
					err = router.sendFrames(m)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
		for _, dealer := range dealers {
			if err := ask(dealer); err != nil {
				b.Fatal(err)
			}
		}
		b.ResetTimer()
		for i, dealer := range dealers {
			share := b.N / clients
			if i < b.N%clients {
				share++
			}
			go func() {
				for range share {
					if err := ask(dealer); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range clients + 1 {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
	})
}
