// Package memcachetest is a memcached server for tests: it lives in the
// process, its clock is the test's, and it fails when told to.
//
// It knows the commands that package memcache sends, classic and meta, with
// memcached's semantics of TTL, CAS and leases; it never evicts. It is no cache
// for production: one lock guards everything.
package memcachetest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options are the server's settings; the zero value is a server that speaks
// classic and meta commands, tells the time by the clock on the wall and
// listens nowhere until Listen.
type Options struct {
	// ClassicOnly answers ERROR to meta commands, as memcached before 1.6 does.
	ClassicOnly bool
	// Username and Password ask for memcached's ASCII authentication.
	Username, Password string
	// Now is the clock. Default: time.Now, which testing/synctest fakes.
	Now func() time.Time
	// MaxItemSize is the longest value in bytes. Default: 1 MiB.
	MaxItemSize int
	// Cluster is what "config get cluster" answers: "host|ip|port host|ip|port".
	Cluster string
}

// Server is a memcached in the test's process. All methods are safe for
// concurrent use.
type Server struct {
	opts Options

	mu        sync.Mutex // protects what follows
	items     map[string]*item
	cas       uint64
	skew      time.Duration
	counts    map[string]int
	intercept func(line string) (reply string, handled bool)
	conns     map[net.Conn]bool
	listeners map[net.Listener]bool
	closed    bool

	wg sync.WaitGroup
}

// New returns a server without listeners. Nil opts are all defaults.
func New(opts *Options) *Server {
	s := &Server{
		items: make(map[string]*item), counts: make(map[string]int),
		conns: make(map[net.Conn]bool), listeners: make(map[net.Listener]bool),
	}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	if s.opts.MaxItemSize == 0 {
		s.opts.MaxItemSize = 1 << 20
	}
	return s
}

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Start returns the address of a new server on a free port of 127.0.0.1, which
// is closed when the test ends, and the server.
func Start(t TB, opts *Options) (addr string, s *Server) {
	t.Helper()
	s = New(opts)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("memcachetest: %v", err)
	}
	t.Cleanup(s.Close)
	s.wg.Go(func() { s.Serve(ln) })
	return ln.Addr().String(), s
}

// Serve accepts connections until ln or the server is closed.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ln.Close()
	}
	s.listeners[ln] = true
	s.mu.Unlock()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		s.attach(nc)
	}
}

// Dial connects without a network, for clients in a testing/synctest bubble.
// It fits memcache.Options.Dial.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	if !s.attach(server) {
		client.Close()
		return nil, fmt.Errorf("memcachetest: connection refused")
	}
	return client, nil
}

func (s *Server) attach(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		nc.Close()
		return false
	}
	s.conns[nc] = true
	s.wg.Go(func() { s.serve(nc) })
	return true
}

// Close closes the listeners and connections and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for ln := range s.listeners {
		ln.Close()
	}
	s.mu.Unlock()
	s.Disconnect()
	s.wg.Wait()
}

// Disconnect breaks every connection; new ones are welcome.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		nc.Close()
	}
}

// Intercept has f see every command line, without its ending, before the
// server does. When it says handled, reply is written as it is and the server
// does nothing; data blocks are read all the same. A nil f ends it.
func (s *Server) Intercept(f func(line string) (reply string, handled bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Advance puts the server's clock forward.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Count returns how often a command ("get", "mg", ...) was received.
func (s *Server) Count(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[command]
}

// Conns returns the number of open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Set stores a value behind the clients' backs; ttl 0 is for ever.
func (s *Server) Set(key string, value []byte, flags uint32, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := &item{value: append([]byte(nil), value...), flags: flags, cas: s.nextCAS()}
	if ttl != 0 {
		it.expiry = s.now().Add(ttl)
	}
	s.items[key] = it
}

// Get returns a live value and its flags.
func (s *Server) Get(key string) (value []byte, flags uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(key)
	if it == nil {
		return nil, 0, false
	}
	return append([]byte(nil), it.value...), it.flags, true
}

// Len returns the number of live items.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key := range s.items {
		if s.find(key) != nil {
			n++
		}
	}
	return n
}

func (s *Server) serve(nc net.Conn) {
	defer func() {
		nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	c := &session{s: s, r: bufio.NewReaderSize(nc, 16<<10), w: bufio.NewWriter(nc), authed: s.opts.Username == "" && s.opts.Password == ""}
	for c.command() {
		if c.r.Buffered() == 0 && c.w.Flush() != nil {
			return
		}
	}
	c.w.Flush()
}
