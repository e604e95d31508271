package zmq_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// wire is a peer made of bytes.
type wire struct {
	rig
	c net.Conn
}

func (r rig) dialRaw(ep string) wire {
	r.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(ep, "tcp://"))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	d, _ := r.ctx.Deadline()
	c.SetDeadline(d)
	return wire{r, c}
}

func (w wire) put(b string) {
	w.Helper()
	if _, err := io.WriteString(w.c, b); err != nil {
		w.Fatal(err)
	}
}

func (w wire) get(n int) string {
	w.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(w.c, b); err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// gone checks that we are disconnected.
func (w wire) gone() {
	w.Helper()
	if _, err := io.Copy(io.Discard, w.c); err != nil && !strings.Contains(err.Error(), "reset") {
		w.Fatalf("still connected: %v", err)
	}
}

const signature = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"

func greeting(minor byte, mechanism string) string {
	return signature + "\x03" + string(minor) + mechanism + strings.Repeat("\x00", 20-len(mechanism)+32)
}

func frame(flags byte, body string) string {
	if len(body) < 256 {
		return string([]byte{flags, byte(len(body))}) + body
	}
	return string(binary.BigEndian.AppendUint64([]byte{flags | 2}, uint64(len(body)))) + body
}

func command(name, data string) string { return frame(4, string(rune(len(name)))+name+data) }

func property(name, value string) string {
	return string(rune(len(name))) + name + string(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) + value
}

// shake gets a connection past the NULL handshake.
func (w wire) shake(minor byte, socketType string) {
	w.Helper()
	w.put(greeting(minor, "NULL") + command("READY", property("Socket-Type", socketType)))
	w.get(64)
	head := w.get(2)
	w.get(int(head[1]))
}

// test_mock_pub_sub: both forms of subscriptions, from and to peers of both
// versions.
func TestSubscriptionsOnTheWire(t *testing.T) {
	r := overTCP(t)
	pub := made(r, zmq.NewXPub)
	ep := r.bind(pub)
	for _, c := range []struct {
		minor byte
		sub   string
	}{
		{1, command("SUBSCRIBE", "A")}, {1, frame(0, "\x01A")}, {0, frame(0, "\x01A")}, {0, command("SUBSCRIBE", "A")},
	} {
		w := r.dialRaw(ep)
		w.shake(c.minor, "SUB")
		w.put(c.sub)
		r.want(pub, "\x01A")
		r.send(pub, "B")
		r.send(pub, "A", "x")
		if got := w.get(6); got != "\x01\x01A\x00\x01x" {
			t.Errorf("received %q", got)
		}
		w.c.Close()
		r.want(pub, "\x00A")
	}
	sub := made(r, zmq.NewSub)
	sep := r.bind(sub)
	r.must(sub.Subscribe("A"))
	for minor, want := range map[byte]string{0: frame(0, "\x01A"), 1: command("SUBSCRIBE", "A")} {
		w := r.dialRaw(sep)
		w.shake(minor, "PUB")
		if got := w.get(len(want)); got != want {
			t.Errorf("minor %d: subscription %q, want %q", minor, got, want)
		}
		w.put(frame(0, "B") + frame(0, "A1")) // a publisher may send too much
		r.want(sub, "A1")
	}
}

// The frames of an XSUB's message come as libzmq's XPUB tells them: the
// notification of a subscription among them ends the message, and one that is
// known leaves no trace.
func TestSubscriptionsInsideMessages(t *testing.T) {
	r := overTCP(t)
	pub := made(r, zmq.NewXPub)
	w := r.dialRaw(r.bind(pub))
	w.shake(1, "XSUB")
	more := func(frames ...string) (m string) {
		for i, f := range frames {
			m += frame(byte(min(1, len(frames)-1-i)), f)
		}
		return m
	}
	w.put(more("up", "\x01A", "down") + more("\x01B", "end") + more("also", "\x01A", "known") + more("\x01C", "\x00A"))
	r.want(pub, "up", "\x01A")
	r.want(pub, "down")
	r.want(pub, "\x01B")
	r.want(pub, "end")
	r.want(pub, "also", "known")
	r.want(pub, "\x01C")
	r.want(pub, "\x00A")
}

// What a peer sent before it broke the rules is received, however little time
// there was in between.
func TestMessagesBeforeABadFrame(t *testing.T) {
	good := frame(0, "one") + frame(1, "two") + frame(0, strings.Repeat("2", 300)) + frame(0, "three")
	long := func(size uint64) string { return string(binary.BigEndian.AppendUint64([]byte{2}, size)) }
	for name, bad := range map[string]string{
		"too large": frame(0, strings.Repeat("x", 1001)), "2^40": long(1 << 40), "2^63": long(1 << 63),
		"command of size 0": frame(4, ""), "short PING": command("PING", "\x00"), "huge command": "\x06" + long(1 << 40)[1:],
		"in the next frame": frame(1, "half") + long(1<<62+1),
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			pull := made(r, zmq.NewPull, zmq.WithOption("maxmsgsize", "1000"))
			w := r.dialRaw(r.bind(pull))
			w.shake(1, "PUSH")
			w.put(good + bad)
			w.gone()
			r.want(pull, "one")
			r.want(pull, "two", strings.Repeat("2", 300))
			r.want(pull, "three")
			r.nothing(pull)
		})
	}
	t.Run("ZMTP 1.0", func(t *testing.T) {
		r := overTCP(t)
		pull := made(r, zmq.NewPull)
		w := r.dialRaw(r.bind(pull))
		w.put("\x01\x00" + "\x04\x00one" + "\x04\x00two" + "\x00\x00")
		w.gone()
		r.want(pull, "one")
		r.want(pull, "two")
	})
	t.Run("CURVE", func(t *testing.T) {
		secret := zmq.NewSecretKey()
		public := secret.Public()
		r := overTCP(t)
		pull := made(r, zmq.NewPull, zmq.WithOption("maxmsgsize", "10"), zmq.WithCurveServer(secret))
		push := made(r, zmq.NewPush, zmq.WithCurve(secret, public), zmq.WithLinger(0))
		r.connect(push, r.bind(pull))
		r.send(push, "small")
		r.send(push, "another")
		r.send(push, strings.Repeat("x", 11))
		r.want(pull, "small")
		r.want(pull, "another")
	})
}

