// Package udp carries the messages of RADIO, DISH and DGRAM sockets in
// datagrams, as libzmq's drafts do. A message of two frames is one datagram.
// Nothing is acknowledged or repaired. NewRadio, NewDish and NewDgram return the
// engines of these sockets.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"lintel.dev/internal/zmq/address"
	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/flow"
)

// MaxDatagram bounds a datagram that is sent, as in libzmq.
const MaxDatagram = 8192

// Config says where datagrams come from or go to.
type Config struct {
	Interface *net.Interface // of a multicast group, nil: the system's choice
	Source    netip.Addr     // its address
	Addr      netip.AddrPort // to bind, or to send to
	Hops      int            // multicast time to live; 0: 1
	NoLoop    bool           // no multicast to this host
	Limits    engine.Limits  // of messages that arrive
	// Dropped, if not nil, counts what could not be sent or understood.
	Dropped *atomic.Uint64
}

// Parse reads what follows the scheme of an endpoint: host:port or, for
// multicast, interface;group:port. bind allows the host * and names of interfaces.
// Names are looked up; with v6 they, and the host *, mean IPv6 addresses too. The
// interface * is the system's choice.
func Parse(ctx context.Context, endpoint string, bind, v6 bool) (Config, error) {
	var c Config
	where, rest, found := strings.Cut(endpoint, ";")
	if !found {
		where, rest = "", endpoint
	}
	host, port, err := address.Split(rest)
	if err != nil {
		return c, fmt.Errorf("%q, expected host:port or interface;group:port", endpoint)
	}
	if port == "*" && bind {
		port = "0"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !bind {
		return c, fmt.Errorf("port %q, expected a number from 1 to 65535", port)
	}
	if host == "" || host == "*" && !bind {
		return c, fmt.Errorf("host %q, expected a name or an address", host)
	}
	if bind {
		f := address.IPv4
		if v6 {
			f = address.Any
		}
		if host, err = address.Local(host, f); err != nil {
			return c, err
		}
	}
	at, err := lookup(ctx, host, v6)
	if err != nil {
		return c, err
	}
	if found && !at.IsMulticast() {
		return c, fmt.Errorf("%s is no multicast group, expected one behind an interface", at)
	}
	if at.IsMulticast() && where == "" {
		where = at.Zone()
	}
	c.Addr = netip.AddrPortFrom(at, uint16(n))
	if where != "" && where != "*" {
		c.Interface, c.Source, err = address.Multicast(where, address.FamilyOf(at.WithZone("").String(), address.Any))
	}
	return c, err
}

// lookup returns an address of a host: of IPv4 if it has one, or v6 is false.
func lookup(ctx context.Context, host string, v6 bool) (netip.Addr, error) {
	if at, err := netip.ParseAddr(host); err == nil {
		return at.Unmap(), nil
	}
	network := "ip4"
	if v6 {
		network = "ip"
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, at := range all {
		if at.Unmap().Is4() {
			return at.Unmap(), nil
		}
	}
	return all[0], nil
}

// is4 reports whether the socket is one of IPv4.
func (c Config) is4() bool { return c.Addr.Addr().Is4() }

func (c Config) drop() {
	if c.Dropped != nil {
		c.Dropped.Add(1)
	}
}

// open returns the socket of c, bound to its address or to any free port.
func (c Config) open(bind bool) (*net.UDPConn, error) {
	at := ":0"
	if c.Source.IsValid() && c.is4() {
		at = net.JoinHostPort(c.Source.String(), "0")
	}
	lc := net.ListenConfig{}
	group := c.Addr.Addr().IsMulticast()
	if bind {
		at = c.Addr.String()
		if group {
			at = net.JoinHostPort("0.0.0.0", strconv.Itoa(int(c.Addr.Port())))
			if !c.is4() {
				at = net.JoinHostPort("::", strconv.Itoa(int(c.Addr.Port())))
			}
			lc.Control = epgm.ShareAddress
		}
	}
	network := "udp4"
	switch {
	case c.Addr.Addr() == netip.IPv6Unspecified():
		network = "udp" // IPv4 too
	case !c.is4():
		network = "udp6"
	}
	pc, err := lc.ListenPacket(context.Background(), network, at)
	if err != nil {
		return nil, err
	}
	if group {
		if err := c.joinGroup(pc, bind); err != nil {
			pc.Close()
			return nil, err
		}
	}
	return pc.(*net.UDPConn), nil
}

func (c Config) joinGroup(pc net.PacketConn, bind bool) error {
	if !c.is4() {
		return c.joinGroup6(pc, bind)
	}
	p := ipv4.NewPacketConn(pc)
	if bind {
		return p.JoinGroup(c.Interface, &net.UDPAddr{IP: c.Addr.Addr().AsSlice()})
	}
	if c.Interface != nil {
		if err := p.SetMulticastInterface(c.Interface); err != nil {
			return err
		}
	}
	if err := p.SetMulticastTTL(max(c.Hops, 1)); err != nil {
		return err
	}
	return p.SetMulticastLoopback(!c.NoLoop)
}

func (c Config) joinGroup6(pc net.PacketConn, bind bool) error {
	p := ipv6.NewPacketConn(pc)
	if bind {
		return p.JoinGroup(c.Interface, &net.UDPAddr{IP: c.Addr.Addr().AsSlice()})
	}
	if c.Interface != nil {
		if err := p.SetMulticastInterface(c.Interface); err != nil {
			return err
		}
	}
	if err := p.SetMulticastHopLimit(max(c.Hops, 1)); err != nil {
		return err
	}
	return p.SetMulticastLoopback(!c.NoLoop)
}

// engine is the engine of an open socket.
func (c Config) engine(u *net.UDPConn, cfg engine.ConnectionlessConfig) engine.Conn {
	cfg.Local, cfg.Remote = u.LocalAddr(), net.UDPAddrFromAddrPort(c.Addr)
	cfg.Limits = c.Limits
	cfg.Release = func() { u.Close() }
	return engine.NewConnectionless(cfg)
}

// NewRadio returns the engine of a RADIO that sends to the address of c. Each
// message, a group and a body, is one datagram.
func NewRadio(c Config) (engine.Conn, error) {
	u, err := c.open(false)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, MaxDatagram)
	return c.engine(u, engine.ConnectionlessConfig{
		Write: c.send(u, func(group, body []byte) ([]byte, netip.AddrPort, bool) {
			if len(group) > 255 || 1+len(group)+len(body) > MaxDatagram {
				return nil, c.Addr, false
			}
			b = append(append(append(b[:0], byte(len(group))), group...), body...)
			return b, c.Addr, true
		}),
	}), nil
}

// send returns a function that sends each message of a batch as the datagram
// that join makes of its two frames. Messages of other lengths are dropped.
func (c Config) send(u *net.UDPConn, join func(first, second []byte) (b []byte, to netip.AddrPort, ok bool)) func(flow.Batch, <-chan struct{}) error {
	return func(batch flow.Batch, _ <-chan struct{}) error {
		for cur := flow.NewCursor(batch); !cur.Done(); {
			flags, first := cur.Next()
			if flags&flow.Command != 0 {
				continue
			}
			var second []byte
			two := flags&flow.More != 0
			if two {
				flags, second = cur.Next()
				two = flags&flow.More == 0
				cur.SkipMessage(flags)
			}
			b, to, ok := join(first, second)
			if ok && two {
				_, err := u.WriteToUDPAddrPort(b, to)
				if errors.Is(err, net.ErrClosed) {
					return err
				}
				ok = err == nil
			}
			if !ok || !two {
				c.drop()
			}
		}
		return nil
	}
}

// receive returns a function that hands over every datagram that split
// understands.
func (c Config) receive(u *net.UDPConn, split func(b []byte, from netip.AddrPort) (first, second []byte, ok bool)) func(*engine.Input) error {
	return func(in *engine.Input) error {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			if err != nil {
				continue // an ICMP error for an earlier datagram
			}
			first, second, ok := split(buf[:n], from)
			if !ok || in.Message(first, second) != nil {
				c.drop()
				continue
			}
			if err := in.Deliver(); err != nil {
				return err
			}
		}
	}
}

