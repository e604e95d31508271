// Package embedded runs a NATS server with JetStream inside the process: the
// bridge's engine for one machine, without anything to install.
//
// By default the server has no network: the engine of [Server.Open] is connected
// in process. It keeps its streams below Config.Dir and syncs every message to
// disk before its receipt (sync always). That costs an fsync for each message:
// hundreds of messages a second on a common disk instead of tens of thousands.
// Config.SyncEvery trades it for the guarantee engine.ProcessCrash.
//
// One process uses a directory at a time. Start takes a lock on it that the
// operating system releases when the process ends, also by kill -9.
//
// The server shares the heap and the processors of the process. It installs no
// signal handlers and writes nothing to stdout or stderr.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/jetstream"
)

// The defaults of Config.
const (
	DefaultMaxStore  = 8 << 30
	DefaultMaxMemory = 64 << 20
)

// lockFile is the name of the lock in the directory.
const lockFile = "lintel-bridge.lock"

// startTimeout bounds the wait for the server to read its streams from disk.
const startTimeout = 10 * time.Minute

// Config configures a Server. A zero field means its default.
type Config struct {
	// Dir is where the streams are kept. It is created if it does not exist.
	Dir string
	// SyncEvery is the time between syncs to disk. 0, the default, syncs every
	// message before its receipt.
	SyncEvery time.Duration
	// MaxStore bounds the octets of all streams on disk. Default DefaultMaxStore.
	MaxStore int64
	// MaxMemory bounds the octets of all streams in memory. Default DefaultMaxMemory.
	MaxMemory int64
	// MaxPayload bounds a message with its headers. Default 1 MiB, at most 64 MiB.
	MaxPayload int
	// Listen is an address host:port for other NATS clients. Port 0 is any free
	// port. Empty, the default, is no network. There is no authentication.
	Listen string
	// Cluster, if not nil, makes the server one of several. It needs Listen.
	Cluster *Cluster
	// Logger receives the server's log. Nil discards it.
	Logger *slog.Logger
}

// Cluster is the place of a Server in a cluster.
type Cluster struct {
	Name   string   // of the cluster
	Server string   // the name of this server, unique in the cluster
	Listen string   // host:port for the other servers
	Peers  []string // host:port of the servers, this one included or not
}

// Server is a running server.
type Server struct {
	srv  *server.Server
	sync bool
	lock *flock.Flock
}

// Start starts a server. It returns when the server accepts connections: after
// it has read the streams of its directory.
func Start(cfg Config) (*Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: directory: %w", err)
	}
	lock := flock.New(filepath.Join(cfg.Dir, lockFile))
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("embedded: lock of %s: %w", cfg.Dir, err)
	case !locked:
		return nil, fmt.Errorf("embedded: directory %s is in use by another process", cfg.Dir)
	}
	s := &Server{lock: lock, sync: opts.SyncAlways}
	if s.srv, err = server.NewServer(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: server: %w", err), lock.Unlock())
	}
	s.srv.SetLoggerV2(logger{cfg.Logger}, false, false, false)
	s.srv.Start()
	if !s.srv.ReadyForConnections(startTimeout) || !s.srv.JetStreamEnabled() {
		return nil, errors.Join(fmt.Errorf("embedded: server in %s did not start, see its log", cfg.Dir), s.Close())
	}
	return s, nil
}

// options translates cfg.
func options(cfg Config) (*server.Options, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded: no directory")
	}
	opts := &server.Options{
		ServerName:         "lintel-bridge",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           cfg.Dir,
		JetStreamMaxStore:  cfg.MaxStore,
		JetStreamMaxMemory: cfg.MaxMemory,
		SyncAlways:         cfg.SyncEvery <= 0,
		SyncInterval:       max(cfg.SyncEvery, 0),
	}
	if opts.JetStreamMaxStore <= 0 {
		opts.JetStreamMaxStore = DefaultMaxStore
	}
	if opts.JetStreamMaxMemory <= 0 {
		opts.JetStreamMaxMemory = DefaultMaxMemory
	}
	if cfg.MaxPayload < 0 || cfg.MaxPayload > 64<<20 {
		return nil, fmt.Errorf("embedded: MaxPayload %d, want 1 to %d", cfg.MaxPayload, 64<<20)
	}
	opts.MaxPayload = int32(cfg.MaxPayload) // 0 is the server's default, 1 MiB
	var err error
	if cfg.Listen != "" {
		opts.DontListen = false
		if opts.Host, opts.Port, err = address(cfg.Listen); err != nil {
			return nil, err
		}
	}
	if c := cfg.Cluster; c != nil {
		if cfg.Listen == "" {
			return nil, errors.New("embedded: a server of a cluster needs Listen")
		}
		opts.ServerName, opts.Cluster.Name = c.Server, c.Name
		if opts.Cluster.Host, opts.Cluster.Port, err = address(c.Listen); err != nil {
			return nil, err
		}
		for _, p := range c.Peers {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: p})
		}
	}
	return opts, nil
}

// address splits host:port. Port 0 becomes the server's word for any port.
func address(text string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(text)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err == nil && (port < 0 || port > 65535) {
		err = errors.New("port out of range")
	}
	if err != nil {
		return "", 0, fmt.Errorf("embedded: address %q, want host:port: %w", text, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// Open returns an engine that is connected to s in process. cfg.URL and
// cfg.SyncAlways are set by Open.
func (s *Server) Open(ctx context.Context, cfg jetstream.Config) (*jetstream.Engine, error) {
	cfg.URL, cfg.SyncAlways = "", s.sync
	cfg.NATS = append(cfg.NATS[:len(cfg.NATS):len(cfg.NATS)], nats.InProcessServer(s.srv))
	return jetstream.Open(ctx, cfg)
}

// URL returns the address for NATS clients, or "" without Config.Listen.
func (s *Server) URL() string {
	if s.srv.Addr() == nil {
		return ""
	}
	return s.srv.ClientURL()
}

// Close stops the server and releases the directory. Close the engines first.
func (s *Server) Close() error {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	if err := s.lock.Unlock(); err != nil {
		return fmt.Errorf("embedded: unlock: %w", err)
	}
	return nil
}
