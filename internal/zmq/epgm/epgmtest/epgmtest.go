// Package epgmtest is what the tests of multicast share: groups on the loopback
// interface and a network that loses datagrams.
package epgmtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Group is what follows the scheme in an endpoint: a group on the loopback
// interface that no other test has.
func Group(t testing.TB) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return fmt.Sprintf("127.0.0.1;239.192.%d.%d:%d", rand.IntN(256), rand.IntN(254)+1, pc.LocalAddr().(*net.UDPAddr).Port)
}

// NeedRaw skips a test of pgm where raw sockets may not be opened.
func NeedRaw(t testing.TB) {
	t.Helper()
	pc, err := net.ListenPacket("ip4:113", "127.0.0.1")
	if err != nil {
		t.Skipf("pgm needs raw sockets, which only root or CAP_NET_RAW may open: %v", err)
	}
	pc.Close()
}

// Lossy makes sockets lose one datagram in twenty, at random, of those that
// come in and of those that leave.
func Lossy(seed uint64) func(net.PacketConn) net.PacketConn {
	l := &loss{rng: rand.New(rand.NewPCG(seed, 1))}
	return func(pc net.PacketConn) net.PacketConn { return lossyConn{pc, l} }
}

type loss struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (l *loss) next() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(20) == 0
}

type lossyConn struct {
	net.PacketConn
	loss *loss
}

func (c lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := c.PacketConn.ReadFrom(b)
		if err != nil || !c.loss.next() {
			return n, a, err
		}
	}
}

func (c lossyConn) WriteTo(b []byte, a net.Addr) (int, error) {
	if c.loss.next() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, a)
}
