package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// forwarder opens an XSUB at inproc://front that asks for everything, and an
// XPUB at inproc://back.
func (r ring) forwarder(back ...zmq.Option) (x *zmq.XSub, y *zmq.XPub) {
	r.Helper()
	x = r.open("XSUB", "@inproc://front", zmq.WithHWM(0)).(*zmq.XSub)
	if err := x.Subscribe(""); err != nil {
		r.Fatal(err)
	}
	return x, r.open("XPUB", "@inproc://back", back...).(*zmq.XPub)
}

// subscriber opens a SUB at inproc://back.
func (r ring) subscriber(topic string, opts ...zmq.Option) *zmq.Sub {
	r.Helper()
	s := r.open("SUB", "inproc://back", opts...).(*zmq.Sub)
	if err := s.Subscribe(topic); err != nil {
		r.Fatal(err)
	}
	return s
}

func (r ring) forward(x *zmq.XSub, y *zmq.XPub) (end func() error) {
	return r.proxy(func(ctx context.Context) error { return (&zmq.Proxy{Front: x, Back: y}).Run(ctx) })
}

var noDrop = zmq.WithOption("xpub_nodrop", "1")

// The queues on both sides of a proxy fill, and nothing is on its way between.
func TestForwarderKeepsHighWaterMarks(t *testing.T) {
	r := newRing(t)
	one := zmq.WithHWM(1)
	x, y := r.open("XSUB", "@inproc://front", one), r.open("XPUB", "@inproc://back", one, noDrop)
	if err := x.(*zmq.XSub).Subscribe(""); err != nil {
		t.Fatal(err)
	}
	sub := r.subscriber("", one)
	pub := r.open("XPUB", "inproc://front", one, noDrop)
	r.want(pub, "\x01")
	end := r.forward(x.(*zmq.XSub), y.(*zmq.XPub))
	for round := range 20 {
		for i := range 4 {
			r.send(pub, fmt.Sprint(round, i), "more")
		}
		if err := pub.(*zmq.XPub).TrySend(zmq.NewMsg("too much")); !errors.Is(err, zmq.ErrWouldBlock) {
			t.Fatalf("a message more than the marks allow: %v", err)
		}
		for i := range 4 {
			r.want(sub, fmt.Sprint(round, i), "more")
		}
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestForwarderIsFair(t *testing.T) {
	r := newRing(t)
	x, y := r.forwarder(zmq.WithHWM(0))
	sub := r.subscriber("")
	a, b := r.open("PUB", "inproc://front"), r.open("PUB", "inproc://front")
	for i := range 1000 {
		r.send(a, "a", fmt.Sprint(i))
	}
	for i := range 1000 {
		r.send(b, "b", fmt.Sprint(i))
	}
	r.forward(x, y)
	for i := range 1000 {
		r.want(sub, "a", fmt.Sprint(i))
		r.want(sub, "b", fmt.Sprint(i))
	}
}

// Every subscriber gets what it asked for, in order, whatever the messages
// look like.
func TestForwarderMatches(t *testing.T) {
	invert := zmq.WithOption("invert_matching", "1")
	for _, c := range []struct{ back, sub []zmq.Option }{{}, {back: []zmq.Option{noDrop}}, {back: []zmq.Option{invert}, sub: []zmq.Option{invert}}} {
		r := newRing(t)
		x, y := r.forwarder(c.back...)
		wishes := []string{"", "a", "ab", "b", "bb"}
		var subs []*zmq.Sub
		for _, w := range wishes {
			subs = append(subs, r.subscriber(w, c.sub...))
		}
		pub := r.open("PUB", "inproc://front")
		var sent []zmq.Msg
		for i := range 700 {
			m := zmq.NewMsg([]string{"", "a", "ab", "abc", "b", "ba", "bb", "bbb"}[i*i/7%8], fmt.Sprint(i))
			if i%5 == 0 {
				m = append(m, []byte(strings.Repeat("x", []int{0, 100, 300, 5000, 9000, 70000}[i/5%6])))
			}
			if i%3 == 0 {
				m = m[:1]
			}
			sent = append(sent, m)
			if err := pub.(*zmq.Pub).Send(r.ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		r.forward(x, y)
		for k, s := range subs {
			inverted := len(c.sub) > 0
			for _, m := range sent {
				if strings.HasPrefix(string(m[0]), wishes[k]) == inverted {
					continue
				}
				got, err := s.Recv(r.ctx)
				if err != nil || got.String() != m.String() {
					t.Fatalf("subscriber to %q: %.40v, %v; want %.40v", wishes[k], got, err, m)
				}
			}
		}
	}
}

// What a slow subscriber has no room for is dropped for it alone, and counted.
func TestForwarderDrops(t *testing.T) {
	r := newRing(t)
	x, y := r.forwarder(zmq.WithOption("sndhwm", "5"))
	slow, fast := r.subscriber("", zmq.WithOption("rcvhwm", "5")), r.subscriber("", zmq.WithOption("rcvhwm", "0"))
	pub := r.open("PUB", "inproc://front")
	for i := range 300 {
		r.send(pub, fmt.Sprint(i))
	}
	end := r.forward(x, y)
	for i := range 300 {
		r.want(fast, fmt.Sprint(i))
	}
	_ = end() // the last burst is over
	for i := range 10 {
		r.want(slow, fmt.Sprint(i))
	}
	if m, err := slow.TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Errorf("%q, %v beyond the mark", m, err)
	}
	if dropped := y.Stats().DroppedFull; dropped != 290 {
		t.Errorf("%d messages dropped, want 290", dropped)
	}
}

func TestForwarderSteerable(t *testing.T) {
	r := newRing(t)
	front, back := r.open("XSUB", "@inproc://front"), r.open("XPUB", "@inproc://back")
	control := r.open("REP", "@inproc://control")
	done := make(chan error, 1)
	go func() { done <- (&zmq.Proxy{Front: front, Back: back, Control: control.(zmq.Receiver)}).Run(r.ctx) }()
	pub, steer := r.open("XPUB", "inproc://front"), r.open("REQ", "inproc://control")
	command := func(name string) zmq.Msg {
		t.Helper()
		m, err := steer.(*zmq.Req).Request(r.ctx, zmq.NewMsg(name))
		if err != nil {
			t.Fatal(name, err)
		}
		return m
	}
	sub := r.subscriber("t")
	r.want(pub, "\x01t")
	r.send(pub, "t1234", "678")
	r.send(pub, "t")
	r.want(sub, "t1234", "678")
	r.want(sub, "t")
	command("PAUSE")
	r.send(pub, "t later")
	wantStats(t, command("STATISTICS"), 2, 9, 1, 2, 1, 2, 2, 9)
	if _, err := sub.TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Errorf("a message went through while paused: %v", err)
	}
	command("RESUME")
	r.want(sub, "t later")
	command("TERMINATE")
	if err := <-done; err != nil {
		t.Errorf("terminated with %v", err)
	}
}

// A proxy whose subscriber takes nothing ends when its socket is closed.
func TestForwarderEndsWhileItWaits(t *testing.T) {
	r := newRing(t)
	x, y := r.forwarder(zmq.WithOption("sndhwm", "1"), noDrop)
	r.subscriber("", zmq.WithOption("rcvhwm", "1"))
	pub := r.open("PUB", "inproc://front")
	for range 5 {
		r.send(pub, "m")
	}
	done := make(chan error, 1)
	go func() { done <- (&zmq.Proxy{Front: x, Back: y}).Run(r.ctx) }()
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, zmq.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}
