// Package epgm carries messages over reliable multicast: PGM (RFC 3208) in UDP
// or on raw IP, framed as libzmq does. The group looks like a net.Conn on which
// one ZMTP 3.0 peer speaks: to a publisher, a subscriber of everything; to a
// subscriber, a publisher that sends what all sources of the group sent.
package epgm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/internal/pgm"
	"lintel.dev/internal/zmtp"
)

// Config says which group and how. The zero value of a field that has a
// default takes it.
type Config struct {
	Raw       bool           // pgm: on IP itself, for those who may; false: in UDP
	Interface *net.Interface // nil: the system's choice
	Source    netip.Addr     // address of the interface, where repairs are asked for
	Group     netip.AddrPort

	Rate     int           // kbit a second that a source sends at most; 100
	Recovery time.Duration // how far back a source can repair; 10 s
	Hops     int           // multicast time to live; 1
	NoLoop   bool          // do not deliver on this host
	MaxTPDU  int           // bytes of the largest datagram; 1500

	MaxMessage int64 // bytes of a message taken from the group, all frames; negative: unlimited
	// Lost, if not nil, is told of packets that will never come.
	Lost func(packets int)

	Wrap func(net.PacketConn) net.PacketConn // if set, gets each socket: tests lose packets here
}

// Bounds on the options, so that a slip does not ask for all memory.
const (
	minTPDU   = 64
	maxTPDU   = 65000
	maxWindow = 1 << 17
)

// unbounded is the largest message of a receiver that sets no bound.
const unbounded = int64(1) << 62

func (c Config) withDefaults() (Config, error) {
	if c.Rate == 0 {
		c.Rate = 100
	}
	if c.Recovery == 0 {
		c.Recovery = 10 * time.Second
	}
	if c.Hops == 0 {
		c.Hops = 1
	}
	if c.MaxTPDU == 0 {
		c.MaxTPDU = 1500
	}
	if c.Wrap == nil {
		c.Wrap = func(pc packetConn) packetConn { return pc }
	}
	if c.MaxMessage < 0 {
		c.MaxMessage = unbounded
	}
	switch {
	case c.Rate < 0:
		return c, fmt.Errorf("rate %d kbit/s, expected more than 0", c.Rate)
	case c.Recovery < 0:
		return c, fmt.Errorf("recovery interval %v, expected more than 0", c.Recovery)
	case c.Hops < 0 || c.Hops > 255:
		return c, fmt.Errorf("multicast hops %d, expected 1 to 255", c.Hops)
	case c.MaxTPDU < minTPDU || c.MaxTPDU > maxTPDU:
		return c, fmt.Errorf("largest datagram %d bytes, expected %d to %d", c.MaxTPDU, minTPDU, maxTPDU)
	}
	return c, nil
}

// overhead is what IP, UDP and PGM put before the unit in a datagram.
func (c Config) overhead() int {
	const ip, udp, pgmData = 20, 8, 24
	if c.Raw {
		return ip + pgmData
	}
	return ip + udp + pgmData
}

// window is how many packets the rate fills in the recovery interval.
func (c Config) window() int {
	perSecond := float64(c.Rate) * 1000 / 8 / float64(c.MaxTPDU)
	return int(min(max(perSecond*c.Recovery.Seconds(), 16), maxWindow))
}

// Parse reads what follows the scheme of an endpoint: interface;group:port,
// where the interface is a name or an address and may be left out with its
// semicolon.
func Parse(address string) (Config, error) {
	var c Config
	where, rest, found := strings.Cut(address, ";")
	if !found {
		where, rest = "", address
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return c, fmt.Errorf("%q, expected interface;group:port", address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return c, fmt.Errorf("port %q, expected a number from 1 to 65535", port)
	}
	group, err := netip.ParseAddr(host)
	if err != nil || !group.Is4() || !group.IsMulticast() {
		return c, fmt.Errorf("group %q, expected an IPv4 multicast address, 224.0.0.0 to 239.255.255.255", host)
	}
	c.Group = netip.AddrPortFrom(group, uint16(n))
	c.Interface, c.Source, err = findInterface(where)
	return c, err
}

// findInterface finds the interface of a name or of an address of its own,
// and an address of it.
func findInterface(where string) (*net.Interface, netip.Addr, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, netip.Addr{}, err
	}
	for i := range all {
		ifi := &all[i]
		if where == "" && (ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagMulticast == 0 || ifi.Flags&net.FlagLoopback != 0) {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !p.Addr().Is4() {
				continue
			}
			if where == "" || ifi.Name == where || p.Addr().String() == where {
				return ifi, p.Addr(), nil
			}
		}
	}
	if where == "" {
		return nil, netip.Addr{}, errors.New("no interface with multicast and an IPv4 address is up, name one: interface;group:port")
	}
	return nil, netip.Addr{}, fmt.Errorf("interface %q, expected the name or an IPv4 address of an interface of this host", where)
}

