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
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/zmq/epgm/epgmtest"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// transportTable reads the table of docs/protocols/transports.md: cells by socket and
// transport.
func transportTable(t *testing.T) (transports []string, rows map[string][]string) {
	text, err := os.ReadFile("../docs/protocols/transports.md")
	if err != nil {
		t.Fatal(err)
	}
	rows = make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "| "):
		case cells[0] == "socket":
			transports = cells[1:]
		default:
			typ := cells[0]
			if partners[typ] == "" || len(cells) != len(transports)+1 {
				t.Fatalf("row %q", line)
			}
			rows[typ] = cells[1:]
		}
	}
	return transports, rows
}

// partners are who each type talks to.
var partners = map[string]string{
	"PAIR": "PAIR", "PUB": "SUB", "SUB": "PUB", "XPUB": "XSUB", "XSUB": "XPUB",
	"PUSH": "PULL", "PULL": "PUSH", "REQ": "REP", "REP": "REQ",
	"DEALER": "ROUTER", "ROUTER": "DEALER", "STREAM": "STREAM",
	"SERVER": "CLIENT", "CLIENT": "SERVER", "RADIO": "DISH", "DISH": "RADIO",
	"SCATTER": "GATHER", "GATHER": "SCATTER", "PEER": "PEER", "CHANNEL": "CHANNEL",
	"DGRAM": "DGRAM",
}

// TestTransports tries every cell of the table in docs/protocols/transports.md.
func TestTransports(t *testing.T) {
	transports, rows := transportTable(t)
	if len(transports) < 8 || len(rows) != len(partners) {
		t.Fatalf("the table has %d transports and %d sockets", len(transports), len(rows))
	}
	all := mechanisms()
	for typ, cells := range rows {
		for i, transport := range transports {
			t.Run(typ+"/"+transport, func(t *testing.T) {
				t.Parallel()
				cell := cells[i]
				switch {
				case transport == "vsock" && runtime.GOOS != "linux":
					cell = "no"
				case transport == "pgm" && cell != "no":
					epgmtest.NeedRaw(t)
				}
				for _, m := range all {
					c := carriage{rig: over(t, network{name: transport, opts: plain}), typ: typ, transport: transport, m: m}
					switch {
					case cell == "open", strings.Contains(cell, m.name[:1]):
						c.works()
					case cell == "no":
						c.refused(typ, transport)
					default:
						c.refused(m.name)
					}
				}
			})
		}
	}
}

// carriage is one cell of the table with one mechanism.
type carriage struct {
	rig
	typ       string
	transport string
	m         security
}

// at is an endpoint to bind or to connect to.
func (c carriage) at(bind bool) string {
	switch c.transport {
	case "inproc":
		return "inproc://" + c.Name()
	case "ipc":
		return "ipc://" + filepath.Join(c.TempDir(), "s")
	case "vsock":
		if bind {
			return "vsock://*:*"
		}
		return "vsock://2:5555"
	case "epgm", "pgm":
		return c.transport + "://" + epgmtest.Group(c.T)
	case "ws", "wss":
		if bind {
			return c.transport + "://127.0.0.1:*/zmq"
		}
	}
	if bind {
		return c.transport + "://127.0.0.1:*"
	}
	return c.transport + "://127.0.0.1:9"
}

func (c carriage) open(typ string, opts ...zmq.Option) zmq.Socket {
	c.Helper()
	s, err := zmq.New(typ, c.opts(opts...)...)
	c.socket(s, err)
	return s
}

// refused checks that neither Bind nor Connect is possible, whichever of the
// two the cell would allow, and that the error says what the rule is about.
func (c carriage) refused(words ...string) {
	c.Helper()
	for _, bind := range []bool{true, false} {
		side := c.m.client
		if bind {
			side = c.m.server
		}
		s := c.open(c.typ, side)
		attach := s.Connect
		if bind {
			attach = s.Bind
		}
		_, err := attach(c.at(bind))
		if !errors.Is(err, zmq.ErrNotSupported) {
			c.Errorf("%s, bind %v: %v, want ErrNotSupported", c.m.name, bind, err)
			continue
		}
		for _, w := range words {
			if c.transport == "udp" && (c.typ == "RADIO" && bind || c.typ == "DISH" && !bind) {
				w = c.typ // this role is refused whatever the mechanism
			}
			if !strings.Contains(err.Error(), w) {
				c.Errorf("%s, bind %v: %q does not name %s", c.m.name, bind, err, w)
			}
		}
	}
}