// NewDish returns the engine of a DISH bound to the address of c.
func NewDish(c Config) (engine.Conn, error) {
	u, err := c.open(true)
	if err != nil {
		return nil, err
	}
	return c.engine(u, engine.ConnectionlessConfig{Read: c.receive(u, splitGroup)}), nil
}

// splitGroup splits a datagram of a RADIO: the length of the group in one octet,
// the group and the body.
func splitGroup(b []byte, _ netip.AddrPort) (group, body []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+int(b[0])], b[1+int(b[0]):], true
}

// NewDgram returns the engine of a DGRAM. Its messages are the address of the
// other side as text, host:port, and the body of the datagram. With bind the
// address of c is its own.
func NewDgram(c Config, bind bool) (engine.Conn, error) {
	u, err := c.open(bind)
	if err != nil {
		return nil, err
	}
	return c.engine(u, engine.ConnectionlessConfig{
		Write: c.send(u, func(to, body []byte) ([]byte, netip.AddrPort, bool) {
			at, err := netip.ParseAddrPort(string(to))
			return body, at, err == nil && len(body) <= MaxDatagram
		}),
		Read: c.receive(u, func(b []byte, from netip.AddrPort) (addr, body []byte, ok bool) {
			return []byte(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()), b, true
		}),
	}), nil
}
