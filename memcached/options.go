package memcached

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"time"

	"lintel.dev/internal/memcached/exec"
)

// Protocol is a choice of protocols.
type Protocol string

// The protocols of Options.Protocol.
const (
	Auto   Protocol = "auto-negotiate" // chosen by the first byte of a connection
	ASCII  Protocol = "ascii"          // text and meta
	Binary Protocol = "binary"
)

// ErrOptions is wrapped by the errors that New returns for a value of Options that
// is not valid.
var ErrOptions = errors.New("memcached: invalid options")

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("memcached: server closed")

// DefaultVersion is the version that a server reports: that of the memcached whose
// replies it gives. Clients derive the features of the server from it.
const DefaultVersion = "1.6.45"

// Options are the settings of a server. The zero value of a field is memcached's
// default. The flag of memcached is given for each.
type Options struct {
	MemoryLimit int64 // -m: bytes for items and their index; 0 is 64 MiB, at least 1 MiB
	MaxItemSize int   // -I: size of the largest item in bytes, with memcached's overhead of about 60; 0 is 1 MiB, 1 KiB to 1 GiB
	MaxConns    int   // -c: connections of all listeners together; 0 is 1024
	Threads     int   // -t: event loops, 1 to 1024; 0 is 4
	Requests    int   // -R: commands of a connection before other connections continue; 0 is 20
	Backlog     int   // -b: only reported by stats settings; 0 is 1024

	// Dedicated says that the process exists for the server. On Linux each event
	// loop then keeps one of GOMAXPROCS for up to 5 ms while it waits for requests,
	// as long as one is left for other goroutines. It saves the scheduler's work: 3
	// to 6 % of the server's CPU time if the loops wait often.
	Dedicated bool

	DisableEvictions bool // -M: storing fails instead of evicting
	DisableCAS       bool // -C
	DisableFlush     bool // -F: flush_all is refused
	DisableDump      bool // -X: stats cachedump and lru_crawler metadump are refused
	DisableWatch     bool // -W
	DisableCrawler   bool // -o no_lru_crawler: expired items stay until they are accessed or room is needed
	EnableShutdown   bool // -A: the command shutdown works; requires OnShutdown
	WaitAtMaxConns   bool // -o no_maxconns_fast: connections over MaxConns wait to be accepted instead of being refused

	Protocol Protocol // -B: empty is Auto
	AuthFile string   // -Y: file of user:password lines; clients must log in by the text protocol; implies ASCII
	SASL     bool     // -S: clients must log in by SASL PLAIN; implies Binary
	SASLFile string   // file of user:password lines for SASL; required with it

	PrefixDelimiter byte // -D: ends the prefix of a key for stats detail; 0 is ':'
	Detail          bool // -D: stats detail is on

	IdleTimeout  time.Duration // -o idle_timeout: closes connections without input for so long; 0 is never
	WriteTimeout time.Duration // closes connections that accept no reply for so long; 0 is 60 s
	MemoryFile   string        // -e: file that keeps the items over a restart
	Verbosity    int           // -v: once for each level

	WatcherBuffer int // -o watcher_logbuf_size: bytes that wait for one watcher; 0 is 256 KiB

	// ReadBufferLimit (-o read_buf_mem_limit) bounds, in bytes, the values that are
	// arriving on all connections, and the replies that wait in one thread, of which
	// each counts as 1 KiB. 0 is a quarter of MemoryLimit, at least 64 MiB, for the
	// values, and no bound for replies.
	ReadBufferLimit int64

	CrawlerSleep time.Duration // -o lru_crawler_sleep: pause of the crawler between two steps; 0 is 100 us, negative is none
	TrackSizes   bool          // -o track_sizes: stats sizes works
	TrackKeys    bool          // samples the keys of one command in 32 for Hottest, at about 10 ns per command
	TrackLatency bool          // keeps the histograms of Latency, at about 65 ns per command

	Version string // reported by version; empty is DefaultVersion
	Debug   bool   // enables the command debugtime

	// InitialMalloc is the start of total_malloced in stats slabs. The memory
	// counts as used.
	InitialMalloc int64

	// Topology is the reply of config get cluster. If it is nil, config is an
	// unknown command, as in memcached.
	Topology *Topology

	// Feed publishes the changes of the cache for near caches, see package
	// nearcache/server. If it is nil, mf is an unknown command, as in memcached.
	Feed Feed

	// Certs are the certificates of TLS listeners; nil is no TLS. The command
	// refresh_certs calls Reload, stats shows the time of Loaded.
	Certs interface {
		Reload() error
		Loaded() time.Time
	}

	// OnShutdown is called on a goroutine of its own for the command shutdown.
	// graceful is set if items are to be kept in MemoryFile.
	OnShutdown func(graceful bool)

	// OnVerbosity is called with the level that the command verbosity has set.
	OnVerbosity func(level int)

	// Trace is called with every command and reply while the verbosity is 2 or
	// more. line is quoted like a Go string, cut at 1 KiB, and begins with < or >
	// and the number of the connection. The data of commands, including passwords,
	// is left out; values in replies are not. Trace is called by several goroutines,
	// which wait for it.
	Trace func(line string)

	// OnPanic is called after a panic that closed a connection.
	OnPanic func(v any, stack []byte)

	// OnHandshakeError is called after a TLS handshake that failed. The connection is
	// closed. It is called by several goroutines, as often as clients connect, among
	// them those that serve requests: it must not block.
	OnHandshakeError func(client net.Addr, err error)

	// Settings are lines of stats settings, by their names there, that belong to
	// parts of memcached this server does not have or to the program that opens
	// the sockets, such as tcpport. A line that has an option above is an error.
	// slab_reassign, lru_maintainer_thread and hashpower_init also change what
	// stats, slabs and lru answer, as in memcached.
	Settings map[string]string
}

