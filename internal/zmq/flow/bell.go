package flow

import "sync/atomic"

// Taking batches from a producer of the same process. A consumer that takes
// messages one by one makes both sides contend for the same cache lines. With
// TakeMore it waits until a batch is there, and the producer stores to a flag,
// the bell, instead of waking it. See zmq/spin.go for the figures.

// TakeMore is Ack of n messages and then Take, for a consumer that polls or
// yields instead of parking. If fewer than want messages are there, and fewer
// than a quarter of the mark, it takes nothing and reports waits; bell is then
// set once that many are there, and CancelWait must follow if it was not.
func (q *Queue) TakeMore(n, want int, recycles bool, bell *atomic.Bool) (b Batch, ok, waits, reopened bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count = max(q.count-n, 0)
	reopened = q.reopen()
	if q.hwm > 0 {
		want = min(want, (q.hwm+3)/4)
	}
	q.recycles = recycles
	if q.count >= want || q.bell != nil || q.limit == 0 {
		b, ok = q.take()
		return b, ok, false, reopened
	}
	bell.Store(false)
	q.idle, q.wakeAt, q.bell = true, want, bell
	return b, false, true, reopened
}

// CancelWait ends the wait that TakeMore began, for a consumer that takes next.
func (q *Queue) CancelWait() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeAt, q.bell = 0, nil
	if !q.empty() {
		q.idle = false
	}
}
