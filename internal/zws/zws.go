// Package zws carries ZMTP over WebSocket (ZWS 2.0, RFC 45 of ZeroMQ): the
// WebSocket connection looks like a net.Conn on which a ZMTP 3.0 peer speaks.
//
// A frame is one binary message: a flag octet and the body. There is no
// greeting, for the mechanism is agreed on by the subprotocol; what stands for
// the peer's greeting is made here. Heartbeats are WebSocket's own.
package zws

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/internal/zmtp"
)

// The subprotocols, the one without a mechanism last.
const (
	plainZWS = "ZWS2.0"
	prefix   = plainZWS + "/"
)

// Subprotocols are what a socket with this mechanism offers or takes, the
// preferred first.
func Subprotocols(mechanism string) []string {
	if mechanism == "NULL" {
		return []string{prefix + mechanism, plainZWS}
	}
	return []string{prefix + mechanism}
}

const (
	flagMore    = 1
	flagCommand = 2
)

var errProtocol = errors.New("zws: protocol error")

// Config says what is known of the connection besides the WebSocket itself.
type Config struct {
	Mechanism  string          // of our socket: "NULL", "PLAIN" or "CURVE"
	SocketType zmtp.SocketType // of our socket
	MaxFrame   int64           // largest body taken from the peer; negative: unlimited
	Local      net.Addr
	Remote     net.Addr
}

// goodbye bounds the closing handshake: a peer that is gone holds nobody.
const goodbye = time.Second

