package flow

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// chunkSize bounds the encoded bytes of one batch, and heldSize its
// references. A receiver that keeps one small message keeps at most one
// chunk alive with it.
const (
	chunkSize = 16 << 10
	heldSize  = 512 << 10
)

// Queue carries messages one way between a socket and a peer. Any number of
// goroutines may append; one at a time consumes.
//
// It is full when the messages appended and not yet acknowledged reach the
// high-water mark. The consumer acknowledges in steps of half the mark, as
// libzmq's pipes do, so a producer that ran into the mark resumes with room
// for a good many messages.
type Queue struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	ready    []Batch // ready[head:] is older than tail, oldest first
	head     int
	tail     Batch
	blocks   bool // batches are encoded into pooled blocks, which the consumer gives back
	recycles bool // the consumer gave the memory of the last batch back
	hint     int  // size of the last tail, for the next one's allocation
	chunk    int
	warm     int // how much of the tail's memory is in this processor's cache
	count    int
	hwm      int // 0: no limit
	limit    int // of count, below which nothing stands in the way of an append
	refused  bool
	idle     bool         // the consumer found nothing and waits to be told
	wakeAt   int          // when idle: the count at which it is told
	bell     *atomic.Bool // how it is told, if not by Wake
	closed   bool
	latest   bool   // conflate: only the last message counts
	control  []byte // commands, taken before everything else
	attached bool
	in, out  Counters

	log    *Log     // what it follows, if not nil
	owner  any      // whoever made it follow
	seg    *segment // where it is in the log
	at     int      // in seg.enc
	seen   uint64   // messages of the log that were taken or are not for q
	listed bool     // among log.idle; protected by log.mu
	owed   *segment // where it left a log, until what it took of it is written

	topics   map[string]*Batch // conflate by topic, if not nil
	order    []topicEntry      // of topics, oldest first
	replaced uint64
}

// Counters add up what passed one end of a queue.
type Counters struct {
	Msgs, Bytes uint64
}

// NewQueue makes a queue with a high-water mark of hwm messages; 0 is no
// limit. With latest it holds one message and a new one replaces it.
func NewQueue(hwm int, latest bool) *Queue {
	q := &Queue{hwm: hwm, latest: latest, chunk: chunkSize}
	q.relimit()
	return q
}

// relimit follows a change of what limit depends on.
func (q *Queue) relimit() {
	switch {
	case q.closed || q.latest || q.topics != nil || q.log != nil:
		q.limit = 0
	case q.hwm == 0:
		q.limit = math.MaxInt
	default:
		q.limit = q.hwm
	}
}

// UseBlocks lets batches grow to the size of a pooled block and use one: the
// consumer writes them out and then calls PutBlock.
func (q *Queue) UseBlocks() {
	q.mu.Lock()
	q.blocks, q.chunk = true, encSize-LargeFrame
	q.mu.Unlock()
}

// SetHWM changes the mark; it reports whether a refused producer may go on.
func (q *Queue) SetHWM(hwm int) (reopened bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hwm = hwm
	q.relimit()
	q.spill(0)
	if q.log != nil {
		q.log.SetRoom(0)
	}
	return q.reopen()
}

// Result tells a producer what became of its message.
type Result int

// What Append and the like return.
const (
	Full   Result = iota // refused: over the mark, or closed
	Queued               // accepted
	Wake                 // accepted, and the consumer must be told
)

// AppendOne is Append of a message of one frame, which is copied.
func (q *Queue) AppendOne(p []byte) Result {
	q.mu.Lock()
	t := q.tail.Enc
	at, end := len(t), len(t)+len(p)+2
	if len(p) > maxShort {
		end += 7
	}
	if q.count >= q.limit || end > cap(t) || at >= q.chunk || len(p) >= LargeFrame {
		return q.append(&Message{One: p})
	}
	t = t[:end]
	if end > q.warm && len(p) <= maxShort {
		q.warm = heat(t)
	}
	if len(p) <= maxShort {
		t[at], t[at+1] = 0, byte(len(p))
	} else {
		t[at] = Long
		binary.BigEndian.PutUint64(t[at+1:], uint64(len(p)))
	}
	copy(t[end-len(p):], p)
	q.tail.Enc = t
	q.tail.Msgs++
	q.count++
	q.in.Msgs++
	q.in.Bytes += uint64(end - at)
	if q.idle {
		return q.wake()
	}
	q.mu.Unlock()
	return Queued
}

