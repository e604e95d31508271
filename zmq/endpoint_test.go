package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// What a peer sends after Endpoint.Close of a bound endpoint returned is not
// received; what arrived before is.
func TestNothingArrivesAfterUnbind(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush, zmq.WithLinger(0))
		e, err := pull.Bind(r.net.bind(t))
		r.must(err)
		r.connect(push, e.Addr())
		r.send(push, "first")
		r.want(pull, "first")
		r.must(e.Close())
		for range 100 {
			if err := push.TrySend(zmq.NewMsg("late")); err != nil {
				break // the connection has ended
			}
		}
		other := made(r, zmq.NewPush)
		r.connect(other, r.bind(pull))
		r.send(other, "elsewhere")
		r.want(pull, "elsewhere")
		if m, err := pull.TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
			t.Errorf("received %q, %v after Unbind", m, err)
		}
	})
}

// Messages that arrived before Endpoint.Close are received after it.
func TestWhatArrivedStaysAfterDisconnect(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush)
		at := r.bind(push)
		e := r.connect(pull, at)
		for i := range 10 {
			r.send(push, fmt.Sprint(i))
		}
		r.until(func() bool { return pull.Stats().MessagesReceived == 10 })
		r.must(e.Close())
		for i := range 10 {
			r.want(pull, fmt.Sprint(i))
		}
	})
}

// A PAIR or CHANNEL connects again at once, while messages of the connection
// before linger.
func TestPairConnectsAgain(t *testing.T) {
	for _, typ := range []string{"pair", "channel"} {
		t.Run(typ, func(t *testing.T) {
			r := overTCP(t)
			a, err := zmq.New(typ, r.opts(zmq.WithLinger(-1))...)
			r.socket(a, err)
			b, err := zmq.New(typ, r.opts()...)
			r.socket(b, err)
			silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by the backlog alone
			r.must(err)
			defer silent.Close()
			e := r.connect(a, "tcp://"+silent.Addr().String())
			r.send(a.(zmq.Sender), "lingers")
			r.must(e.Close())
			r.connect(a, r.bind(b))
			r.send(a.(zmq.Sender), "again")
			r.want(b.(zmq.Receiver), "again")
		})
	}
}

// After reconnect_stop, or with a reconnect interval of -1, Connect to the same
// endpoint connects again.
func TestConnectAfterReconnectStop(t *testing.T) {
	for name, opt := range map[string]zmq.Option{
		"reconnect_ivl":            zmq.WithReconnect(-1, 0),
		"reconnect_stop":           zmq.WithOption("reconnect_stop", "4"),
		"reconnect_stop refused":   zmq.WithOption("reconnect_stop", "1"),
		"reconnect_stop handshake": zmq.WithOption("reconnect_stop", "2"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, typ := range []string{"dealer", "req", "sub", "pub"} {
				r := overTCP(t)
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				r.must(err)
				at := "tcp://" + ln.Addr().String()
				s, err := zmq.New(typ, r.opts(opt, zmq.WithLinger(0))...)
				r.socket(s, err)
				events, stop := iter.Pull(s.Events(r.ctx))
				if strings.HasSuffix(name, "refused") {
					ln.Close()
				} else {
					go func() {
						if c, err := ln.Accept(); err == nil {
							c.Close() // fails the handshake
						}
						ln.Close()
					}()
				}
				if name == "reconnect_stop" {
					// An established connection has to end.
					ln.Close()
					peer := made(r, partner(typ))
					e, err := peer.Bind(at)
					r.must(err)
					r.connect(s, at)
					next(t, events, event.HandshakeSucceeded)
					r.must(e.Close())
					next(t, events, event.Disconnected)
				} else {
					r.connect(s, at)
					if strings.HasSuffix(name, "refused") {
						next(t, events, event.Closed)
					} else {
						next(t, events, event.Disconnected)
					}
				}
				peer := made(r, partner(typ))
				r.until(func() bool {
					_, err := peer.Bind(at)
					return err == nil
				})
				r.until(func() bool {
					r.connect(s, at) // the first one may have to notice its end
					return peer.Stats().Accepted > 0
				})
				stop()
			}
		})
	}
}

