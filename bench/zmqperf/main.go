// Command zmqperf measures our sockets beside libzmq's: lintel perf on one side
// and a small C program that uses libzmq on the other, with the same arguments,
// in alternating turns. It prints one table with the target of each row.
//
//	go run ./zmqperf [-rounds 5] [-scale 1] [-rows REGEXP] [-cross]
//
// It needs a C compiler and libzmq's headers: apt-get install gcc libzmq3-dev.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"lintel.dev/bench/harness"
)

//go:embed peer/peer.c
var peerSource []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := table
	if len(os.Args) > 1 && os.Args[1] == "ours" {
		run = func(ctx context.Context) error { return ours(ctx, os.Args[2:]) }
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "zmqperf:", err)
		os.Exit(1)
	}
}

// table measures the rows that the flags choose.
func table(ctx context.Context) error {
	t := harness.Flags(flag.CommandLine, os.Stdout, "libzmq", 5)
	scale := flag.Float64("scale", 1, "multiplies the messages of each measurement")
	cross := flag.Bool("cross", false, "measure throughput also from each side to the other")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || *scale <= 0 {
		return errors.New("unexpected arguments, see -help")
	}
	dir, err := os.MkdirTemp("", "zmqperf")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := build(ctx, dir)
	if err != nil {
		return err
	}
	t.Head(fmt.Sprintf("%s/%s, %d CPUs, %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02")))
	for _, r := range rows(*scale) {
		if m := r.measure(p, *cross); t.Wants(m) {
			if _, err := t.Run(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// build compiles the programs of both sides into dir.
func build(ctx context.Context, dir string) (programs, error) {
	p := programs{dir: dir, peer: filepath.Join(dir, "peer")}
	var err error
	if p.self, err = os.Executable(); err != nil {
		return p, err
	}
	if p.lintel, err = harness.BuildLintel(ctx, dir); err != nil {
		return p, err
	}
	source := filepath.Join(dir, "peer.c")
	if err := os.WriteFile(source, peerSource, 0o600); err != nil {
		return p, err
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", p.peer, source, "-lzmq", "-lpthread").CombinedOutput(); err != nil {
		return p, fmt.Errorf("cc: %w; gcc and libzmq3-dev are needed\n%s", err, out)
	}
	return p, nil
}

// measure returns what the harness runs for the row. Sides beyond ours and
// libzmq's are, as far as the row has them: ours to libzmq, libzmq to ours, and
// a bare net.Conn.
func (r row) measure(p programs, cross bool) *harness.Measure {
	m := &harness.Measure{Sides: 2}
	ends := [][2]side{{ourSide, ourSide}, {libzmq, libzmq}}
	for _, c := range r.columns {
		m.Rows = append(m.Rows, harness.Row{Name: r.name + c.suffix, Unit: c.unit, Target: c.target, Limit: c.limit, Less: c.less || c.limit != 0})
	}
	switch {
	case r.alone:
		m.Sides = 1
	case cross && r.cross:
		ends = append(ends, [2]side{ourSide, libzmq}, [2]side{libzmq, ourSide})
		m.Refs = append(
			m.Refs,
			harness.Ref{Label: "ours to libzmq", A: 2, B: harness.Peer, Target: 1},
			harness.Ref{Label: "libzmq to ours", A: 3, B: harness.Peer, Target: 1},
		)
		m.Sides = 4
	}
	bare := m.Sides
	if r.bare != nil {
		m.Refs = append(m.Refs, harness.Ref{Label: "beside a bare net.Conn", A: harness.Ours, B: bare, Target: r.bareTarget})
		m.Sides++
	}
	m.Take = func(ctx context.Context, side int) ([]float64, error) {
		var values map[string]float64
		var err error
		if r.bare != nil && side == bare {
			values, err = r.bare(ctx, p)
		} else {
			values, err = r.run(ctx, p, ends[side][0], ends[side][1])
		}
		figures := make([]float64, len(r.columns))
		for i, c := range r.columns {
			v, ok := values[c.value]
			if !ok {
				v = math.NaN()
			}
			figures[i] = v
		}
		return figures, err
	}
	return m
}

// column is one figure of a row.
type column struct {
	value  string // its key among the figures that a measurement prints
	suffix string
	unit   string
	target float64 // bound of ours divided by libzmq's
	less   bool    // lower is better
	limit  float64 // upper bound of ours, in place of target
}
