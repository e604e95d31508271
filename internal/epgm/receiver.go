package epgm

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"lintel.dev/internal/pgm"
	"lintel.dev/internal/standin"
	"lintel.dev/internal/zmtp"
)

// listener is a receiver with its sockets.
type listener struct {
	cfg  Config
	data packetConn // from the group
	naks packetConn // to sources

	mu   sync.Mutex // protects what follows
	recv *pgm.Receiver
	kick chan struct{}
	from map[pgm.TSI]*pgm.Unpacker
	err  error // the engine takes no more
	out  []byte
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
			Group: cfg.Group.Addr(), DestPort: cfg.Group.Port(), Window: cfg.window(),
		}),
		kick: make(chan struct{}, 1),
		from: map[pgm.TSI]*pgm.Unpacker{},
	}
	release := func() { data.Close(); naks.Close() }
	return standin.Start(data.LocalAddr(), net.UDPAddrFromAddrPort(cfg.Group), release, l.subscribe, l.tick), nil
}

// subscribe hands the engine what the group sends. What the engine asks for is
// of no use to the group: it filters by itself.
func (l *listener) subscribe(p *standin.Peer, done <-chan struct{}) {
	if p.Handshake(zmtp.PUB, nil) != nil {
		return
	}
	p.Discard(func() { l.data.Close() })
	buf := make([]byte, 64<<10)
	for {
		n, from, err := l.data.ReadFrom(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		l.mu.Lock()
		refused := l.recv.Stats().Refused
		l.recv.Input(buf[:n], addrOf(from), time.Now(), l.event(p))
		l.cfg.count(l.recv.Stats().Refused, refused)
		err = l.err
		l.mu.Unlock()
		if err != nil {
			return
		}
		nudge(l.kick)
	}
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

// event takes what the receiver hands over. l.mu is held.
func (l *listener) event(p *standin.Peer) func(pgm.Event) {
	return func(e pgm.Event) {
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
			if l.cfg.Lost != nil {
				l.cfg.Lost(int(e.Lost))
			}
			return
		}
		l.out = l.out[:0]
		// A unit that is not what a publisher sends costs its source the
		// message in progress.
		if u.Add(e.Unit, func(frames [][]byte) {
			for i, f := range frames {
				var flags byte
				if i < len(frames)-1 {
					flags = zmtp.FlagMore
				}
				l.out = zmtp.Framing2.Append(l.out, flags, f)
			}
		}) != nil && l.cfg.Lost != nil {
			l.cfg.Lost(1)
		}
		if len(l.out) > 0 && l.err == nil {
			l.err = p.Write(l.out)
		}
		if cap(l.out) > keepOut {
			l.out = nil
		}
	}
}

// keepOut is the largest buffer kept for the next unit.
const keepOut = 256 << 10

func (l *listener) tick(p *standin.Peer, done <-chan struct{}) {
	alarm(func(now time.Time) time.Time {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.recv.Output(now, func(b []byte, to netip.Addr) {
			l.naks.WriteTo(b, l.cfg.destination(to))
		}, l.event(p))
	}, l.kick, done)
}