// partner makes a socket that a socket of the type talks to.
func partner(typ string) func(...zmq.Option) (zmq.Socket, error) {
	other := map[string]string{"dealer": "router", "req": "rep", "sub": "pub", "pub": "sub"}[typ]
	return func(opts ...zmq.Option) (zmq.Socket, error) { return zmq.New(other, opts...) }
}

// Messages sent in process before the name is bound, by a socket that is closed
// since, arrive.
func TestInprocOutlivesClose(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	push := made(r, zmq.NewPush, zmq.WithLinger(-1))
	r.connect(push, "inproc://later")
	for i := range 10 {
		r.send(push, fmt.Sprint(i))
	}
	var closing sync.WaitGroup
	closing.Go(func() { r.must(push.Close()) })
	r.until(func() bool { return errors.Is(push.TrySend(zmq.NewMsg("x")), zmq.ErrClosed) })
	pull := made(r, zmq.NewPull)
	_, err := pull.Bind("inproc://later")
	r.must(err)
	for i := range 10 {
		r.want(pull, fmt.Sprint(i))
	}
	closing.Wait()

	// Without a peer they are lost, and counted, after the linger time.
	push = made(r, zmq.NewPush, zmq.WithLinger(0))
	r.connect(push, "inproc://never")
	r.send(push, "lost")
	r.must(push.Close())
	if n := push.Stats().DroppedLost; n != 1 {
		t.Errorf("%d messages counted as lost, want 1", n)
	}
}

// Every connection that was accepted or made has one event of its end, however it
// ended.
func TestOneEndForEveryConnection(t *testing.T) {
	for name, c := range map[string]struct {
		server []zmq.Option
		peer   func(r rig, at string)
	}{
		"mechanism": {nil, func(r rig, at string) {
			r.dialRaw(at).put("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00OTHER" + strings.Repeat("\x00", 47))
		}},
		"leaves early": {nil, func(r rig, at string) { r.dialRaw(at).c.Close() }},
		"timeout":      {[]zmq.Option{zmq.WithOption("handshake_ivl", "1")}, func(r rig, at string) { r.dialRaw(at) }},
		"wrong type": {nil, func(r rig, at string) {
			r.connect(made(r, zmq.NewRep, zmq.WithOption("reconnect_stop", "2")), at)
		}},
		"refused": {[]zmq.Option{zmq.WithOption("plain_server", "1"), zmq.WithAuthenticator(func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) {
			return zmq.AuthResult{}, nil
		})}, func(r rig, at string) {
			r.connect(made(r, zmq.NewPush, zmq.WithPlain("u", "p"), zmq.WithOption("reconnect_stop", "2")), at)
		}},
		"ends": {nil, func(r rig, at string) {
			p := made(r, zmq.NewPush)
			r.connect(p, at)
			r.send(p, "x")
			r.must(p.Close())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			pull := made(r, zmq.NewPull, c.server...)
			e, err := pull.Bind("tcp://127.0.0.1:*")
			r.must(err)
			events, stop := iter.Pull(pull.Events(r.ctx))
			defer stop()
			c.peer(r, e.Addr())
			next(t, events, event.Accepted)
			next(t, events, event.Disconnected)
			r.must(pull.Close())
			for {
				ev, ok := events()
				if !ok {
					break
				}
				if ev.Type == event.Disconnected || ev.Type == event.Closed && ev.Remote != "" {
					t.Errorf("a second end: %v", ev)
				}
			}
		})
	}
}

// A name is looked up no longer than the socket is open.
func TestCloseEndsLookup(t *testing.T) {
	asked := make(chan struct{})
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	before := net.DefaultResolver
	net.DefaultResolver = silent
	defer func() { net.DefaultResolver = before }()
	for _, at := range []string{"tcp://silent.example.com:*", "ws://silent.example.com:*", "udp://silent.example.com:5555"} {
		r := overTCP(t)
		typ := "pull"
		if strings.HasPrefix(at, "udp") {
			typ = "dish"
		}
		s, err := zmq.New(typ, r.opts()...)
		r.socket(s, err)
		done := make(chan error, 1)
		go func() {
			_, err := s.Bind(at)
			done <- err
		}()
		<-asked
		r.must(s.Close())
		if err := <-done; err == nil {
			t.Errorf("%s: bound", at)
		}
	}
}

