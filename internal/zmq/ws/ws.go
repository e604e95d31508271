// Package ws is the engine of ZMTP over WebSocket (ZWS 2.0, RFC 45 of ZeroMQ).
//
// A frame of a message is one binary WebSocket message: a flags octet and the
// body. There is no greeting, as the subprotocol names the mechanism, and its
// commands and encrypted frames travel like others. Heartbeats are the PING and
// PONG of WebSocket.
package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// The subprotocols. Peers of the one without a mechanism exchange identities
// instead of commands.
const (
	bareZWS = "ZWS2.0"
	prefix  = bareZWS + "/"
)

// Subprotocols returns what a socket with this mechanism offers or accepts, the
// preferred first.
func Subprotocols(mechanism string) []string {
	if mechanism == "NULL" {
		return []string{prefix + mechanism, bareZWS}
	}
	return []string{prefix + mechanism}
}

// The flags octet.
const (
	flagMore    = 1
	flagCommand = 2
)

// Conn is a WebSocket that agreed on one of the Subprotocols.
type Conn struct {
	ws            *websocket.Conn
	local, remote net.Addr
}

// NewConn returns the Conn of a WebSocket between two addresses.
func NewConn(c *websocket.Conn, local, remote net.Addr) *Conn { return &Conn{c, local, remote} }

// LocalAddr returns our address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Close closes the connection without a closing handshake.
func (c *Conn) Close() error { return c.ws.CloseNow() }

const (
	// closeTimeout bounds the closing handshake, in case the peer does not answer.
	closeTimeout = time.Second
	// overhead is what a mechanism may add to a body. MaxFrame is compared with
	// what is left of it.
	overhead = 64
	// keepMessage is the largest buffer that is kept for the next message.
	keepMessage = 64 << 10
)

// Engine is the engine of a WebSocket.
type Engine struct {
	cfg           engine.Config
	ws            *websocket.Conn
	bare          bool // the subprotocol without a mechanism
	local, remote string

	ctx    context.Context // done when the connection is closed
	cancel context.CancelFunc

	ahead   chan frame // of a read that was begun, and is the next one
	peer    engine.Peer
	sealer  zmtp.Sealer
	session engine.Session
	in      engine.Input
	out     engine.Output
	beat    engine.Heartbeat
	end     engine.Ending
	closing sync.WaitGroup // the closing handshake
	pinging atomic.Bool    // a ping waits for its pong
	broken  atomic.Bool    // reading failed: there is no closing handshake

	msg []byte // the last message sent, of which the memory is used again
	got []byte // the last message received, likewise
}

// New makes the engine of c, which it closes.
func New(c *Conn, cfg engine.Config) *Engine {
	limit := int64(-1)
	if max := cfg.Limits.Frame(); max >= 0 {
		limit = max + 1 + overhead
	}
	c.ws.SetReadLimit(limit)
	e := &Engine{cfg: cfg, ws: c.ws, bare: c.ws.Subprotocol() == bareZWS}
	if c.local != nil {
		e.local = c.local.String()
	}
	if c.remote != nil {
		e.remote = c.remote.String()
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.end.Init()
	return e
}

// Local returns our address.
func (e *Engine) Local() string { return e.local }

// Remote returns the address of the peer.
func (e *Engine) Remote() string { return e.remote }

// Handshake runs the mechanism of the subprotocol.
func (e *Engine) Handshake(ctx context.Context) (engine.Peer, error) {
	if d := e.cfg.HandshakeTimeout; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d)
		defer stop()
	}
	e.peer.Version = zmtp.ZMTP30
	mech, err := e.cfg.Security.Mechanism()
	if err == nil {
		e.sealer, err = e.cfg.Secure(ctx, mech, &handshake{e: e, ctx: ctx}, &e.peer)
	}
	if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
		err = io.EOF
	}
	return e.peer, err
}

// Plug binds the engine to the session that it serves.
func (e *Engine) Plug(s engine.Session) {
	e.session = s
	e.in.Init(s, e.cfg.Limits, &e.beat, e.end.Done())
	e.in.Share(e.cfg.Unfinished, e.Close)
	e.out.Init(s, e.write, e.Close)
}

// Run reads until the connection ends.
func (e *Engine) Run() error {
	e.beat.Start(&e.cfg, e.ping, e.Close)
	e.Close(e.read())
	e.out.Stop()
	e.closing.Wait()
	return e.end.Reason()
}

// statusError is a reason for which the peer gets a status other than that of a
// normal closure.
type statusError struct {
	status websocket.StatusCode
	text   string
}

func (e *statusError) Error() string { return "zws: " + e.text }

// Close begins the closing handshake, after the message that is being written.
func (e *Engine) Close(reason error) {
	e.end.Begin(reason, func() {
		e.beat.Stop()
		status, text := websocket.StatusNormalClosure, ""
		var s *statusError
		if errors.As(reason, &s) {
			status, text = s.status, s.text
		}
		e.closing.Go(func() { e.goodbye(status, text) })
	})
}

