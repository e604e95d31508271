package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
)

// ErrClosed is returned by the methods of a closed Publisher or Reader.
var ErrClosed = errors.New("feed: closed")

// Defaults of Config.
const (
	DefaultMaxMessages = 10_000
	DefaultMaxOctets   = 64 << 20
	DefaultHeartbeat   = time.Second
)

// Config configures a Publisher. Its zero value is usable.
type Config struct {
	// MaxMessages, MaxOctets and MaxAge bound the ring from which messages are
	// replayed; the oldest leave first. MaxOctets counts topics, payloads and
	// 96 octets a message. The defaults are DefaultMaxMessages,
	// DefaultMaxOctets and no limit on age.
	MaxMessages int
	MaxOctets   int64
	MaxAge      time.Duration

	// Heartbeat is the interval of heartbeats, DefaultHeartbeat if 0. A reader
	// finds the loss of the last message after at most one interval.
	Heartbeat time.Duration

	// Snapshot writes the state that all messages so far add up to. Nil means
	// that there are no snapshots. See SnapshotWriter. It runs beside
	// publication, in a goroutine for each reader that asks, in at most 4 at a
	// time; further readers wait. Its error ends the snapshot, and the reader
	// asks again.
	Snapshot func(ctx context.Context, w *SnapshotWriter) error

	// MaxReplays bounds how many readers are served replays and snapshots at
	// the same time, 256 if 0. Further ones are refused and ask again.
	MaxReplays int

	// History, if not nil, holds the messages that left the ring. The feed then
	// has the epoch and the numbers of History, and messages are published with
	// PublishStored instead of Publish. Only the format Native has histories.
	History *History

	// Format is the wire format; the zero Format is Native.
	Format Format

	// Options are those of all sockets, such as zmq.WithCurveServer.
	Options []zmq.Option
}

// Publisher publishes numbered messages. Its methods are safe for concurrent
// use.
type Publisher struct {
	cfg     Config
	epoch   sequence.Epoch
	live    *zmq.XPub
	control *zmq.Router
	replays *replayServer
	snaps   *zmq.Router // of the format VLLMEpoch, else nil

	mu       sync.Mutex // held while a message gets its number, enters ring and is sent: the three have one order
	ring     ring
	numbers  map[string]uint32 // of the format Bitcoin, the next of each topic
	lastSent time.Time
	closed   bool

	stop      context.CancelFunc
	wg        sync.WaitGroup
	joined    chan struct{} // a reader subscribed
	published chan struct{} // a message was published
}

