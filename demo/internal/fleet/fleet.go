// Package fleet runs cache servers inside a demonstration, on real sockets.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"lintel.dev/memcached"
)

// Fleet is some servers of one process, each with its own memory and items,
// on ports of 127.0.0.1 that were free. Each answers "config get cluster" with
// all of them.
type Fleet struct {
	cluster *memcached.Cluster
	addrs   []string
	served  chan error // what Serve returned
}

// stopIn bounds how long the servers get to close their connections.
const stopIn = 5 * time.Second

// Start starts n servers with so many bytes of memory each.
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
	ctx, cancel := context.WithTimeout(context.Background(), stopIn)
	defer cancel()
	err := f.cluster.Shutdown(ctx)
	if served := <-f.served; !errors.Is(served, memcached.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
