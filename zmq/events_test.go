package zmq_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// Bind and an event report an address that is in use.
func TestBindFailed(t *testing.T) {
	r := overTCP(t)
	ep := r.bind(made(r, zmq.NewPull))
	second := made(r, zmq.NewPull)
	events, stop := iter.Pull(second.Events(r.ctx))
	defer stop()
	_, err := second.Bind(ep)
	if !errors.Is(err, zmq.ErrAddressInUse) {
		t.Errorf("bound twice: %v", err)
	}
	if e := next(t, events, event.BindFailed); e.Endpoint != ep || e.Err == nil {
		t.Errorf("%+v does not say where and why", e)
	}
}

// stubborn is a listener that does not close without a complaint.
type stubborn struct{ net.Listener }

var errStubborn = errors.New("not now")

func (l stubborn) Close() error { return errors.Join(errStubborn, l.Listener.Close()) }

func TestCloseFailed(t *testing.T) {
	r := overTCP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	pull := made(r, zmq.NewPull)
	events, stop := iter.Pull(pull.Events(r.ctx))
	defer stop()
	ep, err := pull.BindListener(stubborn{ln})
	r.must(err)
	r.must(ep.Close())
	if e := next(t, events, event.CloseFailed); e.Endpoint != ep.Addr() || !errors.Is(e.Err, errStubborn) {
		t.Errorf("%+v does not say where and why", e)
	}
}

// A logger gets every event, failures at level Warn.
func TestLogger(t *testing.T) {
	r := overTCP(t)
	ep := r.bind(made(r, zmq.NewPull))
	for _, c := range []struct {
		level slog.Level
		want  []string
	}{
		{slog.LevelWarn, []string{"WARN zmq: bind failed"}},
		{slog.LevelDebug, []string{"WARN zmq: bind failed", "DEBUG zmq: listening", "DEBUG zmq: closed"}},
	} {
		var text bytes.Buffer
		s, err := zmq.NewPair(zmq.WithLogger(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: c.level}))))
		r.must(err)
		if _, err := s.Bind(ep); err == nil {
			t.Fatal("bound twice")
		}
		_, err = s.Bind("tcp://127.0.0.1:*")
		r.must(err)
		r.must(s.Close())
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		if len(lines) != len(c.want) {
			t.Fatalf("%v: got %q, want %q", c.level, lines, c.want)
		}
		for i, want := range c.want {
			level, msg, _ := strings.Cut(want, " ")
			if !strings.Contains(lines[i], "level="+level+` msg="`+msg+`" socket=PAIR endpoint=`) {
				t.Errorf("%v: line %q, want %q", c.level, lines[i], want)
			}
		}
		if !strings.Contains(lines[0], "endpoint="+ep+" error=") {
			t.Errorf("%q does not say where and why", lines[0])
		}
	}
}

