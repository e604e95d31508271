package servercli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
)

// clusterPoll is how often the file of --cluster is checked for changes.
const clusterPoll = time.Second

// topology returns the answer to config get cluster. It is nil without --instances
// and --cluster: the command is then unknown, as in memcached.
func (s *serverSettings) topology(all []*instance) (*memcached.Topology, error) {
	t := new(memcached.Topology)
	switch {
	case s.cluster != "":
		nodes, err := readCluster(s.cluster)
		if err != nil {
			return nil, cli.Usagef("--cluster: %v", err)
		}
		t.Set(nodes)
		return t, nil
	case len(all) < 2:
		return nil, nil
	}
	var nodes []memcached.Node
	for _, in := range all {
		if len(in.tcp) == 0 {
			return nil, cli.Usagef("--instances needs TCP ports")
		}
		a := in.tcp[0].Addr().(*net.TCPAddr)
		n := memcached.Node{Port: a.Port} // no host: the address that the client has connected to
		if !a.IP.IsUnspecified() {
			n.Host, n.IP = a.IP.String(), a.IP.String()
		}
		nodes = append(nodes, n)
	}
	t.Set(nodes)
	return t, nil
}

// readCluster parses the value of --cluster: the contents of a file, if there is
// one of that name, or a list.
func readCluster(value string) ([]memcached.Node, error) {
	text, err := os.ReadFile(value)
	switch {
	case err == nil:
		nodes, err := memcached.ParseNodes(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", value, err)
		}
		return nodes, nil
	case strings.Contains(value, ":") && errors.Is(err, os.ErrNotExist):
		return memcached.ParseNodes(value)
	}
	return nil, err
}

// watchCluster reads the file of --cluster again when it changes, until ctx is
// done. An error leaves the list unchanged.
func (s *serverSettings) watchCluster(ctx context.Context, t *memcached.Topology, complain func(error)) {
	last, err := os.Stat(s.cluster)
	if err != nil {
		return // it is a list
	}
	tick := time.NewTicker(clusterPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := os.Stat(s.cluster)
		if err != nil || now.ModTime().Equal(last.ModTime()) && now.Size() == last.Size() && os.SameFile(now, last) {
			continue
		}
		last = now
		nodes, err := readCluster(s.cluster)
		if err != nil {
			complain(err)
			continue
		}
		t.Set(nodes)
	}
}
