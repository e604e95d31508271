package epgm

import (
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"time"

	"lintel.dev/internal/zmq/pgm"
	"lintel.dev/internal/zmq/standin"
	"lintel.dev/internal/zmq/zmtp"
)

// sender is a source with its sockets.
type sender struct {
	cfg  Config
	data packetConn // to the group
	naks packetConn // from receivers

	mu     sync.Mutex // protects what follows
	src    *pgm.Source
	packer *pgm.Packer
	kick   chan struct{}
}

// NewSource returns the connection of a publisher to the group.
func NewSource(cfg Config) (net.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	data, err := openSend(cfg)
	if err != nil {
		return nil, fmt.Errorf("multicast to %s: %w", cfg.Group, err)
	}
	naks, err := openNAKs(cfg)
	if err != nil {
		data.Close()
		return nil, fmt.Errorf("repairs at %s: %w", cfg.Source, err)
	}
	s := &sender{
		cfg: cfg, data: cfg.Wrap(data), naks: cfg.Wrap(naks),
		src: pgm.NewSource(pgm.SourceConfig{
			TSI: newTSI(func(b []byte) { rand.Read(b) }), DestPort: cfg.Group.Port(),
			Source: cfg.Source, Group: cfg.Group.Addr(),
			Rate: int64(cfg.Rate) * 1000 / 8, Window: cfg.window(),
			Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
		}, time.Now()),
		packer: pgm.NewPacker(cfg.MaxTPDU - cfg.overhead()),
		kick:   make(chan struct{}, 1),
	}
	release := func() { data.Close(); naks.Close() }
	return standin.Start(cfg.standin(data, release), s.publish, s.listen, s.tick), nil
}

// publish takes what the engine sends to the group.
func (s *sender) publish(p *standin.Peer, done <-chan struct{}) {
	if p.Handshake(zmtp.SUB, zmtp.Framing2.Append(nil, 0, []byte{1})) != nil {
		return
	}
	emit := func(unit []byte) error { return s.send(unit, done) }
	for {
		if p.In.Buffered() == 0 && s.packer.Flush(emit) != nil {
			return
		}
		flags, body, err := p.Frame()
		if err != nil {
			s.packer.Flush(emit)
			return
		}
		if s.packer.Add(body, flags&zmtp.FlagMore != 0, emit) != nil {
			return
		}
	}
}

// send waits until the rate allows it and sends one unit.
func (s *sender) send(unit []byte, done <-chan struct{}) error {
	for {
		now := time.Now()
		s.mu.Lock()
		wait := s.src.Wait(now)
		if wait == 0 {
			err := s.toGroup(s.src.Send(unit, now))
			sooner := s.src.Sooner()
			s.mu.Unlock()
			if sooner {
				nudge(s.kick)
			}
			return err
		}
		s.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-done:
			t.Stop()
			return net.ErrClosed
		}
	}
}

// toGroup sends a packet. That one did not leave is no more than a loss.
func (s *sender) toGroup(packet []byte) error {
	_, err := s.data.WriteTo(packet, s.cfg.destination(s.cfg.Group.Addr()))
	if isClosed(err) {
		return err
	}
	return nil
}

// listen takes what receivers send to the source.
func (s *sender) listen(_ *standin.Peer, _ <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := s.naks.ReadFrom(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		s.mu.Lock()
		refused := s.src.Stats().Refused
		s.src.Input(buf[:n], time.Now())
		s.cfg.count(s.src.Stats().Refused, refused)
		s.mu.Unlock()
		nudge(s.kick)
	}
}

func (s *sender) tick(_ *standin.Peer, done <-chan struct{}) {
	alarm(func(now time.Time) time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.src.Output(now, func(b []byte) { s.toGroup(b) })
	}, s.kick, done)
}
