package flow

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Log is what queues with the same messages share: each is encoded once, and a
// queue is a place in the log from which its consumer takes by TakeAll
// whatever has come since, as one batch. So a publication costs the same
// whether it is for ten peers or for a thousand.
//
// To everyone else a queue that follows a log is as before. What it gets by
// itself comes after what the log had till then, and counts and marks include
// what it has not taken from the log.
//
// One goroutine at a time appends, and makes queues follow and leave; the
// owner's lock sees to that. Lock order: a queue's, then the log's.
type Log struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	followers int
	left      int      // messages that each follower has room for, at least
	msgs      uint64   // appended so far
	seg       *segment // where the next message goes, nil if there is nothing to take
	first     *segment // the oldest one since there was nothing to take
	behind    int      // followers that have not come to first yet
	idle      []*Queue // found nothing and are to be told
	told      []*Queue // memory for the next idle
}

// segment is a piece of a log: a block. It is given back when all followers
// have written out the whole of it.
type segment struct {
	enc  []byte
	next *segment     // not nil: nothing is appended to this one any more
	end  uint64       // Log.msgs at that moment
	todo atomic.Int32 // queues that have not written all of it
	gone bool         // it was all written when all followers had nothing to do
}

func (s *segment) written(n int) {
	if s.todo.Add(-int32(n)) == 0 {
		PutBlock(s.enc)
	}
}

// Append adds a message that is Loggable, of at most n bytes, for every
// follower. It refuses when one of them may have no room: its owner then looks
// at each and calls SetRoom. The queues it returns are to be roused; the slice
// is valid until the next Append.
func (l *Log) Append(m *Message, n int) (rouse []*Queue, ok bool) {
	l.mu.Lock()
	if l.left <= 0 || l.followers == 0 {
		l.mu.Unlock()
		return nil, l.left > 0
	}
	s := l.seg
	if s == nil || len(s.enc)+n > cap(s.enc) {
		s = l.extend()
	}
	b := Batch{Enc: s.enc}
	b.Message(m)
	s.enc = b.Enc
	l.msgs++
	l.left--
	if len(l.idle) > 0 {
		rouse = l.idle
		l.idle, l.told = l.told[:0], rouse
		for _, q := range rouse {
			q.listed = false
		}
	}
	l.mu.Unlock()
	return rouse, true
}

// extend begins a segment.
func (l *Log) extend() *segment {
	s := &segment{enc: GetBlock()[:0]}
	s.todo.Store(int32(l.followers))
	if l.seg == nil {
		l.first = s
	} else {
		l.seg.next, l.seg.end = s, l.msgs
	}
	l.seg = s
	return s
}

// Ready reports whether an Append would be accepted.
func (l *Log) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left > 0
}

// SetRoom tells how many messages each follower has room for, at least.
func (l *Log) SetRoom(n int) {
	l.mu.Lock()
	l.left = n
	l.mu.Unlock()
}