// conn is the engine's end of a pipe whose other end two goroutines carry to
// and from the WebSocket.
type conn struct {
	net.Conn
	local, remote net.Addr
	over          func()
	pumps         sync.WaitGroup
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Close sends what was written, and returns once nothing of the connection
// runs any more: after the closing handshake, or a second.
func (c *conn) Close() error {
	err := c.Conn.Close()
	t := time.AfterFunc(goodbye, c.over)
	defer t.Stop()
	c.pumps.Wait()
	return err
}

// Wrap takes over ws. The subprotocol that was agreed on must be one of
// Subprotocols.
func Wrap(ws *websocket.Conn, cfg Config) net.Conn {
	if cfg.MaxFrame >= 0 {
		ws.SetReadLimit(cfg.MaxFrame + 1 + overhead)
	} else {
		ws.SetReadLimit(-1)
	}
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{Conn: near, local: cfg.Local, remote: cfg.Remote}
	c.over = sync.OnceFunc(func() {
		cancel()
		far.Close()
		ws.CloseNow()
	})
	p := &pump{ws: ws, pipe: far, cfg: cfg, bare: ws.Subprotocol() == plainZWS}
	c.pumps.Go(func() {
		defer p.pings.Wait()
		defer c.over()
		if err := p.outward(ctx); errors.Is(err, io.EOF) {
			// The engine has closed: let the peer have all of it.
			ws.Close(websocket.StatusNormalClosure, "")
		}
	})
	c.pumps.Go(func() {
		defer c.over()
		p.inward(ctx)
	})
	return c
}

// overhead is what a mechanism may add to a body before MaxFrame is looked at.
const overhead = 64

// pump moves frames between the pipe and the WebSocket.
type pump struct {
	ws    *websocket.Conn
	pipe  net.Conn
	cfg   Config
	bare  bool // the subprotocol without a mechanism: identities instead of READY
	pings sync.WaitGroup
	asked atomic.Bool // a ping waits for its pong

	mu sync.Mutex // one writer to the pipe at a time: whole frames
}

// toEngine writes one frame to the engine.
func (p *pump) toEngine(flags byte, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	head := zmtp.Framing2.AppendHeader(nil, flags, len(body))
	if _, err := p.pipe.Write(head); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	_, err := p.pipe.Write(body)
	return err
}

func greeting(mechanism string) []byte {
	g := make([]byte, zmtp.GreetingSize)
	g[0], g[8], g[9] = 0xff, 1, 0x7f
	g[10] = 3
	copy(g[12:32], mechanism)
	return g
}

func (p *pump) inward(ctx context.Context) error {
	p.mu.Lock()
	_, err := p.pipe.Write(greeting(p.cfg.Mechanism))
	p.mu.Unlock()
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		kind, r, err := p.ws.Reader(ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary {
			p.ws.Close(websocket.StatusUnsupportedData, "binary messages only")
			return fmt.Errorf("%w: a text message", errProtocol)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			p.ws.Close(websocket.StatusProtocolError, "a message without flags")
			return fmt.Errorf("%w: a message without flags", errProtocol)
		}
		flags, body := b[0], b[1:]
		if first && p.bare {
			if len(body) > 255 {
				return fmt.Errorf("%w: identity of %d bytes", errProtocol, len(body))
			}
			ready := zmtp.AppendReady(nil, zmtp.Metadata{
				{Name: "Socket-Type", Value: []byte(p.cfg.SocketType.Partner().String())},
				{Name: "Identity", Value: body},
			})
			if err := p.toEngine(zmtp.FlagCommand, ready); err != nil {
				return err
			}
			continue
		}
		var f byte
		if flags&flagMore != 0 {
			f |= zmtp.FlagMore
		}
		if flags&flagCommand != 0 {
			f |= zmtp.FlagCommand
		}
		if err := p.toEngine(f, body); err != nil {
			return err
		}
	}
}

func (p *pump) outward(ctx context.Context) error {
	var skipped [zmtp.GreetingSize]byte
	if _, err := io.ReadFull(p.pipe, skipped[:]); err != nil {
		return err
	}
	var head [zmtp.MaxHeader]byte
	var msg []byte
	for {
		if _, err := io.ReadFull(p.pipe, head[:2]); err != nil {
			return err
		}
		size := uint64(head[1])
		if head[0]&zmtp.FlagLong != 0 {
			if _, err := io.ReadFull(p.pipe, head[2:9]); err != nil {
				return err
			}
			size = binary.BigEndian.Uint64(head[1:])
		}
		var flags byte
		if head[0]&zmtp.FlagMore != 0 {
			flags |= flagMore
		}
		command := head[0]&zmtp.FlagCommand != 0
		if command {
			flags |= flagCommand
		}
		// The size is our own engine's word, not a peer's.
		if n := 1 + int(size); cap(msg) < n || cap(msg) > keepMessage && n <= keepMessage {
			msg = make([]byte, n)
		} else {
			msg = msg[:n]
		}
		msg[0] = flags
		if _, err := io.ReadFull(p.pipe, msg[1:]); err != nil {
			return err
		}
		if command {
			done, err := p.command(ctx, msg[1:])
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		if err := p.ws.Write(ctx, websocket.MessageBinary, msg); err != nil {
			return err
		}
	}
}

// keepMessage is the largest buffer kept for the next message.
const keepMessage = 64 << 10

// command handles the commands that WebSocket or the bare subprotocol has
// another way for.
func (p *pump) command(ctx context.Context, body []byte) (done bool, err error) {
	kind, data, err := zmtp.ParseCommand(body)
	if err != nil {
		return false, err
	}
	switch {
	case kind == zmtp.CommandReady && p.bare:
		var id []byte
		md, err := zmtp.ParseMetadata(data)
		if err != nil {
			return false, err
		}
		if v, ok := md.Get("Identity"); ok {
			id = v
		}
		return true, p.ws.Write(ctx, websocket.MessageBinary, append([]byte{0}, id...))
	case kind == zmtp.CommandPing:
		_, context, err := zmtp.ParsePing(data)
		if err != nil {
			return false, err
		}
		pong := zmtp.AppendPong(nil, context)
		if p.asked.CompareAndSwap(false, true) {
			p.pings.Go(func() {
				defer p.asked.Store(false)
				if p.ws.Ping(ctx) == nil {
					p.toEngine(zmtp.FlagCommand, pong)
				}
			})
		}
		return true, nil
	case kind == zmtp.CommandPong:
		return true, nil
	}
	return false, nil
}