// NewPublisher returns a Publisher with an epoch of its own. Bind and
// BindControl make it reachable. A nil cfg is the zero Config.
func NewPublisher(cfg *Config) (*Publisher, error) {
	p := &Publisher{epoch: sequence.NewEpoch(time.Now()), joined: make(chan struct{}, 1), published: make(chan struct{}, 1), lastSent: time.Now()}
	if cfg != nil {
		p.cfg = *cfg
	}
	c := &p.cfg
	if int(c.Format) >= len(formatNames) {
		return nil, fmt.Errorf("feed: %v is no format", c.Format)
	}
	if c.Snapshot != nil && c.Format != Native && c.Format != VLLMEpoch {
		return nil, fmt.Errorf("feed: the format %v has no snapshots", c.Format)
	}
	if err := c.History.check(c.Format); err != nil {
		return nil, err
	}
	if c.MaxMessages < 0 || c.MaxOctets < 0 || c.MaxAge < 0 || c.Heartbeat < 0 || c.MaxReplays < 0 {
		return nil, fmt.Errorf("feed: configuration has a negative bound: messages %d, octets %d, age %v, heartbeat %v, replays %d",
			c.MaxMessages, c.MaxOctets, c.MaxAge, c.Heartbeat, c.MaxReplays)
	}
	c.MaxMessages = orDefault(c.MaxMessages, DefaultMaxMessages)
	c.MaxOctets = orDefault(c.MaxOctets, DefaultMaxOctets)
	c.Heartbeat = orDefault(c.Heartbeat, DefaultHeartbeat)
	c.MaxReplays = orDefault(c.MaxReplays, 256)
	p.ring = ring{maxMessages: c.MaxMessages, maxOctets: c.MaxOctets, maxAge: c.MaxAge}

	if c.History != nil {
		p.epoch, p.ring.last = sequence.Epoch(c.History.After.Epoch), c.History.After.Seq
	}
	if c.Format == Bitcoin {
		p.numbers = make(map[string]uint32)
	}
	if err := p.sockets(); err != nil {
		return nil, errors.Join(err, p.closeSockets())
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.replays = newReplayServer(ctx, p)
	p.wg.Go(func() { p.subscriptions(ctx) })
	p.wg.Go(func() { p.heartbeats(ctx) })
	p.wg.Go(func() { p.replays.requests(ctx) })
	p.wg.Go(func() { p.replays.serve(ctx) })
	if p.snaps != nil {
		p.wg.Go(func() { p.vllmSnapshots(ctx) })
	}
	return p, nil
}

func (p *Publisher) sockets() (err error) {
	with := func(more ...zmq.Option) []zmq.Option {
		return append(p.cfg.Options[:len(p.cfg.Options):len(p.cfg.Options)], more...)
	}
	if p.live, err = zmq.NewXPub(with(zmq.WithOption("xpub_verbose", "1"))...); err != nil {
		return fmt.Errorf("feed: live socket: %w", err)
	}
	router := with(zmq.WithOption("router_mandatory", "1"), zmq.WithHWM(controlHWM))
	if p.control, err = zmq.NewRouter(router...); err != nil {
		return fmt.Errorf("feed: control socket: %w", err)
	}
	if p.cfg.Format == VLLMEpoch {
		if p.snaps, err = zmq.NewRouter(router...); err != nil {
			return fmt.Errorf("feed: snapshot socket: %w", err)
		}
	}
	return nil
}

func (p *Publisher) closeSockets() error {
	var errs []error
	if p.live != nil {
		errs = append(errs, p.live.Close())
	}
	if p.control != nil {
		errs = append(errs, p.control.Close())
	}
	if p.snaps != nil {
		errs = append(errs, p.snaps.Close())
	}
	return errors.Join(errs...)
}

func orDefault[T int | int64 | time.Duration](n, otherwise T) T {
	if n == 0 {
		return otherwise
	}
	return n
}

// Bind makes the feed's live messages available at endpoint and returns its
// address with the port filled in.
func (p *Publisher) Bind(endpoint string) (addr string, err error) {
	e, err := p.live.Bind(endpoint)
	if err != nil {
		return "", err
	}
	return e.Addr(), nil
}

// BindControl makes replay, liveness and, in the format Native, snapshots
// available at endpoint. It returns its address with the port filled in.
func (p *Publisher) BindControl(endpoint string) (addr string, err error) {
	e, err := p.control.Bind(endpoint)
	if err != nil {
		return "", err
	}
	return e.Addr(), nil
}

// BindSnapshots makes the snapshots of the format VLLMEpoch available at endpoint
// and returns its address with the port filled in.
func (p *Publisher) BindSnapshots(endpoint string) (addr string, err error) {
	if p.snaps == nil {
		return "", fmt.Errorf("feed: the format %v has no endpoint of snapshots", p.cfg.Format)
	}
	e, err := p.snaps.Bind(endpoint)
	if err != nil {
		return "", err
	}
	return e.Addr(), nil
}

// Position returns that of the last message published, with Seq 0 before the
// first.
func (p *Publisher) Position() Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Position{Epoch(p.epoch), p.ring.last}
}

// PublisherStats holds the figures of a Publisher.
type PublisherStats struct {
	Position Position
	Kept     int   // messages in the ring
	Octets   int64 // of the ring, as Config.MaxOctets counts them

	Live, Control zmq.Stats // of the sockets
}

// Stats returns the figures of p.
func (p *Publisher) Stats() PublisherStats {
	st := PublisherStats{Position: p.Position(), Live: p.live.Stats(), Control: p.control.Stats()}
	p.mu.Lock()
	defer p.mu.Unlock()
	st.Kept, st.Octets = p.ring.n, p.ring.octets
	return st
}

// Subscribed reports whether there is any subscriber now. A program whose
// messages are costly to make can leave them out until there is one.
func (p *Publisher) Subscribed() bool { return p.live.TopicCount() > 0 }

// Publish publishes one message for each payload, all with the same topic, as
// one batch. It returns the position of the last. It copies neither topic nor
// payloads, which must not be changed any more. It never waits for readers: for a
// subscriber at its high-water mark the live messages are dropped, and its
// Reader asks for them again.
func (p *Publisher) Publish(topic string, payloads ...[]byte) (Position, error) {
	if len(payloads) == 0 {
		return Position{}, errors.New("feed: publish: no payload")
	}
	if p.cfg.History != nil {
		return Position{}, errors.New("feed: publish: the messages of this feed have numbers, see PublishStored")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Position{}, ErrClosed
	}
	now := time.Now()
	t := []byte(topic)
	first := p.ring.last + 1
	for i, payload := range payloads {
		p.ring.add(entry{seq: first + uint64(i), time: now, topic: t, payload: payload})
	}
	if err := p.sendLive(now, t, first, payloads); err != nil {
		return Position{}, fmt.Errorf("feed: publish: %w", err)
	}
	p.notePublished()
	return Position{Epoch(p.epoch), p.ring.last}, nil
}