// maxShort is the largest payload whose size takes one octet.
const maxShort = 255

// Append adds one message, whole, or refuses it.
func (q *Queue) Append(m *Message) Result {
	q.mu.Lock()
	return q.append(m)
}

// append ends like wake.
func (q *Queue) append(m *Message) Result {
	if q.topics != nil {
		var b Batch
		b.Message(m)
		return q.appendTopic(b)
	}
	q.spill(1)
	if q.full() {
		q.refused = true
		q.mu.Unlock()
		return Full
	}
	q.room(m.small())
	t := &q.tail
	before := t.Size()
	t.Message(m)
	q.in.Msgs++
	q.in.Bytes += uint64(t.Size() - before)
	q.count++
	return q.wake()
}

// AppendEncoded adds one message that is encoded already; refs are its large
// payloads, shared with other queues.
func (q *Queue) AppendEncoded(enc []byte, refs []Ref) Result {
	q.mu.Lock()
	if q.topics != nil {
		var b Batch
		b.Encoded(enc, refs, 1)
		return q.appendTopic(b)
	}
	q.spill(1)
	if q.full() {
		q.refused = true
		q.mu.Unlock()
		return Full
	}
	q.room(len(enc))
	before := q.tail.Size()
	q.tail.Encoded(enc, refs, 1)
	q.in.Msgs++
	q.in.Bytes += uint64(q.tail.Size() - before)
	q.count++
	return q.wake()
}

// Push adds batches of messages, past the mark if need be: their bytes have
// arrived already. full reports that the producer should now wait for room.
func (q *Queue) Push(batches ...Batch) (r Result, full bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return Full, false
	}
	for _, b := range batches {
		q.in.Msgs += uint64(b.Msgs)
		q.in.Bytes += uint64(b.Size())
		if q.topics != nil {
			q.pushTopics(b)
			continue
		}
		if q.latest {
			b = lastMessage(b)
			q.forget()
		} else if !q.tail.Empty() {
			q.seal()
		}
		q.enqueue(b)
		q.count += b.Msgs
	}
	full = q.full()
	if full {
		q.refused = true
	}
	return q.wake(), full
}

// Prepare gives b, which has no memory yet and will be pushed, a buffer of
// BatchSize bytes if the consumer gives such back.
func (q *Queue) Prepare(b *Batch) {
	q.mu.Lock()
	recycles := q.recycles
	q.mu.Unlock()
	if recycles {
		b.Enc, b.pooled = GetBuffer(BatchSize)[:0], true
	}
}

// BatchSize is the size of the buffers of small messages that are used again.
const BatchSize = chunkSize

// AppendControl adds encoded commands, which count for nothing and are taken
// before all messages. It refuses them when nobody is attached.
func (q *Queue) AppendControl(enc []byte) Result {
	q.mu.Lock()
	if !q.attached {
		q.mu.Unlock()
		return Full
	}
	q.control = append(q.control, enc...)
	q.wakeAt = 0
	return q.wake()
}

// ControlLen is the size of the commands that wait.
func (q *Queue) ControlLen() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.control)
}

// Attach announces a consumer that takes with TakeAll. If it returns true
// there is something to take and the caller is the one to do it; else the
// next append says Wake.
func (q *Queue) Attach() (pending bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attached = true
	q.spill(0)
	pending = q.head < len(q.ready) || !q.tail.Empty()
	q.idle = !pending
	if l := q.log; l != nil && q.idle {
		l.mu.Lock()
		q.list()
		l.mu.Unlock()
	}
	return pending
}

