// Package fleet runs cache servers inside a demonstration, on real sockets.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcached"
	"lintel.dev/nearcache/server"
)

// Fleet is a set of servers in one process, each with its own memory and items,
// on free ports of 127.0.0.1. Each answers "config get cluster" with all of
// them.
type Fleet struct {
	addrs    []string
	served   chan error // what each call of Serve returned
	serving  int        // calls of Serve
	shutdown []func(context.Context) error
}

// patience is the client's timeout. The client, the servers and the work share
// one machine; if it is busy, any of them may not run for longer than the
// default timeout of one second.
const patience = 15 * time.Second

// ClientOptions returns options for a client on the same machine as its
// servers.
func ClientOptions() *memcache.Options {
	return &memcache.Options{DialTimeout: patience, QueueTimeout: patience, WriteTimeout: patience, ReadTimeout: patience}
}

// Start starts n servers with the given bytes of memory each.
func Start(n int, memory int64) (*Fleet, error) {
	cluster, err := memcached.NewCluster(memcached.Options{MemoryLimit: memory, Threads: 1}, n)
	if err != nil {
		return nil, err
	}
	f := &Fleet{served: make(chan error, 1), serving: 1}
	f.shutdown = append(f.shutdown, cluster.Shutdown)
	listeners, err := f.listen(n)
	if err != nil {
		return nil, errors.Join(err, cluster.Shutdown(context.Background()))
	}
	go func() { f.served <- cluster.Serve(listeners) }()
	return f, nil
}

// StartNear starts n servers with the given bytes of memory each, which publish
// invalidations for near caches. They do not name each other.
func StartNear(n int, memory int64) (_ *Fleet, err error) {
	f := &Fleet{served: make(chan error, n)}
	listeners, err := f.listen(n)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, l := range listeners[f.serving:] {
				l.Close()
			}
			err = errors.Join(err, f.Stop())
		}
	}()
	for _, l := range listeners {
		feed, err := server.New(&server.Config{Endpoints: []string{"tcp://127.0.0.1:0"}})
		if err != nil {
			return nil, err
		}
		s, err := memcached.New(memcached.Options{MemoryLimit: memory, Threads: 1, Feed: feed})
		if err != nil {
			return nil, errors.Join(err, feed.Close())
		}
		f.shutdown = append(f.shutdown, func(ctx context.Context) error { return errors.Join(s.Shutdown(ctx), feed.Close()) })
		f.serving++
		go func() { f.served <- s.Serve(l) }()
	}
	return f, nil
}

// listen opens n listeners.
func (f *Fleet) listen(n int) (listeners []net.Listener, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("a port for a cache server: %w", err)
		}
		listeners = append(listeners, l)
		f.addrs = append(f.addrs, l.Addr().String())
	}
	return listeners, nil
}

// Addrs returns the addresses of the servers, host:port.
func (f *Fleet) Addrs() []string { return f.addrs }

// Stop stops the servers and waits for them.
func (f *Fleet) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	for _, shutdown := range f.shutdown {
		err = errors.Join(err, shutdown(ctx))
	}
	for range f.serving {
		if served := <-f.served; !errors.Is(served, memcached.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	return err
}
