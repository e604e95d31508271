package zmq4_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	zmq4 "lintel.dev/compat/gozeromq"
	"lintel.dev/compat/gozeromq/security/plain"
	"lintel.dev/compat/gozeromq/transport"
	"lintel.dev/internal/apitext"
	"lintel.dev/zmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAPI compares the API with the facts about go-zeromq/zmq4 v0.17.0 in
// testdata/api.txt.
func TestAPI(t *testing.T) {
	const path = "lintel.dev/compat/gozeromq"
	missing, extra, err := apitext.Compare("testdata/api.txt", path, path+"/transport", path+"/security/null", path+"/security/plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range missing {
		t.Errorf("missing: %s", line)
	}
	for _, line := range extra {
		t.Errorf("not in go-zeromq: %s", line)
	}
}

// kit makes sockets that the test closes.
type kit struct {
	*testing.T
	ctx context.Context
}

func newKit(t *testing.T) kit {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return kit{t, ctx}
}

func (k kit) made(f func(context.Context, ...zmq4.Option) zmq4.Socket, opts ...zmq4.Option) zmq4.Socket {
	s := f(k.ctx, opts...)
	k.Cleanup(func() { s.Close() })
	return s
}

// listen binds s to a free port and returns its endpoint.
func (k kit) listen(s zmq4.Socket) string {
	k.Helper()
	if err := s.Listen("tcp://127.0.0.1:0"); err != nil {
		k.Fatal(err)
	}
	return "tcp://" + s.Addr().String()
}

func (k kit) dial(s zmq4.Socket, endpoint string) {
	k.Helper()
	if err := s.Dial(endpoint); err != nil {
		k.Fatal(err)
	}
}

func (k kit) send(s zmq4.Socket, frames ...string) {
	k.Helper()
	if err := s.SendMulti(zmq4.NewMsgFromString(frames)); err != nil {
		k.Fatal(err)
	}
}

func (k kit) recv(s zmq4.Socket, want ...string) {
	k.Helper()
	m, err := s.Recv()
	if err != nil {
		k.Fatal(err)
	}
	if want := zmq4.NewMsgFromString(want); m.String() != want.String() {
		k.Fatalf("got %v, expected %v", m, want)
	}
}

func (k kit) recvError(s zmq4.Socket, want error) {
	k.Helper()
	if m, err := s.Recv(); !errors.Is(err, want) {
		k.Fatalf("got %v and error %v, expected %v", m, err, want)
	}
}

var eachTransport = []string{"tcp", "inproc", "ipc"}

// each runs a test over every transport, with a function that binds a socket.
func each(t *testing.T, test func(k kit, listen func(zmq4.Socket) string)) {
	for _, name := range eachTransport {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			n := 0
			test(k, func(s zmq4.Socket) string {
				n++
				at := fmt.Sprintf("%s://%s%d", name, t.Name(), n)
				switch name {
				case "tcp":
					return k.listen(s)
				case "ipc":
					dir, err := os.MkdirTemp("", "zmq4") // shorter than t.TempDir
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { os.RemoveAll(dir) })
					at = "ipc://" + dir + "/s"
				}
				if err := s.Listen(at); err != nil {
					t.Fatal(err)
				}
				return at
			})
		})
	}
}

// A subscriber that listens gets what a publisher sent, then io.EOF when that
// leaves, once, and then the messages of the next publisher.
func TestLostPublisher(t *testing.T) {
	each(t, func(k kit, listen func(zmq4.Socket) string) {
		sub := k.made(zmq4.NewSub)
		at := listen(sub)
		if err := sub.SetOption(zmq4.OptionSubscribe, "kv@"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			pub := k.made(zmq4.NewXPub)
			k.dial(pub, at)
			k.recv(pub, "\x01kv@")
			if got := pub.(zmq4.Topics).Topics(); !slices.Equal(got, []string{"kv@"}) {
				t.Errorf("got topics %q", got)
			}
			k.send(pub, "other", "x")
			for _, seq := range []string{"1", "2", "3"} {
				k.send(pub, "kv@model", seq, "payload")
			}
			for _, seq := range []string{"1", "2", "3"} {
				k.recv(sub, "kv@model", seq, "payload")
			}
			if err := pub.Close(); err != nil {
				t.Fatal(err)
			}
			k.recvError(sub, io.EOF)
		}
	})
}

