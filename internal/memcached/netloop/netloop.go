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

// Conn is an open connection. All methods are safe for concurrent use.
type Conn interface {
	// ID returns the file descriptor if the driver knows it, else a number that is
	// unique among the open connections of the loop.
	ID() int
	// Loop returns the index of the event loop that serves the connection, below
	// Config.Threads.
	Loop() int
	LocalAddr() net.Addr // nil once the connection is closed
	RemoteAddr() net.Addr
	// Active returns the unix second in which input last arrived.
	Active() int64
	// Send queues a copy of b after the replies already written. It queues nothing
	// and returns false if Config.SendBudget bytes would be waiting from Send, or
	// if the connection is closed.
	Send(b []byte) bool
	// Wake ends the wait of a session that Data parked with [Wait]. It may come
	// before Data returns Wait: one wake-up is remembered, and several count as
	// one. It has no effect once the connection is closed, and does not block.
	Wake()
	// Close ends the connection without flushing. It does not block.
	Close(why Reason)
}

// Loop serves connections until Shutdown.
type Loop interface {
	// Serve accepts connections from ln until Shutdown, then returns [ErrClosed].
	// It takes ownership of ln and closes it. It may be called for several
	// listeners.
	Serve(ln net.Listener) error
	// Adopt serves a connection as if it had been accepted, but does not apply
	// Config.MaxConns. A session that speaks first uses Conn.Send. Adopt takes
	// ownership of nc, and closes it if it returns an error.
	Adopt(nc net.Conn) error
	// Shutdown stops accepting and closes every connection with reason
	// [Shutdown]. It returns when no goroutine and no descriptor is left, or with
	// the error of ctx.
	Shutdown(ctx context.Context) error
	// Conns iterates over the open connections.
	Conns() iter.Seq[Conn]
	Stats() Stats
}

// Stats are counters since New. All of them only grow, except Open and
// Accepting.
type Stats struct {
	Open         int64 // connections open now
	Accepted     uint64
	Rejected     uint64 // over Config.MaxConns
	BytesRead    uint64
	BytesWritten uint64
	Yields       uint64
	IdleKicks    uint64
	SlowKicks    uint64 // write timeout, or over Config.MaxQueued
	Panics       uint64

	Accepting     bool          // false while paused at the limit
	Pauses        uint64        // times accepting was paused
	PausedFor     time.Duration // total, including the current pause
	Handshakes    uint64        // TLS handshakes completed
	BadHandshakes uint64
}

// Config is the configuration of a Loop. Only NewSession is required.
type Config struct {
	// Threads is the number of event loops. 0 means 4.
	Threads int
	// Dedicated says that the process does little else. Each epoll loop then keeps
	// its P for up to 5 ms while it waits in epoll, as long as GOMAXPROCS is larger
	// than the number of loops of the process. A garbage collection ends the wait.
	Dedicated bool
	// NewSession makes the session of a connection, after a TLS handshake.
	// Required.
	NewSession func(Conn) Session

	// MaxConns bounds the open connections of all listeners. 0 means no bound.
	// A connection over it is sent RejectMessage and closed. With PauseAtLimit it
	// stays in the listener's backlog until another connection ends.
	MaxConns      int
	PauseAtLimit  bool
	RejectMessage []byte

	// IdleTimeout closes a connection from which nothing has arrived for this
	// time. WriteTimeout closes one that accepts none of its waiting replies for
	// this time, unless it is one-way. Both have a granularity of one second, or of
	// half the value if that is shorter. 0 means never.
	IdleTimeout  time.Duration
	WriteTimeout time.Duration
	// HandshakeTimeout bounds a TLS handshake. 0 means 10 s.
	HandshakeTimeout time.Duration

	// MaxInput bounds the bytes that a session may leave unconsumed when it
	// returns NeedMore. 0 means 64 KiB.
	MaxInput int
	// SoftQueued is the number of bytes at which Writer.Full becomes true. 0 means
	// 256 KiB.
	SoftQueued int
	// MaxQueued bounds the bytes of replies that wait for the peer, including
	// those of Writer.Ref. 0 means 64 MiB.
	MaxQueued int
	// SendBudget bounds the bytes that wait from Conn.Send. 0 means 256 KiB.
	SendBudget int

	// Now returns the time of Conn.Active in unix seconds. It is called for each
	// read and must be cheap. nil means the system's clock.
	Now func() int64
	// OnPanic is called after a panic in a session, whose connection is closed.
	// The other connections are not affected.
	OnPanic func(v any, stack []byte)
	// OnHandshakeError is called after a TLS handshake that failed, whose connection is
	// closed. It must not block: an event loop may call it.
	OnHandshakeError func(peer net.Addr, err error)
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

// tick returns how often deadlines are checked, 0 for never.
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

// NewNet returns a Loop that serves every connection with a goroutine of its
// own.
func NewNet(cfg Config) (Loop, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return newNetLoop(newCore(cfg)), nil
}