// Every connection ends with exactly one event, however it goes.
func TestEventSequences(t *testing.T) {
	const protocol, auth, failed = event.HandshakeProtocol, event.HandshakeAuth, event.HandshakeFailed
	type sequence []event.Type
	refuse := zmq.WithAuthenticator(func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) { return zmq.AuthResult{}, nil })
	once := []zmq.Option{zmq.WithReconnect(-1, 0), zmq.WithLinger(0)}
	for name, c := range map[string]struct {
		bound, connected string // socket types; connected "": a plain TCP peer
		boundOpts        []zmq.Option
		opts             []zmq.Option
		send             string // of a plain peer
		do               func(r rig, at *zmq.Endpoint, ends [2]zmq.Socket, conn net.Conn)
		server, client   sequence // after Accepted or Connected
	}{
		"peer leaves": {
			bound: "PULL", connected: "PUSH", opts: once,
			do:     func(_ rig, _ *zmq.Endpoint, ends [2]zmq.Socket, _ net.Conn) { ends[1].Close() },
			server: sequence{event.HandshakeSucceeded, event.Disconnected}, client: sequence{event.HandshakeSucceeded, event.Closed},
		},
		"socket closed": {
			bound: "PULL", connected: "PUSH", opts: once,
			do:     func(_ rig, _ *zmq.Endpoint, ends [2]zmq.Socket, _ net.Conn) { ends[0].Close() },
			server: sequence{event.HandshakeSucceeded, event.Closed}, client: sequence{event.HandshakeSucceeded, event.Disconnected},
		},
		"endpoint closed": {
			bound: "PULL", connected: "PUSH", opts: once,
			do:     func(_ rig, at *zmq.Endpoint, _ [2]zmq.Socket, _ net.Conn) { at.Close() },
			server: sequence{event.HandshakeSucceeded, event.Closed}, client: sequence{event.HandshakeSucceeded, event.Disconnected},
		},
		"wrong type": {bound: "PULL", connected: "REQ", opts: once, server: sequence{protocol, event.Disconnected}, client: sequence{protocol, event.Disconnected}},
		"refused": {
			bound: "PULL", connected: "PUSH", opts: once, boundOpts: []zmq.Option{refuse, zmq.WithOption("zap_domain", "d")},
			server: sequence{auth, event.Disconnected}, client: sequence{auth, event.Disconnected},
		},
		"other mechanism": {
			bound: "PULL", connected: "PUSH", opts: append([]zmq.Option{zmq.WithPlain("a", "b")}, once...),
			server: sequence{protocol, event.Disconnected}, client: sequence{protocol, event.Disconnected},
		},
		"no ZMTP": {bound: "PULL", send: "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" + strings.Repeat("x", 100), server: sequence{protocol, event.Disconnected}},
		"peer cuts the handshake": {
			bound: "PULL", send: "\xff",
			do:     func(_ rig, _ *zmq.Endpoint, _ [2]zmq.Socket, conn net.Conn) { conn.Close() },
			server: sequence{failed, event.Disconnected},
		},
		"silent peer": {bound: "PULL", boundOpts: []zmq.Option{zmq.WithOption("handshake_ivl", "20")}, server: sequence{failed, event.Disconnected}},
		"closed during the handshake": {
			bound: "PULL", send: "\xff",
			do:     func(_ rig, at *zmq.Endpoint, _ [2]zmq.Socket, _ net.Conn) { at.Close() },
			server: sequence{event.Closed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			bound, err := zmq.New(c.bound, r.opts(c.boundOpts...)...)
			r.socket(bound, err)
			server := record(r, bound)
			at, err := bound.Bind("tcp://127.0.0.1:*")
			r.must(err)
			ends := [2]zmq.Socket{bound}
			var client *recorder
			var conn net.Conn
			if c.connected != "" {
				ends[1], err = zmq.New(c.connected, r.opts(c.opts...)...)
				r.socket(ends[1], err)
				client = record(r, ends[1])
				r.connect(ends[1], at.Addr())
			} else {
				conn, err = net.Dial("tcp", strings.TrimPrefix(at.Addr(), "tcp://"))
				r.must(err)
				defer conn.Close()
				_, err = conn.Write([]byte(c.send))
				r.must(err)
			}
			if c.do != nil {
				until := event.Accepted
				if c.server[0] == event.HandshakeSucceeded {
					until = event.HandshakeSucceeded
					client.until(until)
				}
				server.until(until)
				c.do(r, at, ends, conn)
			}
			server.until(c.server[len(c.server)-1])
			if client != nil {
				client.until(c.client[len(c.client)-1])
			}
			r.must(bound.Close())
			if got := server.connection(); !slices.Equal(got, append(sequence{event.Accepted}, c.server...)) {
				t.Errorf("the bound side has the events %v", got)
			}
			if client == nil {
				return
			}
			r.must(ends[1].Close())
			if got := client.connection(); !slices.Equal(got, append(sequence{event.Connected}, c.client...)) {
				t.Errorf("the connected side has the events %v", got)
			}
		})
	}
}