const (
	mib = 1 << 20

	defaultMemory   = 64 * mib
	defaultItem     = mib
	defaultConns    = 1024
	defaultThreads  = 4
	maxThreads      = 1024
	defaultRequests = 20
	defaultBacklog  = 1024
	defaultWatcher  = 256 << 10
	defaultWrite    = 60 * time.Second
	defaultCrawl    = 100 * time.Microsecond
)

// withDefaults checks o and fills in defaults.
func (o Options) withDefaults() (Options, error) {
	o.MemoryLimit = cmp.Or(o.MemoryLimit, defaultMemory)
	o.MaxItemSize = cmp.Or(o.MaxItemSize, defaultItem)
	o.MaxConns = cmp.Or(o.MaxConns, defaultConns)
	o.Threads = cmp.Or(o.Threads, defaultThreads)
	o.Requests = cmp.Or(o.Requests, defaultRequests)
	o.Backlog = cmp.Or(o.Backlog, defaultBacklog)
	o.WatcherBuffer = cmp.Or(o.WatcherBuffer, defaultWatcher)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, defaultWrite)
	o.CrawlerSleep = max(0, cmp.Or(o.CrawlerSleep, defaultCrawl))
	o.PrefixDelimiter = cmp.Or(o.PrefixDelimiter, ':')
	o.Version = cmp.Or(o.Version, DefaultVersion)
	o.Protocol = cmp.Or(o.Protocol, Auto)
	if err := o.check(); err != nil {
		return Options{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if o.SASL {
		o.Protocol = Binary
	}
	if o.AuthFile != "" {
		o.Protocol = ASCII
	}
	return o, nil
}

// check returns what is wrong with o.
func (o *Options) check() error {
	switch {
	case o.MemoryLimit < mib:
		return fmt.Errorf("option MemoryLimit is %d bytes, expected at least %d", o.MemoryLimit, mib)
	case o.MaxItemSize < 1<<10 || o.MaxItemSize > 1<<30:
		return fmt.Errorf("option MaxItemSize is %d bytes, expected 1024 to %d", o.MaxItemSize, 1<<30)
	case o.MaxConns < 0:
		return fmt.Errorf("option MaxConns is %d, expected more than 0", o.MaxConns)
	case o.Threads < 0 || o.Threads > maxThreads:
		return fmt.Errorf("option Threads is %d, expected 1 to %d", o.Threads, maxThreads)
	case o.Requests < 0:
		return fmt.Errorf("option Requests is %d, expected more than 0", o.Requests)
	case o.WatcherBuffer < 0:
		return fmt.Errorf("option WatcherBuffer is %d bytes, expected more than 0", o.WatcherBuffer)
	case o.ReadBufferLimit < 0:
		return fmt.Errorf("option ReadBufferLimit is %d bytes, expected more than 0", o.ReadBufferLimit)
	case o.IdleTimeout < 0 || o.WriteTimeout < 0:
		return errors.New("a duration is negative")
	case o.Protocol != Auto && o.Protocol != ASCII && o.Protocol != Binary:
		return fmt.Errorf("option Protocol is %q, expected %s, %s or %s", o.Protocol, Auto, ASCII, Binary)
	case o.SASL && o.SASLFile == "":
		return errors.New("option SASL needs SASLFile")
	case o.SASL && o.AuthFile != "":
		return errors.New("options SASL and AuthFile exclude each other")
	case o.SASL && o.Protocol == ASCII:
		return errors.New("option SASL needs the binary protocol")
	case o.AuthFile != "" && o.Protocol == Binary:
		return errors.New("option AuthFile needs the ascii protocol")
	case o.EnableShutdown && o.OnShutdown == nil:
		return errors.New("option EnableShutdown needs OnShutdown")
	}
	return nil
}

// config returns the part of o that commands need.
func (o *Options) config() exec.Config {
	c := exec.Config{
		MemoryLimit: o.MemoryLimit, InitialMalloc: o.InitialMalloc, MaxItemSize: o.MaxItemSize,
		MaxConns: o.MaxConns, Threads: o.Threads, Requests: o.Requests, Backlog: o.Backlog,
		DisableEvictions: o.DisableEvictions, DisableCAS: o.DisableCAS, DisableFlush: o.DisableFlush,
		DisableDump: o.DisableDump, DisableWatch: o.DisableWatch, DisableCrawler: o.DisableCrawler,
		EnableShutdown: o.EnableShutdown, WaitAtMaxConns: o.WaitAtMaxConns,
		Protocol: string(o.Protocol), AuthFile: o.AuthFile, SASL: o.SASL, SASLFile: o.SASLFile,
		PrefixDelimiter: o.PrefixDelimiter, Detail: o.Detail, IdleTimeout: o.IdleTimeout,
		MemoryFile: o.MemoryFile, Verbosity: o.Verbosity, WatcherBuffer: o.WatcherBuffer,
		ReadBufferLimit: o.ReadBufferLimit, CrawlerSleep: o.CrawlerSleep, TrackSizes: o.TrackSizes,
		TrackLatency: o.TrackLatency, TrackKeys: o.TrackKeys, Version: o.Version, Debug: o.Debug, Reported: o.Settings,
		Feed:       o.Feed,
		OnShutdown: o.OnShutdown, OnVerbosity: o.OnVerbosity, Trace: o.Trace, Certs: o.Certs,
	}
	if o.Topology != nil {
		c.Cluster = o.Topology.append
	}
	return c
}
