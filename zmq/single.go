package zmq

import (
	"fmt"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// The sockets CLIENT, SERVER, SCATTER, GATHER, CHANNEL and PEER (RFC 41, 49,
// 51 and 52) know messages of one frame only.

// errOneFrame refuses a message that such a socket cannot send.
func errOneFrame(t zmtp.SocketType, frames int) error {
	return fmt.Errorf("zmq: message of %d frames, a %v sends one: %w", frames, t, ErrNotSupported)
}

// dealOne is roundRobin for messages of one frame.
func (s *core) dealOne(m flow.Message) (*pipe, error) {
	if len(m.Parts) > 1 {
		return nil, errOneFrame(s.typ, len(m.Parts))
	}
	return s.roundRobin(m)
}

// fairOne is the next message of one frame; longer ones are dropped, as no
// peer of a right type sends them.
func (s *core) fairOne() (p *pipe, frame []byte, ok bool) {
	for {
		p, flags, frame, ok := s.fairFrame()
		if !ok {
			return nil, nil, false
		}
		if flags&flow.More == 0 {
			s.finish(p)
			return p, frame, true
		}
		s.skip(p, flags)
		s.counter.malformed.Add(1)
	}
}

// recvOne is recvMsg for messages of one frame.
func (s *core) recvOne() (one []byte, parts Msg, err error) {
	_, frame, ok := s.fairOne()
	if !ok {
		return nil, nil, errAgain
	}
	return frame, nil, nil
}
