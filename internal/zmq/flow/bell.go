package flow

import "sync/atomic"

// TakeMore is Ack of n messages and then Take, for a consumer that is awake and
// would rather not take messages one by one from under the producer's hands:
// every time one side looks, the other loses its cache. If fewer than want
// messages are inside, and less than a quarter of what may be, it takes nothing,
// and bell is stored to when there are that many, once, instead of the word that
// an idle consumer is given. Then waits is true, and CancelWait must follow soon.
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

// CancelWait ends what TakeMore began, for a consumer that comes to take next. It need
// not follow when the bell rang.
func (q *Queue) CancelWait() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeAt, q.bell = 0, nil
	if q.head < len(q.ready) || !q.tail.Empty() {
		q.idle = false
	}
}
