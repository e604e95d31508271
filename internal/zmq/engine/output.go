package engine

import (
	"sync"

	"lintel.dev/internal/zmq/flow"
)

// writers counts the goroutines that write to a connection.
type writers struct {
	mu      sync.Mutex
	n       int           // protected by mu
	retired chan struct{} // protected by mu; set when no more may start, closed by the last one
}

// enter adds a writer. It reports false when the connection has ended; what is
// in the queue then waits for the next one.
func (w *writers) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.retired != nil {
		return false
	}
	w.n++
	return true
}

func (w *writers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.n == 0 && w.retired != nil {
		close(w.retired)
	}
}

// stop refuses new writers and waits for those at work.
func (w *writers) stop() {
	w.mu.Lock()
	retired := make(chan struct{})
	w.retired = retired
	if w.n == 0 {
		close(retired)
	}
	w.mu.Unlock()
	<-retired
}

// take takes the next batch from the outgoing queue of s. Without one, the next
// append to the queue says flow.Wake.
func take(s Session, out *flow.Queue) (flow.Batch, bool) {
	b, ok, reopened := out.TakeAll()
	if reopened {
		s.Writable()
	}
	if !ok && out.Finished() {
		s.Flushed()
	}
	return b, ok
}

// recycle gives the memory of a written batch back.
func recycle(b flow.Batch) {
	b.Written()
	for _, r := range b.Refs {
		if r.Ours {
			flow.PutBuffer(r.B)
		}
	}
}

// Output runs a goroutine that sends while there is something to send, for
// engines whose writes block.
type Output struct {
	writers
	session Session
	out     *flow.Queue
	write   func(b flow.Batch) (sent int, err error)
	fail    func(err error)
}

// Init makes o the output of a connection. write sends a batch and returns how
// many of its messages are sent. fail gets its error, which ends the connection.
func (o *Output) Init(s Session, write func(b flow.Batch) (sent int, err error), fail func(err error)) {
	o.session, o.out, o.write, o.fail = s, s.Out(), write, fail
}

// Kick starts the goroutine. The outgoing queue said flow.Wake.
func (o *Output) Kick() { o.Go(o.run) }

// Control sends a frame ahead of all messages.
func (o *Output) Control(flags byte, body []byte) {
	if o.out.AppendControl(flow.AppendFrame(nil, flags, body)) == flow.Wake {
		o.Kick()
	}
}

// Go calls f in a goroutine, unless the connection has ended. Stop waits for it.
func (o *Output) Go(f func()) {
	if !o.enter() {
		return
	}
	go func() {
		defer o.leave()
		f()
	}()
}

// run writes until the queue is empty.
func (o *Output) run() {
	for {
		b, ok := take(o.session, o.out)
		if !ok {
			return
		}
		if sent, err := o.write(b); err != nil {
			o.fail(err)
			o.unsent(b, sent)
			return
		}
		recycle(b)
	}
}

// unsent puts back all but the first sent messages of b.
func (o *Output) unsent(b flow.Batch, sent int) {
	c := flow.NewCursor(b)
	for range sent {
		flags, _ := c.Next()
		c.SkipMessage(flags)
	}
	if left := b.Msgs - sent; left > 0 {
		o.session.Unsent(c.Rest(left))
	}
}

// Stop refuses further calls of Kick and Go, and waits until their goroutines
// ended.
func (o *Output) Stop() { o.stop() }
