package servercli

import (
	"log/slog"
	"net"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/nearcache/server"
	"lintel.dev/zmq"
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
func (s *serverSettings) openFeed(i int, log *slog.Logger) (*server.Publisher, error) {
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
	feed, err := server.New(&server.Config{Endpoints: endpoints, Options: []zmq.Option{zmq.WithLogger(log)}})
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

// announceFeeds logs the endpoints of all instances.
func announceFeeds(log *slog.Logger, instances []*instance) {
	var all logging.List
	for _, in := range instances {
		if in.feed != nil {
			all = append(all, in.feed.Endpoints()...)
		}
	}
	if len(all) > 0 {
		log.Info("invalidations on", "endpoints", all)
	}
}
