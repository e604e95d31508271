package memcache

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// FileSource reads the fleet from a file: one server a line, in the syntax of
// New; empty lines and what follows a # are left out.
func FileSource(path string) Source {
	return SourceFunc(func(context.Context) ([]string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("memcache: list of servers: %w", err)
		}
		var servers []string
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if _, err := ParseServer(line); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			servers = append(servers, line)
		}
		if len(servers) == 0 {
			return nil, fmt.Errorf("%w: %s lists none", ErrNoServers, path)
		}
		return servers, nil
	})
}

// DNSSource takes every address of host for a server on port, as those of a
// headless service in Kubernetes are. A nil r is net.DefaultResolver.
func DNSSource(host string, port int, r Resolver) Source {
	if r == nil {
		r = net.DefaultResolver
	}
	return SourceFunc(func(ctx context.Context) ([]string, error) {
		ips, err := r.LookupHost(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("memcache: servers of %s: %w", host, err)
		}
		var servers []string
		for _, ip := range ips {
			servers = append(servers, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
		return unique(servers), nil
	})
}

// SRVResolver looks up SRV records. *net.Resolver is one.
type SRVResolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// SRVSource takes the targets of the SRV records _service._tcp.name for
// servers, with the ports and weights they have there. The names of the targets
// are what placements hash: they outlive addresses. A nil r is
// net.DefaultResolver.
func SRVSource(service, name string, r SRVResolver) Source {
	if r == nil {
		r = net.DefaultResolver
	}
	return SourceFunc(func(ctx context.Context) ([]string, error) {
		_, records, err := r.LookupSRV(ctx, service, "tcp", name)
		if err != nil {
			return nil, fmt.Errorf("memcache: servers of %s: %w", name, err)
		}
		var servers []string
		for _, rec := range records {
			s := Server{Host: strings.TrimSuffix(rec.Target, "."), Port: int(rec.Port), Weight: min(max(int(rec.Weight), 1), maxWeight)}
			servers = append(servers, s.String())
		}
		return unique(servers), nil
	})
}

// unique sorts, so that the order in which a resolver answers means nothing.
func unique(servers []string) []string {
	slices.Sort(servers)
	return slices.Compact(servers)
}
