// Package epgm carries messages over reliable multicast: PGM (RFC 3208) in UDP
// or on raw IP, framed as libzmq does. NewSource returns the engine of a
// publisher, NewReceiver that of a subscriber: one for a whole group.
package epgm

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/address"
	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/pgm"
)

// Config says which group and how. The zero value of a field that has a
// default takes it.
type Config struct {
	Raw       bool           // PGM on raw IP, which needs privileges; false: in UDP
	Interface *net.Interface // nil: the system's choice
	Source    netip.Addr     // address of the interface, where repairs are asked for
	Group     netip.AddrPort

	Rate     int           // kbit a second that a source sends at most; 100
	Recovery time.Duration // how far back a source can repair; 10 s
	Hops     int           // multicast time to live; 1
	NoLoop   bool          // do not deliver on this host
	MaxTPDU  int           // bytes of the largest datagram; 1500

	SendBuffer int // bytes of SO_SNDBUF; 0 or less: the system's choice
	RecvBuffer int // bytes of SO_RCVBUF; 0 or less: 8 MiB, or as much as the system allows

	Limits engine.Limits // of messages that arrive
	// Lost, if not nil, is called with the number of packets that cannot be repaired.
	Lost func(packets int)
	// Dropped, if not nil, counts datagrams that are not packets of the group.
	Dropped *atomic.Uint64

	Wrap func(net.PacketConn) net.PacketConn // if set, wraps each socket, so that tests can drop packets
}

// Bounds on the options, so that a wrong value does not take all memory.
const (
	minTPDU   = 64
	maxTPDU   = 65000
	maxWindow = 1 << 17
)

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

// maxMessage bounds the octets of a message while it is put together.
func (c Config) maxMessage() int64 {
	if c.Limits.MaxMessage < 0 {
		return math.MaxInt64
	}
	return c.Limits.MaxMessage
}

// overhead returns the octets of the IP, UDP and PGM headers in a datagram.
func (c Config) overhead() int {
	const ip, udp, pgmData = 20, 8, 24
	if c.Raw {
		return ip + pgmData
	}
	return ip + udp + pgmData
}

// window returns how many packets the rate allows in the recovery interval.
func (c Config) window() int {
	perSecond := float64(c.Rate) * 1000 / 8 / float64(c.MaxTPDU)
	return int(min(max(perSecond*c.Recovery.Seconds(), 16), maxWindow))
}

// maxBuffered returns how many octets a receiver buffers behind gaps: those that
// the rate allows in the recovery interval, within bounds.
func (c Config) maxBuffered() int {
	const least, most = 8 << 20, 64 << 20
	return int(min(max(float64(c.Rate)*1000/8*c.Recovery.Seconds(), least), most))
}

// Parse reads what follows the scheme of an endpoint: interface;group:port,
// where the interface is a name or an address and may be left out with its
// semicolon.
func Parse(endpoint string) (Config, error) {
	var c Config
	where, rest, found := strings.Cut(endpoint, ";")
	if !found {
		where, rest = "", endpoint
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return c, fmt.Errorf("%q, expected interface;group:port", endpoint)
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
	c.Interface, c.Source, err = address.Multicast(where, address.IPv4)
	return c, err
}

// count adds to Dropped what was refused since the total was before.
func (c Config) count(total, before uint64) {
	if c.Dropped != nil && total > before {
		c.Dropped.Add(total - before)
	}
}

// alarm calls tick at the times that it returns, and when kick receives.
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

// newTSI returns the identifier of a new source. It is random: it need not outlive
// the source.
func newTSI(random func([]byte)) pgm.TSI {
	var b [8]byte
	random(b[:])
	return pgm.TSI{GSI: pgm.GSI(b[:6]), Port: binary.BigEndian.Uint16(b[6:]) | 1}
}
