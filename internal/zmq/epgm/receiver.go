package epgm

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"lintel.dev/internal/zmq/pgm"
	"lintel.dev/internal/zmq/standin"
	"lintel.dev/internal/zmq/zmtp"
)

// listener is a receiver with its sockets. One goroutine has it: what the
// group sends, and what its timers ask for, reach the engine in one order.
type listener struct {
	cfg  Config
	data packetConn // from the group
	naks packetConn // to sources

	recv *pgm.Receiver
	from map[pgm.TSI]*pgm.Unpacker
	out  []byte // frames for the engine
}

// NewReceiver returns the connection of a subscriber to the group.
func NewReceiver(cfg Config) (net.Conn, error) {
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
	release := func() { data.Close(); naks.Close() }
	return standin.Start(cfg.standin(data, release), l.subscribe), nil
}

// subscribe hands the engine what the group sends. What the engine asks for is
// of no use to the group: it filters by itself.
func (l *listener) subscribe(p *standin.Peer, done <-chan struct{}) {
	if p.Handshake(zmtp.PUB, nil) != nil {
		return
	}
	p.Discard(func() { l.data.Close() })
	in := newIntake(l.data)
	var due time.Time
	for {
		n, err := in.read()
		if isClosed(err) {
			return
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
		if len(l.out) > 0 {
			if p.Write(l.out) != nil {
				return
			}
			if l.out = l.out[:0]; cap(l.out) > keepOut {
				l.out = nil
			}
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
		u = &pgm.Unpacker{MaxMessage: l.cfg.MaxMessage}
		l.from[e.TSI] = u
	}
	if e.Lost > 0 {
		u.Reset()
		l.lost(int(e.Lost))
		return
	}
	// A unit that is not what a publisher sends costs its source the message in
	// progress.
	if u.Add(e.Unit, l.message) != nil {
		l.lost(1)
	}
}

func (l *listener) lost(packets int) {
	if l.cfg.Lost != nil {
		l.cfg.Lost(packets)
	}
}

func (l *listener) message(frames [][]byte) {
	for i, f := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = zmtp.FlagMore
		}
		l.out = zmtp.Framing2.Append(l.out, flags, f)
	}
}

// keepOut is the largest buffer kept for the next frames.
const keepOut = 256 << 10
