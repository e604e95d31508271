package exec

import (
	"errors"
	"fmt"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/auth"
	"lintel.dev/internal/memcached/hot"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
	"lintel.dev/internal/memcached/watch"
)

// Config is the setup of an Engine. Fields are those of memcached.Options, with
// defaults filled in.
type Config struct {
	MemoryLimit   int64
	InitialMalloc int64
	MaxItemSize   int
	MaxConns      int
	Threads       int
	Requests      int
	Backlog       int

	DisableEvictions bool
	DisableCAS       bool
	DisableFlush     bool
	DisableDump      bool
	DisableWatch     bool
	DisableCrawler   bool
	EnableShutdown   bool
	WaitAtMaxConns   bool

	Protocol string // auto-negotiate, ascii or binary
	AuthFile string
	SASL     bool
	SASLFile string

	PrefixDelimiter byte
	Detail          bool
	IdleTimeout     time.Duration
	MemoryFile      string
	Verbosity       int
	WatcherBuffer   int
	ReadBufferLimit int64
	CrawlerSleep    time.Duration
	TrackSizes      bool
	TrackLatency    bool
	TrackKeys       bool
	Version         string
	Debug           bool
	Reported        map[string]string // memcached.Options.Settings

	// Cluster appends the reply of config get cluster to a client that has
	// connected to local. If it is nil, config is an unknown command.
	Cluster     func(b []byte, local net.Addr) []byte
	OnShutdown  func(graceful bool)
	OnVerbosity func(level int)
	Trace       func(line string)
	Certs       Certs

	// Network returns the figures of the server's event loops, and Listening
	// its sockets that are no connections.
	Network   func() netloop.Stats
	Listening func() []Socket

	// Calls are commands whose answer comes later, by their name in the text
	// and meta protocols or by "0x" and their opcode in two hexadecimal digits.
	Calls map[string]func(*Call)

	// Feed is memcached.Options.Feed; nil is none. It is started with the store.
	Feed Feed
}

// Certs are the certificates of a server with TLS.
type Certs interface {
	Reload() error
	Loaded() time.Time
}

// Socket is a listener or a UDP socket.
type Socket struct {
	ID     int // file descriptor, -1 if unknown
	Addr   net.Addr
	Packet bool  // UDP
	Active int64 // unix second of the last request, with Packet
}

// Engine is one cache. It is safe for concurrent use.
type Engine struct {
	Config
	Items    *store.Store
	Clock    *Clock
	Log      *watch.Log
	Settings Settings
	Crawler  Crawler

	loops     []loopCounters
	reading   atomic.Int64 // bytes reserved for data blocks that are still arriving
	readLimit int64        // bound of reading
	replies   int          // bound of replies in a batch; 0 is none
	limit     limit
	verbosity atomic.Int32
	started   int64
	flushed   atomic.Int64                  // unix second of the last flush_all
	baseline  atomic.Pointer[netloop.Stats] // figures of the loops at the last stats reset

	users     atomic.Pointer[auth.Users] // of AuthFile; nil is none
	saslUsers atomic.Pointer[auth.Users]
	Brake     *auth.Brake

	prefixes prefixes
	hot      hot.Table

	jobs  jobs
	stop  chan struct{}
	tasks sync.WaitGroup // the clock and crawls

	mu     sync.Mutex // guards what follows
	first  *Conn
	conns  int64
	peak   int64 // of conns
	closed bool
}

const mib = 1 << 20

// replyCost is the memory that a waiting reply counts for ReadBufferLimit.
const replyCost = 1 << 10

