package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"lintel.dev/zmq"
)

// ring makes sockets of one Context that are closed with the test.
type ring struct {
	*testing.T
	ctx  context.Context
	zctx *zmq.Context
}

func newRing(t *testing.T) ring {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	t.Cleanup(stop)
	return ring{t, ctx, new(zmq.Context)}
}

// open makes a socket; an endpoint that begins with @ is bound, any other
// connected to.
func (r ring) open(t string, endpoint string, opts ...zmq.Option) zmq.Socket {
	r.Helper()
	s, err := zmq.New(t, append(opts, zmq.InContext(r.zctx), zmq.WithLinger(0))...)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { s.Close() })
	if endpoint[0] == '@' {
		_, err = s.Bind(endpoint[1:])
	} else {
		_, err = s.Connect(endpoint)
	}
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r ring) send(s zmq.Socket, frames ...string) {
	r.Helper()
	if err := s.(zmq.Sender).Send(r.ctx, zmq.NewMsg(frames...)); err != nil {
		r.Fatal(err)
	}
}

func (r ring) want(s zmq.Socket, frames ...string) {
	r.Helper()
	m, err := s.(zmq.Receiver).Recv(r.ctx)
	if err != nil || m.String() != zmq.NewMsg(frames...).String() {
		r.Fatalf("%v received %q, %v; want %q", s.Type(), m, err, frames)
	}
}

// proxy runs one until the test ends, and returns a function that ends it and
// tells how it ended.
func (r ring) proxy(run func(ctx context.Context) error) (end func() error) {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var err error
	over := false
	end = func() error {
		cancel()
		if !over {
			err, over = <-done, true
		}
		return err
	}
	r.Cleanup(func() { _ = end() })
	return end
}

