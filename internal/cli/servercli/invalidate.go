package servercli

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
	"lintel.dev/nearcache/server"
)

// addFeed adds an endpoint of --invalidate.
func (s *serverSettings) addFeed(v string) error {
	if !strings.Contains(v, "://") {
		return cli.Usagef("--invalidate %s: expected an endpoint such as tcp://*:11311", v)
	}
	s.feed = append(s.feed, v)
	return nil
}

// openFeed opens the feed of instance number i, if --invalidate was given. Each
// instance has ports of its own, counted from those of the flag.
func (s *serverSettings) openFeed(i int) (*server.Publisher, error) {
	if len(s.feed) == 0 {
		return nil, nil
	}
	var endpoints []string
	for _, endpoint := range s.feed {
		own, err := shiftedEndpoint(endpoint, i)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, own)
	}
	feed, err := server.New(&server.Config{Endpoints: endpoints})
	if err != nil {
		return nil, cli.Usagef("--invalidate: %w", err)
	}
	return feed, nil
}

// shiftedEndpoint returns an endpoint with a port that is n higher. Any free port
// (* or 0) stays.
func shiftedEndpoint(endpoint string, n int) (string, error) {
	if n == 0 {
		return endpoint, nil
	}
	scheme, addr, _ := strings.Cut(endpoint, "://")
	host, port, err := net.SplitHostPort(addr)
	if err != nil || scheme != "tcp" {
		return "", cli.Usagef("--invalidate %s: --instances needs tcp://host:port", endpoint)
	}
	if port == "*" || port == "0" {
		return endpoint, nil
	}
	first, err := strconv.Atoi(port)
	if err != nil || first+n > 65535 {
		return "", cli.Usagef("--invalidate %s: instance %d has no port", endpoint, n)
	}
	return "tcp://" + net.JoinHostPort(host, strconv.Itoa(first+n)), nil
}

// announceFeeds prints the endpoints of all instances.
func announceFeeds(w io.Writer, instances []*instance) {
	var all []string
	for _, in := range instances {
		if in.feed != nil {
			all = append(all, in.feed.Endpoints()...)
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(w, "lintel: invalidations on %s\n", strings.Join(all, ", "))
	}
}