// Detach ends what Attach began; commands that wait are dropped.
func (q *Queue) Detach() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attached, q.idle, q.control = false, false, nil
}

// lastMessage cuts b down to its last message.
func lastMessage(b Batch) Batch {
	c := NewCursor(b)
	for n := b.Msgs; n > 1; n-- {
		flags, _ := c.Next()
		c.SkipMessage(flags)
	}
	return c.Rest(1)
}

// Unread puts messages back at the front: they were taken and could not be
// sent.
func (q *Queue) Unread(b Batch) {
	if b.Empty() {
		return
	}
	q.mu.Lock()
	if q.latest && q.count > 0 {
		q.mu.Unlock()
		return
	}
	if q.head == 0 {
		q.ready = slices.Insert(q.ready, 0, b)
	} else {
		q.head--
		q.ready[q.head] = b
	}
	q.count += b.Msgs
	q.out.Msgs -= uint64(b.Msgs)
	q.out.Bytes -= uint64(b.Size())
	if q.log != nil {
		q.log.SetRoom(0)
	}
	q.mu.Unlock()
}

func (q *Queue) full() bool {
	return q.closed || !q.latest && q.hwm > 0 && q.count >= q.hwm
}

// forget drops what is inside.
func (q *Queue) forget() {
	clear(q.ready)
	q.ready, q.head, q.tail, q.count = q.ready[:0], 0, Batch{}, 0
}

// room makes the tail ready to take one more message, of n bytes.
func (q *Queue) room(n int) {
	at := len(q.tail.Enc)
	if q.latest {
		q.forget()
	} else if at >= q.chunk || q.tail.Held >= heldSize || at > 0 && at+n > cap(q.tail.Enc) && cap(q.tail.Enc) >= q.chunk {
		q.seal()
	}
	if e := q.tail.Enc; e != nil {
		if at+n > cap(e) {
			q.tail.Enc = append(make([]byte, 0, max(min(2*cap(e), q.chunk), at+n)), e...)
		}
		return
	}
	q.warm = cold
	switch {
	case q.blocks:
		q.tail.Enc = GetBlock()[:0]
	case q.recycles && n <= chunkSize:
		q.tail.Enc, q.tail.pooled = GetBuffer(chunkSize)[:0], true
	case q.hint > 0:
		q.tail.Enc = make([]byte, 0, q.hint)
	}
}

func (q *Queue) seal() {
	if q.hint = len(q.tail.Enc); q.hint > q.chunk/2 {
		q.hint = q.chunk
	}
	q.enqueue(q.tail)
	q.tail = Batch{}
}

// enqueue adds a batch to ready.
func (q *Queue) enqueue(b Batch) {
	if len(q.ready) == cap(q.ready) && q.head > len(q.ready)/2 {
		n := copy(q.ready, q.ready[q.head:])
		clear(q.ready[n:])
		q.ready, q.head = q.ready[:n], 0
	}
	q.ready = append(q.ready, b)
}

// wake ends an append: it releases the lock.
func (q *Queue) wake() Result {
	r := Queued
	if q.idle && q.count >= q.wakeAt {
		q.idle, q.wakeAt = false, 0
		r = Wake
		if q.bell != nil {
			q.bell.Store(true)
			q.bell, r = nil, Queued
		}
	}
	q.mu.Unlock()
	return r
}

// Take removes the oldest batch. When there is none it marks the consumer
// idle, so that the next append says Wake, and reports ok=false; done then
// reports that the queue is closed and nothing will come any more.
//
// recycles tells that the consumer gave the memory of the batch before back,
// and so will probably that of the next.
func (q *Queue) Take(recycles bool) (b Batch, ok, done bool) {
	q.mu.Lock()
	q.recycles = recycles
	b, ok = q.take()
	if !ok {
		q.idle = true
		done = q.closed
	}
	q.mu.Unlock()
	return b, ok, done
}

