package engine

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Stream is the engine of a stream of octets: tcp, ipc, vsock and whatever a
// dialer or listener of the user makes. It speaks ZMTP 1.0 to 3.1, or nothing
// with Config.Raw.
type Stream struct {
	cfg           Config
	conn          net.Conn
	raw           syscall.RawConn // nil if the connection offers no non-blocking calls
	local, remote string

	session  Session
	out      *flow.Queue
	peer     Peer
	framing  zmtp.Framing
	sealer   zmtp.Sealer
	legacy   bool   // subscriptions travel as messages
	commands int    // octets of commands since the reader gave way
	rest     []byte // read by the handshake, and beyond it

	w       writer
	writers writers
	heard   atomic.Bool // something arrived since the last write by a sender

	r   reader
	end Ending

	stranded int // octets that the peer did not acknowledge; written before end is done
	beat     Heartbeat
}

// NewStream makes the engine of conn, which it closes.
func NewStream(conn net.Conn, cfg Config) *Stream {
	e := &Stream{cfg: cfg, conn: conn, raw: rawConn(conn)}
	e.local, e.remote = addrText(conn.LocalAddr()), addrText(conn.RemoteAddr())
	e.end.Init()
	e.w.e, e.r.e = e, e
	return e
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// Local returns our address of the connection.
func (e *Stream) Local() string { return e.local }

// Remote returns the address of the peer.
func (e *Stream) Remote() string { return e.remote }

// Handshake agrees with the peer on protocol and security.
func (e *Stream) Handshake(ctx context.Context) (Peer, error) {
	if e.cfg.Raw {
		return e.peer, nil
	}
	err := e.handshake(ctx)
	return e.peer, err
}

// Plug binds the engine to the session that it serves.
func (e *Stream) Plug(s Session) {
	e.session, e.out = s, s.Out()
	e.r.plug(s, e.rest)
	e.rest = nil
}

// Run reads until the connection ends.
func (e *Stream) Run() error {
	if e.peer.Version >= zmtp.ZMTP30 {
		e.beat.Start(&e.cfg, func() {
			e.control(flow.Command, zmtp.AppendPing(nil, e.cfg.HeartbeatTTL, nil))
		}, e.Close)
	}
	e.Close(e.r.run())
	e.writers.stop()
	if n := e.w.sent.last(e.stranded); n > 0 {
		e.session.Stranded(n)
	}
	return e.end.Reason()
}

// Close ends the connection.
func (e *Stream) Close(reason error) {
	e.end.Begin(reason, func() {
		e.beat.Stop()
		if reason != ErrClosed { // else the kernel goes on sending
			e.stranded = unacknowledged(e.conn)
		}
		e.conn.Close()
	})
}

// Abort closes the connection.
func (e *Stream) Abort(reason error) { e.Close(reason) }

// Resume continues input.
func (e *Stream) Resume() { e.r.Resume() }

// Subscribe sends a subscription, or its cancellation, in the form that the
// peer knows.
func (e *Stream) Subscribe(add bool, topic []byte) {
	e.control(e.cfg.Subscription(e.legacy, add, topic))
}

// Drain asks the peer to send no more, if it knows how.
func (e *Stream) Drain() bool {
	if !e.peer.Drains() {
		return false
	}
	e.control(flow.Command, zmtp.AppendDrain(nil))
	return true
}

// control sends a frame ahead of all messages.
func (e *Stream) control(flags byte, body []byte) {
	if e.out.AppendControl(flow.AppendFrame(nil, flags, body)) == flow.Wake {
		e.KickLater()
	}
}

// commandBurst is how many octets of commands are handled before other goroutines
// may run: a command costs more than its octets. With eight peers that send PINGs,
// the p99 of a good peer is 48 ms, 61 ms without, and 143 ms without burst either
// (make abuse, "PING flood", medians of 5 on a busy machine; libzmq 51 ms).
const commandBurst = 16 << 10

// maxPongs bounds the octets of answers that wait for a peer that does not read.
const maxPongs = 4 << 10

// command handles a command of an established connection. Unknown ones are
// ignored: later versions of the protocol may add some.
func (e *Stream) command(body []byte) error {
	if e.commands += len(body) + 2; e.commands >= commandBurst {
		// A flood of commands wakes no receiver that would use the P instead.
		e.commands = 0
		runtime.Gosched()
	}
	c, data, err := zmtp.ParseCommand(body)
	if err != nil {
		return err
	}
	switch c {
	case zmtp.CommandPing:
		ttl, echo, err := zmtp.ParsePing(data)
		if err != nil {
			return err
		}
		e.beat.Pinged(ttl, e.Close)
		if e.out.ControlLen() < maxPongs {
			e.control(flow.Command, zmtp.AppendPong(nil, echo))
		}
	case zmtp.CommandSubscribe, zmtp.CommandCancel, zmtp.CommandJoin, zmtp.CommandLeave, zmtp.CommandDrain:
		e.session.Command(c, data)
	case zmtp.CommandDrained:
		return ErrClosed // the messages before it are pushed first
	}
	return nil
}

// plain reports whether batches travel as they are.
func (e *Stream) plain() bool {
	return e.sealer == nil && e.framing == zmtp.Framing2 && !e.cfg.Raw
}
