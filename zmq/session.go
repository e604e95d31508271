package zmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/ws"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// session is one connection of an endpoint: it joins an engine and a pipe. It is
// the engine.Session and the engine.Security of the connection.
type session struct {
	s    *core
	ep   *Endpoint
	p    *pipe // set after the handshake
	eng  engine.Conn
	conn transport.Conn // nil for datagrams and groups

	userID  string        // as the authenticator said
	granted zmtp.Metadata // likewise

	shaking bool // a handshake that the endpoint counts
}

// newSession makes the session of a connection, for which there is an engine for
// each family of transports.
func newSession(e *Endpoint, conn transport.Conn) *session {
	x := &session{s: e.s, ep: e, conn: conn}
	cfg := x.config()
	switch c := conn.(type) {
	case *ws.Conn:
		x.eng = ws.New(c, cfg)
	case net.Conn:
		x.eng = engine.NewStream(c, cfg)
	}
	return x
}

// config is what the engine needs to know of the options.
func (x *session) config() engine.Config {
	o := &x.ep.o
	cfg := engine.Config{
		Raw:        x.ep.raw(),
		Groups:     x.s.typ == zmtp.DISH,
		SocketType: x.s.typ,
		RequireV3:  o.Security.ZAPDomain != "",
		Security:   x,

		HandshakeTimeout:  o.HandshakeTimeout,
		HeartbeatInterval: o.HeartbeatInterval, HeartbeatTimeout: o.HeartbeatTimeout, HeartbeatTTL: o.HeartbeatTTL,

		Limits:     o.limits(),
		Unfinished: &x.s.unfinished,
		RecvHWM:    o.RecvHWM,
		SendBuffer: o.SendBuffer,
		LastWrite:  &x.s.wrote,
	}
	if a, ok := x.s.pat.(idAdmitter); ok && x.ep.bound && !o.RouterHandover {
		cfg.Admit = a.admitsID
	}
	if cfg.SocketType.AnnouncesIdentity() {
		cfg.Identity = o.Identity
	}
	return cfg
}

// limits bound the messages that arrive.
func (o *options) limits() engine.Limits {
	return engine.Limits{MaxFrame: o.MaxFrame, MaxMessage: o.MaxMessage, MaxFrames: o.MaxFrames}
}

// raw reports whether the peers speak no ZMTP.
func (e *Endpoint) raw() bool {
	return e.s.typ == zmtp.STREAM || e.s.typ == zmtp.ROUTER && e.o.RouterRaw
}

// event reports something about this connection.
func (x *session) event(t event.Type, err error) {
	x.s.emit(event.Event{Type: t, Endpoint: x.ep.addr, Local: x.eng.Local(), Remote: x.eng.Remote(), Err: err})
}

// handshake runs the handshake and reports how it went. Without an error, shaken
// must follow.
func (x *session) handshake() (engine.Peer, error) {
	if !x.ep.beginHandshake() {
		x.eng.Abort(engine.ErrClosed)
		x.event(event.Closed, nil)
		return engine.Peer{}, engine.ErrClosed
	}
	x.shaking = true
	peer, err := x.agree()
	if err != nil {
		x.shaken()
	}
	return peer, err
}

// shaken notes that the handshake has ended and the pipe, if any, has its engine.
func (x *session) shaken() {
	if x.shaking {
		x.shaking = false
		x.ep.endHandshake()
	}
}

