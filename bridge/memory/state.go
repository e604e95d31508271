package memory

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
)

// item is a message of a queue.
type item struct {
	message    engine.Message
	seq        uint64
	size       int64
	deliveries int
	job        *job        // the delivery that holds it; nil: it waits
	timer      *time.Timer // ends AckWait or a delay; nil: none is running
	timerID    uint64      // identifies timer: an earlier one that fired late does nothing
}

// queueState is a queue of an Engine, shared by its handles.
//
// Every item is in exactly one place: in ready or again, if it is due; held by a
// job; or waiting for the timer of a Nak. items has all of them.
type queueState struct {
	name string
	opts engine.Options

	mu      sync.Mutex
	cfg     engine.QueueConfig
	changed chan struct{} // closed and replaced when a job may have become due
	last    uint64
	items   map[uint64]*item
	ready   []*item // never delivered, in order of seq
	again   []*item // to be delivered again, in order of becoming due; before ready
	unacked int
	timers  uint64 // the last timerID
	ids     map[string]seen
	order   []string // the keys of ids, oldest first
	bytes   int64    // of items
	dead    []engine.DeadLetter
	buried  int64 // octets of dead
}

// seen is an entry of the deduplication window.
type seen struct {
	seq uint64
	at  time.Time
}

func newQueueState(name string, opts engine.Options) *queueState {
	return &queueState{
		name: name, opts: opts,
		changed: make(chan struct{}),
		items:   make(map[uint64]*item),
		ids:     make(map[string]seen),
	}
}

func (s *queueState) configure(cfg engine.QueueConfig) {
	s.mu.Lock()
	s.cfg = cfg
	s.mu.Unlock()
}

// add stores m unless its ID is in the deduplication window.
func (s *queueState) add(m engine.Message, size int64) (engine.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.order) > 0 && now.Sub(s.ids[s.order[0]].at) >= s.cfg.Dedup {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
	if was, ok := s.ids[m.ID]; ok && m.ID != "" {
		return engine.Receipt{Seq: was.seq, Duplicate: true}, nil
	}
	if held := s.bytes + s.buried; held+size > s.cfg.MaxBytes {
		return engine.Receipt{}, fmt.Errorf("%w: %d octets stored, %d more, limit %d", engine.ErrFull, held, size, s.cfg.MaxBytes)
	}
	s.last++
	it := &item{message: m, seq: s.last, size: size}
	s.items[it.seq] = it
	s.ready = append(s.ready, it)
	s.bytes += size
	if m.ID != "" {
		s.ids[m.ID] = seen{seq: it.seq, at: now}
		s.order = append(s.order, m.ID)
	}
	s.wake()
	return engine.Receipt{Seq: it.seq}, nil
}

// take returns up to n due items as jobs of q, or a channel that is closed when
// there may be some. Items that were delivered too often become dead letters.
func (s *queueState) take(q *queue, n int) ([]engine.Job, <-chan struct{}) {
	var jobs []engine.Job
	var events []engine.Event
	s.mu.Lock()
	for len(jobs) < n && s.unacked < s.cfg.MaxUnacked {
		it := s.next()
		if it == nil {
			break
		}
		if s.cfg.MaxDeliver > 0 && it.deliveries >= s.cfg.MaxDeliver {
			events = append(events, s.bury(it, engine.ReasonDeliveries))
			continue
		}
		it.deliveries++
		it.job = &job{q: q, item: it, deliveries: it.deliveries}
		s.unacked++
		s.startTimer(it, s.cfg.AckWait)
		jobs = append(jobs, it.job)
	}
	changed := s.changed
	s.mu.Unlock()
	for _, e := range events {
		s.opts.Emit(e)
	}
	return jobs, changed
}

// next removes and returns the first due item, or nil.
func (s *queueState) next() *item {
	for _, from := range []*[]*item{&s.again, &s.ready} {
		if len(*from) > 0 {
			it := (*from)[0]
			*from = (*from)[1:]
			return it
		}
	}
	return nil
}

// finish ends j by end, or returns an error if j does not hold its item.
func (s *queueState) finish(j *job, end func(*queueState)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := j.held(); err != nil {
		return err
	}
	end(s)
	s.wake() // MaxUnacked may have been reached
	return nil
}

// unhold takes it from its job, if one holds it, and stops its timer.
func (s *queueState) unhold(it *item) {
	if it.job != nil {
		it.job = nil
		s.unacked--
	}
	s.stopTimer(it)
}

// remove deletes it.
func (s *queueState) remove(it *item) {
	s.unhold(it)
	delete(s.items, it.seq)
	s.bytes -= it.size
}

// giveBack makes it due after delay.
func (s *queueState) giveBack(it *item, delay time.Duration) {
	s.unhold(it)
	if delay > 0 {
		s.startTimer(it, delay)
		return
	}
	s.again = append(s.again, it)
}

// bury moves it to the dead letters and returns the event to emit.
func (s *queueState) bury(it *item, reason string) engine.Event {
	s.remove(it)
	s.buried += it.size
	s.dead = append(s.dead, engine.DeadLetter{
		Message: it.message, Seq: uint64(len(s.dead)) + 1, Original: it.seq,
		Deliveries: it.deliveries, Reason: reason, Time: time.Now(),
	})
	return engine.Event{Kind: engine.DeadLettered, Name: s.name, Seq: it.seq, Deliveries: it.deliveries, Reason: reason}
}

// startTimer makes it due after d, instead of any earlier timer.
func (s *queueState) startTimer(it *item, d time.Duration) {
	s.stopTimer(it)
	s.timers++
	id := s.timers
	it.timerID = id
	it.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if it.timer != nil && it.timerID == id {
			s.giveBack(it, 0)
			s.wake()
		}
	})
}

func (s *queueState) stopTimer(it *item) {
	if it.timer != nil {
		it.timer.Stop()
		it.timer = nil
	}
}

// stopTimers stops all timers. The engine is closed.
func (s *queueState) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.items {
		s.stopTimer(it)
	}
}

// release makes the jobs of q due at once.
func (s *queueState) release(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(s.items)) {
		if it := s.items[seq]; it.job != nil && it.job.q == q {
			s.giveBack(it, 0)
		}
	}
	s.wake()
}

func (s *queueState) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *queueState) info() engine.QueueInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return engine.QueueInfo{
		Waiting: uint64(len(s.items) - s.unacked),
		Unacked: uint64(s.unacked),
		Bytes:   uint64(s.bytes),
		Last:    s.last,
		Dead:    uint64(len(s.dead)),
		Moved:   uint64(len(s.dead)),
	}
}
