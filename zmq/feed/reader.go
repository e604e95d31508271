package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// Source is one publisher that a Reader follows.
type Source struct {
	// Name identifies the source in events; Live if empty.
	Name string
	// Live is the endpoint of the publisher's live messages.
	Live string
	// Control is the endpoint of its control channel. Without one nothing can
	// be replayed: every loss is a Gap, and there are no Live events.
	Control string
	// Snapshots is the endpoint of snapshots in the format VLLMEpoch. The other
	// formats have none.
	Snapshots string
	// From is where to begin; the zero Start is Latest.
	From Start
	// Format is the wire format; the zero Format is Native.
	Format Format
	// Topic is the one topic that a Source of the format Bitcoin follows.
	Topic string
}

// Defaults of Options.
const (
	DefaultMaxStale = 3 * time.Second
	DefaultTimeout  = time.Second
)

// Options configures a Reader. Its zero value is usable.
type Options struct {
	// MaxStale bounds how old the state of a source may be while it counts as
	// live, DefaultMaxStale if 0. The publisher is asked four times in that
	// time.
	MaxStale time.Duration
	// Timeout is how long a replay may make no progress before it is asked for
	// again, DefaultTimeout if 0. It doubles with each attempt. After three the
	// messages become a Gap.
	Timeout time.Duration
	// MaxBuffered and MaxBufferedOctets bound, for each source, the live
	// messages that are kept during a replay, 4,096 and 16 MiB if 0. What exceeds
	// them is replayed instead.
	MaxBuffered       int
	MaxBufferedOctets int64
	// Options are those of the live and the control sockets, such as
	// zmq.WithCurve.
	Options []zmq.Option
}

// Reader follows one or more publishers. It runs in the goroutine that iterates
// over Messages, and reads no more from the network than is asked of it: a slow
// program loses live messages at the publisher's high-water mark, and gets them
// by replay.
type Reader struct {
	sources []*source
	poller  *zmq.Poller

	mu sync.Mutex // protects the followers, and closed
	// busy is held by the one call of Messages.
	busy   sync.Mutex
	closed bool
	stop   chan struct{}
}

type source struct {
	Source
	f       *follower
	live    *zmq.Sub
	control *zmq.Dealer // nil without a control channel
	snaps   *zmq.Dealer // nil without Snapshots
}

// Open returns a Reader of sources and begins to connect to them. A nil opts is
// the zero Options. The publishers need not run yet.
func Open(opts *Options, sources ...Source) (*Reader, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MaxStale < 0 || o.Timeout < 0 || o.MaxBuffered < 0 || o.MaxBufferedOctets < 0 {
		return nil, fmt.Errorf("feed: options have a negative bound: stale %v, timeout %v, buffered %d, octets %d",
			o.MaxStale, o.Timeout, o.MaxBuffered, o.MaxBufferedOctets)
	}
	if len(sources) == 0 {
		return nil, errors.New("feed: open: no source")
	}
	o.MaxStale = orDefault(o.MaxStale, DefaultMaxStale)
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.MaxBuffered = orDefault(o.MaxBuffered, 4096)
	o.MaxBufferedOctets = orDefault(o.MaxBufferedOctets, 16<<20)
	r := &Reader{stop: make(chan struct{}), poller: new(zmq.Poller)}
	names := make(map[string]bool)
	for _, s := range sources {
		if s.Name == "" {
			s.Name = s.Live
		}
		if names[s.Name] {
			r.Close()
			return nil, fmt.Errorf("feed: open: two sources are named %q", s.Name)
		}
		names[s.Name] = true
		if err := r.add(s, o); err != nil {
			r.Close()
			return nil, fmt.Errorf("feed: open %s: %w", s.Name, err)
		}
	}
	return r, nil
}

// check reports what does not fit together.
func (s Source) check() error {
	switch {
	case int(s.Format) >= len(formatNames):
		return fmt.Errorf("%v is no format", s.Format)
	case s.From.kind == fromSnapshot && s.Format == Native && s.Control == "":
		return errors.New("a snapshot needs a control endpoint")
	case s.From.kind == fromSnapshot && s.Format != Native && s.Snapshots == "":
		return errors.New("a snapshot needs an endpoint of snapshots")
	case s.Snapshots != "" && s.Format != VLLMEpoch:
		return fmt.Errorf("the format %v has no endpoint of snapshots", s.Format)
	case s.Format == Bitcoin && (s.Topic == "" || s.Control != ""):
		return errors.New("the format bitcoin needs a topic and has no control channel")
	case s.Format != Bitcoin && s.Topic != "":
		return fmt.Errorf("the format %v numbers all topics together: filter what Messages yields", s.Format)
	}
	return nil
}

func (r *Reader) add(s Source, o Options) error {
	if err := s.check(); err != nil {
		return err
	}
	src := &source{Source: s, f: &follower{
		name: s.Name, start: s.From, dialect: s.dialect(), control: s.Control != "", probes: s.Format.vllm(), snapshots: s.Snapshots != "",
		maxStale: o.MaxStale, timeout: o.Timeout, maxAhead: o.MaxBuffered, maxAheadOctets: o.MaxBufferedOctets,
	}}
	r.sources = append(r.sources, src)
	var err error
	if src.control, err = r.dealer(s.Control, o); err != nil {
		return err
	}
	if src.snaps, err = r.dealer(s.Snapshots, o); err != nil {
		return err
	}
	if src.live, err = zmq.NewSub(o.Options...); err != nil {
		return err
	}
	if err = src.live.Subscribe(s.Topic); err != nil {
		return err
	}
	if _, err = src.live.Connect(s.Live); err != nil {
		return err
	}
	return r.poller.Set(zmq.PollItem{Socket: src.live, Recv: true})
}

