package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// AuthError is the refusal of a peer by the authenticator.
type AuthError struct{ Status uint32 } // of ZAP

func (e *AuthError) Error() string { return fmt.Sprintf("zmq: peer refused with status %d", e.Status) }

// handshake agrees with the peer on protocol, security and types.
func (e *Stream) handshake(ctx context.Context) error {
	h := streamHandshake{e: e}
	if d := e.cfg.HandshakeTimeout; d > 0 {
		h.deadline = time.Now().Add(d)
		if err := e.conn.SetDeadline(h.deadline); err != nil {
			return err
		}
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d)
		defer stop()
	}
	mech, err := e.cfg.Security.Mechanism()
	if err != nil {
		return err
	}
	if err := h.greet(mech); err != nil {
		return err
	}
	if e.peer.Version < zmtp.ZMTP30 {
		err = h.identity()
	} else {
		e.sealer, err = e.cfg.Secure(ctx, mech, &h, &e.peer)
	}
	if err != nil {
		return err
	}
	e.rest = h.in
	return e.conn.SetDeadline(time.Time{})
}

// checkIdentity refuses an identity that no socket may have.
func (p *Peer) checkIdentity() error {
	if id := p.Identity; len(id) > 255 || len(id) > 0 && id[0] == 0 {
		return &zmtp.Error{Code: zmtp.CodeInvalidMetadata, Text: fmt.Sprintf("routing id %.10q of %d octets, expected at most 255, the first not 0", id, len(id))}
	}
	return nil
}

// Commander exchanges the commands of a handshake.
type Commander interface {
	// WriteCommand adds a command to those that Flush sends.
	WriteCommand(body []byte)
	Flush() error
	// ReadCommand returns the body of the next command, valid until the next
	// call.
	ReadCommand() ([]byte, error)
	// Watch calls lost when the connection ends before stop is called. It may read
	// ahead.
	Watch(lost func(error)) (stop func())
	// Await waits for at most d until ReadCommand would not block, and reports
	// whether it would not. It may read ahead.
	Await(d time.Duration) (arrived bool, err error)
}

// firstReady bounds the wait for the READY of a NULL peer before this side sends
// its own: a quarter of the time for the handshake. RFC 37 (ZMTP 3.1) gives no
// order, so the peer may wait as well.
func (cfg *Config) firstReady() time.Duration {
	if cfg.HandshakeTimeout > 0 {
		return cfg.HandshakeTimeout / 4
	}
	return 5 * time.Second
}

// Secure runs the mechanism mech with the peer at the other end of c, and fills in
// what the peer says of itself. The sealer is nil unless mech encrypts.
func (cfg *Config) Secure(ctx context.Context, mech zmtp.Mechanism, c Commander, peer *Peer) (zmtp.Sealer, error) {
	status := 0
	asked := cfg.Admit == nil
	silent := false // a NULL peer did not send READY first
	for {
		if !asked && mech.Peer() != nil && mech.State() != zmtp.StateZAP {
			asked = true
			if err := cfg.admit(mech, c); err != nil {
				return nil, err
			}
		}
		// A NULL peer whose READY comes first can be refused with an ERROR, and its
		// metadata can be authenticated.
		if mech.Name() == "NULL" && mech.Peer() == nil && !silent && (!asked || mech.State() == zmtp.StateZAP) {
			arrived, err := c.Await(cfg.firstReady())
			if err != nil {
				return nil, err
			}
			silent = !arrived
			asked = asked || silent // the socket checks the identity when it attaches the pipe
		}
		if asked || mech.Name() != "NULL" {
			for body, ok := mech.Produce(nil); ok; body, ok = mech.Produce(nil) {
				c.WriteCommand(body)
			}
			if err := c.Flush(); err != nil {
				return nil, err
			}
		}
		switch mech.State() {
		case zmtp.StateReady:
			return mech.Sealer(), cfg.accept(mech, c, peer)
		case zmtp.StateFailed:
			return nil, &AuthError{Status: uint32(status)}
		case zmtp.StateZAP:
			if mech.Name() == "NULL" && mech.Peer() == nil && !silent {
				break // its READY is there
			}
			var err error
			if status, err = cfg.authenticate(ctx, mech, c); err != nil {
				return nil, err
			}
			mech.Verdict(status)
			continue
		}
		body, err := c.ReadCommand()
		if err != nil {
			return nil, err
		}
		if err := mech.Consume(body); err != nil {
			return nil, err
		}
	}
}

// authenticate asks about the peer until that leaves.
func (cfg *Config) authenticate(ctx context.Context, mech zmtp.Mechanism, c Commander) (status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var lost error
	stop := c.Watch(func(err error) {
		lost = err
		cancel(err)
	})
	status, err = cfg.Security.Authenticate(ctx, mech)
	stop()
	if ctx.Err() != nil && lost != nil {
		err = lost
	}
	return status, err
}

// admit checks the identity of the peer and sends an ERROR if it is refused.
func (cfg *Config) admit(mech zmtp.Mechanism, c Commander) error {
	id, _ := mech.Peer().Get(zmtp.PropertyIdentity)
	err := cfg.Admit(id)
	if err == nil {
		return nil
	}
	c.WriteCommand(zmtp.AppendError(nil, "Duplicate routing id"))
	return errors.Join(err, c.Flush())
}

