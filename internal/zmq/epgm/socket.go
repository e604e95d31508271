package epgm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
)

// packetConn is a UDP or raw IP socket.
type packetConn = net.PacketConn

// protocol is PGM's number, for raw sockets.
const protocol = "ip4:113"

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// destination returns the address of a for the sockets of c.
func (c Config) destination(a netip.Addr) net.Addr {
	if c.Raw {
		return &net.IPAddr{IP: a.AsSlice()}
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, c.Group.Port()))
}

// open binds a socket to a port that other sockets of this host may share, or to
// any free one. A socket with port 0 must not share: the system could give it a
// port in use, and it would take the NAKs meant for a source there.
func (c Config) open(host string, port int) (packetConn, error) {
	if c.Raw {
		return net.ListenPacket(protocol, host)
	}
	var lc net.ListenConfig
	if port != 0 {
		lc.Control = ShareAddress
	}
	return lc.ListenPacket(context.Background(), "udp4", net.JoinHostPort(host, strconv.Itoa(port)))
}

// openSend returns a socket that sends multicast by the interface.
func openSend(c Config) (packetConn, error) {
	pc, err := c.open(c.Source.String(), 0)
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(pc)
	if c.Interface != nil {
		err = p.SetMulticastInterface(c.Interface)
	}
	if err == nil {
		err = p.SetMulticastTTL(c.Hops)
	}
	if err == nil {
		err = p.SetMulticastLoopback(!c.NoLoop)
	}
	if b, ok := pc.(interface{ SetWriteBuffer(bytes int) error }); err == nil && ok && c.SendBuffer > 0 {
		err = b.SetWriteBuffer(c.SendBuffer)
	}
	if err != nil {
		pc.Close()
		return nil, err
	}
	return pc, nil
}

// openNAKs returns the socket to which receivers send. It is bound to the address
// of the interface. Linux prefers it to the sockets of receivers on this host,
// which are bound to the wildcard address.
func openNAKs(c Config) (packetConn, error) {
	return c.open(c.Source.String(), int(c.Group.Port()))
}

// openReceive returns a socket that has joined the group.
func openReceive(c Config) (packetConn, error) {
	pc, err := c.listenGroup()
	if err != nil {
		return nil, err
	}
	if err := c.buffer(pc); err != nil {
		pc.Close()
		return nil, err
	}
	if err := ipv4.NewPacketConn(pc).JoinGroup(c.Interface, &net.UDPAddr{IP: c.Group.Addr().AsSlice()}); err != nil {
		pc.Close()
		return nil, err
	}
	return pc, nil
}

// receiveBuffer holds a burst while the one before is handed over.
const receiveBuffer = 8 << 20

// buffer gives the socket of a receiver its buffer.
func (c Config) buffer(pc packetConn) error {
	b, ok := pc.(interface {
		SetReadBuffer(bytes int) error
		SyscallConn() (syscall.RawConn, error)
	})
	if !ok {
		return nil
	}
	if c.RecvBuffer > 0 {
		return b.SetReadBuffer(c.RecvBuffer)
	}
	// A privileged process may exceed the limit of the system.
	if raw, err := b.SyscallConn(); err == nil && forceReadBuffer(raw, receiveBuffer) == nil {
		return nil
	}
	return b.SetReadBuffer(receiveBuffer)
}
