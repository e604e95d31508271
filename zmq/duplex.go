package zmq

import (
	"fmt"

	"lintel.dev/internal/zmq/zmtp"
)

// duplex is the pattern of types that load-balance what they send and
// fair-queue what they receive.
type duplex struct {
	*loadBalancer
	*fairQueue
}

// duplex returns the pattern made of the socket's halves.
func (s *core) duplex() duplex { return duplex{&s.send.lb, &s.recv.fq} }

func (x duplex) attach(p *pipe) {
	x.loadBalancer.attach(p)
	x.fairQueue.attach(p)
}

func (x duplex) detach(p *pipe) {
	x.loadBalancer.detach(p)
	x.fairQueue.detach(p)
}

// oneFrame restricts messages to one frame, as those of CLIENT, SERVER,
// SCATTER, GATHER, CHANNEL and PEER are (RFC 41, 49, 51 and 52).
func (s *core) oneFrame() {
	s.send.lb.single, s.send.lb.typ = true, s.typ
	s.recv.fq.filter = singleFrame{&s.counter}
}

// errOneFrame refuses a message that such a socket cannot send.
func errOneFrame(t zmtp.SocketType, frames int) error {
	return fmt.Errorf("zmq: message of %d frames, a %v sends one: %w", frames, t, ErrNotSupported)
}
