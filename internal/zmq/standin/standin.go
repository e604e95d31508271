// Package standin lets what is no ZMTP peer look like one: a group, a datagram
// socket, a WebSocket. The engine of a socket gets one end of a pipe as a
// net.Conn; at the other a Peer speaks ZMTP 3.0.
package standin

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// conn is the engine's end of a pipe whose other end the workers have.
type conn struct {
	net.Conn
	cfg     Config
	over    func()
	workers sync.WaitGroup
}

func (c *conn) LocalAddr() net.Addr  { return c.cfg.Local }
func (c *conn) RemoteAddr() net.Addr { return c.cfg.Remote }

// Close returns when the workers have ended: they send what was written.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if c.cfg.Goodbye > 0 {
		t := time.AfterFunc(c.cfg.Goodbye, c.over)
		defer t.Stop()
	}
	c.workers.Wait()
	return err
}

// Peer is the end of the pipe that stands in for a peer.
type Peer struct {
	// In is what the engine wrote.
	In      *bufio.Reader
	large   []byte // of the last frame that was larger than In
	pipe    net.Conn
	workers *sync.WaitGroup

	mu sync.Mutex // whole frames at a time towards the engine
}

// Write hands whole frames to the engine.
func (p *Peer) Write(b ...[]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range b {
		if len(part) == 0 {
			continue
		}
		if _, err := p.pipe.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Greeting is that of ZMTP 3.0 with a mechanism.
func Greeting(mechanism string) []byte {
	g := make([]byte, zmtp.GreetingSize)
	g[0], g[8], g[9], g[10] = 0xff, 1, 0x7f, 3
	copy(g[12:32], mechanism)
	return g
}

// Handshake is that, with the NULL mechanism, of a socket of type as. What follows its READY command is
// sent with it.
func (p *Peer) Handshake(as zmtp.SocketType, then []byte) error {
	g := Greeting("NULL")
	ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(as.String())}})
	g = zmtp.Framing2.Append(g, zmtp.FlagCommand, ready)
	sent := make(chan error, 1)
	go func() { sent <- p.Write(append(g, then...)) }()
	_, err := p.In.Discard(zmtp.GreetingSize)
	if werr := <-sent; err == nil {
		err = werr
	}
	return err
}

// Frame reads the next frame of a message of the engine, and answers its
// heartbeats on the way. Other commands are dropped. The body is valid until
// the next call.
func (p *Peer) Frame() (flags byte, body []byte, err error) {
	for {
		flags, body, err := p.Next()
		if err != nil || flags&zmtp.FlagCommand == 0 {
			return flags, body, err
		}
		kind, data, err := zmtp.ParseCommand(body)
		if err != nil {
			return 0, nil, err
		}
		if kind == zmtp.CommandPing {
			_, context, err := zmtp.ParsePing(data)
			if err != nil {
				return 0, nil, err
			}
			if err := p.Write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, zmtp.AppendPong(nil, context))); err != nil {
				return 0, nil, err
			}
		}
	}
}

// keepLarge is the largest buffer kept for the next frame.
const keepLarge = 64 << 10

// Next reads the next frame of the engine, which may be a command. The body is
// valid until the next call.
func (p *Peer) Next() (flags byte, body []byte, err error) {
	head, err := p.In.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	flags = head[0]
	n, size := 2, uint64(head[1])
	if flags&zmtp.FlagLong != 0 {
		n = 9
		if head, err = p.In.Peek(n); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	p.In.Discard(n)
	if size <= uint64(p.In.Size()) {
		if body, err = p.In.Peek(int(size)); err != nil {
			return 0, nil, err
		}
		p.In.Discard(int(size))
		return flags, body, nil
	}
	// The size is our own engine's word, not a peer's.
	if uint64(cap(p.large)) < size {
		p.large = make([]byte, size)
	}
	body = p.large[:size]
	if cap(p.large) > keepLarge {
		p.large = nil
	}
	_, err = io.ReadFull(p.In, body)
	return flags, body, err
}

// Discard reads what the engine sends to nobody, in the background, and calls
// over when it has closed.
func (p *Peer) Discard(over func()) {
	p.Go(func() {
		for {
			if _, _, err := p.Frame(); err != nil {
				over()
				return
			}
		}
	})
}

// Go runs a worker more, which a worker that is running asks for.
func (p *Peer) Go(f func()) { p.workers.Go(f) }

// Config says what the engine is connected to.
type Config struct {
	Local, Remote net.Addr
	// Release makes the other workers end when one has.
	Release func()
	// Goodbye bounds how long the engine's Close waits for the workers to send
	// what was written; 0: no bound.
	Goodbye time.Duration
	// Buffer is the size of Peer.In.
	Buffer int
}

// Start makes the pipe and runs the workers until one ends; done is then
// closed.
func Start(cfg Config, workers ...func(p *Peer, done <-chan struct{})) net.Conn {
	near, far := net.Pipe()
	c := &conn{Conn: near, cfg: cfg}
	done := make(chan struct{})
	c.over = sync.OnceFunc(func() {
		close(done)
		far.Close()
		cfg.Release()
	})
	p := &Peer{pipe: far, workers: &c.workers, In: bufio.NewReaderSize(far, cfg.Buffer)}
	for _, w := range workers {
		c.workers.Go(func() {
			defer c.over()
			w(p, done)
		})
	}
	return c
}
