package bridge_test

import (
	"context"
	"fmt"
	"testing"

	"lintel.dev/bridge"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/memory"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

// openLog serves the log of an engine until stop is called.
func openLog(t *testing.T, ctx context.Context, e engine.Engine) (l *bridge.Log, stop func()) {
	t.Helper()
	one := []string{anyPort}
	l, err := bridge.NewLog(ctx, e, "prices", bridge.LogConfig{
		ReqProducers: one, DealerProducers: one, PushProducers: one, PubProducers: one, Live: one, Control: one, Ring: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return l, stop
}

// follow reads messages of a log's feed up to number last and returns the position
// of the last.
func follow(t *testing.T, ctx context.Context, l *bridge.Log, from feed.Start, next, last uint64) feed.Position {
	t.Helper()
	r, err := feed.Open(nil, feed.Source{Live: l.Endpoints()["live"][0], Control: l.Endpoints()["control"][0], From: from})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.Messages(ctx) {
		switch {
		case err != nil:
			t.Fatalf("%v, next is %d", err, next)
		case e.Kind == feed.Gap || e.Kind == feed.Restart:
			t.Fatalf("%v at %v, next is %d", e.Kind, e.Position, next)
		case e.Kind != feed.Message:
			continue
		case e.Position.Seq != next || string(e.Payload) != fmt.Sprint(next) || string(e.Topic) != "topic":
			t.Fatalf("message %d %q %q, want %d", e.Position.Seq, e.Topic, e.Payload, next)
		}
		if next++; next > last {
			return e.Position
		}
	}
	return feed.Position{}
}

// TestLog restarts the bridge of a log whose feed has a small ring: a reader goes on
// where it was, and an old message is read from the engine.
func TestLog(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	e := memory.New(memory.Options{})
	t.Cleanup(func() { _ = e.Close() })
	l, stop := openLog(t, ctx, e)
	connect := func(s zmq.Socket, err error, what string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if _, err := s.Connect(l.Endpoints()[what][0]); err != nil {
			t.Fatal(err)
		}
	}
	req, err := zmq.NewReq()
	connect(req, err, "in REQ")
	ask := func(want string, frames ...string) {
		t.Helper()
		reply, err := req.Request(ctx, zmq.NewMsg(frames...))
		if err != nil || reply.String() != want {
			t.Fatalf("got %v, %v, want %s", reply, err, want)
		}
	}
	for n := range 100 {
		ask(fmt.Sprintf("OK|%d", n+1), "topic", fmt.Sprint(n+1))
	}
	at := follow(t, ctx, l, feed.Oldest, 1, 60)

	stop()
	l, _ = openLog(t, ctx, e)
	follow(t, ctx, l, feed.After(at), 61, 100)
	follow(t, ctx, l, feed.Oldest, 1, 100)

	push, err := zmq.NewPush()
	connect(push, err, "in PUSH")
	if err := push.Send(ctx, zmq.NewMsg("topic", "101")); err != nil {
		t.Fatal(err)
	}
	at = follow(t, ctx, l, feed.After(at), 61, 101)
	pub, err := zmq.NewXPub() // it waits for the subscription of the bridge
	connect(pub, err, "in PUB")
	if _, err := pub.Recv(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pub.Send(ctx, zmq.NewMsg("topic", "102")); err != nil {
		t.Fatal(err)
	}
	follow(t, ctx, l, feed.After(at), 102, 102)
}

// TestLogRefuses sends messages that a feed cannot publish.
func TestLogRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	e := memory.New(memory.Options{MaxMessage: 100})
	t.Cleanup(func() { _ = e.Close() })
	l, _ := openLog(t, ctx, e)
	s, err := zmq.NewDealer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Connect(l.Endpoints()["in DEALER"][0]); err != nil {
		t.Fatal(err)
	}
	for _, m := range []zmq.Msg{
		zmq.NewMsg("", "PUT", "1", "topic"),
		zmq.NewMsg("", "PUT", "2", "topic", "a", "b"),
		zmq.NewMsg("", "PUT", "3", "topic", string(make([]byte, 200))),
	} {
		if err := s.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
		reply, err := s.Recv(ctx)
		if err != nil || string(reply[1]) != "NO" || string(reply[2]) != string(m[2]) {
			t.Errorf("%v: got %v, %v", m, reply, err)
		}
	}
	if s, err := l.Status(ctx); err != nil || s.Refused != 3 || s.Last != 0 || s.Producers != 1 {
		t.Errorf("status %+v, %v", s, err)
	}
}
