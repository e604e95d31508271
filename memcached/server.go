// Package memcached is a cache server that speaks memcached's protocols:
// classic text, meta and binary. It can be embedded: make a [Server], give it
// listeners, shut it down.
//
//	srv, err := memcached.New(memcached.Options{MemoryLimit: 256 << 20})
//	...
//	go srv.Serve(listener)
//	...
//	srv.Shutdown(ctx)
//
// Replies are those of memcached [DefaultVersion], byte for byte, but for
// what follows from these differences.
//
// # Differences from memcached
//
// There are no slabs: stats slabs and stats items count by the size classes
// that memcached's table would have, hash_power_level is what its hash table
// would have grown to, and slabs reassign, slabs automove and lru are answered
// and change nothing but what the stats show. Which items are evicted is
// decided by S3-FIFO over all of the memory, not by an LRU for each class.
//
// SASL knows PLAIN alone. Over UDP, a request is one datagram and a reply at
// most sixteen, see [Server.ServePacket]. Expiry times may lie after 2038. The
// file of a warm restart has a form of its own and holds its items also after
// the process was killed.
//
// flush_prefix and, with Options.Topology, config get cluster are commands
// that memcached does not have.
//
// # Bounds
//
// Nothing that clients send makes the server hold memory without bound:
// command lines end at 2048 bytes (get and gets, which may go on, are answered
// as they arrive), an announced length reserves nothing before its bytes are
// there, the bytes of all values still arriving are bounded by
// Options.ReadBufferLimit, replies that a client does not read stop its
// commands from being read, a watcher that is too slow loses lines, and the
// table of stats detail has at most 65536 prefixes. A panic in a command costs
// the connection it came from and nothing else.
package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// Server is a cache and its connections. All methods are safe for concurrent
// use. Shutdown must be called, also when Serve never was.
type Server struct {
	opts  Options
	clock *clock
	store *store.Store

	tallies []tallies
	turns   sync.Pool
	reading atomic.Int64 // bytes reserved for values still arriving
	limit   atomic.Int64 // bytes of memory, as set by Options.MemoryLimit or cache_memlimit

	readLimit int64 // bound of reading
	replies   int   // one turn may leave waiting; 0 is no bound
	noting    atomic.Uint32
	panics    atomic.Uint64

	auth      atomic.Pointer[accounts] // of Options.AuthFile; nil is none
	saslUsers atomic.Pointer[accounts]

	detailOn  atomic.Bool
	prefixes  prefixes
	watch     watchers
	verbosity atomic.Int32
	tuning    tuning
	started   int64
	flushed   atomic.Int64                  // unix second of the last flush_all, for stats settings
	baseline  atomic.Pointer[netloop.Stats] // the loops' figures at the last stats reset

	stop    chan struct{}
	ticking sync.WaitGroup

	// mu guards what follows.
	mu        sync.Mutex
	loops     []netloop.Loop
	main      netloop.Loop
	listeners []net.Listener
	first     *session
	sessions  int64
	peak      int64
	down      bool
}

// New makes a server with its cache. The error of an option that cannot be
// worked with wraps ErrOptions.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:    opts,
		clock:   newClock(),
		tallies: make([]tallies, opts.Threads),
		stop:    make(chan struct{}),
	}
	s.turns.New = newTurn
	s.readLimit = max(64*mib, opts.MemoryLimit/4)
	if r := opts.ReadBufferLimit; r > 0 {
		s.readLimit = r
		s.replies = max(1, int(r/int64(opts.Threads)/replyCost))
	}
	s.limit.Store(opts.MemoryLimit)
	s.verbosity.Store(int32(opts.Verbosity))
	s.started = s.clock.Now()
	s.tuning.init(opts)
	s.setDetail(opts.Detail)
	if err := s.ReloadAuth(); err != nil {
		return nil, err
	}
	if err := checkMeta(opts.MemoryFile); err != nil {
		return nil, err
	}
	s.store, err = store.New(store.Options{
		MaxBytes:    s.storeLimit(opts.MemoryLimit),
		MaxItemSize: opts.MaxItemSize,
		NoEvict:     opts.DisableEvictions,
		DisableCAS:  opts.DisableCAS,
		Now:         s.clock.Now,
		Path:        opts.MemoryFile,
		Hooks:       store.Hooks{Evict: s.evicted},
	})
	if err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	s.store.SetSweep(!opts.Report.NoCrawler)
	s.main, err = netloop.New(s.loopConfig())
	if err != nil {
		s.store.Close()
		return nil, fmt.Errorf("memcached: %w", err)
	}
	s.loops = append(s.loops, s.main)
	s.ticking.Go(s.tick)
	return s, nil
}

