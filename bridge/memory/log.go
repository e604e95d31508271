package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"iter"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
)

// log is a handle on a logState.
type log struct {
	engine *Engine
	state  *logState
	*putter

	once   sync.Once
	closed chan struct{}
}

var _ engine.Log = (*log)(nil)

// logState is a log of an Engine, shared by its handles.
type logState struct {
	epoch [16]byte

	mu      sync.Mutex
	cfg     engine.LogConfig
	changed chan struct{} // closed and replaced when an entry is added
	first   uint64        // position of entries[0]
	entries []engine.Entry
	bytes   int64
}

func newLogState() *logState {
	s := &logState{first: 1, changed: make(chan struct{})}
	binary.BigEndian.PutUint64(s.epoch[:8], uint64(time.Now().UnixNano()))
	rand.Read(s.epoch[8:]) // never fails
	return s
}

func (s *logState) configure(cfg engine.LogConfig) {
	s.mu.Lock()
	s.cfg = cfg
	s.trim()
	s.mu.Unlock()
}

// Append implements engine.Log. It copies topic and frames.
func (l *log) Append(ctx context.Context, topic []byte, frames [][]byte, done func(engine.Receipt, error)) error {
	if err := (engine.Message{Frames: frames}).Check(); err != nil {
		return err
	}
	if _, err := l.engine.checkSize(len(topic), frames); err != nil {
		return err
	}
	e := engine.Entry{Topic: bytes.Clone(topic), Frames: clone(frames)}
	return l.put(ctx, func() (engine.Receipt, error) { return l.state.add(e), nil }, done)
}

// Read implements engine.Log.
func (l *log) Read(ctx context.Context, from uint64, prefix []byte) iter.Seq2[engine.Entry, error] {
	prefix = bytes.Clone(prefix)
	return func(yield func(engine.Entry, error) bool) {
		next, lost := from, engine.Range{}
		for {
			err := context.Cause(ctx)
			select {
			case <-l.closed:
				err = engine.ErrClosed
			default:
			}
			if err != nil {
				yield(engine.Entry{}, err)
				return
			}
			entries, first, changed := l.state.since(next)
			if next != 0 && next < first {
				if lost.First == 0 {
					lost.First = next
				}
				lost.Last = first - 1
			}
			next = max(next, first)
			for _, e := range entries {
				next = e.Pos + 1
				if !bytes.HasPrefix(e.Topic, prefix) {
					continue
				}
				e.Lost, lost = lost, engine.Range{}
				if !yield(e, nil) {
					return
				}
			}
			if len(entries) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			case <-l.closed:
			}
		}
	}
}

// Bounds implements engine.Log.
func (l *log) Bounds(ctx context.Context) (engine.Bounds, error) {
	if ctx.Err() != nil {
		return engine.Bounds{}, context.Cause(ctx)
	}
	select {
	case <-l.closed:
		return engine.Bounds{}, engine.ErrClosed
	default:
	}
	s := l.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
	return engine.Bounds{Epoch: s.epoch, First: s.first, Last: s.first + uint64(len(s.entries)) - 1}, nil
}

// Close implements engine.Log.
func (l *log) Close() error {
	err := engine.ErrClosed
	l.once.Do(func() {
		err = nil
		close(l.closed)
		l.putter.close()
		l.engine.forget(l)
	})
	return err
}

// add stores e and removes what exceeds the limits.
func (s *logState) add(e engine.Entry) engine.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Pos, e.Time = s.first+uint64(len(s.entries)), time.Now()
	s.entries = append(s.entries, e)
	s.bytes += entrySize(e)
	s.trim()
	close(s.changed)
	s.changed = make(chan struct{})
	return engine.Receipt{Seq: e.Pos}
}

// since returns the entries from position next on, the position of the oldest
// entry, and a channel that is closed when an entry is added.
func (s *logState) since(next uint64) ([]engine.Entry, uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
	skip := max(next, s.first) - s.first
	if skip >= uint64(len(s.entries)) {
		return nil, s.first, s.changed
	}
	return s.entries[skip:len(s.entries):len(s.entries)], s.first, s.changed // append-only
}

// trim removes the oldest entries beyond the limits.
func (s *logState) trim() {
	now := time.Now()
	for len(s.entries) > 0 {
		e := s.entries[0]
		old := s.cfg.MaxAge > 0 && now.Sub(e.Time) >= s.cfg.MaxAge
		many := s.cfg.MaxEntries > 0 && int64(len(s.entries)) > s.cfg.MaxEntries
		if !old && !many && s.bytes <= s.cfg.MaxBytes {
			return
		}
		s.bytes -= entrySize(e)
		s.entries = s.entries[1:]
		s.first++
	}
}

func entrySize(e engine.Entry) int64 {
	size := int64(len(e.Topic))
	for _, f := range e.Frames {
		size += int64(len(f))
	}
	return size
}