// Greetings in pieces, and a peer that waits for ours before it goes on.
func TestStagedGreeting(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	w := r.dialRaw(r.bind(pull))
	if got := w.get(10); got[0] != 0xff || got[9] != 0x7f {
		t.Fatalf("signature %q", got)
	}
	g := greeting(1, "NULL")
	for i := range 10 {
		w.put(g[i : i+1])
	}
	if got := w.get(1); got != "\x03" {
		t.Fatalf("major %q", got)
	}
	for i := range g[10:] {
		w.put(g[10+i : 11+i])
	}
	w.get(53)
	for _, b := range command("READY", property("Socket-Type", "PUSH")) + frame(1, "a") + command("PING", "\x00\x00ctx") + frame(0, "b") {
		w.put(string([]byte{byte(b)}))
	}
	r.want(pull, "a", "b") // a command in mid-message is no part of it
	head := w.get(2)
	w.get(int(head[1]))
	if got, want := w.get(10), command("PONG", "ctx"); got != want {
		t.Errorf("answer to PING %q, want %q", got, want)
	}
}

// Peers that speak older protocols.
func TestOldPeers(t *testing.T) {
	r := overTCP(t)
	rep, pull, pub := made(r, zmq.NewRouter), made(r, zmq.NewPull), made(r, zmq.NewPub)

	// ZMTP 2.0: type and routing id, then frames as in 3.
	w := r.dialRaw(r.bind(rep))
	w.put(signature + "\x01" + "\x05" + frame(0, "old"))
	w.get(10)
	if got := w.get(2); got != "\x03\x06" {
		t.Errorf("revision and type %q", got)
	}
	if got := w.get(2); got != "\x00\x00" {
		t.Errorf("routing id message %q", got)
	}
	w.put(frame(0, "hello"))
	r.want(rep, "old", "hello")
	r.send(rep, "old", "you")
	if got := w.get(5); got != frame(0, "you") {
		t.Errorf("received %q", got)
	}

	// ZMTP 1.0: length first, routing id as first message.
	w = r.dialRaw(r.bind(pull))
	w.put("\x01\x00" + "\x02\x01a" + "\x02\x00b")
	r.want(pull, "a", "b")

	// A 1.0 subscriber cannot subscribe: it gets everything.
	w = r.dialRaw(r.bind(pub))
	w.put("\x01\x00")
	r.until(func() bool { return pub.TopicCount() == 1 })
	r.send(pub, "x")
	if got := w.get(10 + 3); got[10:] != "\x02\x00x" {
		t.Errorf("received %q", got)
	}
}

