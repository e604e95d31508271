// Package zws carries ZMTP over WebSocket (ZWS 2.0, RFC 45 of ZeroMQ): the
// WebSocket connection looks like a net.Conn on which a ZMTP 3.0 peer speaks.
//
// A frame is one binary message: a flag octet and the body. There is no
// greeting, for the mechanism is agreed on by the subprotocol; what stands for
// the peer's greeting is made here. Heartbeats are WebSocket's own.
package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/internal/zmq/standin"
	"lintel.dev/internal/zmq/zmtp"
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

// Wrap takes over ws. The subprotocol that was agreed on must be one of
// Subprotocols.
func Wrap(ws *websocket.Conn, cfg Config) net.Conn {
	if cfg.MaxFrame >= 0 {
		ws.SetReadLimit(cfg.MaxFrame + 1 + overhead)
	} else {
		ws.SetReadLimit(-1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &pump{ws: ws, cfg: cfg, bare: ws.Subprotocol() == plainZWS}
	return standin.Start(
		standin.Config{
			Local: cfg.Local, Remote: cfg.Remote, Goodbye: goodbye, Buffer: 4 << 10,
			Release: func() { cancel(); ws.CloseNow() },
		},
		func(engine *standin.Peer, _ <-chan struct{}) {
			if err := p.outward(ctx, engine); errors.Is(err, io.EOF) {
				// The engine has closed: let the peer have all of it.
				ws.Close(websocket.StatusNormalClosure, "")
			}
		},
		func(engine *standin.Peer, _ <-chan struct{}) { _ = p.inward(ctx, engine) },
	)
}

// overhead is what a mechanism may add to a body before MaxFrame is looked at.
const overhead = 64

// pump moves frames between the engine and the WebSocket.
type pump struct {
	ws    *websocket.Conn
	cfg   Config
	bare  bool        // the subprotocol without a mechanism: identities instead of READY
	asked atomic.Bool // a ping waits for its pong
}

// toEngine writes one frame to the engine.
func toEngine(engine *standin.Peer, flags byte, body []byte) error {
	return engine.Write(zmtp.Framing2.AppendHeader(nil, flags, len(body)), body)
}

func (p *pump) inward(ctx context.Context, engine *standin.Peer) error {
	if err := engine.Write(standin.Greeting(p.cfg.Mechanism)); err != nil {
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
			if err := toEngine(engine, zmtp.FlagCommand, ready); err != nil {
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
		if err := toEngine(engine, f, body); err != nil {
			return err
		}
	}
}

func (p *pump) outward(ctx context.Context, engine *standin.Peer) error {
	if _, err := engine.In.Discard(zmtp.GreetingSize); err != nil {
		return err
	}
	var msg []byte
	for {
		frame, body, err := engine.Next()
		if err != nil {
			return err
		}
		var flags byte
		if frame&zmtp.FlagMore != 0 {
			flags |= flagMore
		}
		if frame&zmtp.FlagCommand != 0 {
			flags |= flagCommand
			done, err := p.command(ctx, engine, body)
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		msg = append(append(msg[:0], flags), body...)
		if err := p.ws.Write(ctx, websocket.MessageBinary, msg); err != nil {
			return err
		}
		if cap(msg) > keepMessage {
			msg = nil
		}
	}
}

// keepMessage is the largest buffer kept for the next message.
const keepMessage = 64 << 10

// command handles the commands that WebSocket or the bare subprotocol has
// another way for.
func (p *pump) command(ctx context.Context, engine *standin.Peer, body []byte) (done bool, err error) {
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
			engine.Go(func() {
				defer p.asked.Store(false)
				if p.ws.Ping(ctx) == nil {
					toEngine(engine, zmtp.FlagCommand, pong)
				}
			})
		}
		return true, nil
	case kind == zmtp.CommandPong:
		return true, nil
	}
	return false, nil
}
