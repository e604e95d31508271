// Command serverperf measures our cache server beside memcached: memory,
// misses, cpu time, latency and the gain of a second thread. All servers run
// on one core and the load generator, lintel perf cache, on another. It prints
// one table with the target of each row.
//
//	go run ./serverperf [-peers memcached,pogocache] [-rounds 5] [-rows REGEXP] [-memory 256] [-threads 2] [-traces DIR] [-scale 100]
//
// It needs memcached or another server of its text protocol (-peers). The first
// peer has a column; each further one has a line "beside NAME" below every row.
// Pogocache is started with its own flags, every other peer with memcached's.
// cpu is user and system time of the server's process divided by the keys served.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lintel.dev/bench/harness"
)

// settings are the flags, and what the rows share.
type settings struct {
	table     *harness.Table
	peers     []string // paths of the other servers
	memory    int      // MiB
	threads   int
	duration  time.Duration
	traces    string
	scale     int // millions of items in the rows of large servers; 0: no such rows
	serverCPU int
	clientCPU int

	lintel      string // path of our program
	certificate *harness.Certificate
	traceRatios []float64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	start := run
	args := os.Args[1:]
	if len(args) > 0 && args[0] == tlsLoad {
		start, args = runTLSLoad, args[1:]
	}
	if err := start(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "serverperf:", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(args []string) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("serverperf", flag.ExitOnError)
	s.table = harness.Flags(f, os.Stdout, "peer", 5)
	peers := "memcached"
	f.StringVar(&peers, "peers", peers, "the other servers, `programs` separated by commas: pogocache, or one with memcached's flags")
	f.StringVar(&peers, "peer", peers, "the same as -peers")
	f.IntVar(&s.memory, "memory", 256, "memory of each server in `megabytes` (-m)")
	f.IntVar(&s.threads, "threads", 2, "threads of each server (-t)")
	f.DurationVar(&s.duration, "duration", 2*time.Second, "length of a run")
	f.StringVar(&s.traces, "traces", "", "`directory` of traces (*.gz) to replay with -m 64")
	f.IntVar(&s.scale, "scale", 0, "add rows of large servers: 19,500 connections, 512 GiB, and this many `millions` of items")
	f.IntVar(&s.serverCPU, "server-cpu", 0, "core of the servers")
	f.IntVar(&s.clientCPU, "client-cpu", 1, "core of the load generator")
	f.Parse(args)
	switch err := s.table.Check(); {
	case err != nil:
		return nil, err
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q, see -help", f.Arg(0))
	case s.threads < 1:
		return nil, fmt.Errorf("-threads %d, expected at least 1", s.threads)
	case s.scale < 0:
		return nil, fmt.Errorf("-scale %d, expected 0 or more", s.scale)
	case s.memory < 8:
		return nil, fmt.Errorf("-memory %d, expected at least 8", s.memory)
	}
	for name := range strings.SplitSeq(peers, ",") {
		path, err := exec.LookPath(name)
		if err == nil {
			// exec finds a relative path only from this directory.
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return nil, fmt.Errorf("-peers: %w; install memcached or name another server", err)
		}
		s.peers = append(s.peers, path)
	}
	s.table.Peer = filepath.Base(s.peers[0])
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	measures, err := s.measures()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "serverperf")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if s.certificate, err = harness.NewCertificate(dir, harness.NewECDSA); err != nil {
		return err
	}
	if s.lintel, err = harness.BuildLintel(ctx, dir); err != nil {
		return err
	}
	s.table.Head(fmt.Sprintf("-m %d -t %d, runs of %v; miss ratios with -m %d, of traces with -m %d",
		s.memory, s.threads, s.duration, s.missMemory(), traceMemory))
	for _, m := range measures {
		results, err := s.table.Run(ctx, s.measure(m))
		if err != nil {
			return err
		}
		if r := results[0]; strings.HasPrefix(r.Name, tracePrefix) && r.Ours >= 0 && r.Peer > 0 {
			s.traceRatios = append(s.traceRatios, r.Ratio)
		}
	}
	if n := len(s.traceRatios); n > 1 {
		sum := 0.0
		for _, r := range s.traceRatios {
			sum += r
		}
		mean := sum / float64(n)
		return s.table.Print(harness.Result{
			Row:  harness.Row{Name: "mean of the ratios of the traces", Target: 0.92, Less: true},
			Ours: math.NaN(), Peer: math.NaN(), Ratio: mean,
		})
	}
	return nil
}

// measure adds to m what starts and ends the servers, and a line for each peer
// after the first.
func (s *settings) measure(m *measure) *harness.Measure {
	var servers []*server
	var refs []harness.Ref
	for side := 2; side <= len(s.peers); side++ {
		refs = append(refs, harness.Ref{Label: "beside " + filepath.Base(s.peers[side-1]), A: harness.Ours, B: side})
	}
	return &harness.Measure{
		Rows: m.rows, Once: m.once, Sides: 1 + len(s.peers), Refs: refs,
		Prepare: func(ctx context.Context) (end func(), err error) {
			servers = s.servers(s.threads, cmp.Or(m.memory, s.memory))
			end = func() {
				for _, one := range servers {
					one.stop()
				}
			}
			if m.alone {
				return end, nil
			}
			for _, one := range servers {
				if m.tls {
					one.args = append(one.args, "-Z", "-o", s.certificate.Option())
				}
				err = errors.Join(err, one.start(s.serverCPU))
			}
			if err == nil && m.prepare != nil {
				err = m.prepare(ctx, s, servers)
			}
			return end, err
		},
		Take: func(ctx context.Context, side int) ([]float64, error) {
			figures, err := m.take(ctx, s, servers[side])
			if side != harness.Ours && errors.Is(err, errNotSpoken) {
				figures, err = slices.Repeat([]float64{math.NaN()}, len(m.rows)), nil
			}
			return figures, err
		},
	}
}