// dealer returns a socket that asks a publisher at endpoint, nil for none.
func (r *Reader) dealer(endpoint string, o Options) (*zmq.Dealer, error) {
	if endpoint == "" {
		return nil, nil
	}
	d, err := zmq.NewDealer(append(o.Options[:len(o.Options):len(o.Options)], zmq.WithLinger(0), zmq.WithOption("immediate", "1"), zmq.WithHWM(controlHWM))...)
	if err != nil {
		return nil, err
	}
	if _, err = d.Connect(endpoint); err == nil {
		err = r.poller.Set(zmq.PollItem{Socket: d, Recv: true})
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Messages yields the events of all sources until ctx is done, the Reader is
// closed or the loop ends. A later call goes on where the last one stopped. The
// last pair has the error: that of ctx, or ErrClosed. Calls at the same time
// take turns.
func (r *Reader) Messages(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r.busy.Lock()
		defer r.busy.Unlock()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() {
			select {
			case <-r.stop:
				cancel(ErrClosed)
			case <-ctx.Done():
			}
		}()
		for {
			for _, s := range r.sources {
				for {
					e, ok := r.next(s)
					if !ok {
						break
					}
					if !yield(e, nil) {
						return
					}
				}
			}
			if ctx.Err() != nil {
				yield(Event{}, context.Cause(ctx))
				return
			}
			r.step(ctx)
		}
	}
}

// next takes the oldest event of s.
func (r *Reader) next(s *source) (Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := s.f
	if len(f.events) == 0 {
		return Event{}, false
	}
	e := f.events[0]
	f.events[0] = Event{}
	if f.events = f.events[1:]; len(f.events) == 0 {
		f.events = nil
	}
	return e, true
}

// stepMessages is how many messages of a socket are read before the events are
// yielded.
const stepMessages = 64

// step reads what has arrived from all sources. If nothing has, it waits for
// something to arrive or to become due.
func (r *Reader) step(ctx context.Context) {
	if r.read(time.Now()) {
		return
	}
	now := time.Now()
	due := now.Add(time.Hour)
	r.mu.Lock()
	for _, s := range r.sources {
		if d := s.f.due(now); d.Before(due) {
			due = d
		}
	}
	r.mu.Unlock()
	wait, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	// Errors are those of the context; a closed socket ends the Reader.
	_, _ = r.poller.Wait(wait)
}

// read reports whether there is an event.
func (r *Reader) read(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := false
	for _, s := range r.sources {
		for range stepMessages {
			m, err := s.live.TryRecv()
			if err != nil {
				break
			}
			s.f.publication(now, m)
		}
		for range stepMessages {
			if s.control == nil {
				break
			}
			m, err := s.control.TryRecv()
			if err != nil {
				break
			}
			s.f.reply(now, m)
		}
		if s.snaps != nil {
			if m, err := s.snaps.TryRecv(); err == nil {
				s.f.vllmSnapshot(now, m)
			}
		}
		s.f.tick(now)
		s.send()
		some = some || len(s.f.events) > 0
	}
	return some
}

// maxUnsent bounds the control messages kept for a connection that is not there.
const maxUnsent = 16

// send sends what the follower asks. Requests that find no room, or no
// connection, are kept. Questions for liveness are not: their age would count
// against the answer.
func (s *source) send() {
	f := s.f
	kept := f.out[:0]
	for _, c := range f.out {
		if !s.trySend(c) && c.cmd != cmdPing {
			kept = append(kept, c)
		}
	}
	if n := len(kept); n > maxUnsent {
		kept = kept[:copy(kept, kept[n-maxUnsent:])]
	}
	f.out = kept
}

func (s *source) trySend(c control) bool {
	switch {
	case c.cmd == cmdSnapshot && s.snaps != nil:
		return s.snaps.TrySend(zmq.Msg{nil, []byte(vllmSnapshot)}) == nil
	case s.control == nil:
		return true
	}
	m, ok := s.f.dialect.request(c)
	return !ok || s.control.TrySend(m) == nil
}

// Positions returns, for each source, the position behind which a later Reader
// resumes: of the last event that Messages took from the network, which may be a
// few events ahead of those yielded. Use Event.Position to store progress.
func (r *Reader) Positions() map[string]Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Position, len(r.sources))
	for _, s := range r.sources {
		all[s.Name] = s.f.position()
	}
	return all
}

// Stats returns counters for each source.
func (r *Reader) Stats() map[string]Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Stats, len(r.sources))
	for _, s := range r.sources {
		all[s.Name] = s.f.stats
	}
	return all
}

// Fresh returns for how long ago the state of a source is known to be complete,
// as seen by what was read from the network so far; ok is false if it never
// was, or there is no such source.
func (r *Reader) Fresh(name string) (age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sources {
		if s.Name == name && !s.f.fence.Fresh().IsZero() {
			return time.Since(s.f.fence.Fresh()), true
		}
	}
	return 0, false
}

// Close ends the Reader and every iteration over Messages.
func (r *Reader) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	r.closed = true
	close(r.stop)
	r.mu.Unlock()
	errs := []error{r.poller.Close()}
	for _, s := range r.sources {
		if s.live != nil {
			errs = append(errs, s.live.Close())
		}
		if s.control != nil {
			errs = append(errs, s.control.Close())
		}
		if s.snaps != nil {
			errs = append(errs, s.snaps.Close())
		}
	}
	return errors.Join(errs...)
}
