package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// serving runs Serve until the test ends.
func serving(r rig, serve func(context.Context, func(context.Context, zmq.Msg) (zmq.Msg, error)) error,
	handler func(context.Context, zmq.Msg) (zmq.Msg, error),
) {
	ctx, stop := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	go func() { done <- serve(ctx, handler) }()
	r.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.Errorf("Serve returned %v", err)
		}
	})
}

func echo(_ context.Context, m zmq.Msg) (zmq.Msg, error) {
	return append(zmq.NewMsg("re"), m...), nil
}

// TestDealerRequests sends many requests at once. Each gets its own reply, from
// whichever peer.
func TestDealerRequests(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		dealer := made(r, zmq.NewDealer)
		routers := []*zmq.Router{made(r, zmq.NewRouter), made(r, zmq.NewRouter, zmq.WithOption("router_mandatory", "1"))}
		for i, router := range routers {
			at := r.net.bind(t)
			if r.net.name == "inproc" {
				at += fmt.Sprint(i)
			}
			e, err := router.Bind(at)
			if err != nil {
				t.Fatal(err)
			}
			r.connect(dealer, e.Addr())
			serving(r, router.Serve, echo)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for j := range 50 {
					ask := fmt.Sprintf("%d/%d", i, j)
					m, err := dealer.Request(r.ctx, zmq.NewMsg(ask, "", "x"))
					if err != nil {
						t.Error(err)
						return
					}
					if got := m.String(); got != "re|"+ask+"||x" {
						t.Errorf("asked %s, got %s", ask, got)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestDealerRequestToRep(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		dealer, rep := made(r, zmq.NewDealer), made(r, zmq.NewRep)
		r.connect(dealer, r.bind(rep))
		serving(r, rep.Serve, echo)
		for i := range 20 {
			m, err := dealer.Request(r.ctx, zmq.NewMsg(fmt.Sprint(i)))
			if err != nil || m.String() != fmt.Sprint("re|", i) {
				t.Fatal(m, err)
			}
		}
	})
}

// TestServeReq: a REQ with and without correlation, and a message that is no
// request.
func TestServeReq(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter)
		at := r.bind(router)
		serving(r, router.Serve, echo)
		req, dealer := made(r, zmq.NewReq), made(r, zmq.NewDealer)
		r.connect(req, at)
		r.connect(dealer, at)
		r.send(req, "plain")
		r.want(req, "re", "plain")
		m, err := req.Request(r.ctx, zmq.NewMsg("by id"))
		if err != nil || m.String() != "re|by id" {
			t.Fatal(m, err)
		}
		r.send(dealer, "no delimiter")
		r.send(dealer, "nothing behind it", "")
		r.send(dealer, "hop", "", "body")
		r.want(dealer, "hop", "", "re", "body")
		if n := router.Stats().DroppedMalformed; n != 2 {
			t.Errorf("%d messages counted as malformed, want 2", n)
		}
	})
}

// TestDealerRequestCancelled: the late reply to a request that was given up is
// not taken for that of the next.
func TestDealerRequestCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		dealer, router := made(r, zmq.NewDealer), made(r, zmq.NewRouter)
		r.connect(dealer, r.bind(router))
		ctx, stop := context.WithCancel(r.ctx)
		held := make(chan struct{})
		serving(r, router.Serve, func(ctx context.Context, m zmq.Msg) (zmq.Msg, error) {
			if string(m[0]) == "slow" {
				stop()
				<-held
			}
			return m, nil
		})
		if m, err := dealer.Request(ctx, zmq.NewMsg("slow")); !errors.Is(err, context.Canceled) {
			t.Fatal(m, err)
		}
		for i := range 50 {
			if i == 25 {
				close(held)
			}
			m, err := dealer.Request(r.ctx, zmq.NewMsg(fmt.Sprint(i)))
			if err != nil || m.String() != fmt.Sprint(i) {
				t.Fatal(i, m, err)
			}
		}
		if _, err := dealer.Request(ctx, zmq.NewMsg("too late")); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that is done: %v", err)
		}
		if _, err := dealer.Request(r.ctx, nil); err == nil {
			t.Error("a request without frames was sent")
		}
	})
}

