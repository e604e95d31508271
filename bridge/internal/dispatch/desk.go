// Package dispatch hands the jobs of a queue to workers and takes their
// acknowledgements.
//
// A [Desk] knows which workers are connected, how many jobs each has room for and
// which it holds. It fetches no more jobs than there is room: [Desk.Want] waits
// for room, [Desk.Deliver] hands out what was fetched. [Desk.Receive] takes the
// messages of workers, [Desk.Gone] the end of a connection, [Desk.Tick] finds
// workers that are silent. Whatever ends a worker returns its jobs to the engine
// at once.
//
// A Desk does no I/O of its own and starts no goroutine. It sends with
// [Config.Send], which must not block, and calls the engine in functions that it
// passes to [Config.Start].
//
// Invariants: Desk.room is the sum of worker.room; a worker with room is in
// Desk.idle; a job is in Desk.buffer, or held by one worker, or back at the engine.
//
// Locks: Desk.mu protects everything. Config.Send, Config.Start and Config.Alive
// are called with it held.
package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/protocol"
)

// Config configures a Desk.
type Config struct {
	MaxWorkers int           // workers beyond it are refused
	MaxCredit  int           // jobs that one worker may hold; a greater credit counts as this
	DeadAfter  time.Duration // a DEALER worker that sends nothing for this long is dead

	// Send sends a message to a worker of that kind. It must not block. After an
	// error the message is not sent.
	Send func(kind Kind, frames [][]byte) error
	// Start runs op outside the Desk and calls done with its result. It must not
	// call done before it returns.
	Start func(op func(context.Context) error, done func(error))
	// Alive reports whether a worker is connected.
	Alive func(kind Kind, peer string) bool
}

// Kind is the socket type of a worker.
type Kind uint8

// The kinds of workers.
const (
	Req Kind = iota + 1
	Dealer
)

// String returns the name of the socket type.
func (k Kind) String() string {
	if k == Req {
		return "REQ"
	}
	return "DEALER"
}

// Counters count what happened since the Desk was made.
type Counters struct {
	Delivered   atomic.Uint64 // jobs sent to workers
	Acked       atomic.Uint64 // jobs acknowledged, as the engine confirmed
	Nacked      atomic.Uint64 // jobs that workers gave back
	Terminated  atomic.Uint64 // jobs that workers refused for good
	Returned    atomic.Uint64 // jobs given back because their worker was gone
	Late        atomic.Uint64 // acknowledgements refused because the job was no longer held
	Unavailable atomic.Uint64 // acknowledgements that the engine did not confirm
	Invalid     atomic.Uint64 // messages that do not follow the protocol, and workers beyond MaxWorkers
	Unsent      atomic.Uint64 // replies dropped because a worker does not read them
}

// A Desk hands out the jobs of one queue. Its methods are safe for concurrent use.
type Desk struct {
	Counters Counters

	cfg    Config
	random string // in every token, so that those of another bridge are unknown here

	mu sync.Mutex
	// The fields below are protected by mu.
	workers map[string]*worker // by routing id and kind
	idle    []*worker          // in the order in which they get jobs; some have no room any more
	buffer  []engine.Job       // fetched, and no worker had room
	room    int                // sum of worker.room
	more    chan struct{}      // closed and replaced when Want may go on
	cancel  context.CancelFunc // of the fetch under way
	closed  bool
}

// worker is a connected worker.
type worker struct {
	key, conn string
	kind      Kind
	address   [][]byte // precedes a job: the envelope of NEXT or READY
	credit    int      // of a DEALER; of a REQ 1 while its NEXT waits
	held      map[string]*held
	room      int // jobs that it would take now
	seen      time.Time
	idle      bool // in Desk.idle
	gone      bool
}

// held is a job that a worker holds.
type held struct {
	job       engine.Job
	token     string
	finishing bool // an acknowledgement is with the engine
	extending bool // a progress is with the engine
}

// New returns a Desk without workers.
func New(cfg Config) *Desk {
	return &Desk{cfg: cfg, random: rand.Text()[:16], workers: make(map[string]*worker), more: make(chan struct{})}
}

// Want waits until workers have room and returns for how many jobs. The context
// fetch ends when there is no room any more: the caller fetches with it. The error
// is that of ctx.
func (d *Desk) Want(ctx context.Context) (n int, fetch context.Context, err error) {
	for {
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		d.mu.Lock()
		if d.cancel != nil {
			d.cancel()
			d.cancel = nil
		}
		if n = d.room - len(d.buffer); n > 0 && !d.closed {
			fetch, d.cancel = context.WithCancel(ctx)
			d.mu.Unlock()
			return n, fetch, nil
		}
		more := d.more
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-more:
		}
	}
}

// Deliver hands out fetched jobs. Jobs for which there is no room any more wait
// for it until the next Tick.
func (d *Desk) Deliver(jobs []engine.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		for _, j := range jobs {
			d.giveBack(j)
		}
		return
	}
	d.buffer = append(d.buffer, jobs...)
	d.handOut()
}

