// Package netloop carries bytes between stream connections and the protocol
// sessions that understand them.
//
// A [Session] is called with whatever has arrived and appends its replies to
// a [Writer]; it never touches a socket. Two drivers do that behind one
// interface: on Linux, TCP and unix listeners are served by epoll loops, one
// per thread, whose buffers belong to the loop and not to the connection;
// everything else (other systems, TLS, listeners of other types) by a
// goroutine per connection.
//
// # Bounds
//
// Nothing a peer does makes a connection hold memory without bound: input
// that a session does not consume is kept up to Config.MaxInput, replies that
// the peer does not read up to Config.MaxQueued, and while replies wait
// nothing more is read. Over either bound the connection is closed.
package netloop

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"time"
)

// ErrClosed is returned by Serve once Shutdown has been called.
var ErrClosed = errors.New("netloop: closed")

// Conn is a connection as its session and the statistics see it. All methods
// are safe for concurrent use.
type Conn interface {
	// ID is the file descriptor where the driver knows it, else a number that
	// no other open connection of the loop has.
	ID() int
	// Loop is the index of the thread that serves the connection, below
	// Config.Threads.
	Loop() int
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	// Active is when input last arrived, in unix seconds.
	Active() int64
	// Send queues a copy of b after the replies already written. It returns
	// false, having queued nothing, when Config.SendBudget bytes of earlier
	// Sends are still waiting, or when the connection is closed.
	Send(b []byte) bool
	// Wake ends the wait of a session that Data parked with [Wait]. It may come
	// before Data returns Wait: one wake-up is remembered, and several count as
	// one. It has no effect once the connection is closed, and does not block.
	Wake()
	// Close ends the connection without flushing. It does not wait.
	Close(why Reason)
}

// Loop serves connections until Shutdown.
type Loop interface {
	// Serve accepts from ln until Shutdown, then returns [ErrClosed]; it owns
	// and closes ln. It may be called for several listeners.
	Serve(ln net.Listener) error
	// Adopt serves a connection that the caller has made, as if it had been
	// accepted, but for Config.MaxConns; a session that is to speak first uses
	// Conn.Send. It owns nc from now on, and closes it if it returns an error.
	Adopt(nc net.Conn) error
	// Shutdown stops accepting, closes every connection with reason
	// [Shutdown], and waits until no goroutine and no descriptor is left, or
	// for ctx.
	Shutdown(ctx context.Context) error
	// Conns walks the open connections.
	Conns() iter.Seq[Conn]
	Stats() Stats
}

// Stats counts what happened since New. All figures grow only, but for Open
// and Accepting.
type Stats struct {
	Open         int64 // connections open now
	Accepted     uint64
	Rejected     uint64 // over Config.MaxConns
	BytesRead    uint64
	BytesWritten uint64
	Yields       uint64
	IdleKicks    uint64
	SlowKicks    uint64 // write deadline passed, or over Config.MaxQueued
	Panics       uint64

	Accepting     bool          // false while paused at the limit
	Pauses        uint64        // times accepting was paused
	PausedFor     time.Duration // the sum of those, the current one included
	Handshakes    uint64        // TLS handshakes completed
	BadHandshakes uint64
}

// Config of a Loop. The zero value of every field but NewSession is usable.
type Config struct {
	// Threads is how many event loops there are; 0 is 4.
	Threads int
	// Dedicated says that the process is there for the loop. Each of its epoll
	// threads then keeps its processor of the scheduler's while it waits, for 5
	// ms at most and as long as GOMAXPROCS leaves one to everything else. A
	// collection and whatever else stops the world ends the wait.
	Dedicated bool
	// NewSession makes the session of an accepted connection, after the TLS
	// handshake where there is one. Required.
	NewSession func(Conn) Session

	// MaxConns bounds the open connections over all listeners; 0 is no bound.
	// A connection over it is sent RejectMessage and closed, or, with
	// PauseAtLimit, left in the listener's backlog until another one ends.
	MaxConns      int
	PauseAtLimit  bool
	RejectMessage []byte

	// IdleTimeout closes a connection from which nothing arrived for so long.
	// WriteTimeout closes one that did not take any of its waiting replies for
	// so long, unless it is one-way: SendBudget bounds what waits for that. Both
	// have a granularity of a second, or of half the value if that is shorter;
	// 0 is never.
	IdleTimeout  time.Duration
	WriteTimeout time.Duration
	// HandshakeTimeout bounds a TLS handshake; 0 is 10 s.
	HandshakeTimeout time.Duration

	// MaxInput bounds, in bytes, what a session may leave unconsumed while it
	// wants more; 0 is 64 KiB.
	MaxInput int
	// SoftQueued is where Writer.Full turns true; 0 is 256 KiB.
	SoftQueued int
	// MaxQueued bounds the bytes of replies that wait for the peer, values
	// queued by reference included; 0 is 64 MiB.
	MaxQueued int
	// SendBudget bounds the bytes waiting from Conn.Send; 0 is 256 KiB.
	SendBudget int

	// Now is the clock of Conn.Active in unix seconds; nil is the system's. It
	// is called once per wake-up and must be cheap.
	Now func() int64
	// OnPanic is told of a panic in a session, which costs its connection and
	// nothing else.
	OnPanic func(v any, stack []byte)
}

const (
	defaultThreads   = 4
	defaultMaxInput  = 64 << 10
	defaultSoft      = 256 << 10
	defaultMaxQueued = 64 << 20
	defaultBudget    = 256 << 10
	defaultHandshake = 10 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if c.NewSession == nil {
		return c, errors.New("netloop: Config.NewSession is required")
	}
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"Threads", &c.Threads, defaultThreads},
		{"MaxConns", &c.MaxConns, 0},
		{"MaxInput", &c.MaxInput, defaultMaxInput},
		{"SoftQueued", &c.SoftQueued, defaultSoft},
		{"MaxQueued", &c.MaxQueued, defaultMaxQueued},
		{"SendBudget", &c.SendBudget, defaultBudget},
	} {
		if *f.v < 0 {
			return c, fmt.Errorf("netloop: Config.%s is %d, must not be negative", f.name, *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = defaultHandshake
	}
	return c, nil
}

// tick is how often deadlines are looked at, 0 for never.
func (c Config) tick() time.Duration {
	d := time.Duration(0)
	for _, t := range []time.Duration{c.IdleTimeout, c.WriteTimeout} {
		if t > 0 && (d == 0 || t/2 < d) {
			d = t / 2
		}
	}
	if d == 0 {
		return 0
	}
	return min(max(d, time.Millisecond), time.Second)
}

// NewNet is a Loop that serves every listener with a goroutine per
// connection.
func NewNet(cfg Config) (Loop, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return newNetLoop(newCore(cfg)), nil
}
