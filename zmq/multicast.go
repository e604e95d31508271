package zmq

import (
	"fmt"
	"net"

	"lintel.dev/internal/epgm"
)

// joinGroup makes e a member of its multicast group. There is nothing to
// accept: Bind and Connect are the same.
func (s *core) joinGroup(e *Endpoint) (*Endpoint, error) {
	switch s.typ {
	case TypePub, TypeXPub, TypeSub, TypeXSub:
	default:
		return nil, fmt.Errorf("zmq: %s carries PUB, XPUB, SUB and XSUB, not %v: %w", e.at.Scheme, s.typ, ErrNotSupported)
	}
	// A group has no secrets and nobody to lose a heartbeat of.
	e.o.Security = Security{}
	e.o.HeartbeatInterval = 0
	return s.dialOut(e)
}

// openGroup is dial for a multicast group.
func (e *Endpoint) openGroup() (net.Conn, error) {
	cfg, err := epgm.Parse(e.at.Address)
	if err != nil {
		return nil, err
	}
	o := &e.o
	cfg.Raw = e.at.Scheme == "pgm"
	cfg.Rate, cfg.Recovery, cfg.Hops = o.Rate, o.Recovery, o.MulticastHops
	cfg.NoLoop, cfg.MaxTPDU, cfg.MaxMessage = !o.MulticastLoop, o.MulticastTPDU, o.MaxMessage
	cfg.Lost = func(packets int) { e.s.emit(Event{Type: EventMulticastLoss, Endpoint: e.addr, Packets: packets}) }
	if e.s.typ == TypePub || e.s.typ == TypeXPub {
		return epgm.NewSource(cfg)
	}
	return epgm.NewReceiver(cfg)
}
