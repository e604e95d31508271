package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/internal/epgm"
	"lintel.dev/internal/zmtp"
	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// rate, in kbit a second, leaves a busy machine time to empty the kernel's buffer of
// a libzmq receiver, which is small and loses what comes faster.
const rate = 20_000

// multicastGroup is an endpoint on the loopback interface of its own.
func multicastGroup(t *testing.T) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return fmt.Sprintf("epgm://127.0.0.1;239.192.9.%d:%d", rand.IntN(250)+1, pc.LocalAddr().(*net.UDPAddr).Port)
}

// until calls again every few milliseconds, first at once, until done is
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

func TestMulticastToLibzmq(t *testing.T) {
	at := multicastGroup(t)
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
	// OpenPGM asks for no repair of a source whose address it has not been
	// told, and the packet that tells it may be lost: one of twenty arrives.
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

func TestMulticastFromLibzmq(t *testing.T) {
	at := multicastGroup(t)
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

// lossyConn loses one datagram in twenty, in and out.
type lossyConn struct {
	net.PacketConn
	mu  *sync.Mutex
	rng *rand.Rand
}

func (l lossyConn) lose() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(20) == 0
}

func (l lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := l.PacketConn.ReadFrom(b)
		if err != nil || !l.lose() {
			return n, a, err
		}
	}
}

func (l lossyConn) WriteTo(b []byte, a net.Addr) (int, error) {
	if l.lose() {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, a)
}

// lossyGroup opens one end of our transport over a lossy network, and does
// what the sockets' engine does first.
func lossyGroup(t *testing.T, at string, open func(epgm.Config) (net.Conn, error), typ zmtp.SocketType) (net.Conn, *bufio.Reader) {
	t.Helper()
	cfg, err := epgm.Parse(strings.TrimPrefix(at, "epgm://"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Rate, cfg.MaxMessage = rate, -1
	cfg.Lost = func(n int) { t.Errorf("%d packets were lost for good", n) }
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(3, 4))
	cfg.Wrap = func(pc net.PacketConn) net.PacketConn { return lossyConn{pc, &mu, rng} }
	c, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	said := make(chan error, 1)
	go func() {
		ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(typ.String())}})
		_, err := c.Write(zmtp.Framing2.Append(make([]byte, zmtp.GreetingSize), zmtp.FlagCommand, ready))
		said <- err
	}()
	r := bufio.NewReader(c)
	if _, err := r.Discard(zmtp.GreetingSize); err != nil {
		t.Fatal(err)
	}
	readFrame(t, r) // READY
	if typ == zmtp.PUB {
		readFrame(t, r) // the subscription to everything
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	return c, r
}

func readFrame(t *testing.T, r *bufio.Reader) (more bool, body string) {
	head, err := r.Peek(2)
	if err == nil && head[0]&zmtp.FlagLong != 0 {
		head, err = r.Peek(9)
	}
	if err != nil {
		t.Error(err)
		return false, ""
	}
	h, n, err := zmtp.Framing2.ParseHeader(head, -1)
	if err != nil {
		t.Error(err)
		return false, ""
	}
	r.Discard(n)
	b := make([]byte, h.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Error(err)
	}
	return h.More(), string(b)
}

// What our source loses on the way, libzmq's receiver asks for again.
func TestMulticastLossyToLibzmq(t *testing.T) {
	at := multicastGroup(t)
	c, _ := lossyGroup(t, at, epgm.NewSource, zmtp.PUB)
	publishTo(t, at, func(frames ...string) {
		var b []byte
		for i, f := range frames {
			var flags byte
			if i < len(frames)-1 {
				flags = zmtp.FlagMore
			}
			b = zmtp.Framing2.Append(b, flags, []byte(f))
		}
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
	})
}

// What is lost on the way to our receiver, libzmq's source repairs.
func TestMulticastLossyFromLibzmq(t *testing.T) {
	at := multicastGroup(t)
	_, r := lossyGroup(t, at, epgm.NewReceiver, zmtp.SUB)
	subscribeFrom(t, at, func() []string {
		var msg []string
		for {
			more, b := readFrame(t, r)
			msg = append(msg, b)
			if !more || t.Failed() {
				return msg
			}
		}
	})
}
