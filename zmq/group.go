package zmq

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"lintel.dev/internal/zmq/address"
	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/udp"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// joinGroup makes e a member of its multicast group, or opens its datagram
// socket. Nothing is accepted and nothing is dialled: one engine stands for all
// peers.
func (s *core) joinGroup(e *Endpoint) (*Endpoint, error) {
	// There is no handshake and there are no heartbeats.
	e.o.Security = security{}
	e.o.HeartbeatInterval = 0
	if e.at.Scheme == "udp" {
		ctx, stop := s.bindContext()
		defer stop()
		x, err := e.openDatagrams(ctx)
		if err != nil {
			e.stop()
			return nil, fmt.Errorf("zmq: %s: %w", e.addr, err)
		}
		if e.bound {
			e.at.Address = resolved(e.at.Address, x.eng.Local())
			e.addr = e.at.String()
		}
		e.opened.Store(x)
		context.AfterFunc(e.live, func() {
			if x := e.opened.Swap(nil); x != nil {
				x.eng.Close(engine.ErrClosed)
			}
		})
	}
	return s.dialOut(e)
}

// resolved is the address of a datagram socket that is bound, so that peers can
// connect to it: the address of a group with the port, and any other one as the
// system reports it.
func resolved(given, bound string) string {
	_, port, err := net.SplitHostPort(bound)
	if err != nil {
		return given
	}
	where, rest, found := strings.Cut(given, ";")
	if !found {
		rest = given
	}
	host, _, err := address.Split(rest)
	if err != nil {
		return given
	}
	at, err := netip.ParseAddr(host)
	switch {
	case found:
		return where + ";" + net.JoinHostPort(host, port)
	case err == nil && at.IsMulticast():
		return net.JoinHostPort(host, port)
	}
	return address.Bound(bound, host)
}

// groupSession makes the session of an engine without a connection.
func (e *Endpoint) groupSession(eng engine.Conn, err error) (*session, error) {
	if err != nil {
		return nil, err
	}
	return &session{s: e.s, ep: e, eng: eng}, nil
}

// openGroup is dial for a multicast group or datagrams.
func (e *Endpoint) openGroup(ctx context.Context) (*session, error) {
	if e.at.Scheme == "udp" {
		if x := e.opened.Swap(nil); x != nil {
			return x, nil
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
	cfg.NoLoop, cfg.MaxTPDU, cfg.Limits = !o.MulticastLoop, o.MulticastTPDU, o.limits()
	cfg.SendBuffer, cfg.RecvBuffer = o.SendBuffer, o.RecvBuffer
	cfg.Dropped = &e.s.counter.malformed
	cfg.Lost = func(packets int) {
		e.s.counter.multicastLost.Add(uint64(packets))
		e.s.emit(event.Event{Type: event.MulticastLoss, Endpoint: e.addr, Packets: packets})
	}
	if e.s.typ == zmtp.PUB || e.s.typ == zmtp.XPUB {
		return e.groupSession(epgm.NewSource(cfg))
	}
	return e.groupSession(epgm.NewReceiver(cfg))
}

func (e *Endpoint) openDatagrams(ctx context.Context) (*session, error) {
	cfg, err := udp.Parse(ctx, e.at.Address, e.bound, e.o.IPv6)
	if err != nil {
		return nil, err
	}
	cfg.Hops, cfg.NoLoop, cfg.Dropped = e.o.MulticastHops, !e.o.MulticastLoop, &e.s.counter.malformed
	cfg.Limits = e.o.limits()
	switch e.s.typ {
	case zmtp.RADIO:
		return e.groupSession(udp.NewRadio(cfg))
	case zmtp.DISH:
		return e.groupSession(udp.NewDish(cfg))
	}
	return e.groupSession(udp.NewDgram(cfg, e.bound))
}
