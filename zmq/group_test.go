package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"lintel.dev/internal/zmq/epgm/epgmtest"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// overPGM runs a test over both multicast transports.
func overPGM(t *testing.T, f func(t *testing.T, at string)) {
	t.Run("epgm", func(t *testing.T) { f(t, "epgm://"+epgmtest.Group(t)) })
	t.Run("pgm", func(t *testing.T) {
		epgmtest.NeedRaw(t)
		f(t, "pgm://"+epgmtest.Group(t))
	})
}

func TestMulticast(t *testing.T) { overPGM(t, testMulticast) }

func testMulticast(t *testing.T, at string) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	fast := zmq.WithOption("rate", "100000")
	pub, err := zmq.NewXPub(fast)
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	if _, err := pub.Bind(at); err != nil {
		t.Fatal(err)
	}
	var subs []*zmq.Sub
	for i := range 3 {
		sub, err := zmq.NewSub(fast)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		if err := sub.Subscribe(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		events := sub.Events(ctx)
		if _, err := sub.Connect(at); err != nil {
			t.Fatal(err)
		}
		for e := range events {
			if e.Type == event.HandshakeSucceeded {
				break
			}
		}
		subs = append(subs, sub)
	}
	// What stands for the group has subscribed to everything.
	if b, err := pub.RecvBytes(ctx); err != nil || string(b) != "\x01" {
		t.Fatalf("%q %v", b, err)
	}
	const rounds = 100
	go func() {
		for n := range rounds {
			for topic := range 4 {
				pub.Send(ctx, zmq.Msg{fmt.Append(nil, topic), fmt.Append(nil, n), make([]byte, 2000)})
			}
		}
	}()
	for i, sub := range subs {
		for n := range rounds {
			msg, err := sub.Recv(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(msg) != 3 || string(msg[0]) != fmt.Sprint(i) || string(msg[1]) != fmt.Sprint(n) || len(msg[2]) != 2000 {
				t.Fatalf("subscriber %d: %.20q where message %d was due", i, msg, n)
			}
		}
	}
}

func TestMulticastCarriesPubSubAlone(t *testing.T) {
	push, err := zmq.NewPush()
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect("epgm://127.0.0.1;239.192.1.1:5555"); !errors.Is(err, zmq.ErrNotSupported) {
		t.Errorf("PUSH over epgm: %v", err)
	}
	for _, bad := range []string{"epgm://127.0.0.1;10.1.1.1:5555", "epgm://nowhere9;239.1.1.1:5555", "pgm://239.1.1.1"} {
		if _, err := push.Connect(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
