package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

func (r rig) outOfTurn(err error) {
	r.Helper()
	if !errors.Is(err, zmq.ErrState) {
		r.Fatalf("got %v, want ErrState", err)
	}
}

// test_spec_req, test_spec_rep: calls out of turn.
func TestTurns(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, rep := made(r, zmq.NewReq), made(r, zmq.NewRep)
		r.connect(req, r.bind(rep))
		_, err := req.TryRecv()
		r.outOfTurn(err)
		r.outOfTurn(rep.TrySend(zmq.NewMsg("x")))
		r.send(req, "ask")
		r.outOfTurn(req.TrySend(zmq.NewMsg("again")))
		r.want(rep, "ask")
		_, err = rep.TryRecv()
		r.outOfTurn(err)
		r.send(rep, "answer")
		r.outOfTurn(rep.TrySend(zmq.NewMsg("x")))
		r.want(req, "answer")
		_, err = req.TryRecv()
		r.outOfTurn(err)
	})
}

// test_spec_req: requests go round the peers, the reply comes from the one
// that was asked.
func TestReqGoesRound(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req := made(r, zmq.NewReq)
		ep := r.bind(req)
		const peers = 4
		var reps []*zmq.Rep
		for range peers {
			rep := made(r, zmq.NewRep)
			r.connect(rep, ep)
			reps = append(reps, rep)
		}
		r.ready(req, peers)
		answered := map[int]int{}
		for i := range peers * 3 {
			r.send(req, fmt.Sprint(i))
			var by int
			r.until(func() bool {
				for n, rep := range reps {
					if m, err := rep.TryRecv(); err == nil {
						if string(m[0]) != fmt.Sprint(i) {
							t.Errorf("request %v, want %d", m, i)
						}
						by = n
						return true
					}
				}
				return false
			})
			answered[by]++
			r.send(reps[by], "from", fmt.Sprint(by))
			r.want(req, "from", fmt.Sprint(by))
		}
		for n := range peers {
			if answered[n] != 3 {
				t.Errorf("peer %d was asked %d times, want 3", n, answered[n])
			}
		}
	})
}

// test_spec_req: what goes out is an empty frame and the request.
func TestReqEnvelope(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, router := made(r, zmq.NewReq), made(r, zmq.NewRouter)
		r.connect(req, r.bind(router))
		r.send(req, "a", "b")
		m, err := router.Recv(r.ctx)
		if err != nil || len(m) != 4 || len(m[1]) != 0 || string(m[2]) != "a" {
			t.Fatalf("%q, %v", [][]byte(m), err)
		}
		id := m[0]
		// An id that was not requested is the id of another request.
		r.must(router.Send(r.ctx, zmq.Msg{id, []byte("1234"), nil, []byte("another")}))
		r.must(router.Send(r.ctx, zmq.Msg{id, nil, []byte("good"), nil}))
		r.want(req, "good", "")
	})
}

// A reply without its envelope ends the connection; in process it is passed
// over. What came before it counts.
func TestReplyWithoutEnvelope(t *testing.T) {
	for i, bad := range []zmq.Msg{
		zmq.NewMsg("no delimiter"),
		zmq.NewMsg("x", "", "late delimiter"),
		zmq.NewMsg("1234", "x", "y"),
		zmq.NewMsg("1234", ""),
		zmq.NewMsg("1234"),
		zmq.NewMsg(""), // delimiter and nothing
	} {
		everywhere(t, func(t *testing.T, r rig) {
			req, router := made(r, zmq.NewReq, zmq.WithOption("req_relaxed", "1"), zmq.WithReconnect(time.Millisecond, 0)), made(r, zmq.NewRouter)
			events := req.Events(r.ctx)
			at := r.net.bind(t)
			if r.net.name == "inproc" {
				at += fmt.Sprint(i)
			}
			ep, err := router.Bind(at)
			r.must(err)
			r.connect(req, ep.Addr())
			ask := func(text string) (id []byte) {
				r.send(req, text)
				m, err := router.Recv(r.ctx)
				r.must(err)
				return m[0]
			}
			id := ask("first")
			r.must(router.SendOwned(r.ctx, zmq.Msg{id, nil, []byte("re: first")}))
			r.must(router.SendOwned(r.ctx, append(zmq.Msg{id}, bad...)))
			r.want(req, "re: first")
			if r.net.name != "inproc" {
				for e := range events {
					if e.Type == event.Disconnected {
						if e.Err == nil || !strings.Contains(e.Err.Error(), "empty frame") {
							t.Errorf("disconnected because of %v", e.Err)
						}
						break
					}
				}
			}
			id = ask("second")
			r.must(router.Send(r.ctx, zmq.Msg{id, nil, []byte("re: second")}))
			r.want(req, "re: second")
		})
	}
}

