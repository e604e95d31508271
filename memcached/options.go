package memcached

import (
	"errors"
	"fmt"
	"time"
)

// Protocol says which protocols a server speaks.
type Protocol string

// The protocols of Options.Protocol.
const (
	Auto   Protocol = "auto-negotiate" // by the first byte of a connection
	ASCII  Protocol = "ascii"
	Binary Protocol = "binary"
)

// ErrOptions is wrapped by every error that New returns for a value it cannot
// work with.
var ErrOptions = errors.New("memcached: bad options")

// ErrServerClosed is returned by Serve once Shutdown has been called.
var ErrServerClosed = errors.New("memcached: server closed")

// DefaultVersion is the version a server reports: that of the memcached whose
// replies it gives. Clients read their peer's abilities out of it.
const DefaultVersion = "1.6.45"

// Options are the settings of a server. The zero value of each field is
// memcached's default; the letter is memcached's flag for it.
type Options struct {
	MemoryLimit int64 // -m: bytes for items and their index; 0 is 64 MiB, at least 1 MiB
	MaxItemSize int   // -I: largest item in bytes with memcached's overhead of about 60; 0 is 1 MiB, 1 KiB to 1 GiB
	MaxConns    int   // -c: connections over all listeners; 0 is 1024
	Threads     int   // -t: event loops; 0 is 4
	Requests    int   // -R: commands of one connection before others get their turn; 0 is 20
	Backlog     int   // -b: only reported

	// Dedicated says that the process is there for the server: on Linux each
	// event loop keeps one of GOMAXPROCS to itself for up to 5 ms while it waits
	// for requests, as long as one is left to everything else. It saves the
	// scheduler's work, 3 to 6 % of the server's cpu where it waits often.
	Dedicated bool

	DisableEvictions bool // -M: storing fails where it would evict
	DisableCAS       bool // -C
	DisableFlush     bool // -F: flush_all is refused
	DisableDump      bool // -X: stats cachedump and lru_crawler metadump are refused
	DisableWatch     bool // -W
	EnableShutdown   bool // -A: the shutdown command works; OnShutdown must be set

	Protocol Protocol // -B; empty is Auto
	AuthFile string   // -Y: file of user:password lines; clients must log in by text; forces ASCII
	SASL     bool     // -S: clients must log in by SASL PLAIN; forces Binary
	SASLFile string   // file of user:password lines for SASL; needed with it

	PrefixDelimiter byte // -D: where stats detail cuts keys; 0 is ':'
	Detail          bool // stats detail is on from the start, as -D makes it

	IdleTimeout  time.Duration // -o idle_timeout: connections silent for so long are closed; 0 is never
	WriteTimeout time.Duration // connections that take no reply for so long are closed; 0 is 60 s
	MemoryFile   string        // -e: file the items survive a restart in
	Verbosity    int           // -v, once for each

	WatcherBuffer   int   // -o watcher_logbuf_size: bytes waiting for one watcher; 0 is 256 KiB
	ReadBufferLimit int64 // -o read_buf_mem_limit: bytes of values still arriving, over all connections, and of 1 KiB for each reply a thread has waiting;
	// 0 is 1/4 of MemoryLimit, at least 64 MiB, and does not bound replies
	TrackSizes   bool // -o track_sizes: stats sizes works
	TrackLatency bool // keeps the histograms that Latency returns, at some 30 ns a command

	Version string // what version answers; empty is DefaultVersion
	Debug   bool   // the debugtime command works

	// Topology is what config get cluster answers; nil makes it an unknown
	// command, as it is to memcached.
	Topology *Topology

	// OnShutdown is called, on a goroutine of its own, for the shutdown
	// command; graceful is set when items are to be kept in MemoryFile.
	OnShutdown func(graceful bool)

	// RefreshCerts is called for the refresh_certs command; nil answers that
	// TLS is off.
	RefreshCerts func() error

	// OnVerbosity is told of the level that the verbosity command set.
	OnVerbosity func(level int)

	// Trace is told every command and reply, quoted as in Go and cut at 1 KiB,
	// with < or > and the number of the connection in front, while Verbosity,
	// or what the verbosity command has made of it, is 2 or more. The data of
	// commands, passwords among it, is left out; values in replies are not. It
	// is called from several goroutines, which wait for it.
	Trace func(line string)

	// OnPanic is told of a panic that cost a connection.
	OnPanic func(v any, stack []byte)

	// Report holds the settings that have no effect here and are only shown
	// by stats settings.
	Report Report
}

