package main

import (
	"context"
	"net"
	"slices"
	"strconv"

	"lintel.dev/bench/harness"
)

// smallKeys is the number of items of the small server that a large one is
// compared with.
const smallKeys = 100_000

// large is a server that is compared with a small one of the same program.
type large struct {
	name   string
	memory int // MiB
	keys   int
	idle   int // connections without requests
}

// scaleRows returns what -scale asks for.
func (s *settings) scaleRows() []*measure {
	return []*measure{
		s.scaleOf(large{"19,500 connections", s.memory, smallKeys, 19_300}),
		s.scaleOf(large{"-m 512g", 512 << 10, smallKeys, 0}),
		s.scaleOf(large{strconv.Itoa(s.scale) + " M items", max(s.memory, s.scale*160), s.scale * 1_000_000, 0}),
	}
}

// scaleOf measures the cpu time of an operation of a large server divided by that
// of a small one. Both hold items of 32 bytes and serve 200 connections.
func (s *settings) scaleOf(big large) *measure {
	loads := []struct {
		name string
		args []string
	}{
		{"get", nil},
		{"set", []string{"--ratio", "0:1"}},
		{"get at 16", []string{"--pipeline", "16"}},
		{"set at 16", []string{"--ratio", "0:1", "--pipeline", "16"}},
	}
	m := &measure{once: true, alone: true}
	for _, l := range loads {
		m.rows = append(m.rows, harness.Row{Name: "cpu of " + l.name + ", " + big.name + " over few", Limit: 1.5, Less: true})
	}
	m.take = func(ctx context.Context, s *settings, v *server) ([]float64, error) {
		sizes := []large{{"", s.memory, smallKeys, 0}, big}
		var servers []*server
		for _, size := range sizes {
			one, err := s.filled(ctx, v.name, size)
			if one != nil {
				defer one.stop()
			}
			if err != nil {
				return nil, err
			}
			servers = append(servers, one)
		}
		idle, err := idleConns(servers[1].addr, big.idle)
		defer func() {
			for _, c := range idle {
				c.Close()
			}
		}()
		if err != nil {
			return nil, err
		}
		figures := make([]float64, len(loads))
		for i, l := range loads {
			var ratios []float64
			var cpu [2]float64
			for range s.table.Rounds {
				for j, one := range servers {
					r, err := s.load(ctx, one, append(l.args, "--preload=false", "--conns", "200", "--value-size", "32",
						"--keys", strconv.Itoa(sizes[j].keys), "--duration", s.duration.String())...)
					if err != nil {
						return nil, err
					}
					cpu[j] = r.CPUPerKey
				}
				ratios = append(ratios, cpu[1]/cpu[0])
			}
			slices.Sort(ratios)
			figures[i] = ratios[len(ratios)/2]
		}
		resident, err := servers[1].resident()
		s.table.Note("%s: %s, %.0f MiB resident", v.name, big.name, resident/(1<<20))
		return figures, err
	}
	return m
}

// filled starts the server with this name and stores the items of its size.
func (s *settings) filled(ctx context.Context, name string, size large) (*server, error) {
	all := s.servers(s.threads, size.memory)
	v := all[slices.IndexFunc(all, func(v *server) bool { return v.name == name })]
	if err := v.start(s.serverCPU); err != nil {
		return nil, err
	}
	_, err := s.load(ctx, v, "--ratio", "0:1", "--keys", strconv.Itoa(size.keys), "--value-size", "32",
		"--conns", "4", "--pipeline", "32", "--requests", "1")
	return v, err
}

// idleConns opens connections from an address of their own, so that the load
// generator does not run out of ports.
func idleConns(addr string, n int) (conns []*net.TCPConn, err error) {
	if n == 0 {
		return nil, nil
	}
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	for range n {
		c, err := net.DialTCP("tcp", from, to)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		_ = c.SetLinger(0) // no TIME-WAIT
	}
	return conns, nil
}
