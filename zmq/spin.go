package zmq

import (
	"context"
	"runtime"
	"sync/atomic"
)

// A goroutine that parks and is woken by another one of the same process costs
// several microseconds, more than the other side may need to get it going
// again. So a call on a socket that has peers in the process yields a few times
// before it parks. Where both sides run at the same time even a yield is too
// much: then it looks for a while whether the other side has come so far.
const (
	lingerRecvs = 16 // yields of a receiver
	lingerSends = 16 // of a sender
	// A receiver that just had a batch of burstMsgs waits, yielding up to
	// gatherYields times, for the next gatherMsgs: taking messages one by one from
	// under the sender's hands slows down both.
	burstMsgs    = 32
	gatherMsgs   = 256
	gatherYields = 32
	// watchLooks is how often a call looks before it yields: some microseconds. In
	// vain it is done less and less, at least once in maxVain times.
	watchLooks = 32768
	maxVain    = 64
)

// watch is how a call on a socket waits for what another processor is about to
// do. A lock of the socket protects it.
type watch struct {
	vain int // how many times not to look, after it was in vain
	skip int // of those, how many are left
}

// begin tells how often to look now.
func (w *watch) begin() (looks int) {
	if w.skip > 0 {
		w.skip--
		return 0
	}
	return watchLooks
}

// end notes what came of it.
func (w *watch) end(looks int, seen bool) {
	switch {
	case looks == 0:
	case seen:
		w.vain = 0
	default:
		w.vain = min(2*w.vain+1, maxVain)
		w.skip = w.vain
	}
}

// seen looks for it.
func seen(it *atomic.Bool, looks int) bool {
	for range looks {
		if it.Load() {
			return true
		}
	}
	return it.Load()
}

// awaitMsg waits when there is nothing to receive, or does what is due
// instead. The receive lock is held, but not all the time.
func (s *core) awaitMsg(ctx context.Context, lingered *bool) error {
	if len(s.reopened) > 0 {
		s.tell()
		return nil
	}
	if s.alone.r != nil && s.readAlone(ctx) {
		return nil
	}
	if ctx == try || s.rcvTimeo == 0 {
		return ErrWouldBlock
	}
	if s.local && !*lingered && !s.canRecv.Any() {
		*lingered = true
		s.lingerRecv()
		return nil
	}
	*lingered = false
	s.seek(ctx)
	err := s.canRecv.Wait(ctx, s.recv, s.rcvTimeo)
	s.alone.sought = false
	if err != nil {
		return waitError(ctx, err)
	}
	return nil
}

// goLocal notes that the socket has a peer in this process.
func (s *core) goLocal() {
	s.lockBoth()
	s.local = true
	s.unlockBoth()
}

// gather takes the next batch of a peer in this process, if the last was a large
// one and is read, or waits a moment for it to become one. It reports whether it
// did either, and may have released the receive lock meanwhile.
func (s *core) gather(ctx context.Context) bool {
	p := s.from
	if p == nil || p.burst < burstMsgs || !p.cur.Done() || p.peer.Load() == nil || ctx == try || s.rcvTimeo == 0 {
		return false
	}
	if s.canRecv.Any() || len(s.watchers) > 0 {
		return false // who is to be told as usual
	}
	if seat, ok := s.fq.Current(); ok && seat.V != p || s.fq.Active() > 1 {
		return false
	}
	b, ok, waits, reopened := p.in.TakeMore(p.consumed, gatherMsgs, p.leave(), &p.bell)
	p.consumed = 0
	if reopened {
		s.reopened = append(s.reopened, p)
	}
	if ok {
		p.enter(b)
	}
	s.tell()
	if !waits {
		return true
	}
	looks := s.recvWatch.begin()
	s.recv.Unlock()
	found := seen(&p.bell, looks)
	rang := found
	for i := 0; !rang && i < gatherYields; i++ {
		runtime.Gosched()
		rang = p.bell.Load()
	}
	s.recv.Lock()
	s.recvWatch.end(looks, found)
	if !rang {
		p.in.Look()
	}
	if p.inSeat.Seated() {
		s.fq.Activate(&p.inSeat)
	}
	return true
}

// lingerRecv yields until something may have arrived, but not for long. The
// receive lock is released meanwhile.
func (s *core) lingerRecv() {
	s.stirred.Store(false)
	s.recv.Unlock()
	for range lingerRecvs {
		runtime.Gosched()
		if s.stirred.Load() {
			break
		}
	}
	s.recv.Lock()
}

// lingerSend waits until there may be room, but not for long. The send lock is
// released meanwhile. With messages that are not short it only yields: they are
// best copied and read in turn by one processor, in whose cache they are.
func (s *core) lingerSend(short bool) {
	s.eased.Store(false)
	looks := 0
	if short {
		looks = s.sendWatch.begin()
	}
	s.send.Unlock()
	found := seen(&s.eased, looks)
	for i := 0; !found && i < lingerSends && !s.eased.Load(); i++ {
		runtime.Gosched()
	}
	s.send.Lock()
	s.sendWatch.end(looks, found)
}
