package epgm

import (
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"time"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/pgm"
)

// sender is a source with its sockets.
type sender struct {
	cfg  Config
	data packetConn    // to the group
	naks packetConn    // from receivers
	done chan struct{} // closed with the sockets

	mu     sync.Mutex // protects what follows
	src    *pgm.Source
	packer *pgm.Packer
	kick   chan struct{}
}

// NewSource returns the engine of a publisher to the group.
func NewSource(cfg Config) (engine.Conn, error) {
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
		done:   make(chan struct{}),
	}
	return engine.NewConnectionless(engine.ConnectionlessConfig{
		Local: data.LocalAddr(), Remote: net.UDPAddrFromAddrPort(cfg.Group),
		Release: func() {
			close(s.done)
			data.Close()
			naks.Close()
		},
		Read: s.serve, Write: s.publish, SubscribeAll: true,
	}), nil
}

// serve repairs what receivers miss until the source is closed.
func (s *sender) serve(*engine.Input) error {
	var ticking sync.WaitGroup
	ticking.Go(s.tick)
	defer ticking.Wait()
	return s.listen()
}

// publish sends a batch of messages to the group.
func (s *sender) publish(b flow.Batch, done <-chan struct{}) error {
	emit := func(unit []byte) error { return s.send(unit, done) }
	for c := flow.NewCursor(b); !c.Done(); {
		flags, body := c.Next()
		if err := s.packer.Add(body, flags&flow.More != 0, emit); err != nil {
			return err
		}
	}
	return s.packer.Flush(emit)
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

// toGroup sends a packet. A packet that could not be sent counts as lost on the
// way.
func (s *sender) toGroup(packet []byte) error {
	_, err := s.data.WriteTo(packet, s.cfg.destination(s.cfg.Group.Addr()))
	if isClosed(err) {
		return err
	}
	return nil
}

// listen takes what receivers send to the source.
func (s *sender) listen() error {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := s.naks.ReadFrom(buf)
		if err != nil {
			if isClosed(err) {
				return err
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

func (s *sender) tick() {
	alarm(func(now time.Time) time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.src.Output(now, func(b []byte) { s.toGroup(b) })
	}, s.kick, s.done)
}
