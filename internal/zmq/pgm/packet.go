// Package pgm is Pragmatic General Multicast (RFC 3208) as ZeroMQ uses it: the
// packets, the transmit window of a source with its repairs, the receive
// windows of a receiver with its negative acknowledgements, and the framing of
// messages into application data units. It works on bytes and on the time that
// the caller passes in. The caller owns the sockets. Source and Receiver must
// not be used by two goroutines at once; the package takes no lock.
package pgm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
)

// Type is the packet type of RFC 3208 section 8.1.
type Type uint8

// The packet types that a source and a receiver exchange without network
// elements between them.
const (
	SPM   Type = 0x00 // source path message
	ODATA Type = 0x04 // original data
	RDATA Type = 0x05 // repair data
	NAK   Type = 0x08 // negative acknowledgement
	NNAK  Type = 0x09 // null negative acknowledgement
	NCF   Type = 0x0a // NAK confirmation
	SPMR  Type = 0x0c // SPM request
)

const (
	headerLen = 16
	dataLen   = headerLen + 8

	optPresent   = 0x01
	optNetwork   = 0x02
	optVarPktLen = 0x40
	optParity    = 0x80

	optLength  = 0x00
	optNAKList = 0x02
	optEnd     = 0x80

	afiIPv4 = 1
	afiIPv6 = 2

	// maxNAKList is the number of sequence numbers in OPT_NAK_LIST, in addition
	// to the one of the packet itself (section 9.3).
	maxNAKList = 62
)

// errPacket is wrapped by every reason for which Parse refuses a packet.
var errPacket = errors.New("pgm: bad packet")

// GSI is the globally unique source identifier of section 4.3.
type GSI [6]byte

// TSI is the transport session identifier: a source and its port.
type TSI struct {
	GSI  GSI
	Port uint16
}

// Packet is one parsed packet. Data and NAKs alias the datagram it was parsed
// from or a scratch of the caller.
type Packet struct {
	Type Type
	// SourcePort and DestPort are in the direction of the data, also for
	// packets in the other direction.
	TSI      TSI
	DestPort uint16
	Sqn      uint32 // SPM_SQN, DATA_SQN or the first NAK_SQN
	Trail    uint32 // SPM and data: trailing edge of the transmit window
	Lead     uint32 // SPM: leading edge of the transmit window
	Source   netip.Addr
	Group    netip.Addr
	More     []uint32 // NAK, NNAK, NCF: the sequence numbers of OPT_NAK_LIST
	Data     []byte
}

// upstream reports whether packets of the type go to the source. Their port
// fields are swapped (section 8.3).
func (t Type) upstream() bool { return t == NAK || t == NNAK || t == SPMR }

func appendNLA(b []byte, a netip.Addr) []byte {
	a = a.Unmap()
	if a.Is6() {
		b = append(b, 0, afiIPv6, 0, 0)
		ip := a.As16()
		return append(b, ip[:]...)
	}
	var ip [4]byte
	if a.Is4() {
		ip = a.As4()
	}
	b = append(b, 0, afiIPv4, 0, 0)
	return append(b, ip[:]...)
}

func cutNLA(b []byte) (a netip.Addr, rest []byte, ok bool) {
	if len(b) < 4 {
		return a, nil, false
	}
	n := 4
	switch binary.BigEndian.Uint16(b) {
	case afiIPv4:
	case afiIPv6:
		n = 16
	default:
		return a, nil, false
	}
	b = b[4:]
	if len(b) < n {
		return a, nil, false
	}
	a, _ = netip.AddrFromSlice(b[:n])
	return a, b[n:], true
}

// Append appends p with its checksum to b.
func Append(b []byte, p *Packet) []byte {
	start := len(b)
	src, dst := p.TSI.Port, p.DestPort
	if p.Type.upstream() {
		src, dst = dst, src
	}
	var opts byte
	if len(p.More) > 0 {
		opts = optPresent | optNetwork
	}
	b = binary.BigEndian.AppendUint16(b, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = append(b, byte(p.Type), opts, 0, 0)
	b = append(b, p.TSI.GSI[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Data)))
	switch p.Type {
	case SPM:
		b = binary.BigEndian.AppendUint32(b, p.Sqn)
		b = binary.BigEndian.AppendUint32(b, p.Trail)
		b = binary.BigEndian.AppendUint32(b, p.Lead)
		b = appendNLA(b, p.Source)
	case ODATA, RDATA:
		b = binary.BigEndian.AppendUint32(b, p.Sqn)
		b = binary.BigEndian.AppendUint32(b, p.Trail)
		b = append(b, p.Data...)
	case NAK, NNAK, NCF:
		b = binary.BigEndian.AppendUint32(b, p.Sqn)
		b = appendNLA(b, p.Source)
		b = appendNLA(b, p.Group)
		if len(p.More) > 0 {
			more := p.More[:min(len(p.More), maxNAKList)]
			list := 4 + 4*len(more)
			b = append(b, optLength, 4)
			b = binary.BigEndian.AppendUint16(b, uint16(4+list))
			b = append(b, optNAKList|optEnd, byte(list), 0, 0)
			for _, sqn := range more {
				b = binary.BigEndian.AppendUint32(b, sqn)
			}
		}
	}
	sum := checksum(b[start:])
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[start+6:], sum)
	return b
}

