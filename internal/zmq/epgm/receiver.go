package epgm

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/pgm"
)

// listener is a receiver with its sockets. One goroutine uses it, so that packets
// and the effects of timers are handed over in one order.
type listener struct {
	cfg  Config
	data packetConn // from the group
	naks packetConn // to sources

	recv *pgm.Receiver
	from map[pgm.TSI]*pgm.Unpacker
	to   *engine.Input
}

// NewReceiver returns the engine of a subscriber to the group.
func NewReceiver(cfg Config) (engine.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	data, err := openReceive(cfg)
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", cfg.Group, err)
	}
	naks, err := openSend(cfg)
	if err != nil {
		data.Close()
		return nil, fmt.Errorf("multicast to %s: %w", cfg.Group, err)
	}
	l := &listener{
		cfg: cfg, data: cfg.Wrap(data), naks: cfg.Wrap(naks),
		recv: pgm.NewReceiver(pgm.ReceiverConfig{
			Group: cfg.Group.Addr(), DestPort: cfg.Group.Port(), Window: cfg.window(), MaxBuffered: cfg.maxBuffered(),
		}),
		from: map[pgm.TSI]*pgm.Unpacker{},
	}
	return engine.NewConnectionless(engine.ConnectionlessConfig{
		Local: data.LocalAddr(), Remote: net.UDPAddrFromAddrPort(cfg.Group), Limits: cfg.Limits,
		Release: func() {
			data.Close()
			naks.Close()
		},
		Read: l.receive,
	}), nil
}

// receive hands over what the group sends until the receiver is closed.
func (l *listener) receive(to *engine.Input) error {
	l.to = to
	in := newIntake(l.data)
	var due time.Time
	for {
		n, err := in.read()
		if isClosed(err) {
			return err
		}
		now := time.Now()
		refused := l.recv.Stats().Refused
		for i := range n {
			b, from := in.at(i)
			l.recv.Input(b, from, now, l.event)
		}
		l.cfg.count(l.recv.Stats().Refused, refused)
		if l.recv.Sooner() || !due.IsZero() && !now.Before(due) {
			due = l.recv.Output(now, func(b []byte, to netip.Addr) {
				l.naks.WriteTo(b, l.cfg.destination(to))
			}, l.event)
			l.data.SetReadDeadline(notBefore(due, now.Add(tick)))
		}
		if err := to.Deliver(); err != nil {
			return err
		}
	}
}

// tick is how fine the timers of a receiver are.
const tick = 2 * time.Millisecond

// notBefore is t, or least if t is earlier. The zero time stays what it is.
func notBefore(t, least time.Time) time.Time {
	if !t.IsZero() && t.Before(least) {
		return least
	}
	return t
}

// event takes what the receiver hands over.
func (l *listener) event(e pgm.Event) {
	if e.Gone {
		delete(l.from, e.TSI)
		return
	}
	u := l.from[e.TSI]
	if u == nil {
		u = &pgm.Unpacker{MaxMessage: l.cfg.maxMessage()}
		l.from[e.TSI] = u
	}
	if e.Lost > 0 {
		u.Reset()
		l.lost(int(e.Lost))
		return
	}
	// A malformed unit loses the message in progress.
	if u.Add(e.Unit, l.message) != nil {
		l.lost(1)
	}
}

func (l *listener) lost(packets int) {
	if l.cfg.Lost != nil {
		l.cfg.Lost(packets)
	}
}

// message hands a message over. One that the socket does not accept is lost.
func (l *listener) message(frames [][]byte) {
	if l.to.Message(frames...) != nil {
		l.lost(1)
	}
}
