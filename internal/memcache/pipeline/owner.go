package pipeline

import (
	"context"
	"sync"
	"time"
)

// Reader ownership. While requests of several callers are in flight, the reader
// goroutine reads and hands each caller its reply. A caller that is alone on the
// connection reads its reply itself: it becomes the owner of reading, reads replies
// until its own has come, and gives ownership up. The parser keeps the state of a
// half-read reply, so that the caller can leave at any time, when its context ends,
// and the reader goroutine goes on. The reader goroutine also owns reading while the
// connection is idle, to notice that the server closed it.
//
// Gain: no switch between two goroutines for each reply. With one goroutine, Gets a
// second rose from 0.74 to 1.0-1.05 of gomemcache's, with 8 from 1.2-1.8 to 1.8-2.6
// (make bench-client). Price: this file, the idle probe, and two uncontended locks for
// each call whose context can end.

// The owners of reading.
const (
	byNone int32 = iota
	byCaller
	byReader
)

// soloReplies is the number of replies in a row that the reader goroutine must have
// read while nothing else was in flight before it lets callers own reading.
const soloReplies = 16

// maxSpins is how often the reader goroutine of a busy connection polls the socket
// before it blocks. Between polls it lets the callers run that it woke: their next
// replies are often there by then, and the kernel need not wake a sleeping thread.
const maxSpins = 16

// wake makes the reader goroutine the owner if there is none.
func (r *replyReader) wake() {
	if r.owner.CompareAndSwap(byNone, byReader) {
		r.turn <- struct{}{}
	}
}

// release gives ownership up. The reader goroutine gets it if there is something to
// read or the connection failed: a request sent from now on may take ownership, but an
// earlier one may have found it taken.
func (r *replyReader) release() {
	r.owner.Store(byNone)
	if r.c.queue.inflight.Load() > 0 || r.c.failed.Load() {
		r.wake()
	}
}

// probe checks a connection that no goroutine reads for EOF and for bytes that no
// request asked for. sendQueue.mu is held: the reply to a request sent during the
// check would be taken for such bytes. If it returns an error, the caller owns
// reading.
func (r *replyReader) probe() error {
	if r.c.queue.inflight.Load() > 0 || !r.owner.CompareAndSwap(byNone, byCaller) {
		return nil
	}
	err := errUnasked
	if r.parser.br.Buffered() == 0 {
		err = r.idleProbe()
	}
	if err == nil {
		r.release()
	}
	return err
}

// Wait waits for the reply to a call that Send accepted. It returns false if ctx ended
// first: the call then belongs to the connection, apart from the caller's reference.
// If no other goroutine owns reading, the caller reads until its reply has come.
func (c *Conn) Wait(ctx context.Context, cl *Call) bool {
	r := &c.reader
	if r.idleProbe == nil || !r.owner.CompareAndSwap(byNone, byCaller) {
		return cl.wait(ctx)
	}
	watched := ctx.Done() != nil
	ok := !watched || r.interrupt.watch(ctx, c)
	for ok && len(cl.done) == 0 {
		var left int64
		left, ok = r.deliver()
		if left > 0 || !ok {
			r.solo = 0
		}
	}
	if watched {
		r.interrupt.unwatch(c)
	}
	if ok {
		r.release()
		<-cl.done
		return true
	}
	r.owner.Store(byReader)
	r.turn <- struct{}{}
	return cl.wait(ctx)
}

// interrupt ends a caller's read when its context ends. It is registered with one
// context at a time and stays registered until another takes its place, because
// callers often come with the same one again.
type interrupt struct {
	mu      sync.Mutex      // protects what follows
	done    <-chan struct{} // of the context
	stop    func() bool     // ends the registration
	reading bool            // a caller reads under that context
	fired   bool            // the read deadline was set to end its read
}

// watch makes the read that follows end with ctx. It returns false if ctx has ended.
func (in *interrupt) watch(ctx context.Context, c *Conn) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if done := ctx.Done(); in.done != done {
		if in.stop != nil {
			in.stop()
		}
		in.done = done
		in.stop = context.AfterFunc(ctx, func() { in.fire(done, c) })
	}
	in.reading = true
	return ctx.Err() == nil
}

// unwatch is called after the read.
func (in *interrupt) unwatch(c *Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	if in.fired {
		in.fired = false
		_ = c.nc.SetReadDeadline(time.Time{})
	}
}

// fire is called when the context with the given channel has ended.
func (in *interrupt) fire(done <-chan struct{}, c *Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.done != done {
		return
	}
	in.done, in.stop = nil, nil
	if in.reading {
		in.fired = true
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// forget ends the registration.
func (in *interrupt) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stop != nil {
		in.stop()
	}
	in.done, in.stop = nil, nil
}
