package flow

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
)

// Queue carries messages one way between a socket and a peer. Any number of
// goroutines may append; one at a time consumes.
//
// It is full when the messages appended and not yet acknowledged reach the
// high-water mark. The consumer acknowledges in steps of half the mark, as
// libzmq's pipes do, so a producer that ran into the mark resumes with room
// for many messages.
//
// A consumer that found nothing is idle: the next append returns Wake, and its
// caller then wakes the consumer.
type Queue struct {
	Owner any // of the user; not changed once the queue is in use

	mu sync.Mutex
	// The fields below are protected by mu.
	backlog
	count    int // messages appended and not acknowledged
	hwm      int // 0: no limit
	limit    int // of count, below which an append needs no further checks
	maxBytes int // bound of the bytes that were pushed and not taken; 0: none
	refused  bool
	idle     bool         // the consumer found nothing and waits
	wakeAt   int          // when idle: the count at which it is woken
	bell     *atomic.Bool // how it is woken, if not by Wake
	closed   bool
	shut     bool   // nothing is taken after control, until Detach
	control  []byte // commands, taken before all messages
	attached bool
	in, out  Counters

	conflated *conflation // nil: all messages are kept
	reader    logReader
	share     *Share // nil: only this queue's bytes are bounded
}

// Counters add up what passed one end of a queue.
type Counters struct {
	Msgs, Bytes uint64
	Replaced    uint64 // of those that were appended, by a newer one
}

func (c *Counters) add(msgs, bytes int) {
	c.Msgs += uint64(msgs)
	c.Bytes += uint64(bytes)
}

// NewQueue makes a queue with a high-water mark of hwm messages; 0 is no
// limit.
func NewQueue(hwm int) *Queue {
	q := &Queue{hwm: hwm}
	q.chunk = chunkSize
	q.reader.q = q
	relimit(q)
	return q
}

// relimit updates q.limit. The lock is held.
func relimit(q *Queue) {
	switch {
	case q.closed || q.conflated != nil || q.reader.log != nil:
		q.limit = 0
	case q.hwm == 0:
		q.limit = math.MaxInt
	default:
		q.limit = q.hwm
	}
	if q.maxBytes > 0 {
		q.limit = min(q.limit, q.maxBytes/(LargeFrame+headerSize))
	}
}

// headerSize bounds the header of a frame.
const headerSize = 9

// UseBlocks lets batches grow to the size of a pooled block and use one: the
// consumer writes them out and then calls Batch.Written.
func (q *Queue) UseBlocks() {
	q.mu.Lock()
	q.blocks, q.chunk = true, encSize-LargeFrame
	q.mu.Unlock()
}

// Conflate makes the queue keep only the newest message, or with byTopic the
// newest of each topic, which is the first frame. The mark bounds the topics.
// Messages that are inside already are kept.
func (q *Queue) Conflate(byTopic bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conflated == nil {
		q.conflated = newConflation(byTopic)
		relimit(q)
	}
}

// SetHWM changes the mark. It reports whether a refused producer may go on.
func (q *Queue) SetHWM(hwm int) (reopened bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hwm = hwm
	relimit(q)
	q.spill(0)
	if l := q.reader.log; l != nil {
		l.SetRoom(0)
	}
	return q.reopen()
}

// LimitBytes bounds the bytes that were appended and not taken, like a second
// mark: appends are refused, and Push and Ready report a full queue, while there
// are n or more. The producer goes on when half of them are taken. 0 is no limit.
// A queue that conflates ignores it.
func (q *Queue) LimitBytes(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.maxBytes = n
	relimit(q)
}

// Result says what became of a message.
type Result int

// What Append and the like return.
const (
	Full   Result = iota // refused: over the mark, or closed
	Queued               // accepted
	Wake                 // accepted, and the caller must wake the consumer
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
		q.mu.Unlock()
		return q.Append(&Message{One: p})
	}
	t = t[:end]
	if end > q.warm && len(p) <= maxShort {
		q.warm = prefetch(t)
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
	r := Queued
	if q.idle {
		r = q.signal()
	}
	q.mu.Unlock()
	return r
}

// maxShort is the largest payload whose size takes one octet.
const maxShort = 255

