package zmq4

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"lintel.dev/zmq"
)

// Send sends a message.
func (s *socket) Send(msg Msg) error {
	switch {
	case s.err != nil:
		return s.err
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case len(msg.Frames) == 0:
		return errNoFrames
	case s.typ == Sub:
		return s.sendSubscription(msg)
	case s.send == nil:
		return fmt.Errorf("zmq4: %s sockets can't send messages", s.typ)
	}
	m := zmq.Msg(msg.Frames)
	switch s.typ {
	case Router:
		m = s.ids.peer(m)
	case Req:
		if s.peers.gone() {
			return errNoConnections
		}
		s.peers.takeLoss() // of an earlier request
		s.peers.asked.Store(true)
	}
	alive := s.peers.alive.Load()
	err := s.send.Send(alive.ctx, m)
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() == nil && alive.ctx.Err() != nil:
		if s.typ == Req {
			return errNoConnections
		}
		return fmt.Errorf("zmq4: %s has lost all its connections: %w", s.typ, ErrClosedConn)
	}
	return s.reason(err)
}

// SendMulti is Send.
func (s *socket) SendMulti(msg Msg) error { return s.Send(msg) }

// sendSubscription subscribes or unsubscribes a SUB by a message, as an XSUB
// does.
func (s *socket) sendSubscription(msg Msg) error {
	f := msg.Frames[0]
	if len(msg.Frames) == 1 && len(f) > 0 && f[0] <= 1 {
		return s.subscribe(string(f[1:]), f[0] == 1)
	}
	return fmt.Errorf("zmq4: %s sockets can't send messages", s.typ)
}

// Recv receives a message.
func (s *socket) Recv() (Msg, error) { return s.recvUntil(s.ctx) }

// recvUntil is Recv that also ends when stop is done, with the error
// context.Canceled.
func (s *socket) recvUntil(stop context.Context) (Msg, error) {
	switch {
	case s.err != nil:
		return failed(s.err)
	case s.recv == nil:
		return failed(fmt.Errorf("zmq4: %s sockets can't recv messages", s.typ))
	}
	for {
		lossy := s.peers.lossy.Load()
		ctx := lossy.ctx
		if s.typ == Req && s.peers.gone() {
			ctx = done // what has arrived is received, but nothing is waited for
		}
		m, err := s.recvOnce(ctx, stop)
		switch {
		case err == nil:
			s.peers.asked.Store(false)
			if s.typ == Router {
				m = s.ids.own(m)
			}
			return Msg{Frames: m}, nil
		case s.ctx.Err() != nil:
			return failed(s.ctx.Err())
		case stop.Err() != nil:
			return failed(context.Canceled)
		case ctx.Err() == nil:
			return failed(s.reason(err))
		case s.peers.takeLoss():
			s.peers.asked.Store(false)
			return failed(io.EOF)
		case s.typ == Req && s.peers.gone():
			return failed(errNoConnections)
		}
	}
}

func (s *socket) recvOnce(ctx, stop context.Context) (zmq.Msg, error) {
	if stop == s.ctx { // ctx ends with that anyway
		return s.recv.Recv(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	return s.recv.Recv(ctx)
}

// done is a context that is done.
var done = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func failed(err error) (Msg, error) { return Msg{err: err}, err }

// routingIDs gives the peers of a ROUTER that have no identity the form of a
// UUID. A routing id of the socket below has 5 octets for such a peer, the first
// of which is zero. They become the last 10 digits of a UUID whose other digits
// are random and the same for all peers of the socket.
type routingIDs struct {
	prefix string // 26 characters
}

const automaticID = 5 // octets of an automatic routing id

func (r *routingIDs) init() {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	r.prefix = formatUUID(b)[:26]
}

// own replaces the routing id of a message that was received.
func (r *routingIDs) own(m zmq.Msg) zmq.Msg {
	if len(m) > 0 && len(m[0]) == automaticID && m[0][0] == 0 {
		m[0] = hex.AppendEncode([]byte(r.prefix), m[0])
	}
	return m
}

// peer replaces the routing id of a message to be sent, in a copy.
func (r *routingIDs) peer(m zmq.Msg) zmq.Msg {
	if len(m[0]) != len(r.prefix)+2*automaticID || !strings.HasPrefix(string(m[0]), r.prefix) {
		return m
	}
	id, err := hex.DecodeString(string(m[0][len(r.prefix):]))
	if err != nil || !bytes.HasPrefix(id, []byte{0}) {
		return m
	}
	return append(zmq.Msg{id}, m[1:]...)
}
