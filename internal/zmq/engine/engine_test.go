package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/zmtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connected returns the two ends of a tcp connection.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// run runs the engines of both ends.
func run(t *testing.T, a, b engine.Conn) (x, y *enginetest.Session) {
	t.Helper()
	var shaking sync.WaitGroup
	var errs [2]error
	shaking.Go(func() { x, _, errs[0] = enginetest.Run(t.Context(), a) })
	shaking.Go(func() { y, _, errs[1] = enginetest.Run(t.Context(), b) })
	shaking.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x, y
}

// hidden is a connection without a descriptor, for which there is no raw I/O.
type hidden struct{ net.Conn }

func TestMessages(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"raw":  func(c net.Conn) net.Conn { return c },
		"conn": func(c net.Conn) net.Conn { return hidden{c} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connected(t)
			x, y := run(t, engine.NewStream(wrap(a), enginetest.Config(zmtp.PAIR)), engine.NewStream(wrap(b), enginetest.Config(zmtp.PAIR)))
			messages := [][]string{
				{"short"},
				{""},
				{"several", "", "frames"},
				{strings.Repeat("x", 255)},
				{strings.Repeat("x", 256)},
				{strings.Repeat("x", 8<<10)},
				{"before", strings.Repeat("x", 1<<20), "after"},
			}
			for _, m := range messages {
				x.Send(m...)
			}
			for _, want := range messages {
				if got, err := y.Recv(); err != nil || !slices.Equal(got, want) {
					t.Fatalf("received %.40q, %v; want %.40q", got, err, want)
				}
				y.Send(want...)
				if got, err := x.Recv(); err != nil || !slices.Equal(got, want) {
					t.Fatalf("received %.40q back, %v; want %.40q", got, err, want)
				}
			}
		})
	}
}

func TestSubscriptions(t *testing.T) {
	a, b := connected(t)
	sub := engine.NewStream(a, enginetest.Config(zmtp.SUB))
	_, pub := run(t, sub, engine.NewStream(b, enginetest.Config(zmtp.PUB)))
	sub.Subscribe(true, []byte("a"))
	sub.Subscribe(false, []byte("a"))
	if got, want := pub.Commands(2), []string{"SUBSCRIBE a", "CANCEL a"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The reason of the first Close is the one that Run returns.
func TestReasons(t *testing.T) {
	a, b := connected(t)
	e := engine.NewStream(a, enginetest.Config(zmtp.PAIR))
	x, y := run(t, e, engine.NewStream(b, enginetest.Config(zmtp.PAIR)))
	reason := errors.New("a reason")
	e.Close(reason)
	e.Close(engine.ErrClosed)
	if err := x.Wait(); err != reason {
		t.Errorf("%v, want %v", err, reason)
	}
	if err := y.Wait(); !errors.Is(err, io.EOF) {
		t.Errorf("the peer: %v, want EOF", err)
	}
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits engine.Limits
		good   []string
		bad    []string
	}{
		"frame":   {engine.Limits{MaxFrame: 10, MaxMessage: -1}, []string{"0123456789", "0123456789"}, []string{"0123456789a"}},
		"message": {engine.Limits{MaxFrame: -1, MaxMessage: 10}, []string{"01234", "56789"}, []string{"01234", "56789a"}},
		"frames":  {engine.Limits{MaxFrame: -1, MaxMessage: -1, MaxFrames: 2}, []string{"a", "b"}, []string{"a", "b", "c"}},
		"large":   {engine.Limits{MaxFrame: 1 << 20, MaxMessage: -1}, []string{strings.Repeat("x", 1<<20)}, []string{strings.Repeat("x", 1<<20+1)}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connected(t)
			cfg := enginetest.Config(zmtp.PAIR)
			cfg.Limits = c.limits
			x, y := run(t, engine.NewStream(a, enginetest.Config(zmtp.PAIR)), engine.NewStream(b, cfg))
			x.Send(c.good...)
			x.Send(c.bad...)
			if got, err := y.Recv(); err != nil || !slices.Equal(got, c.good) {
				t.Errorf("received %.40q, %v", got, err)
			}
			var e *zmtp.Error
			if err := y.Wait(); !errors.As(err, &e) {
				t.Errorf("ended with %v, want an error of the protocol", err)
			}
		})
	}
}

// borrower is a session that borrows the reading half when it is offered.
type borrower struct {
	*enginetest.Session
	lent chan *engine.DirectReader
	mu   sync.Mutex // stands for the receive lock
}