// A DEALER asks a ROUTER for a replay with an empty frame and a number. When the
// context of the DEALER ends, its Recv does.
func TestReplay(t *testing.T) {
	each(t, func(k kit, listen func(zmq4.Socket) string) {
		router := k.made(zmq4.NewRouter)
		at := listen(router)
		ctx, cancel := context.WithCancel(k.ctx)
		dealer := zmq4.NewDealer(ctx, zmq4.WithTimeout(20*time.Second))
		defer dealer.Close()
		k.dial(dealer, at)
		if err := dealer.SendMulti(zmq4.NewMsgFrom([]byte{}, binary.BigEndian.AppendUint64(nil, 7))); err != nil {
			t.Fatal(err)
		}
		m, err := router.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Frames) != 3 || len(m.Frames[0]) != 36 || binary.BigEndian.Uint64(m.Frames[2]) != 7 {
			t.Fatalf("got request %v", m)
		}
		id := string(m.Frames[0])
		for _, payload := range []string{"a", "b", ""} {
			k.send(router, id, "", "topic", "seq", payload)
		}
		for _, payload := range []string{"a", "b", ""} {
			k.recv(dealer, "", "topic", "seq", payload)
		}
		cancel()
		k.recvError(dealer, context.Canceled)
		if err := dealer.Send(zmq4.NewMsgString("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("Send: got error %v", err)
		}
		// The requester has gone: its replies are dropped.
		k.send(router, "no such peer", "", "x")
	})
}

