package zmq

import "fmt"

// routing has the methods of ROUTER, STREAM, SERVER and PEER, which know their
// peers by routing id.
type routing struct{ t *routingTable }

// HasPeer reports whether the socket has a peer with this routing id now.
func (s routing) HasPeer(id []byte) bool { return s.find(id) != nil }

// ClosePeer ends the connection to the peer with this routing id. Messages
// that are still queued for the peer are dropped and counted as DroppedLost;
// those that arrived can still be received. A connection that Connect made is
// not made again: its Endpoint is closed. A peer that connected may connect
// again. ClosePeer returns ErrHostUnreachable if there is no such peer.
func (s routing) ClosePeer(id []byte) error {
	p := s.find(id)
	if p == nil {
		return fmt.Errorf("%w: %q", ErrHostUnreachable, id)
	}
	abandon(p)
	return nil
}

func (s routing) find(id []byte) *pipe {
	send := &s.t.s.send
	send.Lock()
	defer send.Unlock()
	return s.t.lookup(id)
}