// A peer whose routing id is in use, and the second peer of a PAIR, end like the
// others.
func TestEventsOfRefusedPeers(t *testing.T) {
	for name, c := range map[string]struct {
		bound, connected string
		want             []event.Type
	}{
		"duplicate id":   {"ROUTER", "DEALER", []event.Type{event.Accepted, event.DuplicateID, event.Closed}},
		"second of PAIR": {"PAIR", "PAIR", []event.Type{event.Accepted, event.HandshakeSucceeded, event.Closed}},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			bound, err := zmq.New(c.bound, r.opts()...)
			r.socket(bound, err)
			ep := r.bind(bound)
			open := func() (zmq.Socket, *recorder) {
				s, err := zmq.New(c.connected, r.opts(zmq.WithIdentity([]byte("x")), zmq.WithReconnect(-1, 0))...)
				r.socket(s, err)
				events := record(r, s)
				r.connect(s, ep)
				return s, events
			}
			_, first := open()
			first.until(event.HandshakeSucceeded)
			r.until(func() bool { return len(bound.Stats().Peers) == 1 })
			server := record(r, bound)
			second, events := open()
			events.until(event.Disconnected)
			server.until(event.Closed)
			got := server.connectionSoFar()
			if !slices.Equal(got, c.want) {
				t.Errorf("the events are %v, want %v", got, c.want)
			}
			r.must(second.Close())
		})
	}
}

// recorder keeps the events of a socket.
type recorder struct {
	r    rig
	next func() (event.Event, bool)
	seen []event.Event
}

func record(r rig, s zmq.Socket) *recorder {
	next, stop := iter.Pull(s.Events(r.ctx))
	r.Cleanup(stop)
	return &recorder{r: r, next: next}
}

// until reads up to an event of a type.
func (c *recorder) until(typ event.Type) {
	c.r.Helper()
	for _, e := range c.seen {
		if e.Type == typ && e.Remote != "" {
			return
		}
	}
	for {
		e, ok := c.next()
		if !ok {
			c.r.Fatalf("no event %v, but %v", typ, c.seen)
		}
		c.seen = append(c.seen, e)
		if e.Type == typ && e.Remote != "" {
			return
		}
	}
}

// connection returns the types of the events that belong to a connection, after
// the socket is closed.
func (c *recorder) connection() (types []event.Type) {
	for {
		e, ok := c.next()
		if !ok {
			return c.connectionSoFar()
		}
		c.seen = append(c.seen, e)
	}
}

// connectionSoFar is connection without what comes later.
func (c *recorder) connectionSoFar() (types []event.Type) {
	for _, e := range c.seen {
		if e.Remote != "" {
			types = append(types, e.Type)
		}
	}
	return types
}