func TestReqCorrelates(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, router := made(r, zmq.NewReq, zmq.WithOption("req_relaxed", "1"), zmq.WithOption("req_correlate", "1")), made(r, zmq.NewRouter)
		r.connect(req, r.bind(router))
		var envelopes []zmq.Msg
		for _, ask := range []string{"first", "second"} {
			r.send(req, ask)
			m, err := router.Recv(r.ctx)
			if err != nil || len(m) != 4 || len(m[1]) != 4 || len(m[2]) != 0 || string(m[3]) != ask {
				t.Fatalf("%q, %v", [][]byte(m), err)
			}
			envelopes = append(envelopes, m[:3])
		}
		for i, answer := range []string{"late", "right"} {
			if err := router.Send(r.ctx, append(envelopes[i], []byte(answer))); err != nil {
				t.Fatal(err)
			}
		}
		r.want(req, "right")
	})
}

// test_spec_rep: the envelope ends at the first empty frame, whatever else is
// in the message; test_invalid_rep: malformed requests are passed over.
func TestRepEnvelope(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		dealer, rep := made(r, zmq.NewDealer), made(r, zmq.NewRep)
		r.connect(dealer, r.bind(rep))
		r.send(dealer, "no delimiter")
		r.send(dealer, "no", "delimiter")
		r.send(dealer, "nothing after it", "")
		r.send(dealer, "hop1", "hop2", "", "body", "", "tail")
		r.want(rep, "body", "", "tail")
		r.send(rep, "answer")
		r.want(dealer, "hop1", "hop2", "", "answer")
		r.send(dealer, "", "plain")
		r.want(rep, "plain")
		r.send(rep, "x", "y")
		r.want(dealer, "", "x", "y")
		if n := rep.Stats().DroppedMalformed; n != 3 {
			t.Errorf("%d malformed requests counted, want 3", n)
		}
	})
}

// A reply to a peer that has gone is dropped and REP is ready for the next.
func TestReplyWithoutRequester(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		rep := made(r, zmq.NewRep)
		ep := r.bind(rep)
		gone := made(r, zmq.NewReq)
		r.connect(gone, ep)
		r.send(gone, "bye")
		r.want(rep, "bye")
		gone.Close()
		r.until(func() bool { return len(rep.Stats().Peers) == 0 })
		r.send(rep, "lost")
		if n := rep.Stats().DroppedNoPeer; n != 1 {
			t.Errorf("%d drops counted, want that of the reply", n)
		}
		next := made(r, zmq.NewReq)
		r.connect(next, ep)
		r.send(next, "hello")
		r.want(rep, "hello")
		r.send(rep, "there")
		r.want(next, "there")
	})
}

func TestRequestsAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, router := made(r, zmq.NewReq), made(r, zmq.NewRouter)
		r.connect(req, r.bind(router))
		const n = 20
		served := make(chan struct{})
		go func() {
			defer close(served)
			var held []zmq.Msg
			for range n {
				m, err := router.Recv(r.ctx)
				if err != nil {
					return
				}
				held = append(held, m)
			}
			for i := range held { // answers in the opposite order
				router.Send(r.ctx, held[len(held)-1-i])
			}
		}()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				m, err := req.Request(r.ctx, zmq.NewMsg("ask", fmt.Sprint(i)))
				if err != nil || len(m) != 2 || string(m[1]) != fmt.Sprint(i) {
					t.Errorf("request %d: %v, %v", i, m, err)
				}
			})
		}
		wg.Wait()
		<-served
	})
}

func TestRequestCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, rep := made(r, zmq.NewReq), made(r, zmq.NewRep)
		r.connect(req, r.bind(rep))
		ctx, cancel := context.WithCancel(r.ctx)
		failed := make(chan struct{})
		go func() {
			r.want(rep, "slow")
			cancel()
			<-failed // or the reply might be there first
			rep.Send(r.ctx, zmq.NewMsg("late"))
			rep.Serve(r.ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) { return m, nil })
		}()
		if _, err := req.Request(ctx, zmq.NewMsg("slow")); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		close(failed)
		m, err := req.Request(r.ctx, zmq.NewMsg("next"))
		if err != nil || m.String() != "next" {
			t.Fatal(m, err)
		}
	})
}

// Serve returns when its socket is closed or its handler fails.
func TestServeEnds(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	rep, req := made(r, zmq.NewRep), made(r, zmq.NewReq)
	rep.Bind("inproc://a")
	req.Connect("inproc://a")
	r.send(req, "x")
	boom := errors.New("boom")
	if err := rep.Serve(r.ctx, func(context.Context, zmq.Msg) (zmq.Msg, error) { return nil, boom }); err != boom {
		t.Error(err)
	}
	rep.Close()
	if err := rep.Serve(r.ctx, nil); !errors.Is(err, zmq.ErrClosed) {
		t.Error(err)
	}
}

// test_spec_router, test_router_mandatory: messages without a route.
func TestRouterWithoutRoute(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter)
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")))
		ep := r.bind(router)
		r.send(router, "absent", "hello") // dropped
		r.send(router, "address alone")
		if err := router.SetOption("router_mandatory", "1"); err != nil {
			t.Fatal(err)
		}
		if err := router.Send(r.ctx, zmq.NewMsg("absent", "hello")); !errors.Is(err, zmq.ErrHostUnreachable) {
			t.Errorf("send without a route: %v", err)
		}
		if n := router.Stats().DroppedNoPeer; n != 1 {
			t.Errorf("%d drops counted, want that of the first message", n)
		}
		r.connect(dealer, ep)
		r.send(dealer, "hi")
		r.want(router, "X", "hi")
		r.send(router, "X", "you")
		r.want(dealer, "you")
	})
}

// test_router_mandatory_hwm: a peer that has no room.
func TestRouterFull(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	router := made(r, zmq.NewRouter, zmq.WithOption("router_mandatory", "1"), zmq.WithOption("sndhwm", "2"))
	dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")), zmq.WithOption("rcvhwm", "1"))
	router.Bind("inproc://a")
	dealer.Connect("inproc://a")
	for range 3 {
		r.send(router, "X", "m")
	}
	r.refused(router, "X", "m")
	r.want(dealer, "m")
	r.want(dealer, "m")
	r.send(router, "X", "m")
	router.SetOption("router_mandatory", "0")
	r.send(router, "X", "m")
	r.send(router, "X", "dropped")
	if n := router.Stats().DroppedFull; n != 1 {
		t.Errorf("%d drops counted, want 1", n)
	}
}

// test_router_handover, and its opposite: the routing id of another.
func TestDuplicateIdentity(t *testing.T) {
	for _, handover := range []bool{false, true} {
		t.Run(fmt.Sprint("handover ", handover), func(t *testing.T) {
			everywhere(t, func(t *testing.T, r rig) {
				var o []zmq.Option
				if handover {
					o = append(o, zmq.WithOption("router_handover", "1"))
				}
				router := made(r, zmq.NewRouter, o...)
				events, stop := iter.Pull(router.Events(r.ctx))
				defer stop()
				ep := r.bind(router)
				one := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")), zmq.WithReconnect(-1, 0))
				r.connect(one, ep)
				r.send(one, "one")
				r.want(router, "X", "one")
				two := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")), zmq.WithReconnect(-1, 0))
				r.connect(two, ep)
				if !handover {
					if e := next(t, events, event.DuplicateID); e.Endpoint != ep || e.Err == nil {
						t.Errorf("%+v does not say where and why", e)
					}
					r.until(func() bool { return len(two.Stats().Peers) == 0 })
					r.send(router, "X", "still one")
					r.want(one, "still one")
					return
				}
				r.send(two, "two")
				r.want(router, "X", "two")
				r.send(router, "X", "now two")
				r.want(two, "now two")
			})
		})
	}
}