// goodbye does the closing handshake. Only the end of the context of a read
// interrupts it, so there must be one.
func (e *Engine) goodbye(status websocket.StatusCode, text string) {
	defer e.cancel()
	if !e.broken.Load() {
		defer time.AfterFunc(closeTimeout, e.cancel).Stop()
		e.closing.Go(e.drain)
		e.ws.Close(status, text)
	}
	e.ws.CloseNow()
}

// drain reads until the peer closes the connection.
func (e *Engine) drain() {
	for {
		_, r, err := e.ws.Reader(e.ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return
		}
	}
}

// Abort closes the connection. It waits for the closing handshake.
func (e *Engine) Abort(reason error) {
	e.Close(reason)
	e.closing.Wait()
}

// Kick starts sending.
func (e *Engine) Kick() { e.out.Kick() }

// KickLater starts sending.
func (e *Engine) KickLater() { e.out.Kick() }

// Resume continues input.
func (e *Engine) Resume() { e.in.Resume() }

// Subscribe sends a subscription, or its cancellation.
func (e *Engine) Subscribe(add bool, topic []byte) {
	e.out.Control(e.cfg.Subscription(true, add, topic))
}

// Drain asks the peer to send no more, if it knows how.
func (e *Engine) Drain() bool {
	if !e.peer.Drains() {
		return false
	}
	e.out.Control(flow.Command, zmtp.AppendDrain(nil))
	return true
}

// ping sends a PING and waits for the PONG, unless one is awaited.
func (e *Engine) ping() {
	if !e.pinging.CompareAndSwap(false, true) {
		return
	}
	e.out.Go(func() {
		defer e.pinging.Store(false)
		if e.ws.Ping(e.ctx) == nil {
			e.beat.Alive()
		}
	})
}

// read reads frames until the connection ends.
func (e *Engine) read() error {
	defer e.in.Release()
	for {
		flags, body, err := e.next(e.ctx)
		if err != nil {
			return err
		}
		e.beat.Alive()
		h := zmtp.Header{Flags: flags, Size: len(body)}
		if e.sealer != nil {
			if h, body, err = e.sealer.Open(body); err != nil {
				return err
			}
		}
		if h.Command() {
			if err := e.command(body); err != nil {
				return err
			}
			continue
		}
		owned := len(body) >= flow.LargeFrame
		if owned {
			e.got = nil // the body stays in use
		}
		if err := e.in.Frame(h.Flags, body, owned); err != nil {
			_ = e.in.Deliver() // the messages before it
			return err
		}
		if h.More() {
			e.in.Partial(0)
		} else if err := e.in.Deliver(); err != nil {
			return err
		}
	}
}

// frame is a frame that was read, or the error of reading.
type frame struct {
	flags byte
	body  []byte
	err   error
}