// agree is handshake for one that is counted.
func (x *session) agree() (engine.Peer, error) {
	peer, err := x.eng.Handshake(x.ep.live)
	if err == nil {
		x.s.events.connected()
		if !x.ep.raw() {
			x.event(event.HandshakeSucceeded, nil)
		}
		return peer, nil
	}
	if x.ep.live.Err() != nil { // ended by this side
		x.eng.Abort(engine.ErrClosed)
		x.event(event.Closed, nil)
		return peer, err
	}
	x.s.counter.handshakesFailed.Add(1)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the peer closed the connection during the %s handshake: %w", x.ep.mechanism(), err)
	}
	if errors.Is(err, errDuplicateID) {
		x.eng.Abort(err)
		x.event(event.DuplicateID, err)
		x.event(event.Closed, err)
		return peer, err
	}
	e := event.Event{Type: event.HandshakeFailed, Endpoint: x.ep.addr, Local: x.eng.Local(), Remote: x.eng.Remote(), Err: err}
	var protocol *zmtp.Error
	var auth *engine.AuthError
	var refusal *zmtp.PeerError
	switch {
	case errors.As(err, &protocol):
		e.Type, e.Status = event.HandshakeProtocol, uint32(protocol.Code)
	case errors.As(err, &auth):
		e.Type, e.Status = event.HandshakeAuth, auth.Status
	case errors.As(err, &refusal):
		e.Type, e.Status = event.HandshakeAuth, statusOf(refusal.Reason)
	}
	x.eng.Abort(err)
	if !x.ep.bound {
		x.s.events.failed(e)
	}
	x.s.emit(e)
	x.event(event.Disconnected, nil)
	return peer, err
}

// statusOf reads the ZAP status that a peer gives as its reason.
func statusOf(reason string) uint32 {
	switch reason {
	case "300":
		return 300
	case "400":
		return 400
	case "500":
		return 500
	}
	return 0
}

// run carries the messages of p until the connection ends.
func (x *session) run(p *pipe, peer engine.Peer) error {
	p.info.Store(x.info(peer))
	x.eng.Plug(x)
	p.plug(x.eng)
	x.shaken()
	if p.out.Attach() {
		x.eng.KickLater()
	} else if p.out.Finished() {
		p.setFlushed()
	}
	if x.s.drains() {
		p.rejoin()
	}
	x.s.connected(p)
	if side, ok := x.s.pat.(publisherSide); ok && peer.Unversioned {
		side.subscription(p, true, nil)
	}
	err := x.eng.Run()
	p.engine.Store(nil)
	p.out.Detach()
	return err
}

// info is what the application may know of the peer.
func (x *session) info(peer engine.Peer) *PeerInfo {
	i := &PeerInfo{Address: x.eng.Remote(), RoutingID: peer.Identity, UserID: x.userID, Properties: map[string]string{}}
	for _, m := range []zmtp.Metadata{peer.Metadata, x.granted} {
		for _, p := range m {
			i.Properties[p.Name] = string(p.Value)
		}
	}
	i.SocketType = i.Properties[zmtp.PropertySocketType]
	i.Properties["Peer-Address"] = x.address()
	if i.UserID != "" {
		i.Properties["User-Id"] = i.UserID
	}
	return i
}

// reportEnd reports the end of an established connection.
func (x *session) reportEnd(err error) {
	if errors.Is(err, engine.ErrClosed) {
		x.event(event.Closed, nil)
	} else {
		x.event(event.Disconnected, err)
	}
}

// hungUp reports whether the user of a STREAM or raw ROUTER closed the
// connection. That is not reported as a disconnection.
func (x *session) hungUp(err error) bool { return x.ep.raw() && errors.Is(err, engine.ErrClosed) }

// The methods of engine.Session.

// Out returns the queue of messages to send.
func (x *session) Out() *flow.Queue { return x.p.out }

// Push hands over messages that arrived.
func (x *session) Push(batches []flow.Batch) (full bool, err error) {
	p := x.p
	if side, ok := x.s.pat.(publisherSide); ok {
		for _, b := range batches {
			upstream(side, p, b)
		}
		return !side.room(p), nil
	}
	if x.s.typ == zmtp.REQ {
		batches, err = replies(batches)
	}
	res, full := p.in.Push(batches...)
	switch res {
	case flow.Wake:
		x.s.readable(p)
	case flow.Full: // closed: the endpoint is
		for _, b := range batches {
			x.s.counter.lost.Add(uint64(b.Msgs))
		}
	}
	return full, err
}

// upstream hands the messages of b to a publisher one by one.
func upstream(x publisherSide, p *pipe, b flow.Batch) {
	var m Msg
	for c := flow.NewCursor(b); !c.Done(); {
		flags, frame := c.Next()
		m = append(m[:0], frame)
		for flags&flow.More != 0 {
			flags, frame = c.Next()
			m = append(m, frame)
		}
		x.upstream(p, m)
	}
}