// A TLS handshake that fails is an event, and nothing is written to standard
// error.
func TestFailedTLSIsAnEvent(t *testing.T) {
	r := overTCP(t)
	server, _ := overTLS()
	pull := made(r, zmq.NewPull, server...)
	read, write, err := os.Pipe()
	r.must(err)
	stderr, output := os.Stderr, log.Writer()
	os.Stderr = write
	log.SetOutput(write)
	defer func() { os.Stderr = stderr; log.SetOutput(output) }()
	e, err := pull.Bind("wss://127.0.0.1:*")
	r.must(err)
	events, stop := iter.Pull(pull.Events(r.ctx))
	defer stop()
	c, err := net.Dial("tcp", strings.TrimPrefix(e.Addr(), "wss://"))
	r.must(err)
	_, err = c.Write([]byte("this is not TLS\r\n\r\n"))
	r.must(err)
	if ev := next(t, events, event.AcceptFailed); ev.Err == nil || !strings.Contains(ev.Err.Error(), "TLS") || ev.Endpoint != e.Addr() {
		t.Errorf("%+v does not say where and why", ev)
	}
	c.Close()
	r.must(pull.Close())
	write.Close()
	if b, _ := io.ReadAll(read); len(b) > 0 {
		t.Errorf("written to standard error: %q", b)
	}
}

// Several connections can have one source address.
func TestSourceAddressIsShared(t *testing.T) {
	r := overTCP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	source := ln.Addr().String()
	ln.Close()
	push := made(r, zmq.NewPush)
	for range 2 {
		pull := made(r, zmq.NewPull)
		_, to, _ := strings.Cut(r.bind(pull), "://")
		events, stop := iter.Pull(push.Events(r.ctx))
		r.connect(push, "tcp://"+source+";"+to)
		next(t, events, event.HandshakeSucceeded)
		stop()
	}
}

// Bind to an address of IPv4 listens there alone, also with the option ipv6.
func TestIPv4OnlyWithIPv6(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull, zmq.WithOption("ipv6", "1"))
	e, err := pull.Bind("tcp://0.0.0.0:*")
	r.must(err)
	port, ok := strings.CutPrefix(e.Addr(), "tcp://0.0.0.0:")
	if !ok {
		t.Fatalf("bound %s", e.Addr())
	}
	if c, err := net.Dial("tcp", "[::1]:"+port); err == nil {
		c.Close()
		t.Error("listens at [::1] too")
	}
}

// A peer whose routing id is taken is refused before it sends messages: they
// arrive once the id is free. The refused side reports why.
func TestDuplicateIDIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		if r.net.name == "inproc" {
			t.Skip("there is no handshake in process")
		}
		router := made(r, zmq.NewRouter)
		refusals, stop := iter.Pull(router.Events(r.ctx))
		defer stop()
		at := r.bind(router)
		id := zmq.WithIdentity([]byte("same"))
		first := made(r, zmq.NewDealer, id)
		r.connect(first, at)
		r.send(first, "from the first")
		r.want(router, "same", "from the first")

		second := made(r, zmq.NewDealer, id, zmq.WithReconnect(1, 0))
		events, stop := iter.Pull(second.Events(r.ctx))
		defer stop()
		r.connect(second, at)
		r.send(second, "from the second")
		if e := next(t, events, event.HandshakeAuth); e.Err == nil || !strings.Contains(e.Err.Error(), "Duplicate routing id") {
			t.Errorf("the refused side reports %v", e.Err)
		}
		next(t, refusals, event.DuplicateID)
		r.must(first.Close())
		r.want(router, "same", "from the second")
		if n := second.Stats().DroppedLost; n != 0 {
			t.Errorf("%d messages lost", n)
		}
	})
}

