package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
	"lintel.dev/memcached"
	"lintel.dev/zmq"
)

// DefaultHeartbeat is the default of Config.Heartbeat.
const DefaultHeartbeat = 250 * time.Millisecond

// joinInterval is the least time between the heartbeats that subscriptions cause.
const joinInterval = 10 * time.Millisecond

// The bounds of what waits for a subscriber and of what it sends.
const (
	maxWaiting  = 4096 // messages
	maxRecords  = 256  // of a message
	maxReceived = 1 << 20
)

var (
	// ErrConfig is wrapped by the errors that New returns for a value of Config.
	ErrConfig = errors.New("nearcache/server: invalid configuration")
	// ErrInUse is returned by memcached.New for a Publisher that another server uses,
	// and for one that is closed.
	ErrInUse = errors.New("nearcache/server: the publisher is closed or belongs to another server")
)

// Config configures a Publisher.
type Config struct {
	// Endpoints are where subscribers connect, 1 to 16 of them, such as
	// tcp://*:11311. Those with a wildcard for the address reach clients as tcp://*:port:
	// the client puts in the host that it has for the cache.
	Endpoints []string

	// Heartbeat is the interval of heartbeats, DefaultHeartbeat if 0.
	Heartbeat time.Duration

	// Options are further options of the socket, such as zmq.WithCurveServer.
	Options []zmq.Option
}

// Publisher publishes the changes of one server. It is a memcached.Feed.
type Publisher struct {
	epoch     sequence.Epoch
	endpoints []string
	heartbeat time.Duration
	sock      *zmq.XPub

	changes memcached.Changes // set by Start
	rings   []ring
	topics  [][]byte

	bell      chan struct{} // wakes the sending goroutine
	idle      atomic.Bool   // it waits, or is about to
	joined    atomic.Bool   // a subscription arrived
	published atomic.Uint64 // changes sent

	// Of the sending goroutine.
	listening bool
	beaten    time.Time        // of the last heartbeat
	soon      <-chan time.Time // joinInterval after it, if a subscription waits for that
	spare     batch
	header    []byte
	numbers   []uint64 // of a heartbeat
	sent      []uint64 // last number sent, of each lane

	mu   sync.Mutex
	used bool // Start was called, or Close
	stop context.CancelFunc
	wg   sync.WaitGroup
}

var _ memcached.Feed = (*Publisher)(nil)

// New returns a Publisher that is bound to the endpoints. Subscribers can connect, and
// receive something once a server uses it. Close must be called, after the server's
// Shutdown.
func New(cfg *Config) (*Publisher, error) {
	if n := len(cfg.Endpoints); n == 0 || n > wire.MaxFeeds {
		return nil, fmt.Errorf("%w: %d endpoints, expected 1 to %d", ErrConfig, n, wire.MaxFeeds)
	}
	if cfg.Heartbeat < 0 {
		return nil, fmt.Errorf("%w: heartbeat %v, expected more than 0", ErrConfig, cfg.Heartbeat)
	}
	opts := append([]zmq.Option{
		zmq.WithOption("sndhwm", fmt.Sprint(maxWaiting)),
		zmq.WithOption("rcvhwm_octets", fmt.Sprint(maxReceived)),
		zmq.WithOption("xpub_verbose", "1"), // each subscription is received
		zmq.WithLinger(0),
	}, cfg.Options...)
	sock, err := zmq.NewXPub(opts...)
	if err != nil {
		return nil, fmt.Errorf("nearcache/server: socket: %w", err)
	}
	p := &Publisher{
		epoch:     sequence.NewEpoch(time.Now()),
		heartbeat: cmp.Or(cfg.Heartbeat, DefaultHeartbeat),
		sock:      sock,
		bell:      make(chan struct{}, 1),
	}
	for _, endpoint := range cfg.Endpoints {
		if err := p.bind(endpoint); err != nil {
			return nil, errors.Join(err, sock.Close())
		}
	}
	return p, nil
}

func (p *Publisher) bind(endpoint string) error {
	e, err := p.sock.Bind(endpoint)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	reachable := wildcard(e.Addr())
	if err := wire.CheckEndpoint(reachable); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p.endpoints = append(p.endpoints, reachable)
	return nil
}

// wildcard returns an endpoint with * for an address that means all interfaces.
func wildcard(endpoint string) string {
	scheme, addr, ok := strings.Cut(endpoint, "://")
	if !ok {
		return endpoint
	}
	addr, path, sub := strings.Cut(addr, "/")
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !net.ParseIP(host).IsUnspecified() {
		return endpoint
	}
	if sub {
		path = "/" + path
	}
	return scheme + "://*:" + port + path
}

// Endpoints returns where subscribers connect, with the ports that were chosen. It is
// what clients learn by mf.
func (p *Publisher) Endpoints() []string { return p.endpoints }

// Close disconnects the subscribers and releases the endpoints. The server that uses
// p must have been shut down.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.used = true
	p.mu.Unlock()
	return p.sock.Close()
}

