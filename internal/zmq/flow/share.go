package flow

import "sync/atomic"

// Share bounds the bytes that wait in several queues together. While it is used
// up, a queue that holds ownShare or more is full; the others are not, so a
// peer that sends little is not held back for those that send much.
//
// Each queue is opened by its own consumer, who takes something from every
// queue that is held back: no queue waits for another one.
type Share struct {
	limit atomic.Int64 // 0: none
	held  atomic.Int64 // bytes that wait in all queues
}

// ownShare is how many bytes wait in a queue before the others count.
const ownShare = 1 << 20

// SetLimit changes the bound; 0 is none.
func (s *Share) SetLimit(n int) { s.limit.Store(int64(n)) }

// used reports whether the bound is reached.
func (s *Share) used() bool {
	limit := s.limit.Load()
	return limit > 0 && s.held.Load() >= limit
}

// ShareBytes makes what is pushed into the empty queue count in s. A queue that
// conflates ignores it. Only Push and Take may be used, not Append.
func (q *Queue) ShareBytes(s *Share) {
	q.mu.Lock()
	q.share = s
	q.mu.Unlock()
}

// hold changes what q holds of its share by n bytes. The lock is held.
func (q *Queue) hold(n int) {
	if q.share != nil && q.conflated == nil {
		q.share.held.Add(int64(n))
	}
}

// crowded reports whether n bytes or more wait in q while its share is used up.
// The lock is held.
func crowded(q *Queue, n int) bool {
	return q.share != nil && heavy(q, n) && q.share.used()
}