// conn is the engine's end of a pipe whose other end speaks ZMTP for the
// group.
type conn struct {
	net.Conn
	local, remote net.Addr
	over          func()
	workers       sync.WaitGroup
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Close returns when nothing of the connection runs any more. What was
// written has been sent, as fast as the rate allows; but nothing repairs it
// afterwards.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.workers.Wait()
	return err
}

// peer is the end of the pipe that speaks ZMTP for the group.
type peer struct {
	pipe net.Conn
	in   *bufio.Reader

	mu sync.Mutex // whole frames at a time towards the engine
}

func (p *peer) write(b ...[]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range b {
		if len(part) == 0 {
			continue
		}
		if _, err := p.pipe.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// handshake is that of the NULL mechanism, for the group knows no other.
func (p *peer) handshake(as zmtp.SocketType, then []byte) error {
	g := make([]byte, zmtp.GreetingSize)
	g[0], g[8], g[9], g[10] = 0xff, 1, 0x7f, 3
	copy(g[12:], "NULL")
	ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(as.String())}})
	g = zmtp.Framing2.Append(g, zmtp.FlagCommand, ready)
	sent := make(chan error, 1)
	go func() { sent <- p.write(append(g, then...)) }()
	_, err := p.in.Discard(zmtp.GreetingSize)
	if werr := <-sent; err == nil {
		err = werr
	}
	return err
}

// frame reads the next frame of the engine and answers its heartbeats.
func (p *peer) frame() (flags byte, body []byte, err error) {
	for {
		var head [zmtp.MaxHeader]byte
		if _, err := io.ReadFull(p.in, head[:2]); err != nil {
			return 0, nil, err
		}
		size := uint64(head[1])
		if head[0]&zmtp.FlagLong != 0 {
			if _, err := io.ReadFull(p.in, head[2:9]); err != nil {
				return 0, nil, err
			}
			size = binary.BigEndian.Uint64(head[1:])
		}
		// The size is our own engine's word, not a peer's.
		body = make([]byte, size)
		if _, err := io.ReadFull(p.in, body); err != nil {
			return 0, nil, err
		}
		if head[0]&zmtp.FlagCommand == 0 {
			return head[0], body, nil
		}
		kind, data, err := zmtp.ParseCommand(body)
		if err != nil {
			return 0, nil, err
		}
		if kind == zmtp.CommandPing {
			_, context, err := zmtp.ParsePing(data)
			if err != nil {
				return 0, nil, err
			}
			if err := p.write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, zmtp.AppendPong(nil, context))); err != nil {
				return 0, nil, err
			}
		}
	}
}

// start makes the pipe and runs the workers until one ends; release then
// frees what they use.
func start(local, remote net.Addr, release func(), workers ...func(p *peer, done <-chan struct{})) net.Conn {
	near, far := net.Pipe()
	c := &conn{Conn: near, local: local, remote: remote}
	done := make(chan struct{})
	c.over = sync.OnceFunc(func() {
		close(done)
		far.Close()
		release()
	})
	p := &peer{pipe: far, in: bufio.NewReaderSize(far, 64<<10)}
	for _, w := range workers {
		c.workers.Go(func() {
			defer c.over()
			w(p, done)
		})
	}
	return c
}

// alarm runs tick at the times that it names, and when kicked.
func alarm(tick func(now time.Time) time.Time, kick, done <-chan struct{}) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-kick:
		case <-t.C:
		}
		now := time.Now()
		if next := tick(now); next.IsZero() {
			t.Stop()
		} else {
			t.Reset(max(next.Sub(now), time.Millisecond))
		}
	}
}

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// newTSI makes an identifier that no other source has: random, for it need not
// outlive the source.
func newTSI(random func([]byte)) pgm.TSI {
	var b [8]byte
	random(b[:])
	return pgm.TSI{GSI: pgm.GSI(b[:6]), Port: binary.BigEndian.Uint16(b[6:]) | 1}
}
