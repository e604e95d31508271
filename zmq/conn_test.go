package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

func over(t *testing.T, n network) rig {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	t.Cleanup(stop)
	return rig{T: t, net: n, ctx: ctx, zctx: new(zmq.Context)}
}

func overTCP(t *testing.T) rig { return over(t, networks()[0]) }

// Close waits until what was sent has left.
func TestCloseFlushes(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		const n = 500
		go func() {
			for i := range n {
				push.Send(r.ctx, zmq.NewMsg(fmt.Sprint(i), strings.Repeat("x", 2000)))
			}
			push.Close()
		}()
		for i := range n {
			m, err := pull.Recv(r.ctx)
			if err != nil || string(m[0]) != fmt.Sprint(i) {
				t.Fatal(i, m, err)
			}
		}
	})
}

// Close gives up after the linger time when there is no peer.
func TestLinger(t *testing.T) {
	r := overTCP(t)
	gone := made(r, zmq.NewPull)
	nowhere := r.bind(gone)
	gone.Close()
	for _, c := range []struct {
		linger time.Duration
		atMost time.Duration
	}{{0, limit / 2}, {20 * time.Millisecond, limit / 2}} {
		push := made(r, zmq.NewPush, zmq.WithLinger(c.linger), zmq.WithReconnect(time.Millisecond, 0))
		r.connect(push, nowhere)
		r.send(push, "lost")
		start := time.Now()
		r.must(push.Close())
		if d := time.Since(start); d < c.linger || d > c.atMost {
			t.Errorf("Close with linger %v took %v", c.linger, d)
		}
		if n := push.Stats().DroppedLost; n != 1 {
			t.Errorf("%d lost messages counted, want 1", n)
		}
	}
	// Nothing queued: no reason to wait, however long the linger time.
	idle := made(r, zmq.NewPush, zmq.WithLinger(-1))
	r.connect(idle, nowhere)
	r.must(idle.Close())
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	bounded := made(r, zmq.NewPush, zmq.WithLinger(-1))
	r.connect(bounded, nowhere)
	r.send(bounded, "lost")
	r.must(bounded.CloseContext(ctx))
}

// Messages queued while the peer is away go out during the linger time.
func TestLingerReconnects(t *testing.T) {
	r := overTCP(t)
	gone := made(r, zmq.NewPull)
	ep := r.bind(gone)
	gone.Close()
	push := made(r, zmq.NewPush, zmq.WithReconnect(time.Millisecond, 0))
	r.connect(push, ep)
	r.send(push, "late")
	closed := make(chan error)
	go func() { closed <- push.Close() }()
	pull := made(r, zmq.NewPull)
	r.until(func() bool { _, err := pull.Bind(ep); return err == nil })
	r.want(pull, "late")
	r.must(<-closed)
}

// Calls on a closed socket fail, also those that wait.
func TestCallsAfterClose(t *testing.T) {
	r := overTCP(t)
	d := made(r, zmq.NewDealer)
	waiting := make(chan error, 2)
	go func() { _, err := d.Recv(r.ctx); waiting <- err }()
	go func() { waiting <- d.Send(r.ctx, zmq.NewMsg("x")) }()
	r.must(d.Close())
	for range 2 {
		if err := <-waiting; !errors.Is(err, zmq.ErrClosed) {
			t.Error(err)
		}
	}
	_, err := d.Bind("tcp://127.0.0.1:*")
	_, err2 := d.Connect("inproc://x")
	for _, err := range []error{err, err2, d.Send(r.ctx, zmq.NewMsg("x")), d.SetOption("linger", "0")} {
		if !errors.Is(err, zmq.ErrClosed) {
			t.Error(err)
		}
	}
	r.must(d.Close())
}

// test_ctx_destroy: the end of a context ends every call.
func TestContext(t *testing.T) {
	r := overTCP(t)
	s := made(r, zmq.NewPull)
	waiting := make(chan error)
	go func() { _, err := s.Recv(r.ctx); waiting <- err }()
	r.zctx.Shutdown()
	if err := <-waiting; !errors.Is(err, zmq.ErrTerminated) {
		t.Error(err)
	}
	if _, err := zmq.NewPull(zmq.InContext(r.zctx)); !errors.Is(err, zmq.ErrTerminated) {
		t.Error(err)
	}
	r.must(r.zctx.Close(r.ctx))
	if _, err := s.Recv(r.ctx); !errors.Is(err, zmq.ErrClosed) {
		t.Error(err)
	}
}

