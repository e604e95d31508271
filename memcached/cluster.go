package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Node is one server of a fleet, as config get cluster names it.
type Node struct {
	Host string // what clients connect to and place keys by; empty is the address the client reached us under
	IP   string // may be empty
	Port int
}

// Topology is the list of a fleet's servers that config get cluster answers.
// It is safe for concurrent use; the zero value has no nodes and version 0.
type Topology struct {
	mu      sync.Mutex // guards all
	version uint64
	nodes   []Node
}

// Set replaces the nodes. The version, by which clients tell a new list, goes
// up if they changed.
func (t *Topology) Set(nodes []Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := len(nodes) == len(t.nodes)
	for i := 0; same && i < len(nodes); i++ {
		same = nodes[i] == t.nodes[i]
	}
	if !same {
		t.nodes = append([]Node(nil), nodes...)
		t.version++
	}
}

// Nodes returns the nodes and the version of the list.
func (t *Topology) Nodes() (nodes []Node, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Node(nil), t.nodes...), t.version
}

// append appends the reply of config get cluster, in the form of ElastiCache's
// auto discovery. local is where the client that asks has connected to.
func (t *Topology) append(b []byte, local net.Addr) []byte {
	nodes, version := t.Nodes()
	body := strconv.AppendUint(nil, version, 10)
	body = append(body, '\n')
	for i, n := range nodes {
		if i > 0 {
			body = append(body, ' ')
		}
		if n.Host == "" {
			n.Host = "127.0.0.1"
			if a, ok := local.(*net.TCPAddr); ok {
				n.Host = a.IP.String()
			}
		}
		body = append(body, n.Host+"|"+n.IP+"|"+strconv.Itoa(n.Port)...)
	}
	body = append(body, '\n')
	b = fmt.Appendf(b, "CONFIG cluster 0 %d\r\n", len(body))
	return append(append(b, body...), "\r\nEND\r\n"...)
}

// ParseNodes reads a list of servers: host:port, or host|ip|port as config get
// cluster has it, with spaces, commas or line ends between. A line that begins
// with # is skipped.
func ParseNodes(list string) ([]Node, error) {
	var nodes []Node
	for line := range strings.Lines(list) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r <= ' ' }) {
			n, err := parseNode(word)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 0 {
		return nil, errors.New("memcached: no servers in the list, want host:port")
	}
	return nodes, nil
}

func parseNode(word string) (n Node, err error) {
	var port string
	if parts := strings.Split(word, "|"); len(parts) == 3 {
		n.Host, n.IP, port = parts[0], parts[1], parts[2]
	} else if n.Host, port, err = net.SplitHostPort(word); err != nil {
		return Node{}, fmt.Errorf("memcached: server %q: want host:port or host|ip|port", word)
	}
	if n.Port, err = strconv.Atoi(port); err != nil || n.Port < 1 || n.Port > 65535 || n.Host == "" {
		return Node{}, fmt.Errorf("memcached: server %q: want host:port or host|ip|port", word)
	}
	return n, nil
}

// Cluster is several independent servers of one process: each has its own
// memory, items, connections and statistics, and any of them names them all
// when asked config get cluster.
type Cluster struct {
	servers  []*Server
	topology *Topology
}

// NewCluster makes n servers with the same options. Unless opts.Topology is
// set they name themselves; with opts.MemoryFile each has a file of its own,
// the name with its number behind.
func NewCluster(opts Options, n int) (*Cluster, error) {
	if n < 1 || n > 1024 {
		return nil, fmt.Errorf("%w: %d instances, want 1 to 1024", ErrOptions, n)
	}
	c := &Cluster{}
	if opts.Topology == nil {
		c.topology = &Topology{}
		opts.Topology = c.topology
	}
	file, port := opts.MemoryFile, opts.Report.TCPPort
	for i := range n {
		if file != "" && n > 1 {
			opts.MemoryFile = file + "." + strconv.Itoa(i)
		}
		if port != 0 {
			opts.Report.TCPPort = port + i
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

// Serve gives each server its listener, as many as there are servers, and
// serves until Shutdown; it then returns ErrServerClosed. It owns the
// listeners. If one of them fails, the whole cluster is shut down.
func (c *Cluster) Serve(listeners []net.Listener) error {
	if len(listeners) != len(c.servers) {
		for _, l := range listeners {
			l.Close()
		}
		return fmt.Errorf("%w: %d listeners for %d instances", ErrOptions, len(listeners), len(c.servers))
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

// Announce makes the servers name the addresses of listeners to whoever asks
// config get cluster, unless Options.Topology says otherwise. Serve does it by
// itself.
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

// Shutdown shuts all servers down.
func (c *Cluster) Shutdown(ctx context.Context) error {
	errs := make([]error, len(c.servers))
	var wg sync.WaitGroup
	for i, s := range c.servers {
		wg.Go(func() { errs[i] = s.Shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