// works joins a socket and its partner and has them talk. The socket binds,
// where a socket of its type can.
func (c carriage) works() {
	c.Helper()
	server, client := []zmq.Option{c.m.server}, []zmq.Option{c.m.client}
	if c.m.name == "PLAIN" {
		server = append(server, zmq.WithAuthenticator(func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) {
			return zmq.AuthResult{Allow: true}, nil
		}))
	}
	switch c.transport {
	case "wss":
		bound, connected := overTLS()
		server, client = append(server, bound...), append(client, connected...)
	case "epgm", "pgm":
		fast := zmq.WithOption("rate", "100000")
		server, client = append(server, fast), append(client, fast)
	}
	multicast := c.transport == "epgm" || c.transport == "pgm"
	boundType, connectedType := c.typ, partners[c.typ]
	if c.transport == "udp" && c.typ == "RADIO" {
		boundType, connectedType = connectedType, boundType
	}
	bound := c.open(boundType, server...)
	ready := c.listen(bound)
	if c.transport == "vsock" {
		// The kernel may have no vsock: a dialer bridges it.
		ln, err := net.Listen("unix", filepath.Join(c.TempDir(), "s"))
		c.must(err)
		_, err = bound.(interface {
			BindListener(net.Listener) (*zmq.Endpoint, error)
		}).BindListener(ln)
		c.must(err)
		client = append(client, zmq.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if network != "vsock" || address != "2:5555" {
				c.Errorf("dials %s %s", network, address)
			}
			return new(net.Dialer).DialContext(ctx, "unix", ln.Addr().String())
		}))
		connected := c.open(connectedType, client...)
		c.listen(connected)
		c.talk(bound, connected, c.join(connected, c.at(false)))
		return
	}
	ep, err := bound.Bind(c.at(true))
	c.must(err)
	to := ep.Addr()
	if multicast {
		ready()
	}
	connected := c.open(connectedType, client...)
	ready = c.listen(connected)
	prefix := c.join(connected, to)
	switch {
	case multicast:
		ready()
	case c.typ == "DGRAM":
		prefix = zmq.NewMsg(strings.TrimPrefix(to, "udp://"))
	}
	c.talk(bound, connected, prefix)
}

// listen subscribes to everything; what it returns waits until the socket is
// connected.
func (c carriage) listen(s zmq.Socket) (ready func()) {
	c.Helper()
	switch s := s.(type) {
	case *zmq.Sub:
		c.must(s.Subscribe(""))
	case *zmq.XSub:
		c.must(s.Subscribe(""))
	case *zmq.Dish:
		c.must(s.Join("g"))
	}
	events := s.Events(c.ctx)
	return func() {
		for e := range events {
			if e.Type == event.HandshakeSucceeded {
				return
			}
		}
	}
}

// join connects a socket; it returns what goes before a message to the peer.
func (c carriage) join(s zmq.Socket, to string) zmq.Msg {
	c.Helper()
	e := c.connect(s, to)
	if s.Type() == "PEER" {
		return zmq.Msg{e.RoutingID()}
	}
	if s.Type() != "STREAM" {
		return nil
	}
	m, err := s.(zmq.Receiver).Recv(c.ctx) // tells of the connection
	c.must(err)
	return m[:1]
}

// talk sends a message one way and, where both sides can, a reply.
func (c carriage) talk(bound, connected zmq.Socket, prefix zmq.Msg) {
	c.Helper()
	a, b := connected, bound
	switch bound.Type() {
	case "PUB", "XPUB", "RADIO", "PUSH", "SCATTER", "REQ", "DEALER", "CLIENT":
		a, b = bound, connected
	}
	from, to := a.(zmq.Sender), b.(zmq.Receiver)
	switch a.Type() {
	case "PUB", "XPUB", "RADIO":
		c.publish(from, to)
		return
	case "STREAM":
		_, err := to.Recv(c.ctx)
		c.must(err)
	}
	c.must(from.Send(c.ctx, append(prefix, []byte("hello"))))
	m, err := to.Recv(c.ctx)
	if err != nil || string(m[len(m)-1]) != "hello" {
		c.Fatalf("%v received %q, %v", b.Type(), m, err)
	}
	back, ok := b.(zmq.Sender)
	if !ok {
		return
	}
	m[len(m)-1] = []byte("and back")
	c.must(back.Send(c.ctx, m))
	if m, err = a.(zmq.Receiver).Recv(c.ctx); err != nil || string(m[len(m)-1]) != "and back" {
		c.Errorf("%v received %q, %v", a.Type(), m, err)
	}
}

// publish repeats a publication until it is heard: the subscription may still
// be on its way.
func (c carriage) publish(from zmq.Sender, to zmq.Receiver) {
	c.Helper()
	heard := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if err := from.Send(c.ctx, zmq.NewMsg("g", "hello")); err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-heard:
				done <- nil
				return
			}
		}
	}()
	m, err := to.Recv(c.ctx)
	close(heard)
	if err != nil || fmt.Sprintf("%q", [][]byte(m)) != `["g" "hello"]` {
		c.Errorf("received %q, %v", m, err)
	}
	c.must(<-done)
}