// Names of one context are not known in another.
func TestContextsAreApart(t *testing.T) {
	a, b := overTCP(t), overTCP(t)
	for _, r := range []rig{a, b} {
		pull := made(r, zmq.NewPull)
		e, err := pull.Bind("inproc://same")
		r.must(err)
		if _, err := made(r, zmq.NewPull).Bind("inproc://same"); !errors.Is(err, zmq.ErrAddressInUse) {
			t.Error(err)
		}
		r.must(e.Close())
		if _, err := made(r, zmq.NewPull).Bind("inproc://same"); err != nil {
			t.Error(err)
		}
	}
}

// test_term_endpoint, test_unbind_wildcard, test_last_endpoint,
// test_disconnect_inproc.
func TestUnbindAndDisconnect(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		bound, err := pull.Bind(r.net.bind(t))
		r.must(err)
		ep := bound.Addr()
		if got, err := pull.Option("last_endpoint"); got != ep {
			t.Errorf("last endpoint %q, %v, want %q", got, err, ep)
		}
		e := r.connect(push, ep)
		r.send(push, "1")
		r.want(pull, "1")
		r.must(e.Close())
		r.refused(push, "x")
		if err := e.Close(); !errors.Is(err, zmq.ErrNoEndpoint) {
			t.Error(err)
		}
		r.connect(push, ep)
		r.until(func() bool { return push.TrySend(zmq.NewMsg("2")) == nil })
		r.want(pull, "2")
		r.must(bound.Close())
		if err := bound.Close(); !errors.Is(err, zmq.ErrNoEndpoint) {
			t.Error(err)
		}
	})
}

// A message that waits when the endpoint is closed is still delivered.
func TestDisconnectFlushes(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		e := r.connect(push, r.bind(pull))
		for i := range 100 {
			r.send(push, fmt.Sprint(i))
		}
		r.must(e.Close())
		for i := range 100 {
			r.want(pull, fmt.Sprint(i))
		}
	})
}

// The second connection to an endpoint is none for some types (1.2).
func TestDuplicateConnect(t *testing.T) {
	for _, c := range []struct {
		typ  string
		want int
	}{{"DEALER", 1}, {"SUB", 1}, {"PUB", 1}, {"REQ", 1}, {"PUSH", 2}, {"PULL", 2}} {
		r := overTCP(t)
		s, err := zmq.New(c.typ, zmq.InContext(r.zctx), zmq.WithLinger(0))
		r.socket(s, err)
		for range 2 {
			r.connect(s, "tcp://127.0.0.1:1")
		}
		if n := len(s.Stats().Peers); n != c.want {
			t.Errorf("%v: %d connections, want %d", c.typ, n, c.want)
		}
	}
}

// test_reconnect_ivl and friends: a lost peer that comes back.
func TestReconnect(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := over(t, n)
			push := made(r, zmq.NewPush, zmq.WithReconnect(time.Millisecond, 10*time.Millisecond))
			pull := made(r, zmq.NewPull)
			ep := r.bind(pull)
			r.connect(push, ep)
			for i := range 5 {
				r.send(push, fmt.Sprint(i))
				r.want(pull, fmt.Sprint(i))
				r.must(pull.Close())
				r.until(func() bool {
					for _, p := range push.Stats().Peers {
						if p.Connected {
							return false
						}
					}
					return true
				})
				pull = made(r, zmq.NewPull)
				r.until(func() bool { _, err := pull.Bind(ep); return err == nil })
			}
			if n := push.Stats().Reconnects; n < 4 {
				t.Errorf("%d reconnections counted", n)
			}
		})
	}
}

// No reconnection when none is wanted.
func TestNoReconnect(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	push := made(r, zmq.NewPush, zmq.WithReconnect(-1, 0))
	r.connect(push, r.bind(pull))
	r.send(push, "x")
	r.want(pull, "x")
	pull.Close()
	r.until(func() bool { return len(push.Stats().Peers) == 0 })
	r.refused(push, "x")
}