// notePublished wakes the goroutine that sends heartbeats.
func (p *Publisher) notePublished() {
	select {
	case p.published <- struct{}{}:
	default:
	}
}

// sendLive sends messages that have numbers from first. p.mu is held.
func (p *Publisher) sendLive(now time.Time, topic []byte, first uint64, payloads [][]byte) error {
	p.lastSent = now
	if p.cfg.Format == Native {
		m := make(zmq.Msg, 2, 2+len(payloads))
		m[0] = topic
		m[1] = header{epoch: p.epoch, seq: first, time: now}.append(make([]byte, 0, headerSize))
		return p.live.Send(context.Background(), append(m, payloads...))
	}
	for i, payload := range payloads {
		e := entry{seq: first + uint64(i), topic: topic, payload: payload}
		var m zmq.Msg
		if p.cfg.Format == Bitcoin {
			n := p.numbers[string(topic)]
			p.numbers[string(topic)] = n + 1
			m = bitcoinLive(e, n)
		} else {
			m = p.cfg.Format.vllmLive(p.epoch, e)
		}
		if err := p.live.Send(context.Background(), m); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the feed. It waits up to the sockets' linger time for messages to
// be sent. Readers see a publisher that stopped answering.
func (p *Publisher) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return ErrClosed
	}
	p.stop()
	err := p.closeSockets()
	p.wg.Wait()
	return err
}

// heartbeat publishes the number of the last message, if the format has a form
// for that.
func (p *Publisher) heartbeat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	p.ring.expire(now)
	// The only error is that of a socket that closes.
	switch {
	case p.cfg.Format == Native:
		h := header{heartbeat: true, epoch: p.epoch, seq: p.ring.last, time: now}
		_ = p.live.Send(context.Background(), zmq.Msg{nil, h.append(make([]byte, 0, headerSize))})
	case p.cfg.Format == VLLMEpoch && now.Sub(p.lastSent) >= p.cfg.Heartbeat:
		n := p.ring.last + 1
		p.ring.add(entry{seq: n, time: now, filler: true})
		_ = p.sendLive(now, nil, n, [][]byte{nil})
	}
}

// tail returns how long after the last message of a burst a heartbeat follows, so
// that the loss of that message is found sooner than by the next regular one.
func (p *Publisher) tail() time.Duration { return p.cfg.Heartbeat / 50 }

func (p *Publisher) heartbeats(ctx context.Context) {
	regular := time.NewTicker(p.cfg.Heartbeat)
	defer regular.Stop()
	tail := time.NewTimer(p.tail())
	tail.Stop()
	published := p.published // nil while tail runs: a burst wakes this goroutine once
	var last uint64          // when tail was set
	for {
		select {
		case <-ctx.Done():
			return
		case <-published:
			published = nil
			last = p.Position().Seq
			tail.Reset(p.tail())
			continue
		case <-tail.C:
			select {
			case <-p.published:
			default:
			}
			if n := p.Position().Seq; n != last {
				last = n // the burst goes on
				tail.Reset(p.tail())
				continue
			}
			published = p.published
			if p.cfg.Format != Native {
				continue // heartbeats take numbers, or there are none
			}
		case <-regular.C:
		case <-p.joined:
		}
		p.heartbeat()
	}
}

// subscriptions asks for a heartbeat when a reader subscribed, so that it need
// not wait for the next. Any number of subscriptions that arrive together are
// answered by one.
func (p *Publisher) subscriptions(ctx context.Context) {
	for {
		m, err := p.live.RecvBytes(ctx)
		if err != nil {
			return
		}
		if len(m) > 0 && m[0] == 1 {
			select {
			case p.joined <- struct{}{}:
			default:
			}
		}
	}
}

// window copies messages from to to, inclusive, that the ring holds: at most n
// messages, and no more than limit octets but for the first. It reports what the
// ring holds.
func (p *Publisher) window(dst []entry, from, to uint64, n int, limit int64) (_ []entry, first, last uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ring.expire(time.Now())
	first, last = p.ring.first(), p.ring.last
	for ; n > 0 && from <= to; n-- {
		e, ok := p.ring.at(from)
		if !ok {
			break
		}
		if limit -= e.octets(); limit < 0 && len(dst) > 0 {
			break
		}
		dst = append(dst, e)
		from++
	}
	return dst, first, last
}
