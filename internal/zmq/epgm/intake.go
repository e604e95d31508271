package epgm

import (
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/net/ipv4"
)

// intake reads datagrams, several a system call where the system can.
type intake struct {
	pc    packetConn
	batch *ipv4.PacketConn // nil: one at a time
	got   []ipv4.Message
}

const (
	largest = 64 << 10 // datagram
	atOnce  = 16
)

func newIntake(pc packetConn) *intake {
	in := &intake{pc: pc, got: make([]ipv4.Message, 1)}
	if _, ok := pc.(*net.UDPConn); ok && runtime.GOOS == "linux" {
		in.batch = ipv4.NewPacketConn(pc)
		in.got = make([]ipv4.Message, atOnce)
	}
	buf := make([]byte, largest*len(in.got))
	for i := range in.got {
		in.got[i].Buffers = [][]byte{buf[i*largest : (i+1)*largest]}
	}
	return in
}

// read waits for datagrams and returns how many came.
func (in *intake) read() (int, error) {
	if in.batch != nil {
		n, err := in.batch.ReadBatch(in.got, 0)
		return max(n, 0), err
	}
	m := &in.got[0]
	var err error
	if m.N, m.Addr, err = in.pc.ReadFrom(m.Buffers[0]); err != nil {
		return 0, err
	}
	return 1, nil
}

// at returns one of the datagrams of the last read, valid until the next read.
func (in *intake) at(i int) ([]byte, netip.Addr) {
	m := &in.got[i]
	return m.Buffers[0][:m.N], addrOf(m.Addr)
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return ip.Unmap()
	}
	return netip.Addr{}
}