// Connections that end at once are made again with growing pauses.
func TestBackoffOfShortConnections(t *testing.T) {
	r := overTCP(t)
	dealer := made(r, zmq.NewDealer, zmq.WithReconnect(10*time.Millisecond, time.Minute), zmq.WithLinger(0))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	defer ln.Close()
	const attempts = 4
	go func() {
		for range attempts {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wire{r, c}.shake(1, "ROUTER")
			c.Close()
		}
	}()
	events, stop := iter.Pull(dealer.Events(r.ctx))
	defer stop()
	r.connect(dealer, "tcp://"+ln.Addr().String())
	last := time.Duration(0)
	for range attempts {
		if e := next(t, events, event.ConnectRetried); e.Interval <= last {
			t.Fatalf("a pause of %v after one of %v", e.Interval, last)
		} else {
			last = e.Interval
		}
	}
}

// A peer that leaves while the authenticator decides ends the authenticator's
// context.
func TestPeerLeavesAuthenticator(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		if r.net.name == "inproc" {
			t.Skip("there is no handshake in process")
		}
		asked, left := make(chan struct{}, 1), make(chan struct{}, 1)
		rep := made(r, zmq.NewRep, zmq.WithOption("plain_server", "1"), zmq.WithAuthenticator(
			func(ctx context.Context, _ zmq.AuthRequest) (zmq.AuthResult, error) {
				asked <- struct{}{}
				<-ctx.Done()
				left <- struct{}{}
				return zmq.AuthResult{}, ctx.Err()
			}))
		events, stop := iter.Pull(rep.Events(r.ctx))
		defer stop()
		at := r.bind(rep)
		req, err := zmq.NewReq(r.opts(zmq.WithPlain("user", "password"), zmq.WithLinger(0))...)
		r.must(err)
		r.connect(req, at)
		<-asked
		r.must(req.Close())
		<-left
		next(t, events, event.Disconnected)
	})
}

// RADIO and DISH over datagrams, by IPv4 and IPv6: a RADIO can connect to what
// Bind of the DISH reports.
func TestDatagramAddresses(t *testing.T) {
	v6 := zmq.WithOption("ipv6", "1")
	for _, c := range []struct {
		at   string
		opts []zmq.Option
	}{
		{"udp://*:*", nil},
		{"udp://127.0.0.1:*", nil},
		{"udp://localhost:*", nil},
		{"udp://[::1]:*", nil},
		{"udp://[::]:*", nil},
		{"udp://*:*", []zmq.Option{v6}},
	} {
		t.Run(fmt.Sprint(c.at, len(c.opts)), func(t *testing.T) {
			if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
				t.Skip("no IPv6 on this system:", err)
			} else {
				l.Close()
			}
			r := overTCP(t)
			dish, radio := made(r, zmq.NewDish, c.opts...), made(r, zmq.NewRadio, c.opts...)
			r.must(dish.Join("group"))
			events, stop := iter.Pull(radio.Events(r.ctx))
			defer stop()
			r.connect(radio, r.bindAt(dish, c.at))
			next(t, events, event.HandshakeSucceeded)
			r.must(radio.SendGroup(r.ctx, "group", []byte("arrives")))
			r.want(dish, "group", "arrives")
		})
	}
}

// bindAt binds s at an address and returns what Bind reports.
func (r rig) bindAt(s zmq.Socket, at string) string {
	r.Helper()
	e, err := s.Bind(at)
	r.must(err)
	return e.Addr()
}

// What arrived and was not received before Close is counted.
func TestUnreceivedIsCounted(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush)
		r.connect(push, r.bind(pull))
		for i := range 10 {
			r.send(push, fmt.Sprint(i))
		}
		r.want(pull, "0")
		r.until(func() bool { return pull.Stats().MessagesReceived == 10 })
		r.must(pull.Close())
		if n := pull.Stats().DroppedLost; n != 9 {
			t.Errorf("%d messages counted, want 9", n)
		}
	})
}

// An attempt to connect ends before the kernel's pause between two SYNs exceeds
// 2 s: so soon after a network is back there is a connection.
func TestConnectTimeoutDefault(t *testing.T) {
	r := overTCP(t)
	push := made(r, zmq.NewPush)
	if v, err := push.Option("connect_timeout"); v != "2000" || err != nil {
		t.Errorf("connect_timeout is %s, %v, want 2000", v, err)
	}
}
