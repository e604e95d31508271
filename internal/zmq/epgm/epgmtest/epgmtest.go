// Package epgmtest is what the tests of multicast share: groups on the loopback
// interface, a network that loses datagrams, and the engine's side of the
// connection to a group.
package epgmtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"lintel.dev/internal/zmq/zmtp"
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

// End is the engine's side of a connection to a group. One goroutine may send
// while another receives.
type End struct {
	conn net.Conn
	in   *bufio.Reader
}

// Attach does what a socket's engine does first on c.
func Attach(c net.Conn, typ zmtp.SocketType) (*End, error) {
	e := &End{conn: c, in: bufio.NewReader(c)}
	said := make(chan error, 1)
	go func() {
		ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(typ.String())}})
		_, err := c.Write(zmtp.Framing2.Append(make([]byte, zmtp.GreetingSize), zmtp.FlagCommand, ready))
		said <- err
	}()
	if _, err := e.in.Discard(zmtp.GreetingSize); err != nil {
		return nil, err
	}
	flags, body, err := e.Frame()
	if err == nil && (flags&zmtp.FlagCommand == 0 || !bytes.HasPrefix(body, []byte("\x05READY"))) {
		err = fmt.Errorf("%q for READY", body)
	}
	if err == nil && typ == zmtp.PUB {
		if _, body, err = e.Frame(); err == nil && string(body) != "\x01" {
			err = fmt.Errorf("%q for a subscription to everything", body)
		}
	}
	if err != nil {
		return nil, err
	}
	return e, <-said
}

// Send sends a message.
func (e *End) Send(frames ...string) error {
	var b []byte
	for i, f := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = zmtp.FlagMore
		}
		b = zmtp.Framing2.Append(b, flags, []byte(f))
	}
	_, err := e.conn.Write(b)
	return err
}

// Recv receives a message.
func (e *End) Recv() ([]string, error) {
	var msg []string
	for {
		flags, body, err := e.Frame()
		if err != nil {
			return nil, err
		}
		msg = append(msg, string(body))
		if flags&zmtp.FlagMore == 0 {
			return msg, nil
		}
	}
}

// longHeader is the length of a frame's header with a size of eight octets.
const longHeader = 9

// Frame receives one frame.
func (e *End) Frame() (flags byte, body []byte, err error) {
	head, err := e.in.Peek(2)
	if err == nil && head[0]&zmtp.FlagLong != 0 {
		head, err = e.in.Peek(longHeader)
	}
	if err != nil {
		return 0, nil, err
	}
	h, n, err := zmtp.Framing2.ParseHeader(head, -1)
	if err != nil {
		return 0, nil, err
	}
	if _, err := e.in.Discard(n); err != nil {
		return 0, nil, err
	}
	body = make([]byte, h.Size)
	_, err = io.ReadFull(e.in, body)
	return h.Flags, body, err
}
