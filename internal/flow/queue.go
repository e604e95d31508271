package flow

import "sync"

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
	ready    []Batch // older than tail, oldest first
	tail     Batch
	blocks   bool // batches are encoded into pooled blocks, which the consumer gives back
	hint     int  // size of the last tail, for the next one's allocation
	chunk    int
	count    int
	hwm      int // 0: no limit
	refused  bool
	idle     bool // the consumer found nothing and waits to be told
	closed   bool
	latest   bool   // conflate: only the last message counts
	control  []byte // commands, taken before everything else
	attached bool
	in, out  Counters

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
	return &Queue{hwm: hwm, latest: latest, chunk: chunkSize}
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
	return q.reopen()
}

// Message is what Append encodes: Prefix (whole frames, already encoded),
// then the one frame of One, or those of Parts.
type Message struct {
	Prefix []byte
	One    []byte
	Parts  [][]byte
	Owned  bool // large payloads may be kept by reference
}

// Result tells a producer what became of its message.
type Result int

// What Append and the like return.
const (
	Full   Result = iota // refused: over the mark, or closed
	Queued               // accepted
	Wake                 // accepted, and the consumer must be told
)

// Append adds one message, whole, or refuses it.
func (q *Queue) Append(m *Message) Result {
	q.mu.Lock()
	if q.topics != nil {
		var b Batch
		b.Message(m)
		return q.appendTopic(b)
	}
	if q.full() {
		q.refused = true
		q.mu.Unlock()
		return Full
	}
	q.room()
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
	if q.full() {
		q.refused = true
		q.mu.Unlock()
		return Full
	}
	q.room()
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
			q.ready, q.tail, q.count = q.ready[:0], Batch{}, 0
		} else if !q.tail.Empty() {
			q.seal()
		}
		q.ready = append(q.ready, b)
		q.count += b.Msgs
	}
	full = q.full()
	if full {
		q.refused = true
	}
	return q.wake(), full
}

// AppendControl adds encoded commands, which count for nothing and are taken
// before all messages. It refuses them when nobody is attached.
func (q *Queue) AppendControl(enc []byte) Result {
	q.mu.Lock()
	if !q.attached {
		q.mu.Unlock()
		return Full
	}
	q.control = append(q.control, enc...)
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
	pending = len(q.ready) > 0 || !q.tail.Empty()
	q.idle = !pending
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
	q.ready = append(q.ready, Batch{})
	copy(q.ready[1:], q.ready)
	q.ready[0] = b
	q.count += b.Msgs
	q.out.Msgs -= uint64(b.Msgs)
	q.out.Bytes -= uint64(b.Size())
	q.mu.Unlock()
}

func (q *Queue) full() bool {
	return q.closed || !q.latest && q.hwm > 0 && q.count >= q.hwm
}

// room makes the tail ready to take one more message.
func (q *Queue) room() {
	if q.latest {
		q.ready, q.tail, q.count = nil, Batch{}, 0
	} else if len(q.tail.Enc) >= q.chunk || q.tail.Held >= heldSize {
		q.seal()
	}
	if q.tail.Enc == nil {
		if q.blocks {
			q.tail.Enc = GetBlock()[:0]
		} else if q.hint > 0 {
			q.tail.Enc = make([]byte, 0, q.hint)
		}
	}
}

func (q *Queue) seal() {
	q.hint = min(len(q.tail.Enc), q.chunk)
	q.ready = append(q.ready, q.tail)
	q.tail = Batch{}
}

// wake ends an append: it releases the lock.
func (q *Queue) wake() Result {
	r := Queued
	if q.idle {
		q.idle = false
		r = Wake
	}
	q.mu.Unlock()
	return r
}

// Take removes the oldest batch. When there is none it marks the consumer
// idle, so that the next append says Wake, and reports ok=false; done then
// reports that the queue is closed and nothing will come any more.
func (q *Queue) Take() (b Batch, ok, done bool) {
	q.mu.Lock()
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
	case len(q.ready) > 0:
		b = q.ready[0]
		n := copy(q.ready, q.ready[1:])
		q.ready[n] = Batch{}
		q.ready = q.ready[:n]
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
	b, ok = q.take()
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
	if q.full() {
		q.refused = true
		return false
	}
	return true
}

// Closed reports whether Close was called.
func (q *Queue) Closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Len is the number of messages appended and not acknowledged.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// Pending reports whether anything waits to be taken.
func (q *Queue) Pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ready) > 0 || !q.tail.Empty() || len(q.order) > 0
}

// Counters returns what was appended and what was taken so far.
func (q *Queue) Counters() (in, out Counters) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in, q.out
}

// Close refuses further messages; those inside can still be taken. It
// reports whether a waiting consumer must be told.
func (q *Queue) Close() Result {
	q.mu.Lock()
	q.closed = true
	return q.wake()
}

// Clear drops everything inside and returns how many messages that was.
func (q *Queue) Clear() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.ready {
		dropped += b.Msgs
	}
	dropped += q.tail.Msgs + len(q.order)
	q.order = nil
	clear(q.topics)
	q.ready, q.tail, q.count = nil, Batch{}, 0
	return dropped
}
