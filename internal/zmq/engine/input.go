package engine

import (
	"fmt"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// chunk is how many octets of small messages share a buffer. With one more
// message that is no large frame they fit into a buffer of flow.BatchSize.
const chunk = flow.BatchSize - flow.LargeFrame

// Input collects the frames that arrive on a connection into batches of whole
// messages and hands these to the session. One goroutine at a time uses it,
// except for Resume.
type Input struct {
	session Session
	limits  Limits
	room    chan struct{} // the receiver made room
	closed  <-chan struct{}
	beat    *Heartbeat

	asm   flow.Batch // frames not handed over
	whole int        // octets of asm.Enc that are whole messages
	held  int        // references of asm that belong to those
	size  int64      // octets of the message that is incomplete
	parts int        // its frames

	ready []flow.Batch

	budget  *Budget
	claim   claim
	claimed bool // claim is not 0
	partial int  // octets of a frame that is incomplete
}

// Init makes in the input of a connection that ends when closed is closed. beat,
// if not nil, is suspended while the receiver has enough.
func (in *Input) Init(s Session, l Limits, beat *Heartbeat, closed <-chan struct{}) {
	*in = Input{session: s, limits: l, beat: beat, closed: closed, room: make(chan struct{}, 1)}
}

// Share makes unfinished messages count in b, which may call end to close the
// connection. Release must follow.
func (in *Input) Share(b *Budget, end func(error)) { in.budget, in.claim.close = b, end }

// Release ends the use of in. It gives back what in holds of the budget, and the
// memory of the large frames of an incomplete message: without that, peers that
// are closed for the budget leave as much garbage as the budget allows.
func (in *Input) Release() {
	for _, ref := range in.asm.Refs {
		flow.PutBuffer(ref.B)
	}
	in.asm = flow.Batch{}
	if in.claimed {
		in.budget.set(&in.claim, 0)
		in.claimed = false
	}
}

// Partial counts the octets that have arrived of a frame that is incomplete.
func (in *Input) Partial(octets int) {
	in.partial = octets
	in.countUnfinished()
}

// countUnfinished claims the octets of the message that is incomplete.
func (in *Input) countUnfinished() {
	if in.budget == nil {
		return
	}
	n := len(in.asm.Enc) - in.whole + in.asm.Held + in.partial
	if n < minClaim {
		n = 0
	}
	if n > 0 || in.claimed {
		in.budget.set(&in.claim, n)
		in.claimed = n > 0
	}
}

// Resume lets Deliver return after the receiver made room.
func (in *Input) Resume() {
	select {
	case in.room <- struct{}{}:
	default:
	}
}

// Frame adds a frame. flags is flow.More or 0. A large body is kept if it is
// owned, and copied otherwise.
func (in *Input) Frame(flags byte, body []byte, owned bool) error {
	if err := in.check(len(body)); err != nil {
		return err
	}
	in.asm.Frame(flags&flow.More, body, owned)
	in.count(flags, len(body), len(in.asm.Enc))
	if len(in.asm.Enc) >= chunk && flags&flow.More == 0 {
		in.cut()
	}
	return nil
}

// Message adds a message. It adds nothing if one of the frames is refused.
func (in *Input) Message(frames ...[]byte) error {
	var err error
	for _, f := range frames {
		if err = in.check(len(f)); err != nil {
			break
		}
		in.count(flow.More, len(f), 0)
	}
	in.size, in.parts = 0, 0
	if err != nil {
		return err
	}
	for i, f := range frames {
		flags := byte(flow.More)
		if i == len(frames)-1 {
			flags = 0
		}
		_ = in.Frame(flags, f, false) // was checked
	}
	return nil
}

// check refuses a frame that makes its message too large.
func (in *Input) check(n int) error {
	l := &in.limits
	if l.MaxFrame >= 0 && int64(n) > l.MaxFrame {
		return tooLarge(uint64(n), l.MaxFrame)
	}
	if l.MaxMessage >= 0 && (int64(n) > l.MaxMessage || in.size+int64(n) > l.MaxMessage) {
		return tooLarge(uint64(in.size)+uint64(n), l.MaxMessage)
	}
	if l.MaxFrames > 0 && in.parts >= l.MaxFrames {
		return &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: fmt.Sprintf("message of more than %d frames", l.MaxFrames)}
	}
	return nil
}

func tooLarge(n uint64, limit int64) error {
	return &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: fmt.Sprintf("frame or message of %d bytes, expected at most %d", n, limit)}
}

// count adds a frame of n octets to the incomplete message. Without flow.More
// that is whole now. end is where the frame ends in asm.Enc.
func (in *Input) count(flags byte, n, end int) {
	if flags&flow.More != 0 {
		in.size += int64(n)
		in.parts++
		return
	}
	in.size, in.parts = 0, 0
	in.asm.Msgs++
	in.whole, in.held = end, len(in.asm.Refs)
}

// cut moves the whole messages of asm to ready.
func (in *Input) cut() {
	b := in.asm
	b.Enc, b.Refs, b.Held = b.Enc[:in.whole], b.Refs[:in.held:in.held], 0
	for _, ref := range b.Refs {
		b.Held += len(ref.B)
	}
	var rest flow.Batch
	if in.whole < len(in.asm.Enc) {
		rest.Enc = append(rest.Enc, in.asm.Enc[in.whole:]...)
		for _, ref := range in.asm.Refs[in.held:] {
			rest.Refs = append(rest.Refs, flow.Ref{At: ref.At - in.whole, B: ref.B})
			rest.Held += len(ref.B)
		}
	}
	in.asm, in.whole, in.held = rest, 0, 0
	in.ready = append(in.ready, b)
}

// handOver pushes the whole messages. some reports that there was one, full
// that the receiver has enough.
func (in *Input) handOver() (some, full bool, err error) {
	if in.asm.Msgs > 0 {
		in.cut()
	}
	in.countUnfinished()
	if len(in.ready) == 0 {
		return false, false, nil
	}
	full, err = in.session.Push(in.ready)
	clear(in.ready)
	in.ready = in.ready[:0]
	return true, full, err
}

// Deliver pushes the whole messages and waits while the receiver has enough.
func (in *Input) Deliver() error {
	if _, full, err := in.handOver(); err != nil || !full {
		return err
	}
	if in.beat != nil {
		in.beat.pause()
		defer in.beat.resume()
	}
	for !in.session.Ready() {
		select {
		case <-in.room:
		case <-in.closed:
			return ErrClosed
		}
	}
	return nil
}