// New makes an engine with its store.
func New(cfg Config) (*Engine, error) {
	e := &Engine{
		Config: cfg,
		Clock:  newClock(),
		loops:  make([]loopCounters, cfg.Threads),
		jobs:   newJobs(),
		stop:   make(chan struct{}),
	}
	e.Brake = auth.NewBrake(nil)
	e.Log = watch.New(e.Clock.Now, cfg.WatcherBuffer)
	e.readLimit = max(64*mib, cfg.MemoryLimit/4)
	if r := cfg.ReadBufferLimit; r > 0 {
		e.readLimit = r
		e.replies = max(1, int(r/int64(cfg.Threads)/replyCost))
	}
	e.limit.value, e.limit.store = cfg.MemoryLimit, e.StoreLimit(cfg.MemoryLimit)
	e.limit.target = e.limit.store
	e.verbosity.Store(int32(cfg.Verbosity))
	e.started = e.Clock.Now()
	e.hot.Init(e.started)
	e.SetDetail(cfg.Detail)
	if err := e.Settings.init(cfg.Reported); err != nil {
		return nil, err
	}
	if err := e.ReloadAuth(); err != nil {
		return nil, err
	}
	hooks := store.Hooks{Evict: e.Log.Evict}
	if e.Feed != nil {
		hooks.Change = e.Feed.Change
	}
	var err error
	var cas uint64
	if e.Feed != nil {
		// Near caches confirm values by their CAS. A value must not have the one that an
		// earlier process gave to another value.
		cas = uint64(time.Now().UnixNano())
	}
	e.Items, err = store.New(store.Options{
		CAS:         cas,
		MaxBytes:    e.StoreLimit(cfg.MemoryLimit),
		MaxItemSize: cfg.MaxItemSize,
		NoEvict:     cfg.DisableEvictions,
		DisableCAS:  cfg.DisableCAS,
		Now:         e.Clock.Now,
		Path:        cfg.MemoryFile,
		Hooks:       hooks,
	})
	if err != nil {
		return nil, e.limitError(err)
	}
	if e.Feed != nil {
		if err := e.Feed.Start(e.Items); err != nil {
			return nil, errors.Join(err, e.Items.Close())
		}
	}
	e.Crawler.init(e)
	e.tasks.Go(e.tick)
	return e, nil
}

// Stop ends the background work of the engine and waits for it, and stops the feed.
// The store stays open.
func (e *Engine) Stop() {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if !closed {
		close(e.stop)
		if e.Feed != nil {
			e.Feed.Stop()
		}
	}
	e.tasks.Wait()
}

// background runs f until Stop. It returns false if the engine is stopped.
func (e *Engine) background(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.tasks.Go(f)
	return true
}

// tick keeps the clock until Stop.
func (e *Engine) tick() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case now := <-t.C:
			e.Clock.Tick(now)
		}
	}
}

// smallMemory is the limit below which memcached holds noticeably less than its
// limit: the last page of every size class is partly empty.
const smallMemory = 8 * mib

// StoreLimit returns the limit of a store that holds about as much as a
// memcached with this limit. memcached's limit covers items only, so 1/256 is
// added for the index. Small limits are reduced, see smallMemory.
func (e *Engine) StoreLimit(limit int64) int64 {
	limit -= e.InitialMalloc
	if limit < smallMemory {
		limit = limit / 100 * 78
	} else {
		limit += limit / 256
	}
	return max(limit, store.MinLimit)
}

// limitError returns an error of store.New with memory limits as they are
// configured, not as StoreLimit has changed them.
func (e *Engine) limitError(err error) error {
	if errors.Is(err, store.ErrLimit) {
		return fmt.Errorf("%w: memory limit of %d MiB, expected 1 to %d MiB", store.ErrLimit, e.MemoryLimit/mib, e.configured(store.MaxLimit)/mib)
	}
	if s, ok := errors.AsType[*store.SettingError](err); ok && s.Name == store.LimitSetting {
		return fmt.Errorf("%w: %s has a memory limit of %d MiB, expected %d MiB as configured",
			store.ErrSnapshot, e.MemoryFile, e.configured(s.File)/mib, e.MemoryLimit/mib)
	}
	return err
}

// configured returns the limit, in whole MiB, that StoreLimit changes to limit.
func (e *Engine) configured(limit int64) int64 {
	return int64(sort.Search(int(limit/mib)*2, func(n int) bool { return e.StoreLimit(int64(n)*mib) >= limit })) * mib
}

// Reading returns the bytes reserved for data blocks that are still arriving.
func (e *Engine) Reading() int64 { return e.reading.Load() }

// SetVerbosity sets the level of verbosity, at most 3, and reports it to
// Config.OnVerbosity.
func (e *Engine) SetVerbosity(level int) {
	level = min(level, 3)
	e.verbosity.Store(int32(level))
	if e.OnVerbosity != nil {
		e.OnVerbosity(level)
	}
}

// AuthText reports whether clients must log in by the text protocol.
func (e *Engine) AuthText() bool { return e.users.Load() != nil }

// ReloadAuth reads Config.AuthFile and SASLFile again. After an error the users
// stay as they were.
func (e *Engine) ReloadAuth() error {
	for _, f := range []struct {
		on    bool
		path  string
		users *atomic.Pointer[auth.Users]
	}{{e.AuthFile != "", e.AuthFile, &e.users}, {e.SASL, e.SASLFile, &e.saslUsers}} {
		if !f.on {
			continue
		}
		users, err := auth.Read(f.path)
		if err != nil {
			return err
		}
		f.users.Store(users)
	}
	return nil
}
