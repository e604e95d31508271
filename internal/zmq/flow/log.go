package flow

import (
	"math"
	"sync"
	"sync/atomic"
)

// Log is a sequence of messages that several queues share. Each message is
// encoded once. A queue that follows the log is a place in it: its consumer
// takes by TakeAll all messages since then, as one batch. A publication costs
// the same for ten peers as for a thousand.
//
// Following a log does not change a queue's visible behaviour. Messages that
// are appended to the queue itself follow those the log had before, and counts
// and marks include the messages that were not taken from the log.
//
// One goroutine at a time appends to a log and makes queues follow and leave
// it; the owner's lock sees to that. Lock order: a queue's, then the log's.
//
// PUB to 100 SUB, 64 octets: 19.2 million messages a second delivered with the
// log, 6.7 without.
type Log struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	followers int
	left      int      // messages that each follower has room for, at least
	msgs      uint64   // appended so far
	seg       *segment // to which messages are appended; nil: all is written
	first     *segment // the oldest one since all was written
	behind    int      // followers that have not read first yet
	idle      []*Queue // whose consumers found nothing and are to be woken
	woken     []*Queue // memory for the next idle
}

// segment is a piece of a log, in one block. The block is given back when all
// followers have written all of it.
type segment struct {
	enc  []byte
	next *segment     // not nil: nothing is appended to this one any more
	end  uint64       // Log.msgs at that moment
	todo atomic.Int32 // queues that have not written all of it
	gone bool         // all of it was written when all consumers were idle
}

func (s *segment) written(n int) {
	if s.todo.Add(-int32(n)) == 0 {
		PutBlock(s.enc)
	}
}

// Append adds a message that is Loggable, of at most n bytes, for all followers.
// It refuses the message when one of them may have no room: the owner then finds
// out the Room of each and calls SetRoom. The consumers of the queues it returns
// may be idle: WakeIdle must follow. The slice is valid until the next Append.
func (l *Log) Append(m *Message, n int) (idle []*Queue, ok bool) {
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
		idle = l.idle
		l.idle, l.woken = l.woken[:0], idle
		for _, q := range idle {
			q.reader.listed = false
		}
	}
	l.mu.Unlock()
	return idle, true
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

// SetRoom sets for how many messages each follower has room, at least.
func (l *Log) SetRoom(n int) {
	l.mu.Lock()
	l.left = n
	l.mu.Unlock()
}

// Follow makes q follow l; it must not follow another log. Follow reports false
// for a queue that cannot follow, or that has room for fewer than room messages.
func (q *Queue) Follow(l *Log, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.blocks || q.closed || q.conflated != nil || free(q.hwm, q.count) < room {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q.reader.begin(l)
	l.left = min(l.left, free(q.hwm, q.count))
	if q.idle {
		q.reader.list()
	}
	relimit(q)
	return true
}

// Leave ends Follow. What the queue has not taken stays with it.
func (q *Queue) Leave() {
	q.mu.Lock()
	q.leave()
	q.mu.Unlock()
}

// leave is Leave with the lock held.
func (q *Queue) leave() {
	if l := q.reader.log; l != nil {
		q.spill(0)
		l.mu.Lock()
		q.reader.end()
		l.mu.Unlock()
		relimit(q)
	}
}

// Room returns for how many messages there is room: less than 1 if there is none
// or the queue does not follow l any more.
func (q *Queue) Room(l *Log) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reader.log != l || q.closed {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return free(q.hwm, q.count) - int(l.msgs-q.reader.seen)
}

// WakeIdle returns Wake if the consumer is idle; it is not any more then.
func (q *Queue) WakeIdle() Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.idle {
		return Queued
	}
	q.idle = false
	return Wake
}

// spill moves what the log has for q to q itself, where n messages follow. A
// part of a segment is copied, so that it is written with what follows: the
// batches of a queue near its mark must not become small. The lock is held.
func (q *Queue) spill(n int) {
	l := q.reader.log
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left -= n
	for {
		b, ok := q.reader.next(false)
		if !ok {
			return
		}
		q.count += b.Msgs
		q.in.add(b.Msgs, len(b.Enc))
		if b.seg == nil {
			q.room(len(b.Enc))
			if t := &q.tail; len(t.Enc)+len(b.Enc) <= cap(t.Enc) {
				t.Encoded(b.Enc, nil, b.Msgs)
				continue
			}
		}
		q.push(b)
	}
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

// free returns for how many messages there is room below a mark.
func free(hwm, count int) int {
	if hwm == 0 {
		return math.MaxInt
	}
	return hwm - count
}