// CVE-2014-7202, CVE-2014-9721: no way around security through old protocols.
func TestNoDowngrade(t *testing.T) {
	secret := zmq.NewSecretKey()
	for name, o := range map[string]zmq.Option{
		"curve": zmq.WithCurveServer(secret), "plain": zmq.WithOption("plain_server", "1"), "domain": zmq.WithOption("zap_domain", "global"),
	} {
		for _, hello := range []string{"\x01\x00\x02\x00a", signature + "\x00\x05", signature + "\x01\x05" + frame(0, "") + frame(0, "a")} {
			r := overTCP(t)
			pull := made(r, zmq.NewPull, o)
			w := r.dialRaw(r.bind(pull))
			w.put(hello)
			w.gone()
			r.nothing(pull)
			if n := pull.Stats().HandshakesFailed; n != 1 {
				t.Errorf("%s: %d failed handshakes", name, n)
			}
		}
	}
}

// Section 8: what a peer can send before and after the handshake, each of
// which ends its connection with an event, and affects no other connection.
func TestBadPeers(t *testing.T) {
	ok := greeting(1, "NULL") + command("READY", property("Socket-Type", "PUSH"))
	long := func(n uint64) string { return "\x02" + string(binary.BigEndian.AppendUint64(nil, n)) }
	for name, bytes := range map[string]string{
		"mechanism unknown":        greeting(1, "KERBEROS"),
		"mechanism not ours":       greeting(1, "PLAIN"),
		"mechanism unpadded":       signature + "\x03\x01NULL\x00x" + strings.Repeat("\x00", 46),
		"message for a command":    greeting(1, "NULL") + frame(0, "hello"),
		"command unknown":          greeting(1, "NULL") + command("HELLO", ""),
		"command empty":            greeting(1, "NULL") + frame(4, ""),
		"command name too long":    greeting(1, "NULL") + frame(4, "\x09READY"),
		"command huge":             greeting(1, "NULL") + "\x06" + string(binary.BigEndian.AppendUint64(nil, 1<<40)),
		"property cut short":       greeting(1, "NULL") + command("READY", "\x0bSocket-Type\x00\x00\x00\x09PU"),
		"property huge":            greeting(1, "NULL") + command("READY", "\x0bSocket-Type\xff\xff\xff\xffPUSH"),
		"property twice":           greeting(1, "NULL") + command("READY", property("Socket-Type", "PUSH")+property("Socket-Type", "PUSH")),
		"property without name":    greeting(1, "NULL") + command("READY", property("", "x")),
		"type missing":             greeting(1, "NULL") + command("READY", ""),
		"type wrong":               greeting(1, "NULL") + command("READY", property("Socket-Type", "PULL")),
		"type unknown":             greeting(1, "NULL") + command("READY", property("Socket-Type", "FROB")),
		"routing id reserved":      greeting(1, "NULL") + command("READY", property("Socket-Type", "PUSH")+property("Identity", "\x00abc")),
		"routing id too long":      greeting(1, "NULL") + command("READY", property("Socket-Type", "PUSH")+property("Identity", strings.Repeat("x", 256))),
		"refusal":                  greeting(1, "NULL") + command("ERROR", "\x03400"),
		"refusal malformed":        greeting(1, "NULL") + command("ERROR", "\x09400"),
		"frame of 2^63":            ok + long(1<<63),
		"frame of 2^64-1":          ok + long(1<<64-1),
		"frame of 2^62":            ok + long(1<<62),
		"frame too large":          ok + long(100_001),
		"message too large":        ok + strings.Repeat(frame(1, strings.Repeat("x", 1000)), 101),
		"too many frames":          ok + strings.Repeat(frame(1, ""), 51),
		"PING without TTL":         ok + command("PING", "\x00"),
		"command without name":     ok + frame(4, ""),
		"command name beyond body": ok + frame(4, "\xffPING"),
		"command of 2^60":          ok + "\x06" + string(binary.BigEndian.AppendUint64(nil, 1<<60)),
		"old, frame of 0":          "\x01\x00\x00\x00",
		"old, frame of 2^63":       "\x01\x00\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00",
		"old, several routing ids": signature + "\x01\x08" + frame(1, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			pull := made(r, zmq.NewPull, zmq.WithMaxMessage(100_000, 50))
			events, stop := iter.Pull(pull.Events(r.ctx))
			defer stop()
			ep := r.bind(pull)
			good := made(r, zmq.NewPush)
			r.connect(good, ep)
			r.send(good, "before")
			r.want(pull, "before")
			w := r.dialRaw(ep)
			w.put(bytes)
			w.gone()
			e := next(t, events, event.HandshakeFailed, event.HandshakeProtocol, event.HandshakeAuth, event.Disconnected)
			if e.Err == nil {
				t.Errorf("event %v does not say why", e.Type)
			}
			if got := e.Type == event.Disconnected; got != strings.HasPrefix(bytes, ok) && !strings.HasPrefix(name, "old, frame") {
				t.Errorf("event %v: %v", e.Type, e.Err)
			}
			r.nothing(pull)
			r.send(good, "after")
			r.want(pull, "after")
		})
	}
}

