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

// destination is a's address for the sockets of c.
func (c Config) destination(a netip.Addr) net.Addr {
	if c.Raw {
		return &net.IPAddr{IP: a.AsSlice()}
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, c.Group.Port()))
}

// open binds a socket to a port that others of this host may share, or to any
// free one: one that is willing to share may be given a port in use, and then
// takes the NAKs meant for a source there.
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

// openSend is a socket from which multicast leaves by the interface.
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

// openNAKs is the socket to which receivers send. Bound to the one address of
// the interface it is preferred, on Linux, to the sockets of receivers on this
// host, which are bound to any.
func openNAKs(c Config) (packetConn, error) {
	return c.open(c.Source.String(), int(c.Group.Port()))
}

// openReceive is a socket that has joined the group.
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

// receiveBuffer holds a burst while the engine takes the one before.
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
	// Beyond the system's bound if this process may; as much as that allows if not.
	if raw, err := b.SyscallConn(); err == nil && forceReadBuffer(raw, receiveBuffer) == nil {
		return nil
	}
	return b.SetReadBuffer(receiveBuffer)
}
