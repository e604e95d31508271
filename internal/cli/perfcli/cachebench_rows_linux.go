package perfcli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
)

// row is a line of the table.
type row struct{ name, unit, target string }

// measure is what one or more rows are taken from.
type measure struct {
	rows    []row
	prepare func(ctx context.Context, b *benchSettings, servers [2]*benchServer) error
	// take measures once; which of its results is given is the row's affair.
	take   func(ctx context.Context, b *benchSettings, server *benchServer) ([]float64, error)
	once   bool // needs no rounds: nothing in it is a time
	alone  bool // starts servers of its own
	memory int  // megabytes of the servers, where they are not --memory
}

// benchServer is a server under test.
type benchServer struct {
	name string
	args []string
	addr string
	cmd  *exec.Cmd
	peak float64 // requests a second of the reference, for loads relative to it
}

func cpuOf(name, target string, load ...string) measure {
	return measure{
		rows: []row{{"cpu per " + name, "us", target}, {"  requests a second", "", ">= 1.00"}},
		take: func(ctx context.Context, b *benchSettings, s *benchServer) ([]float64, error) {
			r, err := b.load(ctx, s, append(load, "--duration", b.duration.String())...)
			if err != nil {
				return nil, err
			}
			return []float64{r.CPUPerKey, r.Rate}, nil
		},
	}
}

func itemsPerByte(valueSize int, target string) measure {
	return measure{
		rows: []row{{"items per resident MB, " + strconv.Itoa(valueSize) + " B values", "", target}},
		once: true,
		take: func(ctx context.Context, b *benchSettings, s *benchServer) ([]float64, error) {
			n := b.memory << 20 / (valueSize + 20) * 3 / 2 // more than fit
			_, err := b.load(ctx, s, "--ratio", "0:1", "--preload", "--keys", strconv.Itoa(n), "--value-size", strconv.Itoa(valueSize),
				"--pipeline", "32", "--conns", "4", "--requests", "1")
			if err != nil {
				return nil, err
			}
			items, err := s.stat("curr_items")
			if err != nil {
				return nil, err
			}
			rss, err := s.resident()
			return []float64{items / rss * 1e6}, err
		},
	}
}

// missMemory is the megabytes of the servers whose misses are counted: enough
// for the ratio to be that of larger ones, and filled in less time.
func (b *benchSettings) missMemory() int { return max(8, b.memory/16) }

// zipfMisses counts misses of Zipf-distributed requests for ten times the keys
// that memcached holds, with something else in between, in the second half of
// the run.
func (b *benchSettings) zipfMisses(name, target string, load ...string) measure {
	m := measure{rows: []row{{"miss ratio, " + name, "", target}}, once: true, memory: b.missMemory()}
	if len(load) > 0 {
		m.rows = append(m.rows, row{"  of keys that come more than once", "", ""})
	}
	m.take = func(ctx context.Context, b *benchSettings, s *benchServer) ([]float64, error) {
		many := m.memory << 20 / 190 * 10
		load := append(load, "--dist", "zipf:0.99", "--keys", strconv.Itoa(many), "--requests", strconv.Itoa(2*many), "--fill", "--conns", "4", "--pipeline", "8")
		if _, err := b.load(ctx, s, append(load, "--seed", "1")...); err != nil {
			return nil, err
		}
		r, err := b.load(ctx, s, append(load, "--seed", "2")...)
		if err != nil {
			return nil, err
		}
		all := []float64{1 - r.HitRatio, float64(r.Misses-r.Fresh) / float64(r.Keys-r.Fresh)}
		return all[:len(m.rows)], nil
	}
	return m
}

// traceMemory is the megabytes of the servers that traces are replayed on.
const traceMemory = 64