// checkMeta refuses a restart file whose companion of memcached's, the name
// with .meta behind, is empty: a stop that memcached did not finish, which it
// does not start from either. Any other is not for this server.
func checkMeta(file string) error {
	if file == "" {
		return nil
	}
	if st, err := os.Stat(file + ".meta"); err == nil && st.Size() == 0 {
		return fmt.Errorf("memcached: %s.meta is empty: remove it to start with an empty cache", file)
	}
	return nil
}

// smallMemory is the limit below which memcached holds noticeably less than it
// was given: the last page of every class is never full.
const smallMemory = 8 * mib

// storeLimit is the limit of the store that keeps about what a memcached with
// this limit would. memcached's is for items alone: 1/256 on top is where the
// index of large ones goes, which then fill the memory to the last. Below, the
// two differ where the limit is a few pages.
func (s *Server) storeLimit(limit int64) int64 {
	limit -= s.opts.Report.TotalMalloced
	if limit < smallMemory {
		limit = limit / 100 * 78
	} else {
		limit += limit / 256
	}
	return max(limit, store.MinLimit)
}

// loopConfig is the setup of every loop of the server.
func (s *Server) loopConfig() netloop.Config {
	return netloop.Config{
		Threads:       s.opts.Threads,
		Dedicated:     s.opts.Dedicated,
		NewSession:    s.newSession,
		MaxConns:      s.opts.MaxConns,
		PauseAtLimit:  s.opts.Report.NoMaxConnsFast,
		RejectMessage: []byte("ERROR Too many open connections\r\n"),
		IdleTimeout:   s.opts.IdleTimeout,
		WriteTimeout:  s.opts.WriteTimeout,
		SendBudget:    s.opts.WatcherBuffer,
		Now:           s.clock.Now,
		OnPanic:       s.panicked,
	}
}

func (s *Server) panicked(v any, stack []byte) {
	s.panics.Add(1)
	if s.opts.OnPanic != nil {
		s.opts.OnPanic(v, stack)
	}
}

func (s *Server) tick() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.clock.tick(now)
		}
	}
}

// Serve accepts connections from l until Shutdown, and then returns
// ErrServerClosed. It owns l and closes it. It may be called for several
// listeners.
func (s *Server) Serve(l net.Listener) error { return s.serve(s.main, l) }

// serve runs l on one of the server's loops.
func (s *Server) serve(loop netloop.Loop, l net.Listener) error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	err := loop.Serve(l)
	if errors.Is(err, netloop.ErrClosed) {
		return ErrServerClosed
	}
	s.mu.Lock()
	for i, have := range s.listeners {
		if have == l {
			s.listeners = append(s.listeners[:i], s.listeners[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	return nil
}

// addLoop adds a loop that Shutdown and the statistics include.
func (s *Server) addLoop(l netloop.Loop) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return ErrServerClosed
	}
	s.loops = append(s.loops, l)
	return nil
}

// Shutdown stops accepting, closes every connection, and frees the cache, which
// Options.MemoryFile survives. It returns when nothing is left, or with ctx's
// error if that is done before; then the memory is not freed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return nil
	}
	s.down = true
	loops := s.loops
	s.mu.Unlock()
	close(s.stop)
	var errs []error
	for _, l := range loops {
		errs = append(errs, l.Shutdown(ctx))
	}
	s.ticking.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.store.Close()
}

// newSession makes the session of an accepted connection.
func (s *Server) newSession(c netloop.Conn) netloop.Session {
	n := &session{srv: s, conn: c, proto: s.opts.Protocol}
	n.state.Store(stateNew)
	s.mu.Lock()
	n.next = s.first
	if n.next != nil {
		n.next.prev = n
	}
	s.first = n
	s.sessions++
	s.peak = max(s.peak, s.sessions)
	s.mu.Unlock()
	s.logConn(c, "")
	return n
}

// left forgets a session that has ended.
func (s *Server) left(n *session, why netloop.Reason) {
	s.mu.Lock()
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		s.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.next, n.prev = nil, nil
	s.sessions--
	s.mu.Unlock()
	if n.watcher != nil {
		s.unwatch(n.watcher)
	}
	s.logConn(n.conn, why.String())
}

// loopStats adds up the figures of all loops.
func (s *Server) loopStats() (sum netloop.Stats) {
	s.mu.Lock()
	loops := s.loops
	s.mu.Unlock()
	sum.Accepting = true
	for _, l := range loops {
		st := l.Stats()
		sum.Open += st.Open
		sum.Accepted += st.Accepted
		sum.Rejected += st.Rejected
		sum.BytesRead += st.BytesRead
		sum.BytesWritten += st.BytesWritten
		sum.Yields += st.Yields
		sum.IdleKicks += st.IdleKicks
		sum.SlowKicks += st.SlowKicks
		sum.Pauses += st.Pauses
		sum.PausedFor += st.PausedFor
		sum.Handshakes += st.Handshakes
		sum.BadHandshakes += st.BadHandshakes
		sum.Accepting = sum.Accepting && st.Accepting
	}
	return sum
}
