package memcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Who may read a connection. When requests cross, its reader does, and hands
// each caller its reply. A caller who is alone on the connection does without
// that exchange of goroutines: it takes the right to read, reads replies until
// its own has come, and gives the right back. It only ever takes whole replies
// off the connection, so that it can leave at any time: when its context ends,
// or a reply is too big for the buffer, the reader goes on. The reader also has
// the right while the connection is idle, to notice that the server hangs up.
const (
	free int32 = iota
	caller
	reader
)

// aloneFor is how many replies in a row the reader must have handed to callers
// who were alone before it leaves them the reading.
const aloneFor = 16

// lingerYields is how often the reader of a connection in heavy use looks again,
// letting the callers run that it woke, before it waits. By then their next
// replies are often there, and the server need not wake a sleeping process.
const lingerYields = 16

// attend gives the reader the right when nobody has it.
func (c *conn) attend() {
	if c.right.CompareAndSwap(free, reader) {
		c.turn <- struct{}{}
	}
}

// release gives the right up: to the reader, if there is something for it.
func (c *conn) release() {
	c.right.Store(free)
	// Who sends after this may take the right; who sent before may have
	// found it taken.
	if c.inflight.Load() > 0 || c.failed.Load() {
		c.attend()
	}
}

// read reads until the connection breaks, which is false, or callers are alone
// with it. The reader calls it, when it has the right.
func (c *conn) read() bool {
	// A caller may have met a reply that was none to its request: what is in
	// the buffer behind it is for nobody.
	for !c.failed.Load() {
		if c.sock != nil && c.crowded.Load() && c.w.br.Buffered() == 0 {
			c.sock.patience = lingerYields
		}
		if _, err := c.w.br.Peek(1); err != nil {
			c.fail(fmt.Errorf("%w: %w", ErrConnLost, err))
			return false
		}
		left, ok := c.deliver()
		if !ok {
			return false
		}
		if left > 0 || c.together > 0 {
			c.alone = 0
			continue
		}
		if c.alone++; c.alone >= aloneFor && c.peek != nil {
			return true
		}
	}
	return false
}

// look tells what was wrong with the connection while nobody was reading: that
// the server hung up, or sent something. It looks only for requests that cannot
// be sent a second time: the others find out by themselves, for less. c.mu is
// held: a request that crossed the look would have its reply taken for a stray.
// With an error the caller also has the right to read.
func (c *conn) look(cl *call) error {
	if c.peek == nil || c.meta && cl.idempotent() || c.inflight.Load() > 0 || !c.right.CompareAndSwap(free, caller) {
		return nil
	}
	err := errUnasked
	if c.w.br.Buffered() == 0 {
		err = c.peek()
	}
	if err == nil {
		c.release()
	}
	return err
}

// wait is call.wait for a call on this connection: it reads, if nobody does.
func (c *conn) wait(ctx context.Context, cl *call) bool {
	if c.peek != nil && c.right.CompareAndSwap(free, caller) {
		c.lead(ctx, cl)
	}
	return cl.wait(ctx)
}

// lead reads replies until that to cl has come, or is not worth waiting for.
// The caller of it has the right, and has lost it afterwards.
func (c *conn) lead(ctx context.Context, cl *call) {
	watched := ctx.Done() != nil
	ok := !watched || c.watchFor(ctx)
	for ok && len(cl.done) == 0 {
		left := int64(0)
		if ok = c.arrived(); ok {
			left, ok = c.deliver()
		}
		if left > 0 || !ok {
			c.alone = 0
		}
	}
	if watched {
		c.unwatch()
	}
	if ok {
		c.release()
		return
	}
	c.right.Store(reader)
	c.turn <- struct{}{}
}

// interrupt ends a caller's read when its context ends. The connection is
// registered with one context at a time, and stays so until another takes its
// place: callers come with the same one again and again.
type interrupt struct {
	mu      sync.Mutex      // protects what follows
	done    <-chan struct{} // of the context
	stop    func() bool     // ends the registration
	reading bool            // a caller reads under that context
	fired   bool            // and was told to stop
}

// watchFor has the read that follows end with ctx. It is false when ctx is over.
func (c *conn) watchFor(ctx context.Context) bool {
	in := &c.interrupt
	in.mu.Lock()
	defer in.mu.Unlock()
	if done := ctx.Done(); in.done != done {
		if in.stop != nil {
			in.stop()
		}
		in.done = done
		in.stop = context.AfterFunc(ctx, func() { c.ended(done) })
	}
	in.reading = true
	return ctx.Err() == nil
}

// unwatch is called when the read is over.
func (c *conn) unwatch() {
	in := &c.interrupt
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	if in.fired {
		in.fired = false
		_ = c.nc.SetReadDeadline(time.Time{})
	}
}

// ended is called when the context is over to which done belongs.
func (c *conn) ended(done <-chan struct{}) {
	in := &c.interrupt
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
func (c *conn) forget() {
	in := &c.interrupt
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stop != nil {
		in.stop()
	}
	in.done, in.stop = nil, nil
}

// arrived waits until a whole reply is in the buffer. It is false when the
// reader had better go on.
func (c *conn) arrived() bool {
	next := c.next()
	if next == nil {
		return false
	}
	for need := 1; need <= c.w.br.Size(); {
		if _, err := c.w.br.Peek(need); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.fail(fmt.Errorf("%w: %w", ErrConnLost, err))
			}
			return false
		}
		b, _ := c.w.br.Peek(c.w.br.Buffered())
		if need = next.span(b, c.meta); need <= len(b) {
			return true
		}
	}
	return false
}

// endless is more than any buffer holds: such replies are for the reader.
const endless = 1 << 30

// span is how many bytes the reply at the start of b has, when b holds all of
// it, or else a number over len(b) that it has at least.
func (cl *call) span(b []byte, meta bool) int {
	lines, list := 1, false // list: what comes before the last line are values
	switch cl.op {
	case opStats:
		return endless
	case opStoreMulti, opDeleteMulti:
		lines = len(cl.keys)
	case opGetMulti:
		list = true
	case opGet, opGetInto, opLease:
		list = !meta
	}
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return len(b) + 1
		}
		size := valueSize(b[at : at+n])
		at += n + 1
		if size >= 0 {
			if at += size + 2; at > len(b) {
				return at
			}
			if list {
				continue
			}
		}
		if lines--; lines == 0 {
			return at
		}
	}
}

// valueSize is the length of the value that follows line, -1 when none does.
func valueSize(line []byte) int {
	rest, ok := bytes.CutPrefix(line, []byte("VA "))
	if !ok {
		if rest, ok = bytes.CutPrefix(line, []byte("VALUE ")); !ok {
			return -1
		}
		for range 2 { // the key and the flags
			if _, rest, ok = bytes.Cut(rest, []byte(" ")); !ok {
				return -1
			}
		}
	}
	size := 0
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		if size = size*10 + int(c-'0'); size > endless {
			return endless
		}
	}
	return size
}