// Parse reads one datagram into p. More is appended to p.More[:0], so that a
// Packet used again does not allocate. The error names the violation.
func Parse(b []byte, p *Packet) error {
	if len(b) < headerLen {
		return fmt.Errorf("%w: %d bytes, a header is %d", errPacket, len(b), headerLen)
	}
	more := p.More[:0]
	*p = Packet{Type: Type(b[4]), More: more}
	if binary.BigEndian.Uint16(b[6:]) != 0 {
		if checksum(b) != 0 {
			return fmt.Errorf("%w: checksum", errPacket)
		}
	} else if p.Type == ODATA || p.Type == RDATA {
		return fmt.Errorf("%w: data without a checksum", errPacket)
	}
	opts := b[5]
	if opts&(optParity|optVarPktLen) != 0 {
		return fmt.Errorf("%w: parity packets are not used here", errPacket)
	}
	src, dst := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if p.Type.upstream() {
		src, dst = dst, src
	}
	p.TSI.Port, p.DestPort = src, dst
	copy(p.TSI.GSI[:], b[8:14])
	tsdu := int(binary.BigEndian.Uint16(b[14:]))
	rest := b[headerLen:]
	switch p.Type {
	case SPM:
		if len(rest) < 12 {
			return fmt.Errorf("%w: short SPM", errPacket)
		}
		p.Sqn = binary.BigEndian.Uint32(rest)
		p.Trail = binary.BigEndian.Uint32(rest[4:])
		p.Lead = binary.BigEndian.Uint32(rest[8:])
		var ok bool
		if p.Source, _, ok = cutNLA(rest[12:]); !ok {
			return fmt.Errorf("%w: SPM without an address", errPacket)
		}
	case ODATA, RDATA:
		if len(rest) < 8 {
			return fmt.Errorf("%w: short data packet", errPacket)
		}
		p.Sqn = binary.BigEndian.Uint32(rest)
		p.Trail = binary.BigEndian.Uint32(rest[4:])
		rest = rest[8:]
		if opts&optPresent != 0 {
			n, err := optionsLen(rest)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		if len(rest) != tsdu {
			return fmt.Errorf("%w: %d bytes of data, %d announced", errPacket, len(rest), tsdu)
		}
		p.Data = rest
	case NAK, NNAK, NCF:
		if len(rest) < 4 {
			return fmt.Errorf("%w: short NAK", errPacket)
		}
		p.Sqn = binary.BigEndian.Uint32(rest)
		var ok bool
		if p.Source, rest, ok = cutNLA(rest[4:]); !ok {
			return fmt.Errorf("%w: NAK without a source address", errPacket)
		}
		if p.Group, rest, ok = cutNLA(rest); !ok {
			return fmt.Errorf("%w: NAK without a group address", errPacket)
		}
		if opts&optPresent != 0 {
			var err error
			if p.More, err = nakList(rest, more); err != nil {
				return err
			}
		}
	case SPMR:
	default:
		return fmt.Errorf("%w: type %#02x", errPacket, byte(p.Type))
	}
	return nil
}

// optionsLen checks OPT_LENGTH, which leads every option block (section 9.1).
func optionsLen(b []byte) (int, error) {
	if len(b) < 4 || b[0]&^optEnd != optLength || b[1] != 4 {
		return 0, fmt.Errorf("%w: options do not start with OPT_LENGTH", errPacket)
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < 4 || n > len(b) {
		return 0, fmt.Errorf("%w: %d bytes of options in %d", errPacket, n, len(b))
	}
	return n, nil
}

func nakList(b []byte, into []uint32) ([]uint32, error) {
	n, err := optionsLen(b)
	if err != nil {
		return into, err
	}
	for b = b[4:n]; len(b) >= 3; {
		size := int(b[1])
		if size < 3 || size > len(b) {
			return into, fmt.Errorf("%w: option of %d bytes in %d", errPacket, size, len(b))
		}
		if b[0]&^optEnd == optNAKList {
			if size < 8 || size%4 != 0 || size > 4+4*maxNAKList {
				return into, fmt.Errorf("%w: NAK list of %d bytes", errPacket, size)
			}
			for l := b[4:size]; len(l) > 0; l = l[4:] {
				into = append(into, binary.BigEndian.Uint32(l))
			}
		}
		if b[0]&optEnd != 0 {
			break
		}
		b = b[size:]
	}
	return into, nil
}

// checksum returns the ones' complement of the ones' complement sum. It is zero
// for a packet with a valid checksum. A computed zero is written as 0xffff,
// because zero means no checksum. Eight octets are added at a time: the sum of
// larger words folds into that of smaller ones.
func checksum(b []byte) uint16 {
	var sum, carry uint64
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(rest[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	sum += carry
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// before reports whether a precedes b in the circular space of sequence numbers
// (section 4.2).
func before(a, b uint32) bool { return int32(a-b) < 0 }
