// Package session is the server side of one connection: a netloop.Session that
// splits input into commands and lets the front end of the connection's protocol
// execute them.
//
// Data is called with the input that has arrived. It executes commands in a
// batch until the input is used up, the batch has Config.Requests commands, its work
// is used up, enough replies are waiting, or a command has to wait. A command that needs more input
// or time is the Pending of the connection; no further command is executed before
// it is done, so that replies keep the order of the requests.
//
// The scratch memory of a batch comes from a pool and is shared by all
// connections. A session takes no lock.
package session

import (
	"sync"

	"lintel.dev/internal/memcached/binary"
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/text"
)

// protocol is the protocol of a connection.
type protocol uint8

const (
	negotiate protocol = iota // until the first byte has arrived
	ascii
	binaryOnly
)

// Session is one connection.
type Session struct {
	exec.Conn
	engine *exec.Engine
	proto  protocol
}

var batches = sync.Pool{New: func() any { return exec.NewBatch() }}

// New makes the session of c and registers it with e. datagram is set over UDP.
func New(e *exec.Engine, c netloop.Conn, datagram bool) *Session {
	s := &Session{engine: e}
	s.Datagram = datagram
	s.Net = c
	s.Reset()
	e.Open(&s.Conn)
	return s
}

// Reset lets the next byte choose the protocol, where the server allows both.
func (s *Session) Reset() {
	switch s.engine.Protocol {
	case "ascii":
		s.proto = ascii
	case "binary":
		s.proto = binaryOnly
	default:
		s.proto = negotiate
	}
}

// Idle reports whether the session is between two commands.
func (s *Session) Idle() bool { return s.Pending == nil }

// Data implements netloop.Session.
func (s *Session) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	s.Started()
	b := batches.Get().(*exec.Batch)
	b.Begin(s.engine, &s.Conn, w)
	n, step := s.run(b, in)
	b.End()
	batches.Put(b)
	return n, step
}

// Closed implements netloop.Session.
func (s *Session) Closed(why netloop.Reason) { s.engine.Close(&s.Conn, why) }

// Drained implements netloop.Drainer.
func (s *Session) Drained() { s.engine.Drained(&s.Conn) }

// run executes commands of in until it has to stop, and returns why.
func (s *Session) run(b *exec.Batch, in []byte) (used int, step netloop.Step) {
	seen := 0 // in[:seen] has been searched for keys to prefetch
	for left := s.engine.Requests; ; left-- {
		if s.Pending == nil && used == len(in) {
			return used, netloop.NeedMore
		}
		if b.W.Len() > 0 && b.W.Full() {
			return used, netloop.Yield
		}
		if left <= 0 || b.Left <= 0 {
			b.Count(exec.ConnYields)
			return used, netloop.Yield
		}
		if b.Bounded() && !b.Reserve(1) {
			b.Count(exec.RespOOM)
			// memcached has no memory for a reply then, not even for an error.
			if b.W.Len() == len(b.W.B) {
				b.W.B = b.W.B[:0]
			}
			return used, netloop.Close
		}
		var n int
		before := len(b.W.B)
		b.StartCommand()
		if p := s.Pending; p != nil {
			if n, step = p.Step(b, in[used:]); step == netloop.Next && s.Pending == p {
				s.Pending = nil
			}
		} else {
			if used >= seen && s.proto == ascii {
				seen = used + prefetch(b, in[used:], min(left, exec.Lookahead))
			}
			n, step = s.command(b, in[used:])
		}
		used += n
		b.Spend(n + len(b.W.B) - before)
		if s.engine.Traced() && len(b.W.B) > before {
			b.Trace('>', b.W.B[before:])
		}
		switch step {
		case netloop.Next:
			b.EndCommand()
		case netloop.NeedMore:
			if s.Pending == nil || used == len(in) || n == 0 {
				return used, step
			}
		default:
			return used, step
		}
	}
}

// command lets the front end handle the command that in begins with.
func (s *Session) command(b *exec.Batch, in []byte) (n int, step netloop.Step) {
	if s.proto == negotiate {
		s.proto = ascii
		if in[0] == mcproto.MagicRequest {
			s.proto = binaryOnly
		}
	}
	if s.proto == binaryOnly {
		return binary.Command(b, in)
	}
	return text.Command(b, in)
}