// Ready reports whether the incoming queue has room.
func (x *session) Ready() bool {
	if side, ok := x.s.pat.(publisherSide); ok {
		return side.room(x.p)
	}
	return x.p.in.Ready()
}

// Prepare gives a batch a buffer that the receiver recycles.
func (x *session) Prepare(b *flow.Batch) { x.p.in.Prepare(b) }

// Command takes a subscription of the peer. A RADIO takes those to groups, other
// publishers those to topics, a PUSH and a SCATTER take DRAIN.
func (x *session) Command(c zmtp.Command, topic []byte) {
	if c == zmtp.CommandDrain {
		x.stopSending()
		return
	}
	groups := c == zmtp.CommandJoin || c == zmtp.CommandLeave
	if side, ok := x.s.pat.(publisherSide); ok && groups == (x.s.typ == zmtp.RADIO) {
		side.subscription(x.p, c == zmtp.CommandSubscribe || c == zmtp.CommandJoin, topic)
	}
}

// Writable wakes senders.
func (x *session) Writable() { x.s.writable(x.p) }

// Flushed notes that everything is written.
func (x *session) Flushed() { x.p.setFlushed() }

// Unsent puts messages back at the front of the queue.
func (x *session) Unsent(b flow.Batch) {
	x.p.out.Unread(b)
	x.p.dropIfOver()
}

// Stranded counts messages that the kernel could not deliver.
func (x *session) Stranded(msgs int) { x.s.counter.lost.Add(uint64(msgs)) }

// newNetPipe makes the pipe of a connection that exists.
func (e *Endpoint) newNetPipe() *pipe {
	p := e.connectPipe(e.o.RecvHWM, e.o.SendHWM)
	p.out.UseBlocks()
	p.in.ShareBytes(&e.s.waiting)
	return p
}

// serve is the life of an accepted connection.
func (e *Endpoint) serve(conn transport.Conn) {
	x := newSession(e, conn)
	stop := context.AfterFunc(e.live, func() { x.eng.Close(engine.ErrClosed) })
	defer stop()
	peer, err := x.handshake()
	if err != nil {
		return
	}
	p := e.newNetPipe()
	p.id = peer.Identity
	if err := x.attach(p); err != nil {
		return
	}
	err = x.run(p, peer)
	if !x.hungUp(err) {
		e.s.disconnected(p, true)
	}
	p.end(false)
	x.reportEnd(err)
}

// attach attaches the pipe of a connection to the socket. After an error the
// connection is closed.
func (x *session) attach(p *pipe) error {
	x.p = p
	err := p.ep.attach(p)
	if err == nil {
		return nil
	}
	x.shaken()
	if errors.Is(err, errDuplicateID) {
		x.event(event.DuplicateID, err)
	}
	x.eng.Abort(err)
	x.event(event.Closed, err)
	return err
}

// disconnected does what is due when the connection of p is gone, for good or not.
func (s *core) disconnected(p *pipe, forGood bool) {
	o := &p.ep.o
	var m []byte
	if forGood {
		// The peer must be unroutable before the application can learn that it is
		// gone.
		if f, ok := s.pat.(unrouter); ok {
			s.lockBoth()
			f.unroute(p)
			s.unlockBoth()
		}
		switch s.typ {
		case zmtp.ROUTER, zmtp.SERVER, zmtp.PEER:
			m = o.DisconnectMsg
		}
	} else {
		if h, ok := s.pat.(connectedHook); ok {
			h.disconnected(p)
		}
		switch s.typ {
		case zmtp.DEALER, zmtp.CLIENT, zmtp.PEER:
			m = o.HiccupMsg
		}
	}
	if len(m) > 0 {
		p.deliver(m)
	}
	if s.notifies(o, notifyDisconnect) {
		p.deliver(nil)
	}
}

// deliver puts a message of one frame among those that arrived.
func (p *pipe) deliver(m []byte) {
	var b flow.Batch
	b.Message(&flow.Message{One: m})
	if r, _ := p.in.Push(b); r == flow.Wake {
		p.s.readable(p)
	}
}