// test_pair_tcp: a third socket is turned away.
func TestPairHasOnePeer(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		a, b, c := made(r, zmq.NewPair), made(r, zmq.NewPair), made(r, zmq.NewPair, zmq.WithReconnect(-1, 0))
		ep := r.bind(a)
		r.connect(b, ep)
		r.send(b, "b")
		r.want(a, "b")
		r.connect(c, ep)
		r.until(func() bool { return len(c.Stats().Peers) == 0 })
		r.send(a, "for b")
		r.want(b, "for b")
		b.Close()
		r.until(func() bool { return len(a.Stats().Peers) == 0 })
		d := made(r, zmq.NewPair)
		r.connect(d, ep)
		r.send(d, "d")
		r.want(a, "d")
	})
}

// Sockets of types that do not match never become peers.
func TestWrongPeer(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := over(t, n)
			rep, push := made(r, zmq.NewRep), made(r, zmq.NewPush, zmq.WithReconnect(-1, 0), zmq.WithLinger(0))
			ctx, stop := context.WithCancel(r.ctx)
			defer stop()
			events := push.Events(ctx)
			r.connect(push, r.bind(rep))
			for e := range events {
				if e.Type == event.HandshakeProtocol || e.Type == event.HandshakeAuth || e.Type == event.HandshakeFailed {
					break
				}
				if e.Type == event.HandshakeSucceeded {
					t.Fatal("a PUSH and a REP became peers")
				}
			}
		})
	}
}

// next returns the next event of one of the types, skipping the rest.
func next(t *testing.T, pull func() (event.Event, bool), types ...event.Type) event.Event {
	t.Helper()
	for {
		e, ok := pull()
		if !ok {
			t.Fatalf("no event of %v", types)
		}
		for _, typ := range types {
			if e.Type == typ {
				return e
			}
		}
	}
}

// test_monitor: the order of events on both sides.
func TestEvents(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := over(t, n)
			pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush, zmq.WithReconnect(time.Millisecond, 0))
			server, stop1 := iter.Pull(pull.Events(r.ctx))
			client, stop2 := iter.Pull(push.Events(r.ctx))
			defer stop1()
			defer stop2()
			ep := r.bind(pull)
			r.connect(push, ep)
			for _, want := range []event.Type{event.Listening, event.Accepted, event.HandshakeSucceeded} {
				if e, _ := server(); e.Type != want || e.Endpoint != ep || e.Time.IsZero() {
					t.Errorf("server: %+v, want %v", e, want)
				}
			}
			for _, want := range []event.Type{event.ConnectDelayed, event.Connected, event.HandshakeSucceeded} {
				if e, _ := client(); e.Type != want || e.Endpoint != ep {
					t.Errorf("client: %+v, want %v", e, want)
				}
			}
			r.must(pull.Close())
			next(t, server, event.Closed)
			next(t, server, event.MonitorStopped)
			if e, ok := server(); ok {
				t.Errorf("event after the last: %+v", e)
			}
			next(t, client, event.Disconnected)
			if e := next(t, client, event.ConnectRetried); e.Interval < time.Millisecond || e.Interval >= 2*time.Millisecond {
				t.Errorf("the wait is %v, want 1 to 2 ms", e.Interval)
			}
			r.must(push.Close())
			next(t, client, event.MonitorStopped)
		})
	}
}

// test_reconnect_options: the wait doubles up to the maximum.
func TestBackoff(t *testing.T) {
	r := overTCP(t)
	gone := made(r, zmq.NewPull)
	nowhere := r.bind(gone)
	gone.Close()
	push := made(r, zmq.NewPush, zmq.WithReconnect(time.Millisecond, 5*time.Millisecond), zmq.WithLinger(0))
	events, stop := iter.Pull(push.Events(r.ctx))
	defer stop()
	r.connect(push, nowhere)
	for _, want := range []time.Duration{1, 2, 4, 5, 5} {
		if e := next(t, events, event.ConnectRetried); e.Interval != want*time.Millisecond {
			t.Errorf("waits %v, want %v", e.Interval, want*time.Millisecond)
		}
	}
	stopped := made(r, zmq.NewPush, zmq.WithOption("reconnect_stop", "1"), zmq.WithLinger(0))
	r.connect(stopped, nowhere)
	r.until(func() bool { return len(stopped.Stats().Peers) == 0 })
}

