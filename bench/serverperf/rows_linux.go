package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lintel.dev/bench/harness"
)

// measure is what one or more rows are taken from.
type measure struct {
	rows    []harness.Row
	prepare func(ctx context.Context, s *settings, servers []*server) error
	take    func(ctx context.Context, s *settings, v *server) ([]float64, error)
	once    bool // nothing in it is a time: one round is enough
	alone   bool // starts servers of its own
	tls     bool // the servers use TLS
	memory  int  // megabytes of the servers; 0: -memory
}

// less is a row whose figures are to be low, with a bound of the ratio.
func less(name, unit string, target float64) harness.Row {
	return harness.Row{Name: name, Unit: unit, Target: target, Less: true}
}

// cpuOf measures the server's cpu time for each key, and its rate, under a load.
func cpuOf(name string, target float64, load ...string) *measure {
	return &measure{
		rows: []harness.Row{less("cpu per "+name, "us", target), {Name: "  requests a second", Target: 1}},
		take: func(ctx context.Context, s *settings, v *server) ([]float64, error) {
			r, err := s.load(ctx, v, append(load, "--duration", s.duration.String())...)
			if err != nil {
				return nil, err
			}
			return []float64{r.CPUPerKey, r.Rate}, nil
		},
	}
}

// itemsPerByte counts the items that a full server holds in a megabyte of its
// resident memory.
func itemsPerByte(valueSize int, target float64) *measure {
	return &measure{
		rows: []harness.Row{{Name: "items per resident MB, " + strconv.Itoa(valueSize) + " B values", Target: target}},
		once: true,
		take: func(ctx context.Context, s *settings, v *server) ([]float64, error) {
			n := s.memory << 20 / (valueSize + 20) * 3 / 2 // more than fit
			_, err := s.load(ctx, v, "--ratio", "0:1", "--preload", "--keys", strconv.Itoa(n), "--value-size", strconv.Itoa(valueSize),
				"--pipeline", "32", "--conns", "4", "--requests", "1")
			if err != nil {
				return nil, err
			}
			items, err := v.stat("curr_items")
			if err != nil {
				return nil, err
			}
			rss, err := v.resident()
			return []float64{items / rss * 1e6}, err
		},
	}
}

// missMemory is the megabytes of the servers whose misses are counted. It is
// enough for the ratio to be that of larger servers, and is filled sooner.
func (s *settings) missMemory() int { return max(8, s.memory/16) }

// zipfMisses counts the misses of Zipf-distributed requests for ten times the
// keys that memcached holds. load adds other requests to the second half of
// the run.
func (s *settings) zipfMisses(name string, target float64, load ...string) *measure {
	m := &measure{rows: []harness.Row{less("miss ratio, "+name, "", target)}, once: true, memory: s.missMemory()}
	if len(load) > 0 {
		m.rows = append(m.rows, less("  of keys requested more than once", "", 0))
	}
	m.take = func(ctx context.Context, s *settings, v *server) ([]float64, error) {
		many := m.memory << 20 / 190 * 10
		load := append(load, "--dist", "zipf:0.99", "--keys", strconv.Itoa(many), "--requests", strconv.Itoa(2*many), "--fill", "--conns", "4", "--pipeline", "8")
		if _, err := s.load(ctx, v, append(load, "--seed", "1")...); err != nil {
			return nil, err
		}
		r, err := s.load(ctx, v, append(load, "--seed", "2")...)
		if err != nil {
			return nil, err
		}
		all := []float64{1 - r.HitRatio, float64(r.Misses-r.Fresh) / float64(r.Keys-r.Fresh)}
		return all[:len(m.rows)], nil
	}
	return m
}

const (
	traceMemory = 64 // megabytes of the servers that traces are replayed on
	tracePrefix = "miss ratio, trace "
)

