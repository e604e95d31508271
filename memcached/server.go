package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/session"
	"lintel.dev/internal/memcached/udp"
	"lintel.dev/internal/memcached/watch"
)

// Server is a cache and its connections. All methods are safe for concurrent use.
// Shutdown must be called, even if Serve never was.
type Server struct {
	opts   Options
	engine *exec.Engine
	main   netloop.Loop
	panics atomic.Uint64

	mu        sync.Mutex // guards what follows; Engine.mu is never taken under it
	packets   []*udp.Loop
	listeners []net.Listener
	down      bool
}

// New makes a server with its cache. The error wraps ErrOptions if a value of opts
// is not valid.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return newServer(opts, nil)
}

// newServer is New for checked options and the commands of exec.Config.Calls.
func newServer(opts Options, calls map[string]func(*exec.Call)) (*Server, error) {
	if err := checkMeta(opts.MemoryFile); err != nil {
		return nil, err
	}
	s := &Server{opts: opts}
	cfg := opts.config()
	cfg.Network, cfg.Listening, cfg.Calls = s.loopStats, s.sockets, calls
	var err error
	if s.engine, err = exec.New(cfg); err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	if s.main, err = netloop.New(s.loopConfig()); err != nil {
		s.engine.Stop()
		return nil, errors.Join(fmt.Errorf("memcached: %w", err), s.engine.Items.Close())
	}
	return s, nil
}

// checkMeta fails if the file that memcached writes beside a restart file, its
// name with .meta, is empty: memcached did not stop cleanly, and would not start
// from it either. This server does not read such files.
func checkMeta(file string) error {
	if file == "" {
		return nil
	}
	if st, err := os.Stat(file + ".meta"); err == nil && st.Size() == 0 {
		return fmt.Errorf("memcached: %s.meta is empty: remove it to start with an empty cache", file)
	}
	return nil
}

func (s *Server) loopConfig() netloop.Config {
	return netloop.Config{
		Threads:       s.opts.Threads,
		Dedicated:     s.opts.Dedicated,
		NewSession:    s.newSession,
		MaxConns:      s.opts.MaxConns,
		PauseAtLimit:  s.opts.WaitAtMaxConns,
		RejectMessage: []byte("ERROR Too many open connections\r\n"),
		IdleTimeout:   s.opts.IdleTimeout,
		WriteTimeout:  s.opts.WriteTimeout,
		SendBudget:    max(s.opts.WatcherBuffer, watch.MinBuffer),
		Now:           s.engine.Clock.Now,
		OnPanic:       s.panicked,

		OnHandshakeError: s.opts.OnHandshakeError,
	}
}

// newSession makes the session of an accepted connection.
func (s *Server) newSession(c netloop.Conn) netloop.Session { return session.New(s.engine, c, false) }

func (s *Server) panicked(v any, stack []byte) {
	s.panics.Add(1)
	if s.opts.OnPanic != nil {
		s.opts.OnPanic(v, stack)
	}
}

// Serve accepts connections from l until Shutdown, and then returns
// ErrServerClosed. It owns and closes l. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	err := s.main.Serve(l)
	if errors.Is(err, netloop.ErrClosed) {
		return ErrServerClosed
	}
	s.mu.Lock()
	s.listeners = slices.DeleteFunc(s.listeners, func(have net.Listener) bool { return have == l })
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	return nil
}

// ServePacket answers requests that arrive in datagrams, until Shutdown, and then
// returns ErrServerClosed. It owns and closes p.
//
// A request is one datagram; others are dropped, as are malformed ones. A reply has
// at most 16 datagrams of 1400 bytes; a longer one is replaced by an error. A server
// with users (AuthFile, SASL) returns an error that wraps ErrOptions.
func (s *Server) ServePacket(p net.PacketConn) error {
	if s.opts.AuthFile != "" || s.opts.SASL {
		p.Close()
		return fmt.Errorf("%w: clients cannot log in over UDP", ErrOptions)
	}
	u := udp.New(p, udp.Config{
		NewSession: func(c netloop.Conn) udp.Session { return session.New(s.engine, c, true) },
		Now:        s.engine.Clock.Now,
		OnPanic:    s.panicked,
	})
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		p.Close()
		return ErrServerClosed
	}
	s.packets = append(s.packets, u)
	s.mu.Unlock()
	err := u.Run()
	if errors.Is(err, netloop.ErrClosed) {
		return ErrServerClosed
	}
	return fmt.Errorf("memcached: %w", err)
}

// Shutdown stops accepting, closes every connection and frees the cache. The items
// stay in Options.MemoryFile. Shutdown returns when nothing is left, or with ctx's
// error if ctx ends first; the memory is not freed then. Later calls return nil.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return nil
	}
	s.down = true
	packets := s.packets
	s.mu.Unlock()
	errs := []error{s.main.Shutdown(ctx)}
	for _, u := range packets {
		errs = append(errs, u.Shutdown(ctx))
	}
	s.engine.Stop()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.engine.Items.Close()
}

// ReloadAuth reads Options.AuthFile and Options.SASLFile again. After an error the
// users stay as they were. Connections that are logged in remain so.
func (s *Server) ReloadAuth() error {
	if err := s.engine.ReloadAuth(); err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	return nil
}

// FlushAll makes every item vanish, in constant time.
func (s *Server) FlushAll() { s.engine.Items.FlushAll(s.engine.Clock.Now()) }

// FlushPrefix makes every item whose key begins with prefix vanish.
func (s *Server) FlushPrefix(prefix string) { s.engine.Items.FlushPrefix([]byte(prefix)) }

// loopStats returns the sum of the figures of all loops.
func (s *Server) loopStats() (sum netloop.Stats) {
	sum = s.main.Stats()
	s.mu.Lock()
	packets := s.packets
	s.mu.Unlock()
	for _, u := range packets {
		st := u.Stats()
		sum.Accepted += st.Accepted
		sum.BytesRead += st.BytesRead
		sum.BytesWritten += st.BytesWritten
	}
	return sum
}

// sockets returns the sockets that are no connections.
func (s *Server) sockets() (all []exec.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		all = append(all, exec.Socket{ID: descriptor(l), Addr: l.Addr()})
	}
	for _, u := range s.packets {
		all = append(all, exec.Socket{ID: u.ID(), Addr: u.LocalAddr(), Packet: true, Active: u.Active()})
	}
	return all
}

// descriptor returns a listener's file descriptor, -1 if it is not known.
func descriptor(l net.Listener) int {
	if t, ok := l.(interface{ Plain() net.Listener }); ok { // TLS of package listen
		l = t.Plain()
	}
	id := -1
	if c, ok := l.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { id = int(fd) })
		}
	}
	return id
}