// Start implements memcached.Feed.
func (p *Publisher) Start(c memcached.Changes) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used {
		return ErrInUse
	}
	p.used = true
	lanes := c.Lanes()
	p.changes = c
	p.rings, p.topics = make([]ring, lanes), make([][]byte, lanes)
	for lane := range lanes {
		p.topics[lane] = wire.AppendTopic(nil, lane)
	}
	p.numbers, p.sent = make([]uint64, 0, lanes), make([]uint64, lanes)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.wg.Go(func() { p.receive(ctx) })
	p.wg.Go(func() { p.run(ctx) })
	return nil
}

// Stop implements memcached.Feed.
func (p *Publisher) Stop() {
	p.stop()
	p.wg.Wait()
}

// Change implements memcached.Feed.
func (p *Publisher) Change(lane int, number uint64, kind memcached.ChangeKind, key []byte) {
	p.rings[lane].add(number, kind, key)
	if p.idle.Load() && p.idle.CompareAndSwap(true, false) {
		p.wake()
	}
}

func (p *Publisher) wake() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// AppendFence implements memcached.Feed.
func (p *Publisher) AppendFence(dst []byte, nonce uint64) []byte {
	var room [64]uint64
	return wire.AppendAnswer(dst, &wire.Fence{Nonce: nonce, Epoch: p.epoch, Feeds: p.endpoints, Last: p.changes.Numbers(room[:0])})
}

// Stats implements memcached.Feed.
func (p *Publisher) Stats() memcached.FeedStats {
	st := memcached.FeedStats{Published: p.published.Load()}
	for _, peer := range p.sock.Stats().Peers {
		if peer.Connected {
			st.Subscribers++
		}
	}
	for i := range p.rings {
		st.Lost += p.rings[i].lostSoFar()
	}
	return st
}

// receive reads what subscribers send. All but the fact of a subscription is dropped.
func (p *Publisher) receive(ctx context.Context) {
	for {
		m, err := p.sock.Recv(ctx)
		if err != nil {
			return
		}
		if len(m[0]) > 0 && m[0][0] == 1 {
			p.joined.Store(true)
		}
		p.wake()
	}
}

// run sends records and heartbeats until ctx is done.
func (p *Publisher) run(ctx context.Context) {
	defer p.changes.Listen(false)
	tick := time.NewTicker(p.heartbeat)
	defer tick.Stop()
	for {
		p.follow()
		p.idle.Store(false)
		sent := p.drain()
		if !sent {
			// A change after this look rings the bell.
			p.idle.Store(true)
			sent = p.drain()
		}
		if sent {
			select {
			case <-tick.C:
				p.beat()
			case <-p.soon:
				p.beat()
			case <-ctx.Done():
				return
			default:
			}
			continue
		}
		select {
		case <-p.bell:
		case <-tick.C:
			p.beat()
		case <-p.soon:
			p.beat()
		case <-ctx.Done():
			return
		}
	}
}

// follow listens to changes while there are subscriptions. Any topic counts: who
// subscribes to another one costs no more than who subscribes to all.
//
// A new subscriber waits for the numbers of all lanes, so it gets them at once, or
// joinInterval after the last heartbeat: subscriptions may come in any number.
func (p *Publisher) follow() {
	joined := p.joined.Swap(false) // before TopicCount, which then has the topic
	if on := p.sock.TopicCount() > 0; on != p.listening {
		p.listening = on
		p.changes.Listen(on)
		joined = joined || on
	}
	switch {
	case !joined || p.soon != nil:
	case time.Since(p.beaten) >= joinInterval:
		p.beat()
	default:
		p.soon = time.After(joinInterval)
	}
}

// beat sends the last number of each lane, after the records up to it.
func (p *Publisher) beat() {
	p.soon = nil
	if p.beaten = time.Now(); !p.listening {
		return
	}
	p.numbers = p.changes.Numbers(p.numbers[:0])
	p.drain()
	for lane, number := range p.numbers {
		p.send(lane, batch{first: max(number, p.sent[lane])})
	}
}

// drain sends what the rings hold, and returns false if that is nothing.
func (p *Publisher) drain() (sent bool) {
	for lane := range p.rings {
		if !p.rings[lane].take(&p.spare) {
			continue
		}
		sent = true
		p.published.Add(uint64(p.spare.count))
		for rest := p.spare; rest.count > 0; {
			m := rest.next(maxRecords)
			p.send(lane, m)
			p.sent[lane] = m.first + uint64(m.count) - 1
		}
	}
	return sent
}

// send sends one message. The socket drops it for subscribers that are too slow, and
// never waits.
func (p *Publisher) send(lane int, b batch) {
	p.header = wire.AppendHeader(p.header[:0], &wire.Header{Lane: lane, Epoch: p.epoch, First: b.first, Count: b.count})
	_ = p.sock.TrySend(zmq.Msg{p.topics[lane], p.header, b.records}) // fails after Close only
}
