package zmq_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
)

// Context.Close gives each socket its linger time, and no longer, for
// messages that no peer receives.
func TestContextCloseLingers(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c := new(zmq.Context)
	push, err := zmq.NewPush(zmq.InContext(c), zmq.WithLinger(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push.Connect("tcp://" + gone.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := push.SendBytes(t.Context(), []byte("never fetched")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := c.Close(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("Close: %v; waited past the linger time: %v", err, ctx.Err() != nil)
	}
}

// However long another call lingers, a wait with a bound of its own ends: that
// of a Context, of a socket and of Close with a linger time.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(zmq.Context)
		never := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		push, err := zmq.NewPush(zmq.InContext(c), zmq.WithLinger(-1), zmq.WithDialer(never))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := push.Connect("tcp://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		if err := push.SendBytes(t.Context(), []byte("never fetched")); err != nil {
			t.Fatal(err)
		}
		forever, end := context.WithCancel(t.Context())
		var closing sync.WaitGroup
		closing.Go(func() {
			if err := push.CloseContext(forever); err != nil {
				t.Errorf("the call that closes: %v", err)
			}
		})
		synctest.Wait()
		for name, close := range map[string]func(context.Context) error{"Context.Close": c.Close, "CloseContext": push.CloseContext} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := close(ctx)
			cancel()
			if took := time.Since(start); took != 200*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v after %v, want its own deadline after 200 ms", name, err, took)
			}
		}
		end()
		closing.Wait()
		if err := errors.Join(c.Close(t.Context()), push.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestConnectWhileClosing: a Bind or Connect during Close leaves nothing running:
// the endpoint is ended by Close, or refused.
func TestConnectWhileClosing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, open := range map[string]func(*zmq.Dealer) (*zmq.Endpoint, error){
		"tcp connect":    func(s *zmq.Dealer) (*zmq.Endpoint, error) { return s.Connect("tcp://" + ln.Addr().String()) },
		"tcp bind":       func(s *zmq.Dealer) (*zmq.Endpoint, error) { return s.Bind("tcp://127.0.0.1:*") },
		"inproc connect": func(s *zmq.Dealer) (*zmq.Endpoint, error) { return s.Connect("inproc://while-closing") },
		"inproc bind":    func(s *zmq.Dealer) (*zmq.Endpoint, error) { return s.Bind("inproc://while-closing") },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 300 {
				c := new(zmq.Context)
				s, err := zmq.NewDealer(zmq.InContext(c), zmq.WithLinger(0))
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				begin := make(chan struct{})
				wg.Go(func() {
					<-begin
					if _, err := open(s); err != nil && !errors.Is(err, zmq.ErrClosed) {
						t.Error(err)
					}
				})
				close(begin)
				for range i % 20 {
					runtime.Gosched() // Close meets another step of open each time
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				wg.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				if err := c.Close(ctx); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
}

// An authenticator and a dialer that ignore their context do not hold Close up. A
// connection that such a dialer makes too late is closed.
func TestCloseBesideStuckCallbacks(t *testing.T) {
	r := overTCP(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	rep := made(r, zmq.NewRep, zmq.WithOption("plain_server", "1"), zmq.WithAuthenticator(
		func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) {
			asked <- struct{}{}
			<-release
			return zmq.AuthResult{}, nil
		}))
	req := made(r, zmq.NewReq, zmq.WithPlain("user", "password"), zmq.WithLinger(0))
	r.connect(req, r.bind(rep))
	<-asked
	r.must(rep.Close())

	here, there := net.Pipe()
	push := made(r, zmq.NewPush, zmq.WithLinger(0), zmq.WithDialer(
		func(context.Context, string, string) (net.Conn, error) {
			asked <- struct{}{}
			<-release
			return here, nil
		}))
	r.connect(push, "tcp://127.0.0.1:1")
	<-asked
	r.must(push.Close())
	close(release)
	if n, err := there.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d octets from a connection that came too late", n)
	}
	there.Close()
}