// Append adds one message, whole, or refuses it.
func (q *Queue) Append(m *Message) Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conflated != nil {
		topic := m.One
		if m.Parts != nil {
			topic = m.Parts[0]
		}
		b, ok := q.conflated.accept(q, topic)
		if !ok {
			return Full
		}
		b.Message(m)
		q.in.add(1, b.Size())
		return q.signal()
	}
	q.spill(1)
	if q.full() {
		q.refused = true
		return Full
	}
	q.room(m.small())
	before := q.tail.Size()
	q.tail.Message(m)
	q.in.add(1, q.tail.Size()-before)
	q.count++
	return q.signal()
}

// AppendEncoded adds one message that is encoded already; refs are its large
// payloads, shared with other queues.
func (q *Queue) AppendEncoded(enc []byte, refs []Ref) Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conflated != nil {
		if !q.conflated.acceptEncoded(q, enc, refs) {
			return Full
		}
		return q.signal()
	}
	q.spill(1)
	if q.full() {
		q.refused = true
		return Full
	}
	q.room(len(enc))
	before := q.tail.Size()
	q.tail.Encoded(enc, refs, 1)
	q.in.add(1, q.tail.Size()-before)
	q.count++
	return q.signal()
}

// Push adds batches of messages, past the mark if need be: their bytes have
// arrived already. full reports that the producer should now wait for room.
func (q *Queue) Push(batches ...Batch) (r Result, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return Full, false
	}
	for _, b := range batches {
		q.in.add(b.Msgs, b.Size())
		if q.conflated != nil {
			q.count += q.conflated.putAll(b)
			continue
		}
		q.push(b)
		q.hold(b.Size())
		q.count += b.Msgs
	}
	if full = q.full(); full {
		q.refused = true
	}
	return q.signal(), full
}

// Prepare gives b, which has no memory yet and will be pushed, a buffer of
// BatchSize bytes if the consumer gives such back.
func (q *Queue) Prepare(b *Batch) {
	q.mu.Lock()
	recycles := q.recycles && q.conflated == nil
	q.mu.Unlock()
	if recycles {
		b.Enc, b.pooled = GetBuffer(BatchSize)[:0], true
	}
}

// AppendControl adds encoded commands, which do not count as messages and are
// taken before all of them. It refuses them when no consumer is attached.
func (q *Queue) AppendControl(enc []byte) Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.attached {
		return Full
	}
	q.control = append(q.control, enc...)
	q.wakeAt = 0
	return q.signal()
}

// Seal is AppendControl of the last commands: what is taken after them waits for the
// next consumer. It does nothing the second time.
func (q *Queue) Seal(enc []byte) Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.attached || q.shut {
		return Full
	}
	q.shut = true
	q.control = append(q.control, enc...)
	q.wakeAt = 0
	return q.signal()
}

// ControlLen returns the size of the commands that wait.
func (q *Queue) ControlLen() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.control)
}

// Attach announces a consumer that takes with TakeAll. If it returns true there
// is something to take, and the caller takes it; else the next append returns
// Wake.
func (q *Queue) Attach() (pending bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attached = true
	q.spill(0)
	pending = q.holds()
	q.idle = !pending
	if l := q.reader.log; l != nil && q.idle {
		l.mu.Lock()
		q.reader.list()
		l.mu.Unlock()
	}
	return pending
}

// Detach ends what Attach began; commands that wait are dropped.
func (q *Queue) Detach() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attached, q.idle, q.shut, q.control = false, false, false, nil
}

// Unread puts messages back at the front: they were taken and could not be
// sent.
func (q *Queue) Unread(b Batch) {
	if b.Empty() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out.Msgs -= uint64(b.Msgs)
	q.out.Bytes -= uint64(b.Size())
	if q.conflated != nil {
		if q.conflated.restore(b) {
			q.count += b.Msgs
		}
		return
	}
	q.pushFront(b)
	q.count += b.Msgs
	if l := q.reader.log; l != nil {
		l.SetRoom(0)
	}
}

// full reports whether an append would be refused. A queue that conflates by
// topic accepts those of topics it has. The lock is held.
func (q *Queue) full() bool {
	if q.closed {
		return true
	}
	if q.conflated != nil && !q.conflated.byTopic {
		return false
	}
	return q.hwm > 0 && q.count >= q.hwm || heavy(q, q.maxBytes) || crowded(q, ownShare)
}

