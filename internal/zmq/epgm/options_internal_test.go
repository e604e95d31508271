package epgm

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"lintel.dev/internal/zmq/pgm"
)

// tap sees what leaves by a socket.
type tap struct {
	net.PacketConn
	mu      *sync.Mutex
	largest *int
}

func (s tap) WriteTo(b []byte, a net.Addr) (int, error) {
	s.mu.Lock()
	*s.largest = max(*s.largest, len(b))
	s.mu.Unlock()
	return s.PacketConn.WriteTo(b, a)
}

// MAXTPDU bounds the datagram with all its headers, and messages larger than
// that still arrive.
func TestMaxTPDU(t *testing.T) {
	for _, size := range []int{128, 1500, 9000} {
		cfg := loopback(t)
		cfg.MaxTPDU = size
		recv, err := NewReceiver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		sub := attach(t, recv)
		var mu sync.Mutex
		largest := 0
		cfg.Wrap = func(pc packetConn) packetConn { return tap{pc, &mu, &largest} }
		src, err := NewSource(cfg)
		if err != nil {
			t.Fatal(err)
		}
		pub := attach(t, src)
		body := strings.Repeat("x", 20_000)
		if err := pub.Send("topic", body); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.Recv(); err != nil || len(m) != 2 || m[1] != body {
			t.Fatalf("%.20q %v", m, err)
		}
		mu.Lock()
		if largest+20+8 != size {
			t.Errorf("datagrams of %d bytes with IP and UDP, want %d", largest+20+8, size)
		}
		mu.Unlock()
	}
}

// MULTICAST_HOPS and MULTICAST_LOOP are set on the socket.
func TestHopsAndLoop(t *testing.T) {
	for _, c := range []struct {
		hops   int
		noLoop bool
	}{{0, false}, {1, true}, {200, false}} {
		cfg := loopback(t)
		cfg.Hops, cfg.NoLoop = c.hops, c.noLoop
		cfg, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		pc, err := openSend(cfg)
		if err != nil {
			t.Fatal(err)
		}
		p := ipv4.NewPacketConn(pc)
		if ttl, err := p.MulticastTTL(); err != nil || ttl != max(c.hops, 1) {
			t.Errorf("%+v: time to live %d, %v", c, ttl, err)
		}
		if loop, err := p.MulticastLoopback(); err != nil || loop == c.noLoop {
			t.Errorf("%+v: loop %v, %v", c, loop, err)
		}
		pc.Close()
	}
}

// RATE times RECOVERY_IVL is what the windows hold, within bounds.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		rate     int
		recovery time.Duration
		tpdu     int
		want     int
	}{
		{100, 10 * time.Second, 1500, 83},
		{100_000, 10 * time.Second, 1500, 83_333},
		{1, time.Millisecond, 1500, 16},
		{10_000_000, time.Hour, 1500, maxWindow},
	} {
		if got := (Config{Rate: c.rate, Recovery: c.recovery, MaxTPDU: c.tpdu}).window(); got != c.want {
			t.Errorf("%+v: a window of %d packets", c, got)
		}
	}
}

// A source counts datagrams that are not packets of its group.
func TestSourceCountsMalformed(t *testing.T) {
	cfg := loopback(t)
	var dropped atomic.Uint64
	cfg.Dropped = &dropped
	heard := make(chan struct{}, 10)
	cfg.Wrap = func(pc packetConn) packetConn { return listening{pc, heard} }
	src, err := NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	attach(t, src)
	c, err := net.Dial("udp4", net.JoinHostPort("127.0.0.1", strings.Split(cfg.Group.String(), ":")[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other := pgm.Append(nil, &pgm.Packet{Type: pgm.NAK, TSI: pgm.TSI{Port: 9}, DestPort: cfg.Group.Port(), Source: cfg.Source, Group: cfg.Group.Addr()})
	for _, b := range [][]byte{[]byte("junk"), other, make([]byte, 2000)} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 + 1 { // the fourth read begins when the third datagram is handled
		<-heard
	}
	if n := dropped.Load(); n != 3 {
		t.Errorf("%d datagrams counted, want 3", n)
	}
}

// listening reports each read that begins.
type listening struct {
	packetConn
	heard chan struct{}
}

func (l listening) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case l.heard <- struct{}{}:
	default:
	}
	return l.packetConn.ReadFrom(b)
}
