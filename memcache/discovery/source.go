package discovery

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache/placement"
)

// Source names the servers of a fleet.
type Source interface {
	// Servers returns the servers in the syntax of [placement.ParseServer]. It is
	// not called concurrently.
	Servers(ctx context.Context) ([]string, error)
}

// Func is a function used as a Source.
type Func func(ctx context.Context) ([]string, error)

// Servers calls f.
func (f Func) Servers(ctx context.Context) ([]string, error) { return f(ctx) }

// File reads the servers from a file with one server a line. Empty lines and text
// after # are ignored. A file without servers is an error: memcache.ErrNoServers.
func File(path string) Source {
	return Func(func(context.Context) ([]string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		var servers []string
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if _, err := placement.ParseServer(line); err != nil {
				return nil, fmt.Errorf("discovery: %s: %w", path, err)
			}
			servers = append(servers, line)
		}
		if len(servers) == 0 {
			return nil, fmt.Errorf("discovery: %s: %w", path, pipeline.ErrNoServers)
		}
		return servers, nil
	})
}

// Resolver looks up host names. *net.Resolver implements it.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addrs []string, err error)
}

// DNS returns one server on port for each address of host, such as the name of a
// headless service in Kubernetes. A nil r is net.DefaultResolver.
func DNS(host string, port int, r Resolver) Source {
	if r == nil {
		r = net.DefaultResolver
	}
	return Func(func(ctx context.Context) ([]string, error) {
		ips, err := r.LookupHost(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("discovery: servers of %s: %w", host, err)
		}
		var servers []string
		for _, ip := range ips {
			servers = append(servers, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
		return unique(servers), nil
	})
}

// SRVResolver looks up SRV records. *net.Resolver implements it.
type SRVResolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// SRV returns the targets, ports and weights of the SRV records _service._tcp.name.
// Placements hash the target names, so that a server keeps its keys when its address
// changes. Weights are limited to 1 to placement.MaxWeight. A nil r is
// net.DefaultResolver.
func SRV(service, name string, r SRVResolver) Source {
	if r == nil {
		r = net.DefaultResolver
	}
	return Func(func(ctx context.Context) ([]string, error) {
		_, records, err := r.LookupSRV(ctx, service, "tcp", name)
		if err != nil {
			return nil, fmt.Errorf("discovery: servers of %s: %w", name, err)
		}
		var servers []string
		for _, rec := range records {
			s := placement.Server{Host: strings.TrimSuffix(rec.Target, "."), Port: int(rec.Port), Weight: min(max(int(rec.Weight), 1), placement.MaxWeight)}
			servers = append(servers, s.String())
		}
		return unique(servers), nil
	})
}

// unique sorts servers and removes duplicates: the order of a resolver's answer has
// no meaning.
func unique(servers []string) []string {
	slices.Sort(servers)
	return slices.Compact(servers)
}