// next reads one frame. The body is valid until the next call.
func (e *Engine) next(ctx context.Context) (flags byte, body []byte, err error) {
	if e.ahead == nil {
		return e.readFrame(ctx)
	}
	select {
	case f := <-e.ahead:
		e.ahead = nil
		return f.flags, f.body, f.err
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

func (e *Engine) readFrame(ctx context.Context) (flags byte, body []byte, err error) {
	kind, r, err := e.ws.Reader(ctx)
	if err != nil {
		e.broken.Store(true)
		return 0, nil, err
	}
	if kind != websocket.MessageBinary {
		return 0, nil, &statusError{websocket.StatusUnsupportedData, "text message, expected binary ones"}
	}
	if cap(e.got) > keepMessage {
		e.got = nil
	}
	if e.got, err = readAll(r, e.got[:0], e.in.Partial); err != nil {
		e.broken.Store(true)
		return 0, nil, err
	}
	if len(e.got) == 0 {
		return 0, nil, &statusError{websocket.StatusProtocolError, "empty message, expected a flags octet"}
	}
	if e.got[0]&flagMore != 0 {
		flags |= zmtp.FlagMore
	}
	if e.got[0]&flagCommand != 0 {
		flags |= zmtp.FlagCommand
	}
	return flags, e.got[1:], nil
}

// fragmentBurst is how many fragments of a message are read before other
// goroutines may run. With eight peers that send fragments of one octet, the p99 of
// a good peer is 38 ms, and 119 ms without (make abuse, "1-octet ws fragments",
// medians of 5).
const fragmentBurst = 256

// progress is how many octets of a frame arrive between two reports of readAll.
const progress = 64 << 10

// readAll appends what r has to b. It reports how many octets have arrived, and 0
// at the end.
func readAll(r io.Reader, b []byte, report func(octets int)) ([]byte, error) {
	reported := 0
	for n := 1; ; n++ {
		if len(b)-reported >= progress {
			reported = len(b)
			report(reported)
		}
		if n%fragmentBurst == 0 {
			runtime.Gosched()
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, 2*cap(b)+512), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			if reported > 0 {
				report(0)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return b, err
		}
	}
}

// command handles a command of an established connection.
func (e *Engine) command(body []byte) error {
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
		if e.sealer != nil && e.session.Out().ControlLen() == 0 {
			e.out.Control(flow.Command, zmtp.AppendPong(nil, echo))
		}
	case zmtp.CommandSubscribe, zmtp.CommandCancel, zmtp.CommandJoin, zmtp.CommandLeave, zmtp.CommandDrain:
		e.session.Command(c, data)
	case zmtp.CommandDrained:
		return engine.ErrClosed
	}
	return nil
}

// write sends a batch.
func (e *Engine) write(b flow.Batch) (sent int, err error) {
	for c := flow.NewCursor(b); !c.Done(); {
		flags, body := c.Next()
		if err := e.writeFrame(e.ctx, flags, body); err != nil {
			return sent, err
		}
		if flags&(flow.More|flow.Command) == 0 {
			sent++
		}
	}
	return sent, nil
}

// writeFrame sends one frame.
func (e *Engine) writeFrame(ctx context.Context, flags byte, body []byte) error {
	msg := e.msg[:0]
	if e.sealer != nil {
		msg = e.sealer.Seal(msg, flags&(flow.More|flow.Command), body)
		h, n, err := zmtp.Framing2.ParseHeader(msg, -1)
		if err != nil {
			return err
		}
		msg[n-1] = octet(h.Flags)
		return e.keep(msg, e.ws.Write(ctx, websocket.MessageBinary, msg[n-1:]))
	}
	msg = append(append(msg, octet(flags)), body...)
	return e.keep(msg, e.ws.Write(ctx, websocket.MessageBinary, msg))
}

// keep keeps the memory of a message that was sent for the next one.
func (e *Engine) keep(msg []byte, err error) error {
	e.msg = msg
	if cap(msg) > keepMessage {
		e.msg = nil
	}
	return err
}

// octet returns the flags octet for the flags of a ZMTP frame.
func octet(flags byte) (o byte) {
	if flags&zmtp.FlagMore != 0 {
		o |= flagMore
	}
	if flags&zmtp.FlagCommand != 0 {
		o |= flagCommand
	}
	return o
}

// handshake exchanges the commands of the mechanism.
type handshake struct {
	e   *Engine
	ctx context.Context
	out [][]byte
}

func (h *handshake) WriteCommand(body []byte) { h.out = append(h.out, body) }

// Flush sends the commands. A bare peer gets the identity of READY only.
func (h *handshake) Flush() error {
	defer func() { h.out = nil }()
	for _, body := range h.out {
		flags := byte(zmtp.FlagCommand)
		if h.e.bare {
			c, data, err := zmtp.ParseCommand(body)
			if err != nil {
				return err
			}
			if c == zmtp.CommandReady {
				md, err := zmtp.ParseMetadata(data)
				if err != nil {
					return err
				}
				flags = 0
				body, _ = md.Get(zmtp.PropertyIdentity)
			}
		}
		if err := h.e.writeFrame(h.ctx, flags, body); err != nil {
			return err
		}
	}
	return nil
}

// readAhead begins to read a frame, which next returns later.
func (h *handshake) readAhead() {
	e := h.e
	if e.ahead != nil {
		return
	}
	ahead := make(chan frame, 1)
	e.ahead = ahead
	e.closing.Go(func() {
		flags, body, err := e.readFrame(e.ctx)
		ahead <- frame{flags, body, err}
	})
}

// Watch waits for a frame that is read ahead.
func (h *handshake) Watch(lost func(error)) (stop func()) {
	h.readAhead()
	ahead := h.e.ahead
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case f := <-ahead:
			ahead <- f
			if f.err != nil {
				lost(f.err)
			}
		case <-stopped:
		}
	}()
	return func() {
		close(stopped)
		<-done
	}
}

// Await waits for a frame that is read ahead.
func (h *handshake) Await(d time.Duration) (arrived bool, err error) {
	h.readAhead()
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case f := <-h.e.ahead:
		h.e.ahead <- f
		return true, nil
	case <-wait.C:
		return false, nil
	case <-h.ctx.Done():
		return false, h.ctx.Err()
	}
}

// ReadCommand reads the next command. For a bare peer it makes up READY.
func (h *handshake) ReadCommand() ([]byte, error) {
	flags, body, err := h.e.next(h.ctx)
	switch {
	case err != nil:
		return nil, err
	case h.e.bare:
		if len(body) > 255 {
			return nil, fmt.Errorf("zws: identity of %d octets, expected at most 255", len(body))
		}
		return zmtp.AppendReady(nil, zmtp.Metadata{
			{Name: zmtp.PropertySocketType, Value: []byte(h.e.cfg.SocketType.Partner().String())},
			{Name: zmtp.PropertyIdentity, Value: body},
		}), nil
	case flags&zmtp.FlagCommand == 0:
		return nil, &zmtp.Error{Code: zmtp.CodeUnexpectedCommand, Text: "message before the handshake was over, expected a command"}
	}
	return body, nil
}