func TestBadEndpoints(t *testing.T) {
	r := overTCP(t)
	s := made(r, zmq.NewPull)
	for _, ep := range []string{"", "tcp://", "x://y", "tcp://127.0.0.1:99999", "inproc://", "ipc://"} {
		if _, err := s.Bind(ep); err == nil {
			t.Errorf("bound %q", ep)
		}
		if _, err := s.Connect(ep); err == nil {
			t.Errorf("connected %q", ep)
		}
	}
	first := r.bind(s)
	if _, err := made(r, zmq.NewPull).Bind(first); err == nil {
		t.Error("the same port bound twice")
	}
}

// test_ipc_wildcard, test_abstract_ipc, test_rebind_ipc.
func TestIPCNames(t *testing.T) {
	names := []string{"ipc://*", "ipc://" + filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		names = append(names, fmt.Sprint("ipc://@lintel-test-", os.Getpid()))
	}
	for _, name := range names {
		for range 2 {
			r := overTCP(t)
			pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush)
			e, err := pull.Bind(name)
			r.must(err)
			r.connect(push, e.Addr())
			r.send(push, "x")
			r.want(pull, "x")
			r.must(pull.Close())
			if name == "ipc://*" {
				if _, err := os.Stat(strings.TrimPrefix(e.Addr(), "ipc://")); !os.IsNotExist(err) {
					t.Errorf("%s is left behind", e.Addr())
				}
			}
		}
	}
}

// test_bind_src_address, test_tcp_accept_filter.
func TestTCPAddresses(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull, zmq.WithOption("tcp_accept_filter", "127.0.0.0/8"))
	push := made(r, zmq.NewPush)
	ep := r.bind(pull)
	r.connect(push, "tcp://127.0.0.1:0;"+strings.TrimPrefix(ep, "tcp://"))
	r.send(push, "x")
	r.want(pull, "x")

	closed := made(r, zmq.NewPull, zmq.WithOption("tcp_accept_filter", "10.0.0.0/8"))
	events, stop := iter.Pull(closed.Events(r.ctx))
	defer stop()
	other := made(r, zmq.NewPush, zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
	r.connect(other, r.bind(closed))
	next(t, events, event.AcceptFailed)
	if err := pull.SetOption("tcp_accept_filter", "nonsense"); err == nil {
		t.Error("filter accepted")
	}
}

// test_filter_ipc: our own user may, another may not.
func TestIPCFilter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("credentials of peers are known on Linux alone")
	}
	for uid, ok := range map[int]bool{os.Getuid(): true, os.Getuid() + 1: false} {
		r := over(t, networks()[1])
		pull := made(r, zmq.NewPull, zmq.WithOption("ipc_filter_uid", fmt.Sprint(uid)))
		push := made(r, zmq.NewPush, zmq.WithLinger(0))
		events, stop := iter.Pull(pull.Events(r.ctx))
		r.connect(push, r.bind(pull))
		if e := next(t, events, event.Accepted, event.AcceptFailed); (e.Type == event.Accepted) != ok {
			t.Errorf("user %d: %v", uid, e.Type)
		}
		stop()
	}
}

// test_use_fd: a listener and a dialer of the program's own.
func TestOwnListenerAndDialer(t *testing.T) {
	r := overTCP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	pull := made(r, zmq.NewPull)
	e, err := pull.BindListener(ln)
	r.must(err)
	dialed := make(chan string, 1)
	push := made(r, zmq.NewPush, zmq.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case dialed <- network + " " + address:
		default:
		}
		return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
	}))
	r.connect(push, "tcp://nowhere.invalid:1234")
	r.send(push, "x")
	r.want(pull, "x")
	if got := <-dialed; got != "tcp nowhere.invalid:1234" {
		t.Errorf("dialed %q", got)
	}
	if e.Addr() != "tcp://"+ln.Addr().String() {
		t.Error(e.Addr())
	}
}

// Application metadata and what else is known of a peer.
func TestPeerInfo(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter)
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("me")), zmq.WithOption("metadata", "X-color:blue"))
		r.connect(dealer, r.bind(router))
		r.send(dealer, "x")
		m, peer, err := router.RecvFrom(r.ctx)
		if err != nil || m.String() != "me|x" || peer.SocketType != "DEALER" || string(peer.RoutingID) != "me" {
			t.Fatalf("%v of %+v, %v", m, peer, err)
		}
		if r.net.name != "inproc" && (peer.Properties["X-color"] != "blue" || peer.Address == "" && r.net.name == "tcp") {
			t.Errorf("%+v", peer)
		}
	})
}
