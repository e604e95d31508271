// Package memcachetest is a memcached server for tests. It runs in the process, its
// clock can be set, and it can be made to fail.
//
// It executes the classic and meta commands that package memcache sends, with
// memcached's semantics of TTL, CAS and leases. It never evicts items. One lock,
// Server.mu, protects all state: it is not for production.
//
// # Examples
//
// Example in example_test.go is a test of a program that uses a cache.
package memcachetest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options are the settings of a server. The zero value is a server with classic and
// meta commands that uses the system's clock.
type Options struct {
	// ClassicOnly answers ERROR to meta commands, as memcached before 1.6 does.
	ClassicOnly bool
	// Username and Password, if not empty, are required as by memcached -Y.
	Username, Password string
	// Now is the clock. Default: time.Now, which testing/synctest fakes.
	Now func() time.Time
	// MaxItemSize is the largest value in bytes. Default: 1 MiB.
	MaxItemSize int
	// Cluster is the answer to "config get cluster": "host|ip|port host|ip|port".
	Cluster string
}

// Server is a memcached server in the process. All methods are safe for concurrent
// use.
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

// New returns a server without listeners. Nil opts selects all defaults.
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

// Start starts a server on a free port of 127.0.0.1 and returns its address. The server
// is closed when the test ends.
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

// Dial returns an in-memory connection to the server, for clients in a testing/synctest
// bubble. It can be used as memcache.Options.Dial.
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

// Disconnect closes every connection. The server accepts new ones.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		nc.Close()
	}
}

// Intercept calls f for every command line, without its ending, before the server
// executes it. If f returns handled, the server sends reply unchanged instead; it has
// read the data block. A nil f ends the interception. The handshake of package memcache
// is not intercepted.
func (s *Server) Intercept(f func(line string) (reply string, handled bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Advance advances the server's clock by d.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Count returns how often a command ("get", "mg", ...) was received, without the handshake
// of package memcache.
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

// Set stores a value. ttl 0 is unlimited.
func (s *Server) Set(key string, value []byte, flags uint32, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := &item{value: append([]byte(nil), value...), flags: flags, cas: s.nextCAS()}
	if ttl != 0 {
		it.expiry = s.now().Add(ttl)
	}
	s.items[key] = it
}

// Get returns the value and the flags of a live item.
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
