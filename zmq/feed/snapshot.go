package feed

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"lintel.dev/zmq"
)

// SnapshotWriter takes a snapshot from Config.Snapshot.
//
// The snapshot must contain the effect of all messages up to its cut, and may
// contain that of later ones if applying a message twice does no harm. A
// function whose snapshot is exact calls Cut under the lock that orders its
// changes and its calls to Publish. One that does not call Cut has as its cut
// the last message that was published before the function was called.
type SnapshotWriter struct {
	p     *Publisher
	ctx   context.Context
	cut   uint64
	begun bool
	begin func() error // before the first item, or at the end of an empty snapshot
	item  func(topic, payload []byte) error
}

// Cut makes the last message published so far the cut. It must be called before
// the first Item.
func (w *SnapshotWriter) Cut() { w.cut = w.p.Position().Seq }

// Item sends one item to the reader. It waits while the reader is behind, until
// the context of the snapshot is done. It copies neither topic nor payload, which
// must not be changed any more. In the format VLLMEpoch the topic is not sent.
func (w *SnapshotWriter) Item(topic string, payload []byte) error {
	if err := w.start(); err != nil {
		return err
	}
	return w.item([]byte(topic), payload)
}

func (w *SnapshotWriter) start() error {
	if w.begun {
		return nil
	}
	w.begun = true
	return w.begin()
}

// run calls the snapshot function and returns the cut.
func (w *SnapshotWriter) run() (cut uint64, err error) {
	w.Cut()
	if err := w.p.cfg.Snapshot(w.ctx, w); err != nil {
		return 0, err
	}
	return w.cut, w.start()
}

var errReaderGone = errors.New("feed: snapshot: the reader is gone")

// queueSlow lets a goroutine serve r when there is one free. s.mu is held.
func (s *replayServer) queueSlow(r *replay) {
	s.waiting = append(s.waiting, r)
	s.startSlow()
}

// startSlow starts the snapshots and readings of the history whose turn it is.
// s.mu is held.
func (s *replayServer) startSlow() {
	for s.running < maxSlow && len(s.waiting) > 0 && s.ctx.Err() == nil {
		r := s.waiting[0]
		s.waiting = s.waiting[1:]
		if s.active[r.key] != r {
			continue // cancelled or replaced
		}
		ctx, stop := context.WithCancel(s.ctx)
		r.stop = stop
		s.running++
		s.slow.Go(func() {
			defer stop()
			if r.snapshot {
				s.snapshot(ctx, r)
			} else {
				s.readHistory(ctx, r)
			}
			s.mu.Lock()
			s.running--
			s.startSlow()
			s.mu.Unlock()
		})
	}
}

func (s *replayServer) snapshot(ctx context.Context, r *replay) {
	w := &SnapshotWriter{p: s.p, ctx: ctx}
	w.begin = func() error {
		if !s.send(r.key.peer, control{cmd: cmdCut, id: r.key.id, epoch: s.p.epoch, seq: w.cut}) {
			return errReaderGone
		}
		return nil
	}
	w.item = func(topic, payload []byte) error { return s.item(ctx, r, topic, payload) }
	cut, err := w.run()
	s.mu.Lock()
	current := s.active[r.key] == r
	if current {
		s.end(r.key)
	}
	s.mu.Unlock()
	switch {
	case !current || s.ctx.Err() != nil:
	case err != nil:
		s.send(r.key.peer, control{cmd: cmdNo, id: r.key.id, payload: []byte("snapshot failed")})
	default:
		s.send(r.key.peer, control{cmd: cmdEnd, id: r.key.id, seq: cut + 1})
	}
}

// item sends one item when the reader's window is open.
func (s *replayServer) item(ctx context.Context, r *replay, topic, payload []byte) error {
	if err := s.waitWindow(ctx, r); err != nil {
		return err
	}
	if !s.send(r.key.peer, control{cmd: cmdItem, id: r.key.id, topic: topic, payload: payload}) {
		return errReaderGone
	}
	s.mu.Lock()
	r.sent++
	r.sentOctets += uint64(len(topic) + len(payload))
	s.mu.Unlock()
	return ctx.Err()
}

// waitWindow waits until the reader's window is open.
func (s *replayServer) waitWindow(ctx context.Context, r *replay) error {
	for {
		s.mu.Lock()
		open := r.open()
		s.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.opened:
		}
	}
}

// maxVLLMSnapshot bounds a snapshot in the format VLLMEpoch, in octets: it is one
// message and has to be in memory whole.
const maxVLLMSnapshot = 256 << 20

// vllmSnapshots answers requests for snapshots one after another.
func (p *Publisher) vllmSnapshots(ctx context.Context) {
	for {
		m, err := p.snaps.Recv(ctx)
		if err != nil {
			return
		}
		if len(m) == 3 && len(m[1]) == 0 && string(m[2]) == vllmSnapshot {
			// A reader that is gone or does not read asks again.
			_ = p.snaps.TrySend(append(m[:2:2], p.vllmSnapshot(ctx)...))
		}
	}
}

// vllmSnapshot returns the reply with a snapshot.
func (p *Publisher) vllmSnapshot(ctx context.Context) zmq.Msg {
	cut := int64(-2) // there is none
	var chunks zmq.Msg
	if p.cfg.Snapshot != nil {
		size := 0
		w := &SnapshotWriter{p: p, ctx: ctx, begin: func() error { return nil }}
		w.item = func(_, payload []byte) error {
			if size += len(payload); size > maxVLLMSnapshot {
				return fmt.Errorf("feed: snapshot: more than %d octets", maxVLLMSnapshot)
			}
			chunks = append(chunks, payload)
			return ctx.Err()
		}
		if n, err := w.run(); err == nil {
			cut = int64(n) - 1
		} else {
			chunks = nil
		}
	}
	head := binary.BigEndian.AppendUint64(nil, uint64(cut))
	return append(zmq.Msg{head, p.epoch[:]}, chunks...)
}
