package zmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// handshake agrees with the peer on protocol, security and types. It returns
// the bytes read beyond it.
func (l *link) handshake() (rest []byte, err error) {
	ctx := l.ep.live
	if d := l.ep.o.HandshakeTimeout; d > 0 {
		if err := l.conn.SetDeadline(time.Now().Add(d)); err != nil {
			return nil, err
		}
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d)
		defer stop()
	}
	h := hands{l: l}
	if err := h.greet(); err != nil {
		return nil, err
	}
	if h.greeting.Version() < zmtp.ZMTP30 {
		err = h.identity()
	} else {
		err = h.secure(ctx)
	}
	if err != nil {
		return nil, err
	}
	if id := l.peer.identity; len(id) > 255 || len(id) > 0 && id[0] == 0 {
		return nil, &zmtp.Error{Code: zmtp.CodeInvalidMetadata, Text: fmt.Sprintf("routing id %.10q of %d octets, expected at most 255, the first not 0", id, len(id))}
	}
	return h.in, l.conn.SetDeadline(time.Time{})
}

// hands is a handshake under way.
type hands struct {
	l        *link
	greeting *zmtp.Greeting
	mech     zmtp.Mechanism
	in, out  []byte
}

// send writes what has been prepared.
func (h *hands) send() error {
	if len(h.out) == 0 {
		return nil
	}
	_, err := h.l.conn.Write(h.out)
	h.out = h.out[:0]
	return err
}

func (h *hands) read() error {
	if cap(h.in)-len(h.in) < 256 {
		in := make([]byte, len(h.in), 2*cap(h.in)+512)
		copy(in, h.in)
		h.in = in
	}
	n, err := h.l.conn.Read(h.in[len(h.in):cap(h.in)])
	h.in = h.in[:len(h.in)+n]
	if n == 0 && err != nil {
		return err
	}
	return nil
}

func (h *hands) greet() error {
	l := h.l
	var err error
	if h.mech, err = l.mechanism(); err != nil {
		return err
	}
	t := l.s.typ
	cfg := zmtp.GreetingConfig{
		Mechanism: h.mech.Name(), AsServer: h.mech.AsServer(), SocketType: t,
		RequireV3: l.ep.o.Security.ZAPDomain != "",
	}
	if t.AnnouncesIdentity() {
		cfg.Identity = l.ep.o.Identity
	}
	h.greeting = zmtp.NewGreeting(cfg)
	for {
		var n int
		var done bool
		var err error
		h.out, n, done, err = h.greeting.Advance(h.out, h.in)
		if sendErr := h.send(); err == nil {
			err = sendErr
		}
		if err != nil {
			return err
		}
		if done {
			h.in = h.in[n:]
			l.framing = h.greeting.Framing()
			l.peer.version = h.greeting.Version()
			l.legacy = l.peer.version < zmtp.ZMTP31
			l.peer.catchAll = h.greeting.Unversioned()
			return nil
		}
		if err := h.read(); err != nil {
			return err
		}
	}
}

// identity is the rest of a handshake with a peer older than ZMTP 3.
func (h *hands) identity() error {
	for {
		head, body, rest, ok, err := h.l.framing.Next(h.in, 255)
		if err != nil {
			return err
		}
		if ok {
			if head.Flags != 0 {
				return &zmtp.Error{Code: zmtp.CodeUnexpectedCommand, Text: "first message of several frames, expected the routing id alone"}
			}
			h.l.peer.identity = append([]byte(nil), body...)
			h.in = rest
			return nil
		}
		if err := h.read(); err != nil {
			return err
		}
	}
}

// secure runs the mechanism and checks what the peer says of itself.
func (h *hands) secure(ctx context.Context) error {
	l := h.l
	for {
		if err := h.produce(); err != nil {
			return err
		}
		switch h.mech.State() {
		case zmtp.StateReady:
			return h.accept()
		case zmtp.StateFailed:
			return &authError{status: l.status}
		case zmtp.StateZAP:
			if h.mech.Name() != "NULL" || h.mech.Peer() != nil {
				if err := l.authenticate(ctx, h.mech); err != nil {
					return err
				}
				continue
			}
		}
		head, body, rest, ok, err := l.framing.Next(h.in, zmtp.MaxHandshake)
		if err != nil {
			return err
		}
		if !ok {
			if err := h.read(); err != nil {
				return err
			}
			continue
		}
		if !head.Command() {
			return &zmtp.Error{Code: zmtp.CodeUnexpectedCommand, Text: "message before the handshake was over, expected a command"}
		}
		h.in = rest
		if err := h.mech.Consume(body); err != nil {
			return err
		}
	}
}

// produce sends the mechanism's next commands.
func (h *hands) produce() error {
	for {
		body, ok := h.mech.Produce(nil)
		if !ok {
			return h.send()
		}
		h.out = h.l.framing.Append(h.out, zmtp.FlagCommand, body)
	}
}

// accept checks the peer's metadata once security is settled.
func (h *hands) accept() error {
	l := h.l
	l.sealer = h.mech.Sealer()
	l.peer.metadata = h.mech.Peer()
	name, _ := l.peer.metadata.Get(zmtp.PropertySocketType)
	if t := l.s.typ; !t.Accepts(name) {
		err := &zmtp.Error{Code: zmtp.CodeInvalidMetadata, Text: fmt.Sprintf("a %v socket cannot talk to a peer of type %q", l.s.typ, name)}
		if l.sealer == nil {
			h.out = l.framing.Append(h.out, zmtp.FlagCommand, zmtp.AppendError(nil, "Invalid socket type"))
			return errors.Join(err, h.send())
		}
		return err
	}
	id, _ := l.peer.metadata.Get(zmtp.PropertyIdentity)
	l.peer.identity = id
	return nil
}

// metadata is what we say of ourselves.
func (l *link) metadata() zmtp.Metadata {
	t := l.s.typ
	m := zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(t.String())}}
	if t.AnnouncesIdentity() {
		m = append(m, zmtp.Property{Name: zmtp.PropertyIdentity, Value: l.ep.o.Identity})
	}
	for name, value := range l.ep.o.Metadata {
		m = append(m, zmtp.Property{Name: name, Value: []byte(value)})
	}
	return m
}

// authError is a peer refused by the authenticator.
type authError struct{ status uint32 }

func (e *authError) Error() string { return fmt.Sprintf("zmq: peer refused with status %d", e.status) }
