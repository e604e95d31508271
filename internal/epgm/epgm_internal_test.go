package epgm

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/internal/zmtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is a group on the loopback interface with a port of its own.
func loopback(t *testing.T) Config {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := Parse(fmt.Sprintf("127.0.0.1;239.192.7.%d:%d", rand.IntN(250)+1, pc.LocalAddr().(*net.UDPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	c.Rate = 100_000
	c.MaxMessage = -1
	return c
}

// engine does what a socket's engine does first.
func engine(t *testing.T, c net.Conn, typ zmtp.SocketType) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said := make(chan error)
	go func() {
		_, err := c.Write(zmtp.Framing2.Append(make([]byte, zmtp.GreetingSize), zmtp.FlagCommand,
			zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(typ.String())}})))
		said <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, zmtp.GreetingSize)); err != nil {
		t.Fatal(err)
	}
	if f, body := read(t, c); f&zmtp.FlagCommand == 0 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		t.Fatalf("%q for READY", body)
	}
	if typ == zmtp.PUB {
		if _, body := read(t, c); string(body) != "\x01" {
			t.Fatalf("%q for a subscription to everything", body)
		}
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c net.Conn) (flags byte, body []byte) {
	t.Helper()
	var head [zmtp.MaxHeader]byte
	n := 2
	fill := func(b []byte) {
		t.Helper()
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	}
	fill(head[:n])
	if head[0]&zmtp.FlagLong != 0 {
		n = 9
		fill(head[2:n])
	}
	h, _, err := zmtp.Framing2.ParseHeader(head[:n], -1)
	if err != nil {
		t.Fatal(err)
	}
	body = make([]byte, h.Size)
	fill(body)
	return h.Flags, body
}

func send(t *testing.T, c net.Conn, frames ...string) {
	t.Helper()
	var b []byte
	for i, f := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = zmtp.FlagMore
		}
		b = zmtp.Framing2.Append(b, flags, []byte(f))
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn) []string {
	t.Helper()
	var msg []string
	for {
		f, body := read(t, c)
		msg = append(msg, string(body))
		if f&zmtp.FlagMore == 0 {
			return msg
		}
	}
}

// lossy loses one packet in twenty of those that come in and of those that
// leave.
type lossy struct {
	packetConn
	mu  *sync.Mutex
	rng *rand.Rand
}

func (l lossy) lose() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(20) == 0
}

func (l lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := l.packetConn.ReadFrom(b)
		if err != nil || !l.lose() {
			return n, a, err
		}
	}
}

func (l lossy) WriteTo(b []byte, a net.Addr) (int, error) {
	if l.lose() {
		return len(b), nil
	}
	return l.packetConn.WriteTo(b, a)
}

// Ten receivers that lose packets get every message once, in order.
func TestGroup(t *testing.T) {
	cfg := loopback(t)
	src, err := NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	lossyCfg := cfg
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	lossyCfg.Wrap = func(pc packetConn) packetConn { return lossy{pc, &mu, rng} }
	lossyCfg.Lost = func(n int) { t.Errorf("lost %d packets", n) }
	var receivers []net.Conn
	for range 10 {
		r, err := NewReceiver(lossyCfg)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		receivers = append(receivers, r)
		engine(t, r, zmtp.SUB)
	}
	engine(t, src, zmtp.PUB)

	const count = 300
	want := func(i int) []string {
		return []string{fmt.Sprintf("topic %d", i), strings.Repeat("x", i*7%3000), "end"}
	}
	var wg sync.WaitGroup
	for _, r := range receivers {
		wg.Go(func() {
			// The first packets may be lost before the receiver knows the
			// source; what comes first says where it joined.
			first := -1
			for {
				msg := receive(t, r)
				i := 0
				if _, err := fmt.Sscanf(msg[0], "topic %d", &i); err != nil {
					t.Error(err)
					return
				}
				if first < 0 {
					first = i
				}
				if fmt.Sprint(msg) != fmt.Sprint(want(i)) {
					t.Errorf("message %d came damaged", i)
					return
				}
				if i != first {
					t.Errorf("message %d where %d was due", i, first)
					return
				}
				if first++; first == count {
					return
				}
			}
		})
	}
	for i := range count {
		send(t, src, want(i)...)
	}
	wg.Wait()
}

func TestHeartbeatIsAnswered(t *testing.T) {
	src, err := NewSource(loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	engine(t, src, zmtp.PUB)
	ping := zmtp.AppendPing(nil, time.Second, []byte("context"))
	if _, err := src.Write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, ping)); err != nil {
		t.Fatal(err)
	}
	if _, body := read(t, src); !bytes.Equal(body, zmtp.AppendPong(nil, []byte("context"))) {
		t.Errorf("%q for PONG", body)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "expected interface;group:port"},
		{"127.0.0.1;239.1.1.1", "expected interface;group:port"},
		{"127.0.0.1;239.1.1.1:0", "port"},
		{"127.0.0.1;239.1.1.1:http", "port"},
		{"127.0.0.1;10.0.0.1:5555", "multicast"},
		{"127.0.0.1;group:5555", "multicast"},
		{"no-such-interface;239.1.1.1:5555", "no-such-interface"},
	} {
		if _, err := Parse(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want an error that says %q", c.in, err, c.says)
		}
	}
	c, err := Parse("127.0.0.1;239.1.2.3:5555")
	if err != nil || c.Group.String() != "239.1.2.3:5555" || c.Source.String() != "127.0.0.1" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for says, edit := range map[string]func(*Config){
		"rate":     func(c *Config) { c.Rate = -1 },
		"recovery": func(c *Config) { c.Recovery = -1 },
		"hops":     func(c *Config) { c.Hops = 256 },
		"datagram": func(c *Config) { c.MaxTPDU = 10 },
	} {
		c := loopback(t)
		edit(&c)
		for _, open := range []func(Config) (net.Conn, error){NewSource, NewReceiver} {
			if conn, err := open(c); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v %v", says, conn, err)
			}
		}
	}
}