func TestProxyQueue(t *testing.T) {
	r := newRing(t)
	front, back := r.open("ROUTER", "@inproc://front"), r.open("DEALER", "@inproc://back")
	end := r.proxy(func(ctx context.Context) error { return (&zmq.Proxy{Front: front, Back: back}).Run(ctx) })
	worker := r.open("REP", "inproc://back")
	for i := range 3 {
		client := r.open("REQ", "inproc://front")
		r.send(client, "request", fmt.Sprint(i))
		r.want(worker, "request", fmt.Sprint(i))
		r.send(worker, "reply", fmt.Sprint(i))
		r.want(client, "reply", fmt.Sprint(i))
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestProxyForwarder(t *testing.T) {
	r := newRing(t)
	front, back := r.open("XSUB", "@inproc://front"), r.open("XPUB", "@inproc://back")
	r.proxy(func(ctx context.Context) error { return (&zmq.Proxy{Front: front, Back: back}).Run(ctx) })
	source := r.open("XPUB", "inproc://front")
	sub := r.open("SUB", "inproc://back")
	if err := sub.(*zmq.Sub).Subscribe("b"); err != nil {
		t.Fatal(err)
	}
	r.want(source, "\x01b") // the subscription went upstream
	r.send(source, "a", "no")
	r.send(source, "b", "yes")
	r.want(sub, "b", "yes")
}

func TestProxyStreamerWithCapture(t *testing.T) {
	r := newRing(t)
	front, back := r.open("PULL", "@inproc://front"), r.open("PUSH", "@inproc://back")
	capture := r.open("PUSH", "@inproc://tap")
	r.proxy(func(ctx context.Context) error {
		return (&zmq.Proxy{Front: front, Back: back, Capture: capture.(zmq.Sender)}).Run(ctx)
	})
	push, pull, tap := r.open("PUSH", "inproc://front"), r.open("PULL", "inproc://back"), r.open("PULL", "inproc://tap")
	for i := range 50 {
		r.send(push, "work", fmt.Sprint(i))
	}
	for i := range 50 {
		r.want(pull, "work", fmt.Sprint(i))
		r.want(tap, "work", fmt.Sprint(i))
	}
}

func TestProxyOneSocket(t *testing.T) {
	for both, client := range map[string]string{"ROUTER": "DEALER", "DEALER": "DEALER", "PAIR": "PAIR", "REP": "REQ"} {
		t.Run(both, func(t *testing.T) {
			r := newRing(t)
			both := r.open(both, "@inproc://both")
			r.proxy(func(ctx context.Context) error { return (&zmq.Proxy{Front: both, Back: both}).Run(ctx) })
			client := r.open(client, "inproc://both")
			for range 3 {
				r.send(client, "echo")
				r.want(client, "echo")
			}
		})
	}
}

// Nothing is received for which the other side has no room: the sender fills
// the queues of both sides and no more.
func TestProxyKeepsHighWaterMarks(t *testing.T) {
	r := newRing(t)
	two := zmq.WithHWM(2)
	front, back := r.open("PULL", "@inproc://front", two), r.open("PUSH", "@inproc://back", two)
	push := r.open("PUSH", "inproc://front", two)
	end := r.proxy(func(ctx context.Context) error { return (&zmq.Proxy{Front: front, Back: back}).Run(ctx) })
	for i := range 4 { // front's queue, shared by both ends
		r.send(push, fmt.Sprint(i))
	}
	if err := push.(*zmq.Push).TrySend(zmq.NewMsg("too much")); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Fatalf("a message more than the marks allow: %v", err)
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range 4 { // none was lost in the proxy
		r.want(front, fmt.Sprint(i))
	}
}

func TestProxySteerable(t *testing.T) {
	r := newRing(t)
	front, back := r.open("PULL", "@inproc://front"), r.open("PUSH", "@inproc://back")
	control := r.open("REP", "@inproc://control")
	done := make(chan error, 1)
	proxy := zmq.Proxy{Front: front, Back: back, Control: control.(zmq.Receiver)}
	go func() { done <- proxy.Run(r.ctx) }()
	push, pull, steer := r.open("PUSH", "inproc://front"), r.open("PULL", "inproc://back"), r.open("REQ", "inproc://control")
	command := func(name string) zmq.Msg {
		t.Helper()
		m, err := steer.(*zmq.Req).Request(r.ctx, zmq.NewMsg(name))
		if err != nil {
			t.Fatal(name, err)
		}
		return m
	}
	r.send(push, "12345", "678")
	r.want(pull, "12345", "678")
	for _, name := range []string{"PAUSE", "no such command"} {
		if m := command(name); len(m) != 1 || len(m[0]) != 0 {
			t.Errorf("%s answered %q", name, m)
		}
	}
	r.send(push, "later")
	wantStats(t, command("STATISTICS"), 1, 8, 0, 0, 0, 0, 1, 8)
	in, out := proxy.Stats()
	if in != (zmq.ProxyStats{MessagesReceived: 1, BytesReceived: 8}) || out != (zmq.ProxyStats{MessagesSent: 1, BytesSent: 8}) {
		t.Errorf("statistics %+v and %+v", in, out)
	}
	if _, err := pull.(*zmq.Pull).TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Errorf("a message went through while paused: %v", err)
	}
	command("RESUME")
	r.want(pull, "later")
	command("TERMINATE")
	if err := <-done; err != nil {
		t.Errorf("terminated with %v", err)
	}
}

func TestProxyEndsWithItsSockets(t *testing.T) {
	r := newRing(t)
	front, back := r.open("PULL", "@inproc://front"), r.open("PUSH", "@inproc://back")
	done := make(chan error, 1)
	go func() { done <- (&zmq.Proxy{Front: front, Back: back}).Run(r.ctx) }()
	if err := front.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, zmq.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if err := (&zmq.Proxy{Front: back, Back: back}).Run(r.ctx); !errors.Is(err, zmq.ErrNotSupported) {
		t.Errorf("PUSH to PUSH: %v", err)
	}
}

// wantStats checks the answer to STATISTICS.
func wantStats(t *testing.T, answer zmq.Msg, want ...uint64) {
	t.Helper()
	if len(answer) != len(want) {
		t.Fatalf("statistics of %d frames", len(answer))
	}
	for i, n := range want {
		if got := binary.NativeEndian.Uint64(answer[i]); got != n {
			t.Errorf("figure %d is %d, want %d", i, got, n)
		}
	}
}
