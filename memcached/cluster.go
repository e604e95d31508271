package memcached

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"sync"
)

// Cluster is several independent servers in one process. Each has its own memory,
// items, connections and statistics. Each of them lists all of them in config get
// cluster.
type Cluster struct {
	servers  []*Server
	topology *Topology
}

// NewCluster makes n servers, 1 to 1024, with the same options. config get cluster
// lists them unless opts.Topology is set. With opts.MemoryFile each has a file of its
// own, whose name ends in a dot and the number of the server. The setting tcpport of
// server i is increased by i.
func NewCluster(opts Options, n int) (*Cluster, error) {
	if n < 1 || n > 1024 {
		return nil, fmt.Errorf("%w: %d servers, expected 1 to 1024", ErrOptions, n)
	}
	c := &Cluster{}
	if opts.Topology == nil {
		c.topology = &Topology{}
		opts.Topology = c.topology
	}
	file, settings := opts.MemoryFile, opts.Settings
	port, _ := strconv.Atoi(settings["tcpport"])
	for i := range n {
		if file != "" && n > 1 {
			opts.MemoryFile = file + "." + strconv.Itoa(i)
		}
		if port > 0 && i > 0 {
			opts.Settings = maps.Clone(settings)
			opts.Settings["tcpport"] = strconv.Itoa(port + i)
		}
		s, err := New(opts)
		if err != nil {
			_ = c.Shutdown(context.Background())
			return nil, err
		}
		c.servers = append(c.servers, s)
	}
	return c, nil
}

// Servers returns the servers, in the order of their listeners.
func (c *Cluster) Servers() []*Server { return c.servers }

// Serve serves until Shutdown and then returns ErrServerClosed. There must be one
// listener for each server, in the order of Servers. Serve owns them. If one fails,
// Serve shuts the cluster down and returns its error.
func (c *Cluster) Serve(listeners []net.Listener) error {
	if len(listeners) != len(c.servers) {
		for _, l := range listeners {
			l.Close()
		}
		return fmt.Errorf("%w: %d listeners for %d servers", ErrOptions, len(listeners), len(c.servers))
	}
	c.Announce(listeners)
	errs := make(chan error, len(listeners))
	for i, l := range listeners {
		go func() { errs <- c.servers[i].Serve(l) }()
	}
	var first error
	for range listeners {
		err := <-errs
		if first == nil {
			first = err
			if !errors.Is(err, ErrServerClosed) {
				_ = c.Shutdown(context.Background())
			}
		}
	}
	return first
}

// Announce sets the addresses that config get cluster lists to those of listeners,
// unless Options.Topology was set. Serve calls it.
func (c *Cluster) Announce(listeners []net.Listener) {
	if c.topology == nil {
		return
	}
	var nodes []Node
	for _, l := range listeners {
		a, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		n := Node{Port: a.Port}
		if !a.IP.IsUnspecified() {
			n.Host, n.IP = a.IP.String(), a.IP.String()
		}
		nodes = append(nodes, n)
	}
	c.topology.Set(nodes)
}

// Shutdown shuts all servers down, see [Server.Shutdown].
func (c *Cluster) Shutdown(ctx context.Context) error {
	errs := make([]error, len(c.servers))
	var wg sync.WaitGroup
	for i, s := range c.servers {
		wg.Go(func() { errs[i] = s.Shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
