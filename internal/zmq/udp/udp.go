// Package udp carries the messages of RADIO, DISH and DGRAM sockets in
// datagrams, as libzmq's drafts do. Nothing is acknowledged or repaired. The
// socket of a Config looks like a net.Conn on which one ZMTP peer speaks.
package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/ipv4"

	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/standin"
	"lintel.dev/internal/zmq/zmtp"
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
	// Dropped, if not nil, counts what could not be sent or understood.
	Dropped *atomic.Uint64
}

// Parse reads what follows the scheme of an endpoint: host:port or, for
// multicast, interface;group:port. bind allows the host *. Names are looked
// up.
func Parse(ctx context.Context, address string, bind bool) (Config, error) {
	var c Config
	where, rest, found := strings.Cut(address, ";")
	if !found {
		where, rest = "", address
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return c, fmt.Errorf("%q, expected host:port or interface;group:port", address)
	}
	if port == "*" && bind {
		port = "0"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !bind {
		return c, fmt.Errorf("port %q, expected a number from 1 to 65535", port)
	}
	var at netip.Addr
	switch {
	case host == "*" && bind:
		at = netip.IPv4Unspecified()
	case host == "*" || host == "":
		return c, fmt.Errorf("host %q, expected a name or an address", host)
	default:
		all, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		if err != nil {
			return c, err
		}
		at = all[0].Unmap()
	}
	c.Addr = netip.AddrPortFrom(at, uint16(n))
	if found && !at.IsMulticast() {
		return c, fmt.Errorf("%s is no multicast group, expected one behind an interface", at)
	}
	if where != "" {
		c.Interface, c.Source, err = epgm.FindInterface(where)
	}
	return c, err
}

func (c Config) drop() {
	if c.Dropped != nil {
		c.Dropped.Add(1)
	}
}

// open is the socket of c: bound to its address, or to any free port.
func (c Config) open(bind bool) (*net.UDPConn, error) {
	at := ":0"
	if c.Source.IsValid() {
		at = net.JoinHostPort(c.Source.String(), "0")
	}
	lc := net.ListenConfig{}
	group := c.Addr.Addr().IsMulticast()
	if bind {
		at = c.Addr.String()
		if group {
			at = net.JoinHostPort("0.0.0.0", strconv.Itoa(int(c.Addr.Port())))
			lc.Control = epgm.ShareAddress
		}
	}
	pc, err := lc.ListenPacket(context.Background(), "udp4", at)
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

// start runs the workers of a socket.
func (c Config) start(u *net.UDPConn, workers ...func(p *standin.Peer, done <-chan struct{})) net.Conn {
	return standin.Start(standin.Config{
		Local: u.LocalAddr(), Remote: net.UDPAddrFromAddrPort(c.Addr), Release: func() { u.Close() }, Buffer: 64 << 10,
	}, workers...)
}

// NewRadio is the connection of a RADIO to the address of c: each message, a
// group and a body, is one datagram.
func NewRadio(c Config) (net.Conn, error) {
	u, err := c.open(false)
	if err != nil {
		return nil, err
	}
	return c.start(u, func(p *standin.Peer, _ <-chan struct{}) {
		if p.Handshake(zmtp.DISH, nil) != nil {
			return
		}
		b := make([]byte, 0, MaxDatagram)
		for {
			group, body, err := pair(p)
			if err != nil {
				return
			}
			if len(group) > 255 || 1+len(group)+len(body) > MaxDatagram {
				c.drop()
				continue
			}
			b = append(append(append(b[:0], byte(len(group))), group...), body...)
			if _, err := u.WriteToUDPAddrPort(b, c.Addr); errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				c.drop()
			}
		}
	}), nil
}

// pair reads a message of two frames; others are no message of these sockets,
// and what they have too much is left out.
func pair(p *standin.Peer) (first, second []byte, err error) {
	flags, first, err := p.Frame()
	if flags&zmtp.FlagMore != 0 {
		first = bytes.Clone(first)
	}
	for i := 0; err == nil && flags&zmtp.FlagMore != 0; i++ {
		var b []byte
		flags, b, err = p.Frame()
		if i == 0 {
			if second = b; flags&zmtp.FlagMore != 0 {
				second = bytes.Clone(b)
			}
		}
	}
	return first, second, err
}

// message is the engine's form of two frames.
func message(b []byte, first, second []byte) []byte {
	b = zmtp.Framing2.Append(b[:0], zmtp.FlagMore, first)
	return zmtp.Framing2.Append(b, 0, second)
}

// receive hands every datagram that split understands to the engine.
func (c Config) receive(p *standin.Peer, u *net.UDPConn, split func(b []byte, from netip.AddrPort) (first, second []byte, ok bool)) {
	in := make([]byte, 64<<10)
	var out []byte
	for {
		n, from, err := u.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an earlier datagram was refused somewhere
		}
		first, second, ok := split(in[:n], from)
		if !ok {
			c.drop()
			continue
		}
		out = message(out, first, second)
		if p.Write(out) != nil {
			return
		}
	}
}

// NewDish is the connection of a DISH bound to the address of c.
func NewDish(c Config) (net.Conn, error) {
	u, err := c.open(true)
	if err != nil {
		return nil, err
	}
	return c.start(u, func(p *standin.Peer, _ <-chan struct{}) {
		if p.Handshake(zmtp.RADIO, nil) != nil {
			return
		}
		p.Discard(func() { u.Close() })
		c.receive(p, u, splitGroup)
	}), nil
}

// splitGroup takes a datagram of a RADIO apart: the length of the group, the
// group and the body.
func splitGroup(b []byte, _ netip.AddrPort) (group, body []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+int(b[0])], b[1+int(b[0]):], true
}

// NewDgram is the connection of a DGRAM: its messages are the address of the
// other side as text, host:port, and the body of the datagram. With bind the
// address of c is its own.
func NewDgram(c Config, bind bool) (net.Conn, error) {
	u, err := c.open(bind)
	if err != nil {
		return nil, err
	}
	shake := make(chan struct{})
	send := func(p *standin.Peer, _ <-chan struct{}) {
		if p.Handshake(zmtp.DGRAM, nil) != nil {
			return
		}
		close(shake)
		for {
			to, body, err := pair(p)
			if err != nil {
				return
			}
			at, err := netip.ParseAddrPort(string(to))
			if err != nil || len(body) > MaxDatagram {
				c.drop()
				continue
			}
			if _, err := u.WriteToUDPAddrPort(body, at); errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				c.drop()
			}
		}
	}
	receive := func(p *standin.Peer, done <-chan struct{}) {
		select {
		case <-shake:
		case <-done:
			return
		}
		c.receive(p, u, func(b []byte, from netip.AddrPort) (addr, body []byte, ok bool) {
			return []byte(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()), b, true
		})
	}
	return c.start(u, send, receive), nil
}
