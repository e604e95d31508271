package pipeline

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// replyReader reads replies and hands them to the calls, in order. Its fields belong
// to the owner of reading: the reader goroutine, or a caller (owner.go).
type replyReader struct {
	c      *Conn
	parser parser
	raw    *rawConn // the connection if it is a socket, else nil

	batch    []*Call // calls claimed from the queue
	at       int     // of those, the ones that have their reply
	together int     // replies since the buffer was empty
	solo     int     // replies in a row that came while nothing else was in flight

	owner     atomic.Int32  // byNone, byCaller or byReader
	turn      chan struct{} // tells the reader goroutine that it owns reading
	idleProbe func() error  // checks an idle connection; nil: callers never own reading
	interrupt interrupt     // of callers' reads
}

func (r *replyReader) init(c *Conn, br *bufio.Reader, maxValue int) {
	r.c = c
	r.parser = newParser(br, maxValue, c.dog.advance)
	r.raw, _ = c.nc.(*rawConn)
	r.turn = make(chan struct{}, 1)
	r.idleProbe = idleProbe(c.nc)
	r.solo = soloReplies
	r.owner.Store(byReader)
}

// run is the reader goroutine. It reads while it owns reading. When the connection
// breaks, it fails the calls without a reply.
func (r *replyReader) run() {
	for r.read() {
		r.release()
		<-r.turn
	}
	r.interrupt.forget()
	r.c.end(r.batch[r.at:])
}

// read reads replies until the connection breaks, and then returns false, or until
// callers should own reading.
func (r *replyReader) read() bool {
	for !r.c.failed.Load() {
		if r.raw != nil && r.c.queue.crowded.Load() && r.parser.br.Buffered() == 0 {
			r.raw.spins = maxSpins
		}
		if _, err := r.parser.br.Peek(1); err != nil {
			if err = lost(err); r.c.hint() != "" {
				err = fmt.Errorf("%w%s", err, r.c.hint())
			}
			r.c.fail(err)
			return false
		}
		left, ok := r.deliver()
		if !ok {
			r.c.fail(lost(os.ErrDeadlineExceeded)) // of a deadline that Dialer.Dial set
			return false
		}
		if left > 0 || r.together > 0 {
			r.solo = 0
			continue
		}
		if r.solo++; r.solo >= soloReplies && r.idleProbe != nil {
			return true
		}
	}
	return false
}

// deliver reads one reply and hands it out. left is the number of requests that still
// wait for a reply. ok is false if the connection broke or the read was interrupted.
func (r *replyReader) deliver() (left int64, ok bool) {
	c := r.c
	if r.at == len(r.batch) {
		clear(r.batch)
		r.batch, r.at = c.queue.claim(r.batch[:0]), 0
		if len(r.batch) == 0 {
			c.fail(errUnasked)
			return 0, false
		}
	}
	cl := r.batch[r.at]
	var answer, broken error
	if c.Meta {
		answer, broken = r.parser.readMeta(cl)
	} else {
		answer, broken = r.parser.readClassic(cl)
	}
	if broken != nil {
		if errors.Is(broken, os.ErrDeadlineExceeded) {
			return 0, false
		}
		if rest, _ := r.parser.br.Peek(min(r.parser.br.Buffered(), 2)); isAlert(rest) {
			broken = fmt.Errorf("%w%s", broken, c.hint())
		}
		c.fail(lost(broken))
		if answer != nil {
			r.at++
			c.queue.inflight.Add(-1)
			cl.Sent = true
			cl.finish(answer)
		}
		return 0, false
	}
	r.at++
	r.together++
	if r.parser.br.Buffered() == 0 {
		if crowd := r.together > 1; crowd != c.queue.crowded.Load() {
			c.queue.crowded.Store(crowd)
		}
		r.together = 0
	}
	c.dog.progress.Store(c.dog.tick.Load())
	if !c.answered.Load() {
		c.answered.Store(true)
	}
	c.queue.replied.Store(cl.end)
	left = c.queue.inflight.Add(-1)
	cl.Sent = true
	cl.finish(answer)
	switch {
	case left == maxInflight-1:
		c.queue.mu.Lock()
		c.queue.signalSpace()
		c.queue.mu.Unlock()
	case left == 0 && c.queue.draining.Load():
		c.fail(ErrUnsent)
		return 0, false
	}
	return left, true
}
