package zmq

import (
	"context"
	"slices"

	"lintel.dev/internal/zmq/flow"
)

const (
	// relayBurst is how many messages a relay carries with the locks of both
	// sockets held, and relayRun how many it gives to a queue at once, unless
	// they have relayBytes before.
	relayBurst = 512
	relayRun   = 128
	relayBytes = 8 << 10
)

// relay carries messages to a publisher's peers from a socket that receives
// them as they are. It takes locks for a run of messages instead of for each,
// and takes a message from its queue only when it knows where to put it: so
// none is ever between the sockets.
type relay struct {
	from *core
	to   *xpub

	run      flow.Run
	hits     []*pipe // who gets the run
	reserved int     // room in the queue of the only one, of which run is to use some
	topic    []byte  // what of the last topic decided who is hit
	known    bool    // topic and hits are those of this burst
	longest  int     // topic
	woken    []*pipe // to be kicked once no lock is held
}

// newRelay returns nil when messages have to be carried one by one.
func newRelay(from, to *core) *relay {
	x, ok := to.pat.(*xpub)
	_, sub := from.pat.(*xsub)
	if !ok || from.recv == from.send || !sub && !from.fair {
		return nil
	}
	return &relay{from: from, to: x}
}

// burst carries what is there. It returns how many messages that was and the
// size of their payloads. If it is blocked, nothing is due but to wait for room,
// which the publisher will be told of. The publisher's send lock is held.
func (r *relay) burst() (msgs, size int, blocked bool, err error) {
	if err := r.to.s.failed; err != nil {
		return 0, 0, false, err
	}
	r.known, r.longest = false, r.to.topics.Longest()
	s := r.from
	s.recv.Lock()
	defer s.recv.Unlock()
	for ; msgs < relayBurst && s.recvFailed == nil && s.pat.canRecvNow(); msgs++ {
		seat, _ := s.fq.Current()
		p := seat.V
		if !r.place(p.cur.Peek()) {
			blocked = true
			break
		}
		size += r.run.Add(&p.cur)
		s.from = p
		s.fq.Next()
		p.read()
	}
	r.flush()
	clear(r.hits) // by the next burst they may be gone
	r.hits = r.hits[:0]
	blocked = blocked && msgs == 0 && len(s.reopened) == 0 && s.recvFailed == nil
	return msgs, size, blocked, s.recvFailed
}

// place makes sure that the run is for those who want topic and that they have
// room for one more message, as far as the publisher waits for that.
func (r *relay) place(topic []byte) bool {
	x := r.to
	if decisive := topic[:min(len(topic), r.longest)]; !r.known || string(decisive) != string(r.topic) {
		x.match(topic)
		r.topic, r.known = append(r.topic[:0], decisive...), true
		if !slices.Equal(r.hits, x.hits) {
			r.flush()
			r.hits = append(r.hits[:0], x.hits...)
		}
	}
	if r.run.Size() >= relayBytes || r.run.Len() >= relayRun {
		r.flush()
	}
	if !x.o.nodrop || len(r.hits) == 0 {
		return true
	}
	if len(r.hits) > 1 {
		r.flush()
		for _, p := range r.hits {
			if !p.out.Ready() {
				return false
			}
		}
		return true
	}
	if r.run.Len() == r.reserved {
		r.flush()
		r.reserved = r.hits[0].out.Reserve(relayRun)
	}
	return r.reserved > 0
}

// flush hands the run over.
func (r *relay) flush() {
	n := r.run.Len()
	if n == 0 {
		return
	}
	for _, p := range r.hits {
		took, res := p.out.AppendRun(&r.run, r.reserved)
		if took < n {
			p.stats.dropped.Add(uint64(n - took))
		}
		if res == flow.Wake {
			r.woken = append(r.woken, p)
		}
	}
	r.run.Reset()
	r.reserved = 0
}

// kick does what a burst left to be done without locks.
func (r *relay) kick() {
	if len(r.woken) == 1 {
		r.woken[0].kick()
	} else {
		for _, p := range r.woken {
			p.kickLater()
		}
	}
	clear(r.woken)
	r.woken = r.woken[:0]
	r.from.recv.Lock()
	r.from.received()
	r.from.recv.Unlock()
}

// relay carries messages until it cannot.
func (w *proxyWay) relay(ctx context.Context, r *relay) error {
	var lingered bool
	for {
		if err := r.from.awaitRecv(ctx); err != nil {
			return err
		}
		if err := w.begin(ctx); err != nil {
			return err
		}
		to := r.to.s
		to.send.Lock()
		msgs, size, blocked, err := r.burst()
		if blocked {
			w.busy.Unlock()
			err = to.awaitRoom(ctx, &lingered)
		}
		to.send.Unlock()
		if !blocked {
			lingered = false
			r.kick()
			w.messages.Add(uint64(msgs))
			w.bytes.Add(uint64(size))
			w.busy.Unlock()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// awaitRoom waits until there may be room for a message that was refused. The
// send lock is held, but not meanwhile.
func (s *core) awaitRoom(ctx context.Context, lingered *bool) error {
	if s.local && !*lingered && !s.canSend.Any() {
		*lingered = true
		s.lingerSend(false)
		return nil
	}
	*lingered = false
	return s.canSend.Wait(ctx, s.send, -1)
}