// An attempt to connect to a silent host ends in time, and is repeated.
func TestConnectTimeout(t *testing.T) {
	r := overTCP(t)
	push := made(r, zmq.NewPush, zmq.WithLinger(0), zmq.WithOption("connect_timeout", "1"),
		zmq.WithDialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	events, stop := iter.Pull(push.Events(r.ctx))
	defer stop()
	r.connect(push, "tcp://nowhere.invalid:1234")
	for range 2 {
		next(t, events, event.ConnectDelayed)
		if e := next(t, events, event.Closed); !errors.Is(e.Err, context.DeadlineExceeded) {
			t.Errorf("the attempt ended with %v", e.Err)
		}
	}
}

// The wildcard * means all IPv4 addresses, and with the option ipv6 all IPv6
// addresses too.
func TestIPv6Wildcard(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		l.Close()
	}
	r := overTCP(t)
	for _, c := range []struct {
		opts  []zmq.Option
		bound string
		hosts []string
	}{
		{nil, "tcp://0.0.0.0:", []string{"127.0.0.1"}},
		{[]zmq.Option{zmq.WithOption("ipv6", "1")}, "tcp://[::]:", []string{"127.0.0.1", "[::1]"}},
	} {
		pull := made(r, zmq.NewPull, c.opts...)
		e, err := pull.Bind("tcp://*:*")
		r.must(err)
		port, ok := strings.CutPrefix(e.Addr(), c.bound)
		if !ok {
			t.Fatalf("bound %s, want %s...", e.Addr(), c.bound)
		}
		for _, host := range c.hosts {
			push := made(r, zmq.NewPush)
			r.connect(push, "tcp://"+host+":"+port)
			r.send(push, host)
			r.want(pull, host)
		}
	}
}

// What Bind reports can be given to Connect, for every form of address on every
// transport. An IPv4 address stays one with the option ipv6.
func TestBoundAddressesConnect(t *testing.T) {
	loopback := "lo"
	if runtime.GOOS == "darwin" {
		loopback = "lo0"
	}
	dir := t.TempDir()
	v4 := []string{"127.0.0.1:*", "0.0.0.0:*", "*:*", "localhost:*"}
	v6 := []string{"127.0.0.1:*", "0.0.0.0:*", "*:*", "localhost:*"}
	if runtime.GOOS != "windows" {
		v4, v6 = append(v4, loopback+":*"), append(v6, loopback+":*")
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		v6 = append(v6, "[::1]:*", "[::]:*", "::1:*")
	}
	var forms []string
	for _, at := range v4 {
		forms = append(forms, "tcp://"+at, "ws://"+at, "ws://"+at+"/path")
	}
	for _, at := range v6 {
		forms = append(forms, "ipv6 tcp://"+at, "ipv6 ws://"+at+"/path")
	}
	forms = append(forms, "inproc://a", "inproc://with spaces/and ; signs", "ipc://*", "ipc://"+filepath.Join(dir, "s"))
	if runtime.GOOS == "linux" {
		forms = append(forms, "ipc://@lintel-"+filepath.Base(dir))
	}
	for _, form := range append(forms, "udp://127.0.0.1:*", "udp://*:*", "udp://0.0.0.0:*") {
		t.Run(form, func(t *testing.T) {
			r := overTCP(t)
			at, v6 := strings.CutPrefix(form, "ipv6 ")
			ipv6 := zmq.WithOption("ipv6", strconv.FormatBool(v6))
			if strings.HasPrefix(at, "udp:") {
				dgram, other := made(r, zmq.NewDgram), made(r, zmq.NewDgram)
				e, err := dgram.Bind(at)
				r.must(err)
				r.connect(other, e.Addr())
				_, port, _ := strings.Cut(strings.TrimPrefix(e.Addr(), "udp://"), ":")
				r.send(other, "127.0.0.1:"+port, "hello")
				if m, err := dgram.Recv(r.ctx); err != nil || string(m[1]) != "hello" {
					t.Errorf("%v, %v", m, err)
				}
				return
			}
			pull := made(r, zmq.NewPull, ipv6)
			e, err := pull.Bind(at)
			r.must(err)
			if strings.Contains(at, "0.0.0.0") && !strings.Contains(e.Addr(), "://0.0.0.0:") {
				t.Errorf("%s is bound as %s", at, e.Addr())
			}
			push := made(r, zmq.NewPush, ipv6)
			to := r.connect(push, e.Addr())
			r.send(push, "hello")
			r.want(pull, "hello")
			if last, err := push.Option("last_endpoint"); last != to.Addr() || err != nil {
				t.Errorf("last endpoint %s, %v, want %s", last, err, to)
			}
			r.must(to.Close())
			r.must(e.Close())
			if at == "ipc://*" {
				return // its folder is removed with it
			}
			again := made(r, zmq.NewPull, ipv6)
			_, err = again.Bind(e.Addr()) // what was reported can be bound again
			r.must(err)
		})
	}
}