// maxmsgsize bounds each frame, as in libzmq, not the message that they make.
func TestMaxMsgSize(t *testing.T) {
	for _, c := range []struct{ name, at string }{{"tcp", "tcp://127.0.0.1:*"}, {"ws", "ws://127.0.0.1:*/"}} {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", c.name, secured), func(t *testing.T) {
				r := overTCP(t)
				serverOptions := []zmq.Option{zmq.WithOption("maxmsgsize", "500"), zmq.WithOption("maxmsgsize", "300")}
				var clientOptions []zmq.Option
				if secured {
					secret := zmq.NewSecretKey()
					public := secret.Public()
					serverOptions = append(serverOptions, zmq.WithCurveServer(secret))
					own := zmq.NewSecretKey()
					clientOptions = append(clientOptions, zmq.WithCurve(own, public))
				}
				pull := made(r, zmq.NewPull, serverOptions...)
				push := made(r, zmq.NewPush, clientOptions...)
				bound, err := pull.Bind(c.at)
				r.must(err)
				_, err = push.Connect(bound.Addr())
				r.must(err)
				most := strings.Repeat("x", 300)
				r.send(push, most, most, most)
				r.want(pull, most, most, most)
				events, stop := iter.Pull(pull.Events(r.ctx))
				defer stop()
				r.send(push, "one", most+"x")
				if e := next(t, events, event.Disconnected); e.Err == nil {
					t.Error("the event does not say why")
				}
				r.nothing(pull)
			})
		}
	}
}

// Odd things that are allowed.
func TestLenience(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	w := r.dialRaw(r.bind(pull))
	w.put(greeting(9, "NULL")) // a later protocol
	w.get(64)
	w.put(command("READY", property("socket-type", "PUSH")+property("X-more", "")))
	w.put("\x02\x00\x00\x00\x00\x00\x00\x00\x01a")      // long form of a short frame
	w.put("\x02\x00\x00\x00\x00\x00\x00\x00\x00")       // and of an empty one
	w.put("\xf8\x01b")                                  // reserved flags
	w.put(command("FUTURE", "x") + command("PONG", "")) // nothing to us
	w.put(command("SUBSCRIBE", "x") + command("PING", "\x00\x00"+strings.Repeat("c", 100)))
	w.put(frame(0, "end"))
	r.want(pull, "a")
	r.want(pull, "")
	r.want(pull, "b")
	r.want(pull, "end")
}

// A silent peer costs its own connection, after the handshake timeout.
func TestSilentPeers(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull, zmq.WithOption("handshake_ivl", "50"))
	ep := r.bind(pull)
	var silent []wire
	for i, start := range []string{"", "\xff", signature, greeting(1, "NULL"), greeting(1, "NULL") + "\x04"} {
		w := r.dialRaw(ep)
		w.put(start)
		silent = append(silent, w)
		push := made(r, zmq.NewPush)
		r.connect(push, ep)
		r.send(push, fmt.Sprint(i))
		r.want(pull, fmt.Sprint(i))
	}
	for _, w := range silent {
		w.gone()
	}
}

// A multipart message cut short by a disconnection never arrives.
func TestHalfMessage(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	ep := r.bind(pull)
	w := r.dialRaw(ep)
	w.shake(1, "PUSH")
	w.put(frame(0, "whole") + frame(1, "half") + frame(1, strings.Repeat("x", 20000)))
	r.want(pull, "whole")
	w.c.Close()
	r.until(func() bool { return len(pull.Stats().Peers) == 0 })
	w = r.dialRaw(ep)
	w.shake(1, "PUSH")
	w.put(frame(0, "next"))
	r.want(pull, "next")
}

