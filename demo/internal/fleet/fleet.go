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
)

// Fleet is a set of servers in one process, each with its own memory and items,
// on free ports of 127.0.0.1. Each answers "config get cluster" with all of
// them.
type Fleet struct {
	cluster *memcached.Cluster
	addrs   []string
	served  chan error // what Serve returned
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
	f := &Fleet{cluster: cluster, served: make(chan error, 1)}
	var listeners []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, errors.Join(fmt.Errorf("a port for a cache server: %w", err), cluster.Shutdown(context.Background()))
		}
		listeners = append(listeners, l)
		f.addrs = append(f.addrs, l.Addr().String())
	}
	go func() { f.served <- cluster.Serve(listeners) }()
	return f, nil
}

// Addrs returns the addresses of the servers, host:port.
func (f *Fleet) Addrs() []string { return f.addrs }

// Stop stops the servers and waits for them.
func (f *Fleet) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := f.cluster.Shutdown(ctx)
	if served := <-f.served; !errors.Is(served, memcached.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
