package memcache

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"lintel.dev/internal/memcached/mcproto"
)

// maxCluster bounds the answer to "config get cluster" in bytes.
const maxCluster = 1 << 20

// Discover asks the server at addr for its fleet ("config get cluster", as
// Amazon ElastiCache, Google Memorystore and our own server answer it) and
// returns a client for it, which keeps asking and follows changes.
func Discover(ctx context.Context, addr string, opts *Options) (*Client, error) {
	src, err := ClusterSource(addr, opts)
	if err != nil {
		return nil, err
	}
	return Follow(ctx, src, DefaultFollow, opts)
}

// Source says which servers a fleet has at the moment.
type Source interface {
	// Servers returns them in the syntax of New.
	Servers(ctx context.Context) ([]string, error)
}

// SourceFunc is a Source of one function.
type SourceFunc func(ctx context.Context) ([]string, error)

// Servers calls f.
func (f SourceFunc) Servers(ctx context.Context) ([]string, error) { return f(ctx) }

// DefaultFollow is how often Discover asks for changes.
const DefaultFollow = time.Minute

// Follow returns a client for the servers that src names, and asks it again
// every so often. While src fails or names none, the fleet stays as it is.
func Follow(ctx context.Context, src Source, every time.Duration, opts *Options) (*Client, error) {
	servers, err := src.Servers(ctx)
	if err != nil {
		return nil, err
	}
	c, err := New(opts, servers...)
	if err != nil {
		return nil, err
	}
	if every > 0 {
		c.wg.Go(func() { c.follow(src, every, servers) })
	}
	return c, nil
}

func (c *Client) follow(src Source, every time.Duration, last []string) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout+c.opts.ReadTimeout)
		servers, err := src.Servers(ctx)
		cancel()
		if err != nil || len(servers) == 0 || strings.Join(servers, ",") == strings.Join(last, ",") {
			continue
		}
		if c.SetServers(servers...) == nil {
			last = servers
		}
	}
}

// cluster is the Source behind Discover.
type cluster struct {
	s       *server
	version uint64
	servers []string
}

// ClusterSource asks the server at addr, on a connection of its own, for the
// fleet it belongs to. Of opts it uses what concerns connecting.
func ClusterSource(addr string, opts *Options) (Source, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	spec, err := ParseServer(addr)
	if err != nil {
		return nil, err
	}
	o.Protocol = ProtocolClassic
	return &cluster{s: newServer(spec, o, nil, nil)}, nil
}

func (c *cluster) Servers(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.s.opts.DialTimeout+c.s.opts.ReadTimeout)
	defer cancel()
	nc, br, _, _, err := c.s.open(ctx, askNothing)
	if err != nil {
		return nil, c.s.wrap(fmt.Errorf("%w: %w", ErrServerDown, err))
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	version, servers, err := askCluster(nc, br)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, c.s.wrap(err)
	}
	if version < c.version && c.servers != nil {
		return c.servers, nil
	}
	c.version, c.servers = version, servers
	return servers, nil
}

func askCluster(nc net.Conn, br *bufio.Reader) (uint64, []string, error) {
	if _, err := nc.Write([]byte("config get cluster\r\n")); err != nil {
		return 0, nil, err
	}
	w := wire{br: br, maxValue: maxCluster, progress: func() {}}
	line, err := w.line()
	if err != nil {
		return 0, nil, err
	}
	size := -1
	if rest, ok := bytes.CutPrefix(line, []byte("CONFIG cluster ")); ok {
		if _, n, ok := bytes.Cut(rest, []byte(" ")); ok {
			if n, ok := mcproto.Uint(n); ok && n <= maxCluster {
				size = int(n)
			}
		}
	}
	if size < 0 {
		return 0, nil, fmt.Errorf("%w: to config get cluster: %.80q", ErrServer, line)
	}
	body, err := w.body(nil, size)
	if err != nil {
		return 0, nil, err
	}
	return parseCluster(body)
}

// parseCluster reads "version\nhost|ip|port host|ip|port ...\n".
func parseCluster(body []byte) (version uint64, servers []string, err error) {
	head, list, ok := strings.Cut(string(body), "\n")
	version, isNumber := mcproto.Uint([]byte(strings.TrimSpace(head)))
	if !ok || !isNumber {
		return 0, nil, fmt.Errorf("%w: cluster version %.20q", ErrProtocol, head)
	}
	for _, node := range strings.Fields(list) {
		part := strings.Split(node, "|")
		if len(part) != 3 {
			return 0, nil, fmt.Errorf("%w: cluster member %.80q, expected host|ip|port", ErrProtocol, node)
		}
		host, port := part[0], part[2]
		if host == "" {
			host = part[1]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return 0, nil, fmt.Errorf("%w: cluster member %.80q, expected host|ip|port", ErrProtocol, node)
		}
		servers = append(servers, net.JoinHostPort(host, port))
	}
	if len(servers) == 0 {
		return 0, nil, ErrNoServers
	}
	return version, servers, nil
}

// resolveLoop looks host names up again and drains connections to addresses
// that are gone.
func (c *Client) resolveLoop() {
	t := time.NewTicker(c.opts.ResolveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return
		}
		for _, s := range c.fleet.Load().servers {
			s.reresolve(c.ctx)
		}
	}
}

func (s *server) reresolve(ctx context.Context) {
	if s.Path != "" || net.ParseIP(s.Host) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	ips, err := s.opts.Resolver.LookupHost(ctx, s.Host)
	if err != nil || len(ips) == 0 {
		return
	}
	current := make(map[string]bool)
	for _, ip := range ips {
		current[ip] = true
	}
	for i := range s.slots {
		if c := s.slots[i].Load(); c != nil && !current[c.ip] && s.slots[i].CompareAndSwap(c, nil) {
			c.drain()
		}
	}
}
