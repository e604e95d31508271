package netloop

import (
	"container/list"
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
)

// A TLS handshake computes for most of a millisecond without a system call. Many
// of them at once would use every P, and the event loops would wait for one as
// long as the scheduler lets the others run: seconds, when clients begin
// handshakes without end. A pacer lets only as many compute as there are Ps that
// no loop needs. A handshake that waits for its peer holds no slot.
type pacer struct {
	mu      sync.Mutex
	free    int                // slots not in use
	resumed []chan struct{}    // handshakes that go on, oldest first; served before fresh
	fresh   []pendingHandshake // not begun, oldest first

	// pending has the handshakes of the event loops, from the accepted connection
	// to its end, oldest first.
	pending list.List
	held    int // sum of what they are charged
}

// handshakeSlots returns how many handshakes may compute at once beside loops.
func handshakeSlots(loops int) int { return max(1, runtime.GOMAXPROCS(0)-loops) }

// begin starts h once a slot is free.
func (p *pacer) begin(h pendingHandshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = append(p.fresh, h)
	p.serve()
}

// resume waits for a slot.
func (p *pacer) resume() {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	p.resumed = append(p.resumed, turn)
	p.mu.Unlock()
	<-turn
}

// release gives the slot back.
func (p *pacer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	p.serve()
}

// serve hands out the free slots. The caller holds p.mu.
func (p *pacer) serve() {
	for p.free > 0 && len(p.resumed) > 0 {
		close(p.resumed[0])
		p.resumed = p.resumed[1:]
		p.free--
	}
	for p.free > 0 && len(p.fresh) > 0 {
		h := p.fresh[0]
		p.fresh[0] = nil
		p.fresh = p.fresh[1:]
		if h.start() {
			p.free--
			p.charge(h, h.charge().input, computingCost)
		}
	}
}

// Memory of pending handshakes, in bytes.
const (
	maxPending    = 64 << 20 // of all; the oldest handshakes are closed to stay below
	pendingCost   = 1 << 10  // of one that has not begun, without its input
	computingCost = 40 << 10 // of one that has begun: its goroutine's stack and the key exchange
)

var errPending = errors.New("netloop: TLS handshake closed: it was the oldest of too many that are not finished")

// pendingHandshake is a handshake of an event loop. Its methods are called with
// pacer.mu held.
type pendingHandshake interface {
	// start runs the handshake in a goroutine, which calls pacer.release at its end.
	// It returns false if the connection has ended.
	start() bool
	// abort closes the connection.
	abort(err error)
	// charge is what the handshake is charged.
	charge() *charged
}

// charged is the memory that a handshake counts for. It is guarded by pacer.mu.
type charged struct {
	place       *list.Element // in pacer.pending; nil: not counted any more
	input, cost int
}

// add counts a new handshake.
func (p *pacer) add(h pendingHandshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.charge().place = p.pending.PushBack(h)
	p.charge(h, 0, pendingCost)
}

// input sets how many bytes of input h holds.
func (p *pacer) input(h pendingHandshake, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.charge(h, bytes, h.charge().cost)
}

// remove ends the accounting of h, if it has not ended.
func (p *pacer) remove(h pendingHandshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(h)
}

// charge counts h for input and cost, and closes the oldest handshakes while all
// of them exceed maxPending. The caller holds p.mu.
func (p *pacer) charge(h pendingHandshake, input, cost int) {
	c := h.charge()
	if c.place == nil {
		return
	}
	p.held += input + cost - c.input - c.cost
	c.input, c.cost = input, cost
	for p.held > maxPending {
		oldest := p.pending.Front().Value.(pendingHandshake)
		p.drop(oldest)
		oldest.abort(errPending)
	}
}

// drop is remove for a caller that holds p.mu.
func (p *pacer) drop(h pendingHandshake) {
	if c := h.charge(); c.place != nil {
		p.pending.Remove(c.place)
		p.held -= c.input + c.cost
		*c = charged{}
	}
}

// pacedConn is the connection below a TLS handshake that has a goroutine of its
// own from the start. It gives the slot back while it waits for the peer.
type pacedConn struct {
	net.Conn
	pacer     *pacer
	computing bool // a handshake is under way, and has a slot except in Read
}

// paced does the handshake of h, with a slot if it is on a pacedConn.
func paced(ctx context.Context, h handshaker) error {
	t, _ := h.(interface{ NetConn() net.Conn })
	if t == nil {
		return h.HandshakeContext(ctx)
	}
	c, ok := t.NetConn().(*pacedConn)
	if !ok {
		return h.HandshakeContext(ctx)
	}
	c.pacer.resume()
	c.computing = true
	err := h.HandshakeContext(ctx)
	c.computing = false
	c.pacer.release()
	return err
}

func (c *pacedConn) Read(b []byte) (int, error) {
	if !c.computing {
		return c.Conn.Read(b)
	}
	c.pacer.release()
	n, err := c.Conn.Read(b)
	c.pacer.resume()
	return n, err
}

// NetConn returns the connection below.
func (c *pacedConn) NetConn() net.Conn { return c.Conn }
