package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"lintel.dev/zmq"
)

// group is an endpoint on the loopback interface that no other test uses.
func group(t *testing.T) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return fmt.Sprintf("epgm://127.0.0.1;239.192.8.%d:%d", rand.IntN(250)+1, pc.LocalAddr().(*net.UDPAddr).Port)
}

func TestMulticast(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	at := group(t)
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
			if e.Type == zmq.EventHandshakeSucceeded {
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