// accept checks the metadata of the peer after the mechanism succeeded.
func (cfg *Config) accept(mech zmtp.Mechanism, c Commander, peer *Peer) error {
	peer.Metadata = mech.Peer()
	name, _ := peer.Metadata.Get(zmtp.PropertySocketType)
	if !cfg.SocketType.Accepts(name) {
		err := &zmtp.Error{Code: zmtp.CodeInvalidMetadata, Text: fmt.Sprintf("a %v socket cannot talk to a peer of type %q", cfg.SocketType, name)}
		if mech.Sealer() == nil {
			c.WriteCommand(zmtp.AppendError(nil, "Invalid socket type"))
			return errors.Join(err, c.Flush())
		}
		return err
	}
	peer.Identity, _ = peer.Metadata.Get(zmtp.PropertyIdentity)
	return peer.checkIdentity()
}

// streamHandshake is the handshake of a Stream while it lasts.
type streamHandshake struct {
	e        *Stream
	in, out  []byte
	deadline time.Time
}

// maxAhead bounds the octets that are read while an authenticator decides.
const maxAhead = 64 << 10

// Watch reads ahead. It ends that by a read deadline in the past.
func (h *streamHandshake) Watch(lost func(error)) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(h.in) < maxAhead {
			if err := h.read(); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					lost(err)
				}
				return
			}
		}
	}()
	return func() {
		h.e.conn.SetReadDeadline(past)
		<-done
		h.e.conn.SetReadDeadline(h.deadline)
	}
}

// Await reads until a whole frame is there. It ends that by a read deadline.
func (h *streamHandshake) Await(d time.Duration) (arrived bool, err error) {
	until := time.Now().Add(d)
	if !h.deadline.IsZero() && h.deadline.Before(until) {
		until = h.deadline
	}
	if err := h.e.conn.SetReadDeadline(until); err != nil {
		return false, err
	}
	for {
		_, _, _, ok, err := h.e.framing.Next(h.in, zmtp.MaxHandshake)
		if ok || err != nil {
			return true, h.e.conn.SetReadDeadline(h.deadline) // ReadCommand returns the error
		}
		if err := h.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			return false, h.e.conn.SetReadDeadline(h.deadline)
		} else if err != nil {
			return false, err
		}
	}
}

func (h *streamHandshake) greet(mech zmtp.Mechanism) error {
	e := h.e
	g := zmtp.NewGreeting(zmtp.GreetingConfig{
		Mechanism: mech.Name(), AsServer: mech.AsServer(), SocketType: e.cfg.SocketType,
		RequireV3: e.cfg.RequireV3, Identity: e.cfg.Identity,
	})
	for {
		var n int
		var done bool
		var err error
		h.out, n, done, err = g.Advance(h.out, h.in)
		if sendErr := h.Flush(); err == nil {
			err = sendErr
		}
		if err != nil {
			return err
		}
		if done {
			h.in = h.in[n:]
			e.framing = g.Framing()
			e.peer.Version, e.peer.Unversioned = g.Version(), g.Unversioned()
			e.legacy = e.peer.Version < zmtp.ZMTP31
			return nil
		}
		if err := h.read(); err != nil {
			return err
		}
	}
}

// identity is the rest of a handshake with a peer older than ZMTP 3.
func (h *streamHandshake) identity() error {
	head, body, err := h.frame(255)
	if err != nil {
		return err
	}
	if head.Flags != 0 {
		return &zmtp.Error{Code: zmtp.CodeUnexpectedCommand, Text: "first message of several frames, expected the routing id alone"}
	}
	h.e.peer.Identity = append([]byte(nil), body...)
	return h.e.peer.checkIdentity()
}

func (h *streamHandshake) ReadCommand() ([]byte, error) {
	head, body, err := h.frame(zmtp.MaxHandshake)
	if err == nil && !head.Command() {
		err = errNoCommand
	}
	return body, err
}

var errNoCommand = &zmtp.Error{Code: zmtp.CodeUnexpectedCommand, Text: "message before the handshake was over, expected a command"}

// frame reads the next frame.
func (h *streamHandshake) frame(limit int64) (zmtp.Header, []byte, error) {
	for {
		head, body, rest, ok, err := h.e.framing.Next(h.in, limit)
		if err != nil {
			return head, nil, err
		}
		if ok {
			h.in = rest
			return head, body, nil
		}
		if err := h.read(); err != nil {
			return head, nil, err
		}
	}
}

func (h *streamHandshake) read() error {
	if cap(h.in)-len(h.in) < 256 {
		in := make([]byte, len(h.in), 2*cap(h.in)+512)
		copy(in, h.in)
		h.in = in
	}
	n, err := h.e.conn.Read(h.in[len(h.in):cap(h.in)])
	h.in = h.in[:len(h.in)+n]
	if n == 0 && err != nil {
		return err
	}
	return nil
}

func (h *streamHandshake) WriteCommand(body []byte) {
	h.out = h.e.framing.Append(h.out, zmtp.FlagCommand, body)
}

func (h *streamHandshake) Flush() error {
	if len(h.out) == 0 {
		return nil
	}
	_, err := h.e.conn.Write(h.out)
	h.out = h.out[:0]
	return err
}
