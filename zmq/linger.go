package zmq

import (
	"context"
	"runtime"
)

// A goroutine that parks and is woken by another one of the same process costs
// several microseconds, more than the other side may need to get it going
// again. So a call on a socket that has peers in the process yields a few times
// before it parks.
const (
	lingerRecvs = 16 // yields of a receiver
	lingerSends = 16 // of a sender
	// A receiver that just had a batch of burstMsgs yields up to gatherYields
	// times for the next gatherMsgs: taking messages one by one from under the
	// sender's hands slows down both.
	burstMsgs    = 32
	gatherMsgs   = 256
	gatherYields = 32
)

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

// lingerRecv yields until something may have arrived, but not for long. The
// receive lock is released meanwhile.
func (s *core) lingerRecv() {
	s.stirred.Store(false)
	yields := lingerRecvs
	p := s.from
	gathers := p != nil && p.burst >= burstMsgs && p.in.Gather(gatherMsgs)
	if gathers {
		p.burst, yields = 0, gatherYields
	}
	s.recv.Unlock()
	for range yields {
		runtime.Gosched()
		if s.stirred.Load() {
			break
		}
	}
	s.recv.Lock()
	if gathers && p.in.Look() && p.inSeat.Seated() {
		s.fq.Activate(&p.inSeat)
	}
}

// lingerSend yields until there may be room, but not for long. The send lock is
// released meanwhile.
func (s *core) lingerSend() {
	s.eased.Store(false)
	s.send.Unlock()
	for range lingerSends {
		runtime.Gosched()
		if s.eased.Load() {
			break
		}
	}
	s.send.Lock()
}