func (s *borrower) Borrow(r *engine.DirectReader) (<-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Offered()
	s.lent <- r
	return nil, true
}

func (s *borrower) Recall(r *engine.DirectReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Interrupt()
}

// A borrower reads by itself, is interrupted and gives the half back; then the
// engine reads again.
func TestDirectRead(t *testing.T) {
	a, b := connected(t)
	e := engine.NewStream(b, enginetest.Config(zmtp.PAIR))
	s := &borrower{lent: make(chan *engine.DirectReader, 1)}
	var shaking sync.WaitGroup
	var x *enginetest.Session
	shaking.Go(func() { x, _, _ = enginetest.Run(t.Context(), engine.NewStream(a, enginetest.Config(zmtp.PAIR))) })
	var err error
	s.Session, _, err = enginetest.RunAs(t.Context(), e, func(inner *enginetest.Session) engine.Session {
		s.Session = inner
		return s
	})
	shaking.Wait()
	if err != nil || x == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); s.Close() })

	s.mu.Lock()
	lends := e.Lend()
	s.mu.Unlock()
	if !lends {
		t.Skip("no raw I/O on this system")
	}
	r := <-s.lent
	if err := r.Read(false); !errors.Is(err, engine.ErrNothing) {
		t.Errorf("Read of nothing: %v, want ErrNothing", err)
	}
	x.Send("direct")
	if err := r.Read(true); err != nil {
		t.Errorf("Read: %v", err)
	}
	if m, err := s.Recv(); err != nil || m[0] != "direct" {
		t.Errorf("received %q, %v", m, err)
	}
	interrupted := make(chan error, 1)
	go func() { interrupted <- r.Read(true) }()
	s.mu.Lock()
	r.Interrupt()
	s.mu.Unlock()
	if err := <-interrupted; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after Interrupt: %v, want a passed deadline", err)
	}
	s.mu.Lock()
	r.Return(nil)
	s.mu.Unlock()
	x.Send("by the engine")
	if m, err := s.Recv(); err != nil || m[0] != "by the engine" {
		t.Errorf("received %q, %v", m, err)
	}
}

// A peer that does not answer a heartbeat is given up, one that does is not.
func TestHeartbeat(t *testing.T) {
	a, b := connected(t)
	cfg := enginetest.Config(zmtp.PAIR)
	cfg.HeartbeatInterval, cfg.HeartbeatTimeout = time.Millisecond, time.Minute
	x, y := run(t, engine.NewStream(a, cfg), engine.NewStream(b, enginetest.Config(zmtp.PAIR)))
	for range 100 {
		x.Send("m")
		if _, err := y.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	x.Close()

	a, b = connected(t)
	cfg.HeartbeatTimeout = time.Millisecond
	e := engine.NewStream(a, cfg)
	go func() {
		g := zmtp.NewGreeting(zmtp.GreetingConfig{Mechanism: "NULL", SocketType: zmtp.PAIR})
		out, _, _, _ := g.Advance(nil, nil)
		in := make([]byte, 0, zmtp.GreetingSize)
		for done := false; !done; {
			b.Write(out)
			n, err := b.Read(in[len(in):cap(in)])
			if err != nil {
				return
			}
			in = in[:len(in)+n]
			out, _, done, _ = g.Advance(nil, in)
		}
		b.Write(out)
		ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte("PAIR")}})
		b.Write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, ready))
	}()
	s, _, err := enginetest.Run(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("ended with %v", err)
	}
}

// largestWrite is a connection that keeps the size of its largest write.
type largestWrite struct {
	net.Conn
	mu      sync.Mutex
	largest int
}

func (c *largestWrite) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.largest = max(c.largest, len(b))
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// With a small SO_SNDBUF no write is larger than that.
func TestSendBuffer(t *testing.T) {
	a, b := connected(t)
	cfg := enginetest.Config(zmtp.PAIR)
	cfg.SendBuffer = 4096
	c := &largestWrite{Conn: a}
	x, y := run(t, engine.NewStream(c, cfg), engine.NewStream(b, enginetest.Config(zmtp.PAIR)))
	for _, size := range []int{100, 8191, 8192, 100_000} {
		for range 20 {
			x.Send(strings.Repeat("x", size))
		}
		for range 20 {
			if m, err := y.Recv(); err != nil || len(m[0]) != size {
				t.Fatalf("received %.40q, %v", m, err)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.largest > cfg.SendBuffer {
		t.Errorf("a write of %d octets, want at most %d", c.largest, cfg.SendBuffer)
	}
}