// A peer that accepts and says nothing holds neither Dial, when the context
// ends, nor the other peers of a listener.
func TestStalledHandshake(t *testing.T) {
	k := newKit(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(k.ctx)
	sub := zmq4.NewSub(ctx)
	defer sub.Close()
	result := make(chan error)
	go func() { result <- sub.Dial("tcp://" + ln.Addr().String()) }()
	silent, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: got error %v, expected context.Canceled", err)
	}

	pull := k.made(zmq4.NewPull)
	at := k.listen(pull)
	idle, err := net.Dial("tcp", pull.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	push := k.made(zmq4.NewPush)
	k.dial(push, at)
	k.send(push, "x")
	k.recv(pull, "x")
}

// Dial tries again until there is a listener, and says where it failed.
func TestDialRetries(t *testing.T) {
	k := newKit(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "tcp://" + ln.Addr().String()
	ln.Close()
	push := k.made(zmq4.NewPush, zmq4.WithDialerRetry(time.Millisecond), zmq4.WithDialerMaxRetries(2))
	if err := push.Dial(at); err == nil || !strings.Contains(err.Error(), at) {
		t.Errorf("got error %v, expected one with %s", err, at)
	}
	for _, bad := range []string{"", "tcp", "tcp://a://b", "none://x", "tcp://no port"} {
		if err := push.Dial(bad); err == nil {
			t.Errorf("Dial %q: got no error", bad)
		}
	}
	var unknown zmq4.UnknownTransportError
	if err := push.Listen("none://x"); !errors.As(err, &unknown) || unknown.Name != "none" {
		t.Errorf("got error %v, expected UnknownTransportError", err)
	}

	patient := k.made(zmq4.NewPush, zmq4.WithDialerRetry(time.Millisecond), zmq4.WithDialerMaxRetries(-1))
	result := make(chan error)
	go func() { result <- patient.Dial("inproc://later") }()
	pull := k.made(zmq4.NewPull)
	if err := pull.Listen("inproc://later"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	k.send(patient, "x")
	k.recv(pull, "x")
}

// With automatic reconnection a lost connection is no error, and every endpoint
// is connected again, not only the last.
func TestAutomaticReconnect(t *testing.T) {
	k := newKit(t)
	sub := k.made(zmq4.NewSub, zmq4.WithAutomaticReconnect(true), zmq4.WithDialerRetry(time.Millisecond))
	if err := sub.SetOption(zmq4.OptionSubscribe, ""); err != nil {
		t.Fatal(err)
	}
	pubs := []zmq4.Socket{k.made(zmq4.NewXPub), k.made(zmq4.NewXPub)}
	at := []string{k.listen(pubs[0]), k.listen(pubs[1])}
	for i := range pubs {
		k.dial(sub, at[i])
		k.recv(pubs[i], "\x01")
	}
	for i := range pubs {
		pubs[i].Close()
		again := k.made(zmq4.NewXPub)
		if err := again.Listen(at[i]); err != nil {
			t.Fatal(err)
		}
		k.recv(again, "\x01")
		k.send(again, "after")
		k.recv(sub, "after")
	}
}

// A PUSH that has lost its only peer fails at once, and works again after the
// next Dial.
func TestSendAfterLoss(t *testing.T) {
	each(t, func(k kit, listen func(zmq4.Socket) string) {
		push := k.made(zmq4.NewPush)
		for range 2 {
			pull := k.made(zmq4.NewPull)
			at := listen(pull)
			k.dial(push, at)
			k.send(push, "x")
			k.recv(pull, "x")
			pull.Close()
			for {
				err := push.Send(zmq4.NewMsgString("x"))
				if errors.Is(err, zmq4.ErrClosedConn) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// Messages go to the peers in turn, not to all of them.
func TestRoundRobin(t *testing.T) {
	k := newKit(t)
	push := k.made(zmq4.NewPush)
	pulls := []zmq4.Socket{k.made(zmq4.NewPull), k.made(zmq4.NewPull)}
	for _, p := range pulls {
		k.dial(push, k.listen(p))
	}
	const n = 10
	for range 2 * n {
		k.send(push, "x")
	}
	for _, p := range pulls {
		for range n {
			k.recv(p, "x")
		}
	}
	if err := push.Close(); err != nil {
		t.Fatal(err)
	}
	for i, p := range pulls {
		if m, err := p.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("peer %d: got %v, %v, expected io.EOF after %d messages", i, m, err, n)
		}
	}
}

func TestReq(t *testing.T) {
	each(t, func(k kit, listen func(zmq4.Socket) string) {
		req := k.made(zmq4.NewReq)
		none := "zmq4: no connections available"
		if err := req.Send(zmq4.NewMsgString("x")); err == nil || err.Error() != none {
			t.Errorf("Send: got error %v, expected %s", err, none)
		}
		rep := k.made(zmq4.NewRep)
		at := listen(rep)
		k.dial(req, at)
		k.send(req, "a", "", "b")
		k.recv(rep, "a", "", "b")
		k.send(rep, "c")
		k.recv(req, "c")

		k.send(req, "lost")
		k.recv(rep, "lost")
		rep.Close()
		k.recvError(req, io.EOF)
		if _, err := req.Recv(); err == nil || err.Error() != none {
			t.Errorf("Recv: got error %v, expected %s", err, none)
		}
	})
}

// A socket with PLAIN accepts its own credentials and no others.
func TestPlain(t *testing.T) {
	each(t, func(k kit, listen func(zmq4.Socket) string) {
		rep := k.made(zmq4.NewRep, zmq4.WithSecurity(plain.Security("user", "secret")))
		at := listen(rep)
		for _, pass := range []string{"wrong", "", "secret2"} {
			other := k.made(zmq4.NewReq, zmq4.WithSecurity(plain.Security("user", pass)))
			if err := other.Dial(at); err == nil {
				t.Errorf("Dial with password %q: got no error", pass)
			}
		}
		if err := k.made(zmq4.NewReq).Dial(at); err == nil {
			t.Error("Dial with NULL: got no error")
		}
		req := k.made(zmq4.NewReq, zmq4.WithSecurity(plain.Security("user", "secret")))
		k.dial(req, at)
		k.send(req, "x")
		k.recv(rep, "x")
	})
}

// A peer without an identity is shown as a UUID, under which it gets replies.
func TestPeerWithoutIdentity(t *testing.T) {
	k := newKit(t)
	router := k.made(zmq4.NewRouter)
	at := k.listen(router)
	dealer, err := zmq.NewDealer()
	if err != nil {
		t.Fatal(err)
	}
	defer dealer.Close()
	if _, err := dealer.Connect(at); err != nil {
		t.Fatal(err)
	}
	if err := dealer.Send(k.ctx, zmq.NewMsg("hello")); err != nil {
		t.Fatal(err)
	}
	m, err := router.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Frames) != 2 || len(m.Frames[0]) != 36 {
		t.Fatalf("got %v, expected a UUID and a frame", m)
	}
	k.send(router, string(m.Frames[0]), "answer")
	if m, err := dealer.Recv(k.ctx); err != nil || m.String() != zmq.NewMsg("answer").String() {
		t.Errorf("got %v, %v", m, err)
	}
}

// slowTransport counts the connections it makes.
type slowTransport struct {
	transport.Transport
	dials atomic.Int32
}

func (t *slowTransport) Dial(ctx context.Context, d transport.Dialer, addr string) (net.Conn, error) {
	t.dials.Add(1)
	return t.Transport.Dial(ctx, d, addr)
}

func TestRegisterTransport(t *testing.T) {
	k := newKit(t)
	own := &slowTransport{Transport: transport.New("tcp")}
	name := fmt.Sprintf("own%p", own) // a name is for good
	if err := zmq4.RegisterTransport(name, own); err != nil {
		t.Fatal(err)
	}
	if err := zmq4.RegisterTransport(name, own); err == nil {
		t.Error("registered twice: got no error")
	}
	if !slices.Contains(zmq4.Transports(), name) {
		t.Errorf("Transports has no %s", name)
	}
	pull := k.made(zmq4.NewPull)
	if err := pull.Listen(name + "://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	push := k.made(zmq4.NewPush)
	k.dial(push, name+"://"+pull.Addr().String())
	k.send(push, "x")
	k.recv(pull, "x")
	if n := own.dials.Load(); n != 1 {
		t.Errorf("got %d calls of Dial, expected 1", n)
	}
}

func TestOptions(t *testing.T) {
	k := newKit(t)
	pub, sub := k.made(zmq4.NewPub), k.made(zmq4.NewSub)
	for _, c := range []struct {
		s     zmq4.Socket
		name  string
		value any
		want  error
	}{
		{pub, zmq4.OptionHWM, 10, nil},
		{pub, zmq4.OptionHWM, "10", zmq4.ErrBadProperty},
		{pub, "other", 1, zmq4.ErrBadProperty},
		{sub, zmq4.OptionSubscribe, "b", nil},
		{sub, zmq4.OptionSubscribe, "a", nil},
		{sub, zmq4.OptionSubscribe, "a", nil},
		{sub, zmq4.OptionUnsubscribe, "a", nil},
		{sub, zmq4.OptionSubscribe, 1, zmq4.ErrBadProperty},
		{sub, "other", 1, zmq4.ErrBadProperty},
	} {
		if err := c.s.SetOption(c.name, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: SetOption(%q, %v): got error %v, expected %v", c.s.Type(), c.name, c.value, err, c.want)
		}
	}
	if got := sub.(zmq4.Topics).Topics(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got topics %q, expected b", got)
	}
	if v, err := pub.GetOption(zmq4.OptionHWM); v != "10" || err != nil { // the last one set
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := pub.GetOption("none"); !errors.Is(err, zmq4.ErrBadProperty) {
		t.Errorf("got error %v", err)
	}
	for _, s := range []zmq4.Socket{pub, k.made(zmq4.NewPush)} {
		if m, err := s.Recv(); err == nil || m.Err() == nil {
			t.Errorf("%s: Recv: got no error", s.Type())
		}
	}
	for _, s := range []zmq4.Socket{sub, k.made(zmq4.NewPull)} {
		if err := s.Send(zmq4.NewMsgString("x")); err == nil {
			t.Errorf("%s: Send: got no error", s.Type())
		}
	}
	tooLong := k.made(zmq4.NewPush, zmq4.WithID(make(zmq4.SocketIdentity, 256)))
	if err := tooLong.Listen("inproc://too-long"); err == nil {
		t.Error("an identity of 256 octets: got no error")
	}
	impatient := k.made(zmq4.NewPush, zmq4.WithTimeout(time.Millisecond))
	if err := impatient.Send(zmq4.NewMsgString("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send without a peer: got error %v, expected context.DeadlineExceeded", err)
	}
}

func TestProxy(t *testing.T) {
	k := newKit(t)
	front, back, capture := k.made(zmq4.NewRouter), k.made(zmq4.NewDealer), k.made(zmq4.NewPush)
	atFront, atBack, atCapture := k.listen(front), k.listen(back), k.listen(capture)
	tap := k.made(zmq4.NewPull)
	k.dial(tap, atCapture)
	proxy := zmq4.NewProxy(k.ctx, front, back, capture)
	req, rep := k.made(zmq4.NewReq), k.made(zmq4.NewRep)
	k.dial(req, atFront)
	k.dial(rep, atBack)
	for range 3 {
		k.send(req, "question")
		k.recv(rep, "question")
		k.send(rep, "answer")
		k.recv(req, "answer")
		for range 2 {
			if m, err := tap.Recv(); err != nil || len(m.Frames) != 3 {
				t.Fatalf("capture: got %v, %v", m, err)
			}
		}
	}
	proxy.Pause()
	proxy.Resume()
	proxy.Stats()
	proxy.Kill()
	if err := proxy.Run(); err != nil {
		t.Errorf("Run after Kill: got error %v", err)
	}

	ctx, cancel := context.WithCancel(k.ctx)
	proxy = zmq4.NewProxy(ctx, front, back, nil)
	cancel()
	if err := proxy.Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: got error %v, expected context.Canceled", err)
	}
}