// Follow makes q follow l; it must not follow another log. Owner is whatever
// Owner shall return. It reports false for a queue that cannot, or that has
// room for fewer than room messages.
func (q *Queue) Follow(l *Log, owner any, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.blocks || q.closed || q.latest || q.topics != nil || q.room1() < room {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q.log, q.owner = l, owner
	q.seg, q.at, q.seen = l.seg, 0, l.msgs
	if l.seg == nil {
		l.behind++
	} else {
		q.at = len(l.seg.enc)
		l.seg.todo.Add(1)
	}
	l.followers++
	l.left = min(l.left, q.room1())
	if q.idle {
		q.list()
	}
	q.relimit()
	return true
}

// Owner is what Follow was given.
func (q *Queue) Owner() any { return q.owner }

// Leave ends Follow. What the queue has not taken stays with it.
func (q *Queue) Leave() {
	q.mu.Lock()
	q.leave()
	q.mu.Unlock()
}

func (q *Queue) leave() {
	l := q.log
	if l == nil {
		return
	}
	q.spill(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := q.seg; {
	case s == nil || s.gone:
		l.behind--
	case s == q.owed:
		s.written(1)
	default:
		q.owed = s // what it owed before is left to the collector
	}
	l.followers--
	if q.listed {
		q.listed = false
		l.idle = slices.DeleteFunc(l.idle, func(o *Queue) bool { return o == q })
	}
	if l.followers == 0 {
		l.seg, l.first, l.behind, l.msgs = nil, nil, 0, 0
	}
	q.log, q.seg = nil, nil
	q.relimit()
}

// Room is for how many messages there is room; less than 1 if there is none
// or the queue does not follow l any more.
func (q *Queue) Room(l *Log) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.log != l || q.closed {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return q.room1() - int(l.msgs-q.seen)
}

// room1 is for how many messages q has room, apart from the log.
func (q *Queue) room1() int {
	if q.hwm == 0 {
		return math.MaxInt
	}
	return q.hwm - q.count
}

// Rouse says Wake if the consumer is idle.
func (q *Queue) Rouse() Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.idle {
		return Queued
	}
	q.idle = false
	return Wake
}

// list notes that q waits for something to take. Both locks are held. When all
// followers do, all is written, and the log gives its memory back.
func (q *Queue) list() {
	l := q.log
	if !q.listed {
		q.listed = true
		l.idle = append(l.idle, q)
	}
	if s := l.seg; s != nil && len(l.idle) == l.followers {
		s.gone = true
		s.written(l.followers)
		l.seg, l.first, l.behind = nil, nil, l.followers
	}
}

// takeLog takes what the log has for q, up to the end of a segment; without it
// q is listed as idle. Everything taken before is written: with nothing but
// the log left, the consumer comes for the next batch.
func (q *Queue) takeLog() (Batch, bool) {
	l := q.log
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := q.fromLog(true)
	if !ok {
		q.list()
	}
	q.in.Msgs += uint64(b.Msgs)
	q.in.Bytes += uint64(len(b.Enc))
	return b, ok
}

// spill moves what the log has for q to q itself, where n messages follow. A
// part of a segment is copied, so that it is written with what follows: the
// batches of a queue near its mark must not become small.
func (q *Queue) spill(n int) {
	l := q.log
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left -= n
	for {
		b, ok := q.fromLog(false)
		if !ok {
			return
		}
		q.count += b.Msgs
		q.in.Msgs += uint64(b.Msgs)
		q.in.Bytes += uint64(len(b.Enc))
		if b.seg == nil {
			q.room(len(b.Enc))
			if t := &q.tail; len(t.Enc)+len(b.Enc) <= cap(t.Enc) {
				t.Encoded(b.Enc, nil, b.Msgs)
				continue
			}
		}
		if !q.tail.Empty() {
			q.seal()
		}
		q.enqueue(b)
	}
}

// settle tells the segment at which q left a log that all is written. Its
// consumer has come for the next batch, and of those that wait none is shared.
func (q *Queue) settle() {
	if q.owed != nil && q.head == len(q.ready) {
		q.owed.written(1)
		q.owed = nil
	}
}

// fromLog takes what is left of the segment where q is, or of the next. Both
// locks are held. written tells that what was taken before is written.
func (q *Queue) fromLog(written bool) (b Batch, ok bool) {
	l := q.log
	if q.seg == nil || q.seg.gone {
		if l.first == nil {
			return b, false
		}
		q.seg, q.at = l.first, 0
		if l.behind--; l.behind == 0 {
			l.first = nil
		}
	}
	s := q.seg
	if q.at == len(s.enc) {
		if s.next == nil {
			return b, false
		}
		if written {
			s.written(1)
		}
		s, q.seg, q.at = s.next, s.next, 0
	}
	end, msgs := len(s.enc), l.msgs
	b = Batch{Enc: s.enc[q.at:end:end], shared: true}
	q.at = end
	if s.next != nil {
		msgs, b.seg = s.end, s
		q.seg, q.at = s.next, 0
	}
	b.Msgs, q.seen = int(msgs-q.seen), msgs
	return b, true
}

// Written gives the memory of a batch that was written out back, but for its
// references.
func (b *Batch) Written() {
	switch {
	case b.seg != nil:
		b.seg.written(1)
	case !b.shared:
		PutBlock(b.Enc)
	}
}
