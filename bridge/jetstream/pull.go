package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/engine"
)

const (
	pullExpires = 5 * time.Second // how long the server keeps a request without messages
	pullLost    = 8 * time.Second // after that without an answer a request is made again
	drainWait   = 5 * time.Second // how long close waits for the server
	ackPrefix   = "$JS.ACK."      // of the reply subject of a consumer's messages
)

// errGone means that the consumer does not exist, or that no server is its leader
// at the moment.
var errGone = errors.New("jetstream: consumer is not available")

// puller reads from one consumer. It has at most one request at the server, for
// at least one and at most as many messages as the waiting caller wants. The
// library's Fetch waits until all are there, and drops what comes late.
type puller struct {
	nc    *nats.Conn
	next  string        // the subject for requests
	inbox string        // replies come to inbox.REQUEST
	stale time.Duration // age at which an arrived message is given to returned; 0: never
	sub   *nats.Subscription

	mu      sync.Mutex
	request uint64    // number of the last request
	want    int       // messages that it may still bring; 0: it is over
	sent    time.Time // of the last request or message
	gone    error     // why the last request failed, until fetch returns it
	arrived []arrival
	changed chan struct{} // closed and replaced on every change
	closed  bool
	timer   *time.Timer // runs expire; nil: nothing has arrived since the last run
	drained chan struct{}

	returned func(*nats.Msg) // gets messages that no caller took
}

type arrival struct {
	msg *nats.Msg
	at  time.Time
}

// newPuller returns a puller. returned may be nil if stale is 0.
func newPuller(nc *nats.Conn, stream, consumer string, stale time.Duration, returned func(*nats.Msg)) (*puller, error) {
	p := &puller{
		nc:       nc,
		next:     "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		inbox:    nc.NewInbox(),
		stale:    stale,
		returned: returned,
		changed:  make(chan struct{}),
		drained:  make(chan struct{}),
	}
	var err error
	if p.sub, err = nc.Subscribe(p.inbox+".*", p.receive); err != nil {
		return nil, fmt.Errorf("jetstream: subscribe to messages: %w", err)
	}
	p.sub.SetClosedHandler(func(string) { close(p.drained) })
	// The window of one request bounds what can arrive.
	if err := p.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("jetstream: subscribe to messages: %w", err)
	}
	return p, nil
}

// fetch returns at least one and at most n messages, or errGone.
func (p *puller) fetch(ctx context.Context, n int) ([]*nats.Msg, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, engine.ErrClosed
		}
		if msgs := p.take(n); len(msgs) > 0 {
			p.mu.Unlock()
			return msgs, nil
		}
		if err := p.gone; err != nil {
			p.gone = nil
			p.mu.Unlock()
			return nil, err
		}
		left := pullLost - time.Since(p.sent)
		if p.want == 0 || left <= 0 {
			if err := p.ask(n); err != nil {
				p.mu.Unlock()
				return nil, err
			}
			left = pullLost
		}
		changed := p.changed
		p.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// take removes up to n messages that arrived.
func (p *puller) take(n int) []*nats.Msg {
	n = min(n, len(p.arrived))
	msgs := make([]*nats.Msg, n)
	for i := range n {
		msgs[i] = p.arrived[i].msg
	}
	p.arrived = p.arrived[n:]
	return msgs
}

// ask sends a request for n messages. With no_wait and an expiry the server
// answers with what it has or, if it has nothing, with the next message.
func (p *puller) ask(n int) error {
	p.request++
	p.want, p.sent = n, time.Now()
	body, err := json.Marshal(struct {
		Batch   int           `json:"batch"`
		Expires time.Duration `json:"expires"`
		NoWait  bool          `json:"no_wait"`
	}{n, pullExpires, true})
	if err != nil {
		return err
	}
	err = p.nc.PublishRequest(p.next, fmt.Sprintf("%s.%d", p.inbox, p.request), body)
	switch {
	case errors.Is(err, nats.ErrConnectionClosed):
		return engine.ErrClosed
	case err != nil: // the buffer for the time of a reconnect is full
		p.want = 0
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// receive is called with each message and each status of a request.
func (p *puller) receive(m *nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed && p.returned != nil && strings.HasPrefix(m.Reply, ackPrefix) {
		p.returned(m)
		return
	}
	if strings.HasPrefix(m.Reply, ackPrefix) {
		// Its subject is that of the stream, so the request is unknown. A late
		// message of an earlier request only makes the next one come earlier.
		p.sent = time.Now()
		p.arrived = append(p.arrived, arrival{m, p.sent})
		p.want = max(p.want-1, 0)
		if p.timer == nil && p.stale > 0 {
			p.timer = time.AfterFunc(p.stale, p.expire)
		}
	} else if strings.TrimPrefix(m.Subject, p.inbox+".") == strconv.FormatUint(p.request, 10) {
		switch m.Header.Get("Status") {
		case "100": // heartbeat
			return
		case "404", "408": // no more messages, or expired
			p.want = 0
		default: // 409: deleted, no leader, shutdown; 503: no responders
			p.want = 0
			p.gone = fmt.Errorf("%w: status %s %s", errGone, m.Header.Get("Status"), m.Header.Get("Description"))
		}
	}
	p.wake()
}

// expire gives messages that arrived at least stale ago to returned.
func (p *puller) expire() {
	p.mu.Lock()
	p.timer = nil
	if p.closed {
		p.mu.Unlock()
		return
	}
	n := 0
	for n < len(p.arrived) && time.Since(p.arrived[n].at) >= p.stale {
		n++
	}
	old := p.take(n)
	if len(p.arrived) > 0 {
		p.timer = time.AfterFunc(p.stale-time.Since(p.arrived[0].at), p.expire)
	}
	p.mu.Unlock()
	for _, m := range old {
		p.returned(m)
	}
}

// lost makes the next fetch repeat its request: the connection broke.
func (p *puller) lost() {
	p.mu.Lock()
	p.want = 0
	p.wake()
	p.mu.Unlock()
}

// close ends fetch with ErrClosed. It gives messages that have arrived, or that the
// server sends until it knows that no more are wanted, to returned.
func (p *puller) close() {
	p.mu.Lock()
	p.closed = true
	old := p.take(len(p.arrived))
	if p.timer != nil {
		p.timer.Stop()
	}
	p.wake()
	p.mu.Unlock()
	if p.returned != nil {
		for _, m := range old {
			p.returned(m)
		}
	}
	if p.nc.Status() != nats.CONNECTED || p.sub.Drain() != nil {
		_ = p.sub.Unsubscribe() // fails if the connection is closed
		return
	}
	timer := time.NewTimer(drainWait)
	defer timer.Stop()
	select {
	case <-p.drained:
	case <-timer.C: // the connection broke; the server's AckWait returns what it sent
	}
}

func (p *puller) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}
