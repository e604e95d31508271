package protocol

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bounds of what a peer may send.
const (
	MaxEnvelope = 8   // frames of an envelope
	MaxAddress  = 255 // octets of each of them, as of a routing id
	MaxToken    = 64
	MaxReason   = 256
	MaxDelay    = 24 * time.Hour
)

// The words of replies.
const (
	OK  = "OK"
	Dup = "DUP"
	No  = "NO"
)

// ErrInvalid is wrapped by the errors of all parsers.
var ErrInvalid = errors.New("invalid")

// A Message is a message of a peer, split behind its envelope.
type Message struct {
	Peer     string   // routing id of the connection
	Envelope [][]byte // precedes every reply: routing id, envelope, empty frame
	Content  [][]byte
	// Gone means that the connection ended (option router_notify), or that the
	// peer sent one empty frame to say goodbye.
	Gone bool
}

// Split splits what a ROUTER received.
func Split(frames [][]byte) (Message, error) {
	if len(frames) < 2 {
		return Message{}, fmt.Errorf("%w: %d frames, want a routing id and more", ErrInvalid, len(frames))
	}
	m := Message{Peer: string(frames[0])}
	if len(frames) == 2 && len(frames[1]) == 0 {
		m.Gone = true
		return m, nil
	}
	for i, f := range frames[1:min(len(frames), MaxEnvelope+2)] {
		if len(f) == 0 {
			m.Envelope, m.Content = frames[:i+2:i+2], frames[i+2:]
			return m, nil
		}
		if len(f) > MaxAddress {
			break
		}
	}
	return m, fmt.Errorf("%w: no empty frame after at most %d frames of envelope", ErrInvalid, MaxEnvelope)
}

// Reply returns a reply to m with the given content.
func (m Message) Reply(content ...[]byte) [][]byte {
	out := make([][]byte, 0, len(m.Envelope)+len(content))
	return append(append(out, m.Envelope...), content...)
}

// A Put is a message that a producer wants to be stored.
type Put struct {
	ID     []byte // deduplication id, empty if there is none
	Frames [][]byte
}

// ParseRequest parses the content of a REQ producer. A first frame "ID" always
// begins the form with an id: a plain body that may begin with that frame is sent
// as "ID", an empty id, and the body.
func ParseRequest(content [][]byte) (Put, error) {
	if len(content) == 0 {
		return Put{}, fmt.Errorf("%w: no body", ErrInvalid)
	}
	if string(content[0]) != "ID" {
		return Put{Frames: content}, nil
	}
	if len(content) < 3 {
		return Put{}, fmt.Errorf("%w: ID with %d frames, want ID, id and a body", ErrInvalid, len(content))
	}
	return Put{content[1], content[2:]}, nil
}

// ParsePut parses the content of a DEALER producer. The id of the result is set
// with an error too, if there is one, so that the reply can name it.
func ParsePut(content [][]byte) (Put, error) {
	switch {
	case len(content) == 0 || string(content[0]) != "PUT":
		return Put{}, fmt.Errorf("%w: want PUT", ErrInvalid)
	case len(content) == 1:
		return Put{}, fmt.Errorf("%w: PUT without an id", ErrInvalid)
	case len(content) == 2:
		return Put{ID: content[1]}, fmt.Errorf("%w: PUT without a body", ErrInvalid)
	}
	return Put{content[1], content[2:]}, nil
}

// Verb is what a worker asks for.
type Verb uint8

// The verbs of workers.
const (
	Next     Verb = iota + 1 // of a REQ: wait for a job
	Ready                    // of a DEALER: how many jobs it wants to hold; also the heartbeat
	Ack                      // the job is done
	Nak                      // deliver the job again
	Term                     // never deliver the job again
	Progress                 // the job takes longer
)

var verbs = map[string]Verb{"NEXT": Next, "READY": Ready, "ACK": Ack, "NAK": Nak, "TERM": Term, "PROG": Progress}

// An Order is a parsed message of a worker.
type Order struct {
	Verb   Verb
	Token  string        // of all verbs but Next and Ready
	Sync   bool          // of Ack: confirm it
	Delay  time.Duration // of Nak
	Reason string        // of Term
	Credit int           // of Ready
}

// ParseOrder parses the content of a worker. The token of the result is set with
// an error too, if there is one, so that the reply can name it.
func ParseOrder(content [][]byte) (Order, error) {
	if len(content) == 0 {
		return Order{}, fmt.Errorf("%w: no verb", ErrInvalid)
	}
	o := Order{Verb: verbs[string(content[0])]}
	if o.Verb == 0 {
		return Order{}, fmt.Errorf("%w: unknown verb", ErrInvalid)
	}
	var arg []byte // optional but for Ready
	switch n := len(content); {
	case o.Verb == Next:
		if n != 1 {
			return o, fmt.Errorf("%w: NEXT with %d frames, want 1", ErrInvalid, n)
		}
		return o, nil
	case o.Verb == Ready:
		if n != 2 {
			return o, fmt.Errorf("%w: READY with %d frames, want 2", ErrInvalid, n)
		}
		credit, err := number(content[1], math.MaxInt32)
		o.Credit = int(credit)
		return o, err
	case n < 2 || len(content[1]) == 0 || len(content[1]) > MaxToken:
		return o, fmt.Errorf("%w: want a token of 1 to %d octets", ErrInvalid, MaxToken)
	case n > 3 || n == 3 && o.Verb == Progress:
		return o, fmt.Errorf("%w: %d frames", ErrInvalid, n)
	case n == 3:
		arg = content[2]
	}
	o.Token = string(content[1])
	return o.argument(arg, len(content) == 3)
}

// argument parses the frame behind the token.
func (o Order) argument(arg []byte, given bool) (Order, error) {
	switch {
	case !given:
	case o.Verb == Ack:
		if string(arg) != "sync" {
			return o, fmt.Errorf("%w: ACK with an argument other than sync", ErrInvalid)
		}
		o.Sync = true
	case o.Verb == Nak:
		ms, err := number(arg, MaxDelay.Milliseconds())
		if err != nil {
			return o, err
		}
		o.Delay = time.Duration(ms) * time.Millisecond
	case o.Verb == Term:
		if len(arg) > MaxReason {
			return o, fmt.Errorf("%w: reason of %d octets, at most %d", ErrInvalid, len(arg), MaxReason)
		}
		o.Reason = string(arg)
	}
	return o, nil
}

// number parses decimal digits up to limit.
func number(b []byte, limit int64) (int64, error) {
	n, err := strconv.ParseUint(string(b[:min(len(b), 20)]), 10, 63)
	if err != nil || len(b) > 20 || n > uint64(limit) {
		return 0, fmt.Errorf("%w: want a number from 0 to %d", ErrInvalid, limit)
	}
	return int64(n), nil
}

// Number returns n as a frame.
func Number(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }
