package memory

import (
	"context"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
)

// A putter is the asynchronous side of one handle: it stores messages in the
// order of put, each Delay after put took it, on a goroutine of its own.
type putter struct {
	delay time.Duration
	slots chan struct{} // one element for each put without a result
	work  chan putting  // as large as slots, so sending never blocks
	quit  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	mu     sync.Mutex // makes closing and sending to work exclusive
	closed bool
}

// putting is a message that was taken.
type putting struct {
	due   time.Time
	store func() (engine.Receipt, error)
	done  func(engine.Receipt, error)
}

func newPutter(outstanding int, delay time.Duration) *putter {
	p := &putter{
		delay: delay,
		slots: make(chan struct{}, outstanding),
		work:  make(chan putting, outstanding),
		quit:  make(chan struct{}),
	}
	p.wg.Go(p.run)
	return p
}

// put waits for a slot and passes the message on to the goroutine.
func (p *putter) put(ctx context.Context, store func() (engine.Receipt, error), done func(engine.Receipt, error)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.quit:
		return engine.ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return engine.ErrClosed
	}
	p.work <- putting{due: time.Now().Add(p.delay), store: store, done: done}
	return nil
}

// run stores messages until close, and then ends those left with ErrClosed.
func (p *putter) run() {
	for w := range p.work {
		var r engine.Receipt
		err := engine.ErrClosed
		if p.wait(w.due) {
			r, err = w.store()
		}
		w.done(r, err)
		<-p.slots
	}
}

// wait waits until due. It returns false when the putter is closed.
func (p *putter) wait(due time.Time) bool {
	select {
	case <-p.quit:
		return false
	default:
	}
	left := time.Until(due)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.quit:
		return false
	}
}

// close ends outstanding puts and waits for the goroutine.
func (p *putter) close() {
	p.once.Do(func() {
		close(p.quit)
		p.mu.Lock()
		p.closed = true
		close(p.work)
		p.mu.Unlock()
	})
	p.wg.Wait()
}