// TestServeFails: the error of one handler ends the others and is Serve's.
func TestServeFails(t *testing.T) {
	r := overTCP(t)
	dealer, router := made(r, zmq.NewDealer), made(r, zmq.NewRouter)
	r.connect(dealer, r.bind(router))
	broken := errors.New("broken")
	waiting := make(chan struct{})
	r.send(dealer, "", "wait")
	r.send(dealer, "", "fail")
	err := router.Serve(r.ctx, func(ctx context.Context, m zmq.Msg) (zmq.Msg, error) {
		if string(m[0]) == "fail" {
			<-waiting
			return nil, broken
		}
		close(waiting)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if !errors.Is(err, broken) {
		t.Errorf("Serve returned %v", err)
	}
}

// TestRequestClosed: Close ends the requests that wait.
func TestRequestClosed(t *testing.T) {
	r := overTCP(t)
	dealer, router := made(r, zmq.NewDealer, zmq.WithLinger(0)), made(r, zmq.NewRouter)
	r.connect(dealer, r.bind(router))
	done := make(chan error)
	go func() {
		_, err := dealer.Request(r.ctx, zmq.NewMsg("anyone?"))
		done <- err
	}()
	if _, err := router.Recv(r.ctx); err != nil {
		t.Fatal(err)
	}
	dealer.Close()
	if err := <-done; !errors.Is(err, zmq.ErrClosed) {
		t.Errorf("Request returned %v", err)
	}
}

// Many goroutines ask through one Dealer; a Router answers all of them.
func ExampleDealer_Request() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	router, _ := zmq.NewRouter()
	defer router.Close()
	at, err := router.Bind("tcp://127.0.0.1:*")
	if err != nil {
		fmt.Println(err)
		return
	}
	go router.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) {
		return zmq.NewMsg("Hello, " + string(m[0])), nil
	})

	dealer, _ := zmq.NewDealer()
	defer dealer.Close()
	if _, err := dealer.Connect(at.Addr()); err != nil {
		fmt.Println(err)
		return
	}
	names := []string{"Ada", "Grace", "Mary"}
	replies := make([]zmq.Msg, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { replies[i], _ = dealer.Request(ctx, zmq.NewMsg(name)) })
	}
	wg.Wait()
	for _, m := range replies {
		fmt.Println(m)
	}
	// Output:
	// Hello, Ada
	// Hello, Grace
	// Hello, Mary
}

// A Request whose peer goes away without a reply fails at once; one that no
// peer got waits for the next, and one that was answered has its reply.
func TestRequestPeerGone(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req := made(r, zmq.NewReq, zmq.WithReconnect(time.Millisecond, 0))
		router := made(r, zmq.NewRouter, zmq.WithLinger(0))
		ep, err := router.Bind(r.net.bind(t))
		r.must(err)
		r.connect(req, ep.Addr())
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := req.Request(r.ctx, zmq.NewMsg("x"))
				results <- err
			}()
		}
		for range 3 {
			if _, err := router.Recv(r.ctx); err != nil {
				t.Fatal(err)
			}
		}
		router.Close()
		for range 3 {
			if err := <-results; !errors.Is(err, zmq.ErrPeerGone) {
				t.Errorf("Request returned %v", err)
			}
		}
		if r.net.name == "inproc" {
			return // the connection is gone with the peer
		}
		// Without a peer the request waits, and the next peer answers it.
		go func() {
			m, err := req.Request(r.ctx, zmq.NewMsg("y"))
			if err == nil && m.String() != "re|y" {
				err = fmt.Errorf("received %v", m)
			}
			results <- err
		}()
		r.until(func() bool { return len(req.Stats().Peers) == 1 && req.Stats().Peers[0].SendQueue == 1 })
		rep := made(r, zmq.NewRep)
		if _, err := rep.Bind(ep.Addr()); err != nil {
			t.Fatal(err)
		}
		serving(r, rep.Serve, echo)
		r.must(<-results)
	})
}