// handOut sends jobs to workers with room. d.mu is held.
func (d *Desk) handOut() {
	for len(d.buffer) > 0 && len(d.idle) > 0 {
		w := d.idle[0]
		d.idle[0] = nil
		d.idle = d.idle[1:]
		w.idle = false
		if w.room == 0 {
			continue
		}
		job := d.buffer[0]
		h := &held{job: job, token: d.token(job)}
		frames := append(append(make([][]byte, 0, 8), w.address...), []byte(h.token), protocol.Number(uint64(job.Deliveries())))
		if err := d.cfg.Send(w.kind, append(frames, job.Message().Frames...)); err != nil {
			w.credit = 0 // until it speaks again
			d.refresh(w)
			continue
		}
		d.Counters.Delivered.Add(1)
		d.buffer[0] = nil
		d.buffer = d.buffer[1:]
		w.held[h.token] = h
		if w.kind == Req {
			w.credit = 0
		}
		d.refresh(w)
	}
	if len(d.buffer) == 0 {
		d.buffer = nil
	}
}

// token returns the token of one delivery.
func (d *Desk) token(j engine.Job) string {
	b := make([]byte, 0, protocol.MaxToken)
	b = append(b, protocol.Number(j.Seq())...)
	b = append(append(b, '-'), protocol.Number(uint64(j.Deliveries()))...)
	return string(append(append(b, '-'), d.random...))
}

// refresh brings the room of w up to date. d.mu is held.
func (d *Desk) refresh(w *worker) {
	room := 0
	switch {
	case w.gone:
	case w.kind == Dealer:
		room = max(0, w.credit-len(w.held))
	case len(w.held) == 0:
		room = w.credit
	}
	before := d.room - len(d.buffer)
	d.room += room - w.room
	w.room = room
	if room > 0 && !w.idle {
		w.idle = true
		d.idle = append(d.idle, w)
	}
	switch after := d.room - len(d.buffer); {
	case after > 0 && before <= 0:
		close(d.more)
		d.more = make(chan struct{})
	case after <= 0 && d.cancel != nil:
		d.cancel()
		d.cancel = nil
	}
}

// drop ends a worker and returns its jobs. d.mu is held.
func (d *Desk) drop(w *worker) {
	w.gone = true
	delete(d.workers, w.key)
	d.refresh(w)
	if i := slices.Index(d.idle, w); i >= 0 {
		d.idle = slices.Delete(d.idle, i, i+1)
	}
	for _, h := range w.held {
		if !h.finishing {
			d.giveBack(h.job)
		}
	}
}

// giveBack returns a job to the engine. If that fails, the job returns after its
// AckWait.
func (d *Desk) giveBack(j engine.Job) {
	d.Counters.Returned.Add(1)
	d.cfg.Start(func(context.Context) error { return j.Nak(0) }, func(error) {})
}

// Gone ends the worker of a connection. conn is as for Receive.
func (d *Desk) Gone(kind Kind, peer, conn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.workers[key(kind, peer)]; w != nil && w.conn == conn {
		d.drop(w)
	}
}

// Tick ends workers that are silent or not connected any more, and returns jobs
// that wait for room to the engine, so that another bridge can have them. It is
// called about once a second.
func (d *Desk) Tick(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.workers {
		silent := w.kind == Dealer && now.Sub(w.seen) > d.cfg.DeadAfter
		if silent || !d.cfg.Alive(w.kind, w.key[1:]) {
			d.drop(w)
		}
	}
	waiting := d.buffer
	d.buffer = nil
	for _, j := range waiting {
		d.giveBack(j)
	}
}

// Close ends all workers and returns all jobs to the engine. Acknowledgements that
// are with the engine complete.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, w := range d.workers {
		d.drop(w)
	}
	for _, j := range d.buffer {
		d.giveBack(j)
	}
	d.buffer = nil
}

// A WorkerStatus describes a worker.
type WorkerStatus struct {
	Peer   string    `json:"peer"` // routing id in hexadecimal
	Type   string    `json:"type"` // REQ or DEALER
	Credit int       `json:"credit"`
	Held   int       `json:"held"` // jobs
	Seen   time.Time `json:"seen"` // last message
}

// Workers describes at most limit workers, in no order, and returns how many there
// are and how many jobs they hold.
func (d *Desk) Workers(limit int) (some []WorkerStatus, workers, jobs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.workers {
		jobs += len(w.held)
		if len(some) < limit {
			some = append(some, WorkerStatus{hex.EncodeToString([]byte(w.key[1:])), w.kind.String(), w.credit, len(w.held), w.seen})
		}
	}
	return some, len(d.workers), jobs
}

// key is that of Desk.workers: the sockets of the two kinds have routing ids of
// their own.
func key(kind Kind, peer string) string { return string(rune(kind)) + peer }
