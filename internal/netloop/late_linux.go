package netloop

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize = 64 << 10 // bytes of replies that may wait for the end of a wake-up
	maxLate   = 8 << 10  // a reply over this is sent at once
	lateConns = 32       // connections whose replies may wait
)

// late is a reply that is sent after the requests of others have been read.
//
// Sending is most of what a request costs, and on the way a send wakes the
// peer. A peer with many connections is woken once for replies that come close
// together, and for each one of those that come while it could fall asleep in
// between.
type late struct {
	c *conn
	b []byte // part of a thread's batch
}

// inBatch says whether t.w still is where reuse put it.
func (t *thread) inBatch() bool {
	return unsafe.SliceData(t.w.B) == unsafe.SliceData(t.batch[len(t.batch):])
}

// reuse makes the free part of the batch the place of the next reply, or what
// a large one has grown to, within reason. t.w must be empty.
func (t *thread) reuse() {
	if c := cap(t.w.B); c > cap(t.batch) && c <= keepWriter {
		t.batch = t.w.B[:0]
	}
	t.w.B = t.batch[len(t.batch):]
}

// postpone leaves the reply in t.w to sendLate, unless it had better be sent
// at once.
func (t *thread) postpone(c *conn) bool {
	n := len(t.w.B)
	if t.more == 0 && len(t.late) == 0 || n == 0 || n > maxLate || len(t.w.refs) > 0 || !t.inBatch() {
		return false
	}
	t.late = append(t.late, late{c, t.w.B})
	t.batch = t.batch[:len(t.batch)+n]
	t.w.B = t.batch[len(t.batch):]
	if len(t.late) == lateConns {
		t.sendLate()
	}
	return true
}

// sendLate sends the replies that have been put off.
func (t *thread) sendLate() {
	for i, r := range t.late {
		t.late[i] = late{}
		n, e := send(int(r.c.fd), r.b)
		t.written += uint64(n)
		switch {
		case n == len(r.b):
		case e != 0 && e != unix.EAGAIN:
			t.hangUp(r.c, Failed)
		default:
			t.blocked(r.c, Writer{B: slices.Clone(r.b[n:]), soft: t.cfg.SoftQueued}, 0)
		}
	}
	t.late = t.late[:0]
	t.batch = t.batch[:0]
	t.w.B = t.batch
}