// traceMisses replays a trace with values of the size at which one in part of
// its distinct keys fits.
func traceMisses(file string, distinct, part int) *measure {
	size := strconv.Itoa(min(max(traceMemory<<20/(distinct/part)-80, 1), 900_000))
	name := strings.TrimSuffix(filepath.Base(file), ".gz")
	return &measure{
		rows: []harness.Row{less(tracePrefix+name+", 1/"+strconv.Itoa(part)+" fits", "", 1)},
		once: true, memory: traceMemory,
		take: func(ctx context.Context, s *settings, v *server) ([]float64, error) {
			r, err := s.load(ctx, v, "--trace", file, "--value-size", size)
			if err != nil {
				return nil, err
			}
			// A set that was refused is a miss of the next get of the key.
			if r.NotStored > 0 {
				s.table.Note("%s refused %d of %d sets for want of memory", v.name, r.NotStored, r.Sets)
			}
			return []float64{1 - r.HitRatio}, nil
		},
	}
}

// distinctKeys counts the distinct lines of a gzipped trace.
func distinctKeys(name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	seen := make(map[string]struct{})
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if key := strings.TrimSpace(lines.Text()); key != "" {
			seen[key] = struct{}{}
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return len(seen), nil
}

// halfPeak measures the latency at half of the rate that the peer can serve.
func halfPeak() *measure {
	return &measure{
		rows: []harness.Row{less("p99 at half of the peer's peak", "us", 1)},
		prepare: func(ctx context.Context, s *settings, servers []*server) error {
			r, err := s.load(ctx, servers[harness.Peer], "--duration", s.duration.String())
			if err != nil {
				return err
			}
			for _, v := range servers {
				v.peak = r.Rate
			}
			return nil
		},
		take: func(ctx context.Context, s *settings, v *server) ([]float64, error) {
			r, err := s.load(ctx, v, "--rate", strconv.FormatFloat(v.peak/2, 'f', 0, 64), "--duration", s.duration.String())
			if err != nil {
				return nil, err
			}
			return []float64{r.Latency.P99}, nil
		},
	}
}

// idleBytes measures the resident memory of a connection that has sent one
// command and is idle.
func idleBytes(_ context.Context, _ *settings, v *server) ([]float64, error) {
	const n = 9000
	before, err := v.resident()
	if err != nil {
		return nil, err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range n {
		c, err := net.Dial("tcp", v.addr)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, "get none\r\n"); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, make([]byte, len("END\r\n"))); err != nil {
			return nil, err
		}
	}
	after, err := v.resident()
	return []float64{(after - before) / n}, err
}

// measures returns those that -rows wants.
func (s *settings) measures() ([]*measure, error) {
	scan, every := strconv.Itoa(s.missMemory()<<20/190), strconv.Itoa(s.missMemory()<<20/33)
	idle := harness.Row{Name: "memory per idle connection", Unit: "B", Limit: 1024, Less: true}
	all := []*measure{
		itemsPerByte(32, 1.60),
		itemsPerByte(100, 1.35),
		itemsPerByte(500, 1.05),
		s.zipfMisses("zipf 0.99", 0.85),
		s.zipfMisses("zipf, 30 % one-hit", 0.80, "--one-hit", "0.3"),
		s.zipfMisses("zipf, with scans", 0.80, "--scan", scan, "--scan-every", every),
		cpuOf("get, one in flight", 0.79),
		cpuOf("get, 16 in flight", 0.35, "--pipeline", "16"),
		cpuOf("key, 50-key gets", 0.25, "--multi", "50"),
		cpuOf("set, one in flight", 0.70, "--ratio", "0:1"),
		cpuOf("set, 16 in flight", 0.42, "--ratio", "0:1", "--pipeline", "16"),
		halfPeak(),
		{rows: []harness.Row{idle}, take: idleBytes, once: true},
		secondThread(),
	}
	all = append(all, tlsRows()...)
	if s.scale > 0 {
		all = append(all, s.scaleRows()...)
	}
	if s.traces != "" {
		files, err := filepath.Glob(filepath.Join(s.traces, "*.gz"))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("-traces %s: no *.gz there", s.traces)
		}
		for _, name := range files {
			distinct, err := distinctKeys(name)
			if err != nil {
				return nil, err
			}
			for _, part := range []int{4, 10} {
				all = append(all, traceMisses(name, distinct, part))
			}
		}
	}
	var wanted []*measure
	for _, m := range all {
		if s.table.Wants(&harness.Measure{Rows: m.rows[:1]}) {
			wanted = append(wanted, m)
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("-rows %s: no row matches", s.table.Only)
	}
	return wanted, nil
}
