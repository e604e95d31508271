package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// readBatch is the number of entries that a reader asks for at once.
const readBatch = 256

// readerExpiry is the time after which the server forgets a reader that does not
// ask. A reader that is slower makes a new consumer.
const readerExpiry = 5 * time.Minute

// maxMissing is the number of attempts after which a reading ends because there is
// no stream. A server that starts does not know its streams at first.
const maxMissing = 40

func logStream(name string) string { return "P_" + name }

// log is an engine.Log.
type log struct {
	engine *Engine
	name   string
	cfg    engine.LogConfig
	out    *publisher

	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	readers map[*puller]struct{}
}

var _ engine.Log = (*log)(nil)

func (l *log) create(ctx context.Context) error {
	_, err := l.engine.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        logStream(l.name),
		Subjects:    []string{l.subject() + ".>"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Storage:     l.engine.storage(),
		Replicas:    l.engine.cfg.Replicas,
		MaxAge:      l.cfg.MaxAge,
		MaxBytes:    l.cfg.MaxBytes,
		MaxMsgs:     l.cfg.MaxEntries,
		AllowDirect: true,
		Duplicates:  duplicates(l.cfg.MaxAge),
	})
	if err != nil {
		return fmt.Errorf("jetstream: stream of log %s: %w", l.name, err)
	}
	return nil
}

// duplicates returns the deduplication window of a log, which must not exceed its
// MaxAge. Appends have no IDs; other programs may give some.
func duplicates(maxAge time.Duration) time.Duration {
	const window = 2 * time.Minute
	if maxAge > 0 {
		return min(maxAge, window)
	}
	return window
}

func (l *log) subject() string { return "P." + l.name }

// Append implements engine.Log.
func (l *log) Append(ctx context.Context, topic []byte, frames [][]byte, done func(engine.Receipt, error)) error {
	if err := (engine.Message{Frames: frames}).Check(); err != nil {
		return err
	}
	return l.out.put(ctx, encode(subject(l.subject(), topic), "", topic, frames), done)
}

// Bounds implements engine.Log.
func (l *log) Bounds(ctx context.Context) (engine.Bounds, error) {
	select {
	case <-l.closed:
		return engine.Bounds{}, engine.ErrClosed
	default:
	}
	var info *jetstream.StreamInfo
	err := l.engine.request(ctx, func(ctx context.Context) error {
		stream, err := l.engine.js.Stream(ctx, logStream(l.name))
		if err != nil {
			return fmt.Errorf("jetstream: log %s: %w", l.name, err)
		}
		info = stream.CachedInfo()
		return nil
	})
	if err != nil {
		return engine.Bounds{}, err
	}
	b := engine.Bounds{Epoch: life(info), First: info.State.FirstSeq, Last: info.State.LastSeq}
	if info.State.Msgs == 0 {
		b.First = b.Last + 1
	}
	return b, nil
}