// reconnect is the life of a connected endpoint: it connects, again and again.
// Its pipe is p, or one for each connection if that is nil.
func (e *Endpoint) reconnect(p *pipe) {
	s := e.s
	wait := e.o.Reconnect
	defer func() {
		e.ended.Store(true)
		if p != nil {
			p.end(false)
		}
	}()
	for again := false; e.live.Err() == nil; again = true {
		if again {
			d := e.backoff(&wait)
			if d < 0 {
				return
			}
			s.emit(event.Event{Type: event.ConnectRetried, Endpoint: e.addr, Interval: d})
			if !e.sleep(d) {
				return
			}
		}
		s.emit(event.Event{Type: event.ConnectDelayed, Endpoint: e.addr})
		x, err := e.dial()
		if err != nil {
			failure := event.Event{Type: event.Closed, Endpoint: e.addr, Err: err}
			s.events.failed(failure)
			s.emit(failure)
			if e.o.Stop&stopOnRefused != 0 && errors.Is(err, syscall.ECONNREFUSED) {
				return
			}
			continue
		}
		x.event(event.Connected, nil)
		begun := time.Now()
		stop := context.AfterFunc(e.live, func() { x.eng.Close(engine.ErrClosed) })
		established, err := x.serve(p)
		stop()
		if established {
			if time.Since(begun) > wait {
				wait = e.o.Reconnect
			}
			if p != nil {
				p.stats.reconnects.Add(1)
			} else {
				s.counter.reconnects.Add(1)
			}
			if e.o.Stop&stopAfterDisconnect != 0 {
				return
			}
		} else if e.o.Stop&stopOnHandshakeFailed != 0 || p != nil && p.finishing.Load() && refused(err) {
			return
		}
		if e.isDraining() || x.hungUp(err) || p != nil && p.over.Load() || errors.Is(err, errDuplicateID) && p != nil {
			return
		}
	}
}

// refused reports whether the peer refused the connection, other than for now
// (ZAP status 300). A socket that is closed waits for such a peer no longer: its
// messages cannot leave, and count as lost.
func refused(err error) bool {
	var refusal *zmtp.PeerError
	return errors.As(err, &refusal) && statusOf(refusal.Reason) != 300
}

// serve runs a connection that was made, from handshake to end. Its pipe is
// p, or one of its own if that is nil.
func (x *session) serve(p *pipe) (established bool, err error) {
	s := x.s
	peer, err := x.handshake()
	if err != nil {
		return false, err
	}
	own := p == nil
	if own {
		p = x.ep.newNetPipe()
		p.id = peer.Identity
		if err := x.attach(p); err != nil {
			return true, err
		}
	} else {
		x.p = p
		if err := s.identify(p, peer.Identity); err != nil {
			x.shaken()
			x.event(event.DuplicateID, err)
			x.eng.Abort(err)
			x.event(event.Closed, nil)
			return true, err
		}
	}
	err = x.run(p, peer)
	if !own && p.leaving.Load() {
		p.afterDrain()
	}
	if !x.hungUp(err) {
		s.disconnected(p, own)
	}
	if own {
		p.end(false)
	}
	x.reportEnd(err)
	return true, err
}

// backoff returns the time to wait before the next attempt, negative for never.
func (e *Endpoint) backoff(wait *time.Duration) time.Duration {
	first, most := e.o.Reconnect, e.o.ReconnectMax
	if first <= 0 {
		return -1
	}
	if most <= 0 {
		return first + rand.N(first)
	}
	d := *wait
	*wait = min(2*d, max(most, first))
	return d
}

// sleep waits for d. It reports false when the endpoint ends meanwhile.
func (e *Endpoint) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.live.Done():
		return false
	}
}

// notifies reports whether the application gets an empty message when a peer
// connects or disconnects.
func (s *core) notifies(o *options, what int) bool {
	switch s.typ {
	case zmtp.ROUTER:
		return o.RouterRaw || o.RouterNotify&what != 0
	case zmtp.STREAM:
		return o.StreamNotify
	}
	return false
}