// Report is what stats settings shows of settings that memcached needs and
// this server does not, or that belong to whoever made the listeners.
type Report struct {
	TCPPort, UDPPort    int    // 0 is shown as such
	Interface           string // -l; empty is shown as NULL
	UnixSocket          string // -s; empty is shown as NULL
	UnixMask            int    // -a; 0 is 0700
	GrowthFactor        float64
	ChunkSize           int
	HashPower           int
	HashAlgorithm       string
	SlabChunkMax        int
	NoSlabReassign      bool
	SlabAutomove        int // 0 to 2; -1 is off, 0 the default of 1
	SlabAutomoveRatio   float64
	SlabAutomoveWindow  int
	SlabFreeRatio       float64
	NoCrawler           bool
	CrawlerSleep        int
	CrawlerToCrawl      int
	NoMaintainer        bool
	FlatLRU             bool
	HotPct, WarmPct     int
	HotFactor           float64
	WarmFactor          float64
	TempTTL             int // -o temporary_ttl; 0 is 61 and off
	TailRepair          int
	NoMaxConnsFast      bool
	WorkerBuffer        int // bytes
	TLS                 bool
	TLSChain, TLSKey    string
	TLSVerify           int
	TLSKeyFormat        int
	TLSCiphers, TLSCA   string
	TLSWriteBuffer      int
	TLSSessionCache     bool
	TLSKernel           bool
	TLSMinVersion       string
	TotalMalloced       int64 // start of total_malloced, for memcached's own test of large memories
	CertsRefreshed      func() time.Time
	NAPIIDs             int
	ExtraListeningConns int
}

const (
	mib = 1 << 20

	defaultMemory   = 64 * mib
	defaultItem     = mib
	defaultConns    = 1024
	defaultThreads  = 4
	defaultRequests = 20
	defaultBacklog  = 1024
	defaultWatcher  = 256 << 10
	defaultWorker   = 64 << 10
	defaultWrite    = 60 * time.Second
)

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// withDefaults checks o and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	bad := func(format string, args ...any) (Options, error) {
		return Options{}, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...)
	}
	o.MemoryLimit = or(o.MemoryLimit, defaultMemory)
	o.MaxItemSize = or(o.MaxItemSize, defaultItem)
	o.MaxConns = or(o.MaxConns, defaultConns)
	o.Threads = or(o.Threads, defaultThreads)
	o.Requests = or(o.Requests, defaultRequests)
	o.Backlog = or(o.Backlog, defaultBacklog)
	o.WatcherBuffer = or(o.WatcherBuffer, defaultWatcher)
	o.WriteTimeout = or(o.WriteTimeout, defaultWrite)
	o.PrefixDelimiter = or(o.PrefixDelimiter, ':')
	o.Version = or(o.Version, DefaultVersion)
	o.Protocol = or(o.Protocol, Auto)
	switch {
	case o.MemoryLimit < mib:
		return bad("memory limit of %d bytes, want at least %d", o.MemoryLimit, mib)
	case o.MaxItemSize < 1<<10 || o.MaxItemSize > 1<<30:
		return bad("largest item of %d bytes, want 1024 to %d", o.MaxItemSize, 1<<30)
	case o.MaxConns < 0:
		return bad("%d connections, want more than 0", o.MaxConns)
	case o.Threads < 0:
		return bad("%d threads, want more than 0", o.Threads)
	case o.Requests < 0:
		return bad("%d requests a turn, want more than 0", o.Requests)
	case o.WatcherBuffer < 0:
		return bad("watcher buffer of %d bytes, want more than 0", o.WatcherBuffer)
	case o.ReadBufferLimit < 0:
		return bad("read buffer limit of %d bytes, want more than 0", o.ReadBufferLimit)
	case o.IdleTimeout < 0 || o.WriteTimeout < 0:
		return bad("a negative timeout")
	case o.Protocol != Auto && o.Protocol != ASCII && o.Protocol != Binary:
		return bad("protocol %q, want %s, %s or %s", o.Protocol, Auto, ASCII, Binary)
	case o.SASL && o.SASLFile == "":
		return bad("SASL needs a password file")
	case o.SASL && o.AuthFile != "":
		return bad("SASL and an authentication file exclude each other")
	case o.SASL && o.Protocol == ASCII:
		return bad("SASL needs the binary protocol")
	case o.AuthFile != "" && o.Protocol == Binary:
		return bad("an authentication file needs the ascii protocol")
	case o.EnableShutdown && o.OnShutdown == nil:
		return bad("EnableShutdown needs OnShutdown")
	}
	if o.SASL {
		o.Protocol = Binary
	}
	if o.AuthFile != "" {
		o.Protocol = ASCII
	}
	r := &o.Report
	r.UnixMask = or(r.UnixMask, 0o700)
	r.GrowthFactor = or(r.GrowthFactor, 1.25)
	r.ChunkSize = or(r.ChunkSize, 48)
	r.HashAlgorithm = or(r.HashAlgorithm, "murmur3")
	r.SlabChunkMax = or(r.SlabChunkMax, 512<<10)
	r.SlabAutomove = or(r.SlabAutomove, 1)
	r.SlabAutomoveRatio = or(r.SlabAutomoveRatio, 0.8)
	r.SlabAutomoveWindow = or(r.SlabAutomoveWindow, 10)
	r.SlabFreeRatio = or(r.SlabFreeRatio, 0.01)
	r.CrawlerSleep = or(r.CrawlerSleep, 100)
	r.HotPct = or(r.HotPct, 20)
	r.WarmPct = or(r.WarmPct, 40)
	r.HotFactor = or(r.HotFactor, 0.2)
	r.WarmFactor = or(r.WarmFactor, 2.0)
	r.WorkerBuffer = or(r.WorkerBuffer, defaultWorker)
	r.TLSWriteBuffer = or(r.TLSWriteBuffer, 16<<10)
	r.TLSMinVersion = or(r.TLSMinVersion, "tlsv1.2")
	return o, nil
}