// Read implements engine.Log.
func (l *log) Read(ctx context.Context, from uint64, prefix []byte) iter.Seq2[engine.Entry, error] {
	prefix = bytes.Clone(prefix)
	return func(yield func(engine.Entry, error) bool) {
		r := &reader{log: l, next: from, prefix: prefix}
		defer r.leave()
		for {
			entries, err := r.batch(ctx)
			if err != nil {
				yield(engine.Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Close implements engine.Log.
func (l *log) Close() error {
	err := engine.ErrClosed
	l.once.Do(func() {
		err = nil
		close(l.closed)
		l.out.close()
		l.mu.Lock()
		readers := l.readers
		l.readers = nil
		l.mu.Unlock()
		for p := range readers {
			p.close()
		}
		l.engine.forget(l)
	})
	return err
}

// lost implements handle: it makes the readers repeat their requests.
func (l *log) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.readers {
		p.lost()
	}
}

// reader reads a log from one position. It makes a consumer without
// acknowledgements, and another one whenever a message of it is missing or the
// server has forgotten it.
type reader struct {
	log    *log
	prefix []byte
	next   uint64 // position of the next entry; 0: the oldest
	lost   engine.Range

	puller   *puller
	consumer string
	last     uint64 // consumer sequence of the last message
	missing  int    // attempts in a row that did not find the stream
}

// batch returns the next entries that match, possibly none.
func (r *reader) batch(ctx context.Context) ([]engine.Entry, error) {
	if r.puller == nil {
		if err := r.join(ctx); err != nil {
			return nil, r.retry(ctx, err)
		}
	}
	msgs, err := r.puller.fetch(ctx, readBatch)
	if errors.Is(err, errGone) {
		r.leave()
		return nil, r.retry(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	// The oldest position is asked for after the messages have arrived. If it is
	// not greater than what was expected, nothing was removed before it was read.
	first := uint64(0)
	if len(r.prefix) > 0 {
		b, err := r.log.Bounds(ctx)
		if err != nil {
			return nil, r.retry(ctx, err) // the messages are asked for again
		}
		first = b.First
	}
	var entries []engine.Entry
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return entries, fmt.Errorf("jetstream: entry of log %s: %w", r.log.name, err)
		}
		if meta.Sequence.Consumer != r.last+1 {
			r.leave() // a message was lost on its way: begin again behind the last
			break
		}
		r.last = meta.Sequence.Consumer
		pos := meta.Sequence.Stream
		if pos < r.next {
			continue
		}
		r.skipped(pos, first)
		r.next = pos + 1
		msg, topic, err := decode(m.Header, m.Data)
		if err != nil {
			r.lose(pos, pos)
			r.log.engine.cfg.Emit(engine.Event{Kind: engine.Damaged, Name: r.log.name, Seq: pos, Reason: err.Error()})
			continue
		}
		if !bytes.HasPrefix(topic, r.prefix) {
			continue
		}
		entries = append(entries, engine.Entry{Pos: pos, Topic: topic, Frames: msg.Frames, Time: meta.Timestamp, Lost: r.lost})
		r.lost = engine.Range{}
	}
	return entries, nil
}

// skipped notes which positions between next and pos were removed before they were
// read. first is the oldest position of the log, if there is a prefix.
func (r *reader) skipped(pos, first uint64) {
	switch {
	case r.next == 0 || pos == r.next:
	case len(r.prefix) == 0:
		r.lose(r.next, pos-1)
	case first > r.next:
		r.lose(r.next, min(first, pos)-1)
	}
}

// lose adds positions to the range that the next entry reports.
func (r *reader) lose(first, last uint64) {
	if r.lost.First == 0 {
		r.lost.First = first
	}
	r.lost.Last = last
}

// join makes a consumer that begins with next.
func (r *reader) join(ctx context.Context) error {
	select {
	case <-r.log.closed:
		return engine.ErrClosed
	default:
	}
	cfg := jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: readerExpiry,
	}
	if len(r.prefix) > 0 {
		cfg.FilterSubject = filter(r.log.subject(), r.prefix)
	}
	if r.next > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.next
	}
	err := r.log.engine.request(ctx, func(ctx context.Context) error {
		c, err := r.log.engine.js.CreateConsumer(ctx, logStream(r.log.name), cfg)
		if err != nil {
			return fmt.Errorf("jetstream: consumer of log %s: %w", r.log.name, err)
		}
		r.consumer, r.last = c.CachedInfo().Name, 0
		return nil
	})
	if err != nil {
		return err
	}
	p, err := newPuller(r.log.engine.nc, logStream(r.log.name), r.consumer, 0, nil)
	if err != nil {
		return err
	}
	r.log.mu.Lock()
	closed := r.log.readers == nil
	if !closed {
		r.log.readers[p] = struct{}{}
	}
	r.log.mu.Unlock()
	if closed {
		p.close()
		return engine.ErrClosed
	}
	r.puller = p
	return nil
}

// leave deletes the consumer, if there is one.
func (r *reader) leave() {
	if r.puller == nil {
		return
	}
	r.log.mu.Lock()
	delete(r.log.readers, r.puller)
	r.log.mu.Unlock()
	r.puller.close()
	r.puller = nil
	// If it fails the server deletes it after readerExpiry.
	_ = r.log.engine.request(context.Background(), func(ctx context.Context) error {
		return r.log.engine.js.DeleteConsumer(ctx, logStream(r.log.name), r.consumer)
	})
}

// retry returns the error that ends the reading, or nil after a pause if the
// servers may be restarting.
func (r *reader) retry(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, engine.ErrClosed):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		r.missing = 0
	case r.missing == maxMissing:
		return err
	default:
		r.missing++
	}
	r.leave()
	return pause(ctx, retryAfter)
}
