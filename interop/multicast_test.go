package interop_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/epgm/epgmtest"
	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// rate, in kbit a second, is low enough for a busy machine to empty the small
// kernel buffer of a libzmq receiver.
const rate = 20_000

// overPGM runs a test over both multicast transports: PGM over UDP, and over
// IP.
func overPGM(t *testing.T, f func(t *testing.T, at string)) {
	t.Run("epgm", func(t *testing.T) { f(t, "epgm://"+epgmtest.Group(t)) })
	t.Run("pgm", func(t *testing.T) {
		epgmtest.NeedRaw(t)
		f(t, "pgm://"+epgmtest.Group(t))
	})
}

// until calls a function every few milliseconds, first at once, until done is
// closed.
func until(t *testing.T, done <-chan struct{}, again func()) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timer := time.NewTimer(peers.Patience)
	defer timer.Stop()
	for {
		again()
		select {
		case <-done:
			return
		case <-tick.C:
		case <-timer.C:
			t.Fatal("nothing arrives")
		}
	}
}

const published = 500

// bodies are the messages of a test: short ones, and ones of several
// datagrams.
func body(i int) string { return fmt.Sprint(i, " ", strings.Repeat("x", i*13%4000)) }

func TestMulticastToLibzmq(t *testing.T) { overPGM(t, multicastToLibzmq) }

func multicastToLibzmq(t *testing.T, at string) {
	pub, err := zmq.NewPub(zmq.WithOption("rate", fmt.Sprint(rate)))
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	if _, err := pub.Connect(at); err != nil {
		t.Fatal(err)
	}
	publishTo(t, at, func(frames ...string) {
		if err := pub.Send(t.Context(), byteFrames(frames)); err != nil {
			t.Error(err)
		}
	})
}

// publishTo checks that a libzmq subscriber gets what send publishes.
func publishTo(t *testing.T, at string, send func(frames ...string)) {
	sub := newPyzmq(t).socket("SUB", "subscribe", "", "rate", rate)
	sub.connect(at)
	joined := make(chan struct{})
	// OpenPGM does not request repairs before it knows the source's address.
	// The packet that has the address may be lost; one of twenty arrives.
	sub.tell("recv_many", zmqRequest{"id": sub.id, "count": 20})
	go func() {
		defer close(joined)
		sub.answer()
	}()
	until(t, joined, func() { send("sync") })
	sub.tell("recv_past", zmqRequest{"id": sub.id, "prefix": []byte("sync")})
	h := newDigest()
	for i := range published {
		frames := []string{"topic", body(i)}
		send(frames...)
		if i > 0 {
			h.message(byteFrames(frames))
		}
	}
	if first := sub.answer().strings(); !slices.Equal(first, []string{"topic", body(0)}) {
		t.Fatalf("first %.40q", first)
	}
	if got := sub.do("recv_many", zmqRequest{"count": published - 1}).Digest; got != h.String() {
		t.Error("what came is not what was published")
	}
}

func TestMulticastFromLibzmq(t *testing.T) { overPGM(t, multicastFromLibzmq) }

func multicastFromLibzmq(t *testing.T, at string) {
	sub, err := zmq.NewSub(zmq.WithOption("rate", fmt.Sprint(rate)))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Subscribe(""); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Connect(at); err != nil {
		t.Fatal(err)
	}
	subscribeFrom(t, at, func() []string {
		ctx, stop := context.WithTimeout(t.Context(), peers.Patience)
		defer stop()
		msg, err := sub.Recv(ctx)
		if err != nil {
			t.Error(err)
		}
		return stringFrames(msg)
	})
}

// subscribeFrom checks that recv gets what a libzmq publisher sends.
func subscribeFrom(t *testing.T, at string, recv func() []string) {
	pub := newPyzmq(t).socket("PUB", "rate", rate, "sndhwm", 0)
	pub.connect(at)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		recv()
	}()
	until(t, joined, func() { pub.send("sync") })
	pub.do("send_many", zmqRequest{"count": published, "frames": byteFrames([]string{"topic", strings.Repeat("y", 2000)})})
	for i := range published {
		msg := recv()
		for len(msg) == 1 && msg[0] == "sync" {
			msg = recv()
		}
		if len(msg) != 2 || msg[0] != "topic" || msg[1] != strings.Repeat("y", 2000)+fmt.Sprint(i) {
			t.Fatalf("%.40q where message %d was due", msg, i)
		}
	}
}

// overLossyNetwork returns one end of Lintel's transport over a network that
// loses one datagram in twenty.
func overLossyNetwork(t *testing.T, at string, open func(epgm.Config) (engine.Conn, error)) *enginetest.Session {
	t.Helper()
	scheme, address, _ := strings.Cut(at, "://")
	cfg, err := epgm.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Raw = scheme == "pgm"
	cfg.Rate, cfg.Limits = rate, enginetest.Unlimited
	cfg.Lost = func(n int) { t.Errorf("%d packets were lost for good", n) }
	cfg.Wrap = epgmtest.Lossy(3)
	c, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := enginetest.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// libzmq's receiver requests repairs of packets that Lintel's source loses.
func TestMulticastLossyToLibzmq(t *testing.T) {
	overPGM(t, func(t *testing.T, at string) {
		pub := overLossyNetwork(t, at, epgm.NewSource)
		publishTo(t, at, func(frames ...string) {
			if err := pub.Send(frames...); err != nil {
				t.Error(err)
			}
		})
	})
}

// libzmq's source repairs packets that Lintel's receiver loses.
func TestMulticastLossyFromLibzmq(t *testing.T) {
	overPGM(t, func(t *testing.T, at string) {
		sub := overLossyNetwork(t, at, epgm.NewReceiver)
		subscribeFrom(t, at, func() []string {
			msg, err := sub.Recv()
			if err != nil {
				t.Error(err)
			}
			return msg
		})
	})
}