// heavy reports whether n bytes or more wait in q, if n is not 0. The lock is
// held.
func heavy(q *Queue, n int) bool {
	return n > 0 && q.conflated == nil && q.in.Bytes-q.out.Bytes >= uint64(n)
}

// holds reports whether a message waits, apart from those of a log. The lock is
// held.
func (q *Queue) holds() bool {
	return !q.empty() || q.conflated != nil && !q.conflated.empty()
}

// signal ends an append. It returns Wake if the consumer is idle and enough is
// there; it is not idle any more then. The lock is held.
func (q *Queue) signal() Result {
	if !q.idle || q.count < q.wakeAt {
		return Queued
	}
	q.idle, q.wakeAt = false, 0
	if q.bell != nil {
		q.bell.Store(true)
		q.bell = nil
		return Queued
	}
	return Wake
}

// Take removes the oldest batch. When there is none it marks the consumer
// idle, so that the next append returns Wake, and reports ok=false; done then
// reports that the queue is closed and stays empty.
//
// recycles says that the consumer gave the memory of the batch before back,
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

// take removes the oldest batch. The lock is held.
func (q *Queue) take() (b Batch, ok bool) {
	if b, ok = q.backlog.take(); !ok && q.conflated != nil {
		b, ok = q.conflated.take()
	}
	if ok {
		q.out.add(b.Msgs, b.Size())
		q.hold(-b.Size())
	}
	return b, ok
}

// TakeAll is Take for a consumer that is done with the messages once it has
// them: it acknowledges them too. reopened reports that a producer that was
// refused may try again.
func (q *Queue) TakeAll() (b Batch, ok, reopened bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.control) > 0 {
		b.Enc, q.control = q.control, nil
		return b, true, false
	}
	if q.shut {
		return b, false, false
	}
	if q.head == len(q.sealed) {
		q.reader.settle() // no batch that waits is a part of a log's segment
	}
	if b, ok = q.take(); ok {
		q.count = max(q.count-b.Msgs, 0)
		// Acknowledge in steps: a producer that is woken as soon as there is room
		// for one message is woken for every message.
		return b, true, q.count <= q.hwm/2 && q.reopen()
	}
	if q.reader.log != nil {
		if b, ok = q.reader.take(); ok {
			q.in.add(b.Msgs, len(b.Enc))
			q.out.add(b.Msgs, len(b.Enc))
			return b, true, false
		}
	}
	q.idle = true
	return b, false, false
}

// Ack says that n messages were consumed. reopened reports that a producer that
// was refused may try again.
func (q *Queue) Ack(n int) (reopened bool) {
	q.mu.Lock()
	q.count = max(q.count-n, 0)
	reopened = q.reopen()
	q.mu.Unlock()
	return reopened
}

// reopen reports whether a producer that was refused may try again. The lock is
// held.
func (q *Queue) reopen() bool {
	if !q.refused || q.full() || heavy(q, (q.maxBytes+1)/2) || crowded(q, ownShare/2) {
		return false
	}
	q.refused = false
	return true
}

// Step returns how many messages a consumer reads before it acknowledges them.
func (q *Queue) Step() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hwm == 0 {
		return 1 << 10
	}
	return (q.hwm + 1) / 2
}

// Ready reports whether an append would be accepted now. If not, the producer
// will be told when it would.
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
// any other way whether that was the end: meanwhile there may have been more,
// which another consumer took.
func (q *Queue) Finished() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.idle && !q.holds()
}

// Len returns the number of messages appended and not acknowledged.
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
	return q.holds()
}

// Counters returns what was appended and what was taken so far.
func (q *Queue) Counters() (in, out Counters) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(0)
	in = q.in
	if q.conflated != nil {
		in.Replaced = q.conflated.replaced
	}
	return in, q.out
}

// Close refuses further messages; those inside can still be taken. It returns
// Wake if the consumer is to be woken.
func (q *Queue) Close() Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave()
	q.closed = true
	q.wakeAt = 0
	relimit(q)
	if q.blocks && q.idle && q.holds() {
		return Queued // it came by a log, whose publisher is about to wake the consumer
	}
	return q.signal()
}

// Clear drops everything inside and returns how many messages that was.
func (q *Queue) Clear() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave()
	q.hold(-q.backlog.size())
	dropped = q.backlog.clear()
	if q.conflated != nil {
		dropped += q.conflated.clear()
	}
	q.count = 0
	return dropped
}