// test_probe_router: an empty message announces a peer.
func TestProbeRouter(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter)
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")), zmq.WithOption("probe_router", "1"))
		r.connect(dealer, r.bind(router))
		r.want(router, "X", "")
		r.send(router, "X", "welcome")
		r.want(dealer, "welcome")
	})
}

// test_connect_rid: we choose what to call the peer.
func TestConnectRoutingID(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router, dealer := made(r, zmq.NewRouter), made(r, zmq.NewDealer)
		ep := r.bind(dealer)
		if err := router.SetOption("connect_routing_id", "conn1"); err != nil {
			t.Fatal(err)
		}
		r.connect(router, ep)
		r.send(router, "conn1", "hi")
		r.want(dealer, "hi")
		r.send(dealer, "there")
		r.want(router, "conn1", "there")
		if err := router.SetOption("connect_routing_id", "conn1"); err != nil {
			t.Fatal(err)
		}
		if _, err := router.Connect(ep); err == nil {
			t.Error("a second peer got the same routing id")
		}
	})
}

// test_router_notify: connections and disconnections as messages.
func TestRouterNotify(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter, zmq.WithOption("router_notify", "3"))
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")))
		e := r.connect(dealer, r.bind(router))
		r.want(router, "X", "")
		r.send(dealer, "m")
		r.want(router, "X", "m")
		e.Close()
		r.want(router, "X", "")
	})
}

// test_hello_msg, test_disconnect_msg, test_hiccup_msg.
func TestGreetingsAndFarewells(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter, zmq.WithOption("hello_msg", "hello"), zmq.WithOption("disconnect_msg", "gone"))
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("X")),
			zmq.WithOption("hello_msg", "hi"), zmq.WithOption("hiccup_msg", "hiccup"),
			zmq.WithReconnect(time.Hour, 0))
		e := r.connect(dealer, r.bind(router))
		r.want(router, "X", "hi")
		r.want(dealer, "hello")
		e.Close()
		r.want(router, "X", "gone")

		other := made(r, zmq.NewDealer, zmq.WithOption("hiccup_msg", "hiccup"), zmq.WithReconnect(time.Hour, 0))
		r.net.bind = func(t *testing.T) string {
			if r.net.name == "inproc" {
				return "inproc://other"
			}
			return networks()[0].bind(t)
		}
		second := made(r, zmq.NewRouter)
		r.connect(other, r.bind(second))
		r.ready(second, 1)
		second.Close()
		r.want(other, "hiccup")
	})
}

// A queue of ROUTER and DEALER between clients and workers.
func TestDevice(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		ctx, cancel := context.WithCancel(r.ctx)
		front, back := made(r, zmq.NewRouter), made(r, zmq.NewDealer)
		fep := r.bind(front)
		if r.net.name == "inproc" {
			r.net.bind = func(*testing.T) string { return "inproc://back" }
		} else {
			r.net = networks()[0]
		}
		bep := r.bind(back)
		proxied := make(chan error, 1)
		go func() { proxied <- (&zmq.Proxy{Front: front, Back: back}).Run(ctx) }()
		rep := made(r, zmq.NewRep)
		r.connect(rep, bep)
		go rep.Serve(r.ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) { return append(m, []byte("!")), nil })
		req := made(r, zmq.NewReq)
		r.connect(req, fep)
		for i := range 10 {
			r.send(req, fmt.Sprint(i))
			r.want(req, fmt.Sprint(i), "!")
		}
		cancel()
		if err := <-proxied; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