func (q *Queue) take() (Batch, bool) {
	var b Batch
	switch {
	case q.head < len(q.ready):
		b = q.ready[q.head]
		q.ready[q.head] = Batch{}
		q.head++
		if q.head == len(q.ready) {
			q.ready, q.head = q.ready[:0], 0
		}
	case !q.tail.Empty():
		b = q.tail
		q.hint = min(len(b.Enc), q.chunk)
		q.tail = Batch{}
	case len(q.order) > 0:
		b = q.takeTopic()
	default:
		return b, false
	}
	q.out.Msgs += uint64(b.Msgs)
	q.out.Bytes += uint64(b.Size())
	return b, true
}

// TakeAll is Take for a consumer that is done with the messages once it has
// them: it acknowledges them too. reopened reports that a producer that was
// refused may try again.
func (q *Queue) TakeAll() (b Batch, ok, reopened bool) {
	q.mu.Lock()
	if len(q.control) > 0 {
		b.Enc, q.control = q.control, nil
		q.mu.Unlock()
		return b, true, false
	}
	q.settle()
	if b, ok = q.take(); !ok && q.log != nil {
		if b, ok = q.takeLog(); ok {
			q.out.Msgs += uint64(b.Msgs)
			q.out.Bytes += uint64(len(b.Enc))
			q.mu.Unlock()
			return b, true, false
		}
	}
	if !ok {
		q.idle = true
	} else {
		q.count = max(q.count-b.Msgs, 0)
		// As with acknowledgements in steps: a producer that is told each time
		// there is room for one message is woken for every message.
		reopened = q.count <= q.hwm/2 && q.reopen()
	}
	q.mu.Unlock()
	return b, ok, reopened
}

// Ack tells that n messages were consumed; reopened reports that a producer
// that was refused may try again.
func (q *Queue) Ack(n int) (reopened bool) {
	q.mu.Lock()
	q.count = max(q.count-n, 0)
	reopened = q.reopen()
	q.mu.Unlock()
	return reopened
}

func (q *Queue) reopen() bool {
	if !q.refused || q.full() {
		return false
	}
	q.refused = false
	return true
}

// Step is how many messages a consumer reads before it acknowledges them.
func (q *Queue) Step() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hwm == 0 {
		return 1 << 10
	}
	return (q.hwm + 1) / 2
}

// Ready reports whether an append would be accepted now. If not, the
// producer will be told when it would.
func (q *Queue) Ready() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(0)
	if q.full() {
		q.refused = true
		return false
	}
	return true
}

// Finished reports whether the queue is closed and its consumer came back for
// more after the last message. A consumer that found nothing must not ask in
// any other way whether that was the end: by then there may have been more, on
// which another is at work.
func (q *Queue) Finished() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.idle && q.head == len(q.ready) && q.tail.Empty()
}

// Len is the number of messages appended and not acknowledged.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(0)
	return q.count
}

// Pending reports whether anything waits to be taken.
func (q *Queue) Pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(0)
	return q.head < len(q.ready) || !q.tail.Empty() || len(q.order) > 0
}

// Counters returns what was appended and what was taken so far.
func (q *Queue) Counters() (in, out Counters) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(0)
	return q.in, q.out
}

// Close refuses further messages; those inside can still be taken. It
// reports whether a waiting consumer must be told.
func (q *Queue) Close() Result {
	q.mu.Lock()
	q.leave()
	q.closed = true
	q.wakeAt = 0
	q.relimit()
	if q.blocks && q.idle && (q.head < len(q.ready) || !q.tail.Empty()) {
		// It came by a log, whose publisher is about to rouse the consumer.
		q.mu.Unlock()
		return Queued
	}
	return q.wake()
}

// Clear drops everything inside and returns how many messages that was.
func (q *Queue) Clear() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave()
	for _, b := range q.ready[q.head:] {
		dropped += b.Msgs
	}
	dropped += q.tail.Msgs + len(q.order)
	q.order = nil
	clear(q.topics)
	q.ready, q.head, q.tail, q.count = nil, 0, Batch{}, 0
	return dropped
}