// traceMisses replays a trace with values of a size at which a part of its
// keys fits.
func traceMisses(file string, distinct, part int) measure {
	size := strconv.Itoa(min(max(traceMemory<<20/(distinct/part)-80, 1), 900_000))
	name := strings.TrimSuffix(filepath.Base(file), ".gz")
	return measure{
		rows: []row{{"miss ratio, trace " + name + ", 1/" + strconv.Itoa(part) + " fits", "", "<= 1.00"}},
		once: true, memory: traceMemory,
		take: func(ctx context.Context, b *benchSettings, s *benchServer) ([]float64, error) {
			r, err := b.load(ctx, s, "--trace", file, "--value-size", size)
			if err != nil {
				return nil, err
			}
			// What it has no memory for is simply not there when it is asked for again.
			if r.NotStored > 0 {
				b.notes = append(b.notes, fmt.Sprintf("%s refused %s of %s sets for want of memory", s.name, grouped(r.NotStored), grouped(r.Sets)))
			}
			return []float64{1 - r.HitRatio}, nil
		},
	}
}

// halfPeak measures the latency under half of the requests that the peer can
// answer.
func halfPeak() measure {
	return measure{
		rows: []row{{"p99 at half of the peer's peak", "us", "<= 1.00"}},
		prepare: func(ctx context.Context, b *benchSettings, servers [2]*benchServer) error {
			r, err := b.load(ctx, servers[1], "--duration", b.duration.String())
			if err != nil {
				return err
			}
			servers[0].peak, servers[1].peak = r.Rate, r.Rate
			return nil
		},
		take: func(ctx context.Context, b *benchSettings, s *benchServer) ([]float64, error) {
			r, err := b.load(ctx, s, "--rate", strconv.FormatFloat(s.peak/2, 'f', 0, 64), "--duration", b.duration.String())
			if err != nil {
				return nil, err
			}
			return []float64{r.Latency.P99}, nil
		},
	}
}

// idleBytes is what each of many connections that do nothing costs.
func idleBytes(_ context.Context, _ *benchSettings, s *benchServer) ([]float64, error) {
	const n = 9000
	before, err := s.resident()
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
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, "mn\r\n"); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			return nil, err
		}
	}
	after, err := s.resident()
	return []float64{(after - before) / n}, err
}

func (b *benchSettings) measures() ([]measure, error) {
	all := []measure{
		itemsPerByte(32, ">= 1.60"),
		itemsPerByte(100, ">= 1.35"),
		itemsPerByte(500, ">= 1.10"),
		b.zipfMisses("zipf 0.99", "<= 0.85"),
		b.zipfMisses("zipf, 30 % one-hit", "<= 0.80", "--one-hit", "0.3"),
		b.zipfMisses("zipf, with scans", "<= 0.80", "--scan", strconv.Itoa(b.missMemory()<<20/190), "--scan-every", strconv.Itoa(b.missMemory()<<20/33)),
		cpuOf("get, one in flight", "<= 0.80"),
		cpuOf("get, 16 in flight", "<= 0.38", "--pipeline", "16"),
		cpuOf("key, 50-key gets", "<= 0.25", "--multi", "50"),
		cpuOf("set, one in flight", "<= 0.80", "--ratio", "0:1"),
		cpuOf("set, 16 in flight", "<= 0.50", "--ratio", "0:1", "--pipeline", "16"),
		halfPeak(),
		{rows: []row{{"memory per idle connection", "bytes", "<= 1 KiB"}}, take: idleBytes, once: true},
		threadsMeasure(),
	}
	if b.traces != "" {
		files, err := filepath.Glob(filepath.Join(b.traces, "*.gz"))
		if err != nil || len(files) == 0 {
			return nil, cli.Usagef("--traces %s: no *.gz there", b.traces)
		}
		for _, name := range files {
			keys, err := readTrace(name)
			if err != nil {
				return nil, err
			}
			slices.Sort(keys)
			distinct := len(slices.Compact(keys))
			for _, part := range []int{4, 10} {
				all = append(all, traceMisses(name, distinct, part))
			}
		}
	}
	if b.only == "" {
		return all, nil
	}
	re, err := regexp.Compile(b.only)
	if err != nil {
		return nil, cli.Usagef("--only %s: %v", b.only, err)
	}
	all = slices.DeleteFunc(all, func(m measure) bool { return !re.MatchString(m.rows[0].name) })
	if len(all) == 0 {
		return nil, cli.Usagef("--only %s: no measure is called that", b.only)
	}
	return all, nil
}
