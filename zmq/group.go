package zmq

import (
	"context"
	"fmt"
	"net"
	"strings"

	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/udp"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// joinGroup makes e a member of its multicast group, or opens its datagram
// socket. There is nothing to accept, and nothing to connect to: what stands in
// for the peers is there at once.
func (s *core) joinGroup(e *Endpoint) (*Endpoint, error) {
	// A group has nobody to ask about and nobody to lose a heartbeat of.
	e.o.Security = security{}
	e.o.HeartbeatInterval = 0
	if e.at.Scheme == "udp" {
		conn, err := e.openDatagrams(e.live)
		if err != nil {
			e.stop()
			return nil, fmt.Errorf("zmq: %s: %w", e.addr, err)
		}
		if e.bound {
			e.at.Address = resolved(e.at.Address, conn.LocalAddr())
			e.addr = e.at.String()
		}
		e.opened.Store(&conn)
		context.AfterFunc(e.live, func() {
			if c := e.opened.Swap(nil); c != nil {
				(*c).Close()
			}
		})
	}
	return s.dialOut(e)
}

// resolved is an address with the port that was bound.
func resolved(address string, bound net.Addr) string {
	_, port, err := net.SplitHostPort(bound.String())
	if i := strings.LastIndexByte(address, ':'); i >= 0 && err == nil {
		return address[:i+1] + port
	}
	return address
}

// openGroup is dial for a multicast group or datagrams.
func (e *Endpoint) openGroup(ctx context.Context) (net.Conn, error) {
	if e.at.Scheme == "udp" {
		if c := e.opened.Swap(nil); c != nil {
			return *c, nil
		}
		return e.openDatagrams(ctx)
	}
	cfg, err := epgm.Parse(e.at.Address)
	if err != nil {
		return nil, err
	}
	o := &e.o
	cfg.Raw = e.at.Scheme == "pgm"
	cfg.Rate, cfg.Recovery, cfg.Hops = o.Rate, o.Recovery, o.MulticastHops
	cfg.NoLoop, cfg.MaxTPDU, cfg.MaxMessage = !o.MulticastLoop, o.MulticastTPDU, o.MaxMessage
	cfg.SendBuffer, cfg.RecvBuffer = o.SendBuffer, o.RecvBuffer
	cfg.Dropped = &e.s.counter.malformed
	cfg.Lost = func(packets int) {
		e.s.counter.multicastLost.Add(uint64(packets))
		e.s.emit(event.Event{Type: event.MulticastLoss, Endpoint: e.addr, Packets: packets})
	}
	if e.s.typ == zmtp.PUB || e.s.typ == zmtp.XPUB {
		return epgm.NewSource(cfg)
	}
	return epgm.NewReceiver(cfg)
}

func (e *Endpoint) openDatagrams(ctx context.Context) (net.Conn, error) {
	cfg, err := udp.Parse(ctx, e.at.Address, e.bound)
	if err != nil {
		return nil, err
	}
	cfg.Hops, cfg.NoLoop, cfg.Dropped = e.o.MulticastHops, !e.o.MulticastLoop, &e.s.counter.malformed
	switch e.s.typ {
	case zmtp.RADIO:
		return udp.NewRadio(cfg)
	case zmtp.DISH:
		return udp.NewDish(cfg)
	}
	return udp.NewDgram(cfg, e.bound)
}