// A subscriber may ask for what it likes, up to a point: 200,000 topics, long
// ones, the empty one, cancellations of what it never asked for. Beyond, its
// connection ends, and others are served as before.
func TestSubscriptionFlood(t *testing.T) {
	r := overTCP(t)
	pub := made(r, zmq.NewPub)
	events, stop := iter.Pull(pub.Events(r.ctx))
	defer stop()
	ep := r.bind(pub)
	w := r.dialRaw(ep)
	w.shake(1, "SUB")
	next(t, events, event.HandshakeSucceeded)
	n := 200_000
	if raceEnabled {
		n = 20_000
	}
	var b strings.Builder
	for i := range n {
		b.WriteString(command("SUBSCRIBE", fmt.Sprintf("%08d", i)))
		if b.Len() > 1<<20 || i == n-1 {
			w.put(b.String())
			b.Reset()
		}
	}
	long := strings.Repeat("x", 10<<20)
	body := "\x09SUBSCRIBE" + long
	w.put("\x06" + string(binary.BigEndian.AppendUint64(nil, uint64(len(body)))) + body)
	w.put(command("CANCEL", "never asked for") + command("CANCEL", "") + command("SUBSCRIBE", ""))
	heard := make(chan string)
	go func() { heard <- w.get(2 + 8) }()
	r.until(func() bool {
		r.send(pub, fmt.Sprintf("%08d", n-1))
		select {
		case got := <-heard:
			if got != frame(0, fmt.Sprintf("%08d", n-1)) {
				t.Errorf("received %q", got)
			}
			return true
		default:
			return false
		}
	})

	good := made(r, zmq.NewSub)
	r.must(good.Subscribe("good"))
	r.connect(good, ep)
	next(t, events, event.HandshakeSucceeded)
	go func() {
		for i := range 8 { // the connection ends in the middle of them
			body := fmt.Sprintf("\x09SUBSCRIBE%d", i) + long
			if _, err := io.WriteString(w.c, "\x06"+string(binary.BigEndian.AppendUint64(nil, uint64(len(body))))+body); err != nil {
				return
			}
		}
	}()
	if e := next(t, events, event.Disconnected); e.Err == nil || !strings.Contains(e.Err.Error(), "subscriptions") {
		t.Errorf("disconnected because of %v", e.Err)
	}
	received := make(chan error, 1)
	go func() {
		_, err := good.Recv(r.ctx)
		received <- err
	}()
	r.until(func() bool {
		r.send(pub, "good")
		return len(received) == 1
	})
	r.must(<-received)
}

// ZMTP gives no order for the READYs of NULL: a peer may wait for ours, whatever
// the bound socket would like to know of it first.
func TestPeerThatWaitsForReady(t *testing.T) {
	accept := func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) {
		return zmq.AuthResult{Allow: true}, nil
	}
	for name, opts := range map[string][]zmq.Option{
		"without handover": nil,
		"with handover":    {zmq.WithOption("router_handover", "1")},
		"authenticated":    {zmq.WithAuthenticator(accept)},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			router := made(r, zmq.NewRouter, append(opts, zmq.WithOption("handshake_ivl", "2000"))...)
			w := r.dialRaw(r.bind(router))
			w.put(greeting(1, "NULL"))
			w.get(64)
			head := w.get(2)
			if got := w.get(int(head[1])); !strings.HasPrefix(got, "\x05READY") {
				t.Fatalf("received %q, want READY", got)
			}
			w.put(command("READY", property("Socket-Type", "DEALER")+property("Identity", "X")) + frame(0, "hello"))
			r.want(router, "X", "hello")
		})
	}
}

// madeConn is a listener that accepts one connection that exists.
type madeConn struct {
	net.Listener
	conn chan net.Conn
}

func (l madeConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	default:
		return l.Listener.Accept()
	}
}

// Two ROUTERs that accept the same connection, which another program made for
// them, both wait for the READY of the other at first.
func TestTwoAcceptingRouters(t *testing.T) {
	r := overTCP(t)
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		r.must(err)
		return ln
	}
	a, b := madeConn{listen(), make(chan net.Conn, 1)}, madeConn{listen(), make(chan net.Conn, 1)}
	c, err := net.Dial("tcp", a.Addr().String())
	r.must(err)
	d, err := a.Listener.Accept()
	r.must(err)
	a.conn <- c
	b.conn <- d
	soon := zmq.WithOption("handshake_ivl", "2000")
	one := made(r, zmq.NewRouter, zmq.WithIdentity([]byte("one")), zmq.WithOption("router_mandatory", "1"), soon)
	two := made(r, zmq.NewRouter, zmq.WithIdentity([]byte("two")), soon)
	_, err = one.BindListener(a)
	r.must(err)
	_, err = two.BindListener(b)
	r.must(err)
	r.until(func() bool { return one.HasPeer([]byte("two")) })
	r.send(one, "two", "hello")
	r.want(two, "one", "hello")
}