// A call that waits in vain says why there is no connection.
func TestTimeoutsSayWhy(t *testing.T) {
	serverKey := zmq.NewSecretKey()
	r := overTCP(t)
	rep := made(r, zmq.NewRep, zmq.WithCurveServer(serverKey),
		zmq.WithAuthenticator(func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) { return zmq.AuthResult{}, nil }))
	refused, overWS := r.bind(rep), r.bindAt(rep, "ws://127.0.0.1:*")
	refusals, stopRefusals := iter.Pull(rep.Events(r.ctx))
	defer stopRefusals()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	ln.Close()
	for _, c := range []struct {
		at   string
		opts []zmq.Option
		want string
		is   error
	}{
		{refused, []zmq.Option{zmq.WithCurve(zmq.NewSecretKey(), serverKey.Public())}, `handshake failed: auth`, nil},
		{refused, nil, `handshake failed: protocol`, nil},
		{refused, []zmq.Option{zmq.WithCurve(zmq.NewSecretKey(), zmq.NewSecretKey().Public())}, "closed the connection during the CURVE handshake", io.EOF},
		{overWS, []zmq.Option{zmq.WithCurve(zmq.NewSecretKey(), serverKey.Public())}, `handshake failed: auth`, nil},
		{overWS, nil, "expected a WebSocket with subprotocol ZWS2.0/CURVE", nil},
		{overWS, []zmq.Option{zmq.WithCurve(zmq.NewSecretKey(), zmq.NewSecretKey().Public())}, "closed the connection during the CURVE handshake", io.EOF},
		{overWS + "/elsewhere", []zmq.Option{zmq.WithCurve(zmq.NewSecretKey(), serverKey.Public())}, "404 page not found", nil},
		{"tcp://" + ln.Addr().String(), nil, "not connected", syscall.ECONNREFUSED},
	} {
		req := made(r, zmq.NewReq, append([]zmq.Option{zmq.WithReconnect(time.Millisecond, 0), zmq.WithOption("immediate", "1")}, c.opts...)...)
		events := record(r, req)
		r.connect(req, c.at)
		next(t, events.next, event.ConnectRetried)
		ctx, stop := context.WithTimeout(r.ctx, 50*time.Millisecond)
		_, err := req.Request(ctx, zmq.NewMsg("hello"))
		stop()
		var timeout interface{ Timeout() bool }
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.at) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("Request: %v, want %q", err, c.want)
		}
		var p zmq.Poller
		r.must(p.Set(zmq.PollItem{Socket: req, Recv: true}))
		ctx, stop = context.WithTimeout(r.ctx, time.Millisecond)
		if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Poller.Wait: %v, want %q", err, c.want)
		}
		stop()
		r.must(p.Close())
		r.must(req.SetOption("sndtimeo", "1"))
		if err := req.SendBytes(r.ctx, []byte("hello")); !errors.Is(err, zmq.ErrWouldBlock) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("SendBytes: %v, want %q", err, c.want)
		}
		if err := req.TrySend(zmq.NewMsg("hello")); err != zmq.ErrWouldBlock {
			t.Errorf("TrySend: %v, want ErrWouldBlock as it is", err)
		}
		ctx, cancel := context.WithCancel(r.ctx)
		cancel()
		if _, err := req.Request(ctx, zmq.NewMsg("hello")); err != context.Canceled {
			t.Errorf("Request that is cancelled: %v", err)
		}
	}
	// The server reports what it refused before there was a WebSocket.
	offers := false
	for {
		e := next(t, refusals, event.AcceptFailed)
		offers = offers || e.Lost > 0 || strings.Contains(e.Err.Error(), "offers")
		if strings.Contains(e.Err.Error(), `asks for the path "/elsewhere"`) {
			break
		}
	}
	if !offers {
		t.Error("the server does not report a client with another mechanism")
	}
	// Once connected, an earlier failure is no reason.
	sub := made(r, zmq.NewSub, zmq.WithReconnect(time.Millisecond, 0))
	events := record(r, sub)
	r.connect(sub, "tcp://"+ln.Addr().String())
	next(t, events.next, event.ConnectRetried)
	pub := made(r, zmq.NewPub)
	_, err = pub.Bind("tcp://" + ln.Addr().String())
	r.must(err)
	next(t, events.next, event.HandshakeSucceeded)
	ctx, stop := context.WithTimeout(r.ctx, time.Millisecond)
	defer stop()
	if _, err := sub.Recv(ctx); err != context.DeadlineExceeded {
		t.Errorf("Recv of a connected socket: %v", err)
	}
}

// A failure that repeats does not flood the log.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines lineCounter
		refuse := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			theirs.Close()
			return ours, nil
		}
		push, err := zmq.NewPush(zmq.InContext(new(zmq.Context)), zmq.WithDialer(refuse), zmq.WithReconnect(100*time.Millisecond, 0),
			zmq.WithLinger(0), zmq.WithLogger(slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := push.Connect("tcp://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		failed := push.Stats().HandshakesFailed
		if err := push.Close(); err != nil {
			t.Fatal(err)
		}
		if n, suppressed := lines.counts(t); failed < 200 || n > 5+6 || n < 5+4 || suppressed == 0 || n+suppressed > int(failed) {
			t.Errorf("%d lines, %d suppressed, of %d failures", n, suppressed, failed)
		}
	})
}

// lineCounter counts the lines of a logger and the lines that they say were
// left out.
type lineCounter struct{ bytes.Buffer }

func (c *lineCounter) counts(t *testing.T) (lines, suppressed int) {
	for line := range strings.Lines(c.String()) {
		lines++
		if _, after, ok := strings.Cut(line, "suppressed="); ok {
			number, _, _ := strings.Cut(after, " ")
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				t.Fatal(err)
			}
			suppressed += n
		}
	}
	return lines, suppressed
}
