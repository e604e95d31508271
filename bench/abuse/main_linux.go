// Command abuse measures what a well-behaved client of the cache server
// notices while others attack the server: its longest wait for a reply, and how
// much the server's memory grows. It runs each attack on ours and on memcached.
//
//	go run ./abuse [-items 1000000] [-length 5s] [-peer memcached] [-rows REGEXP]
//
// All traffic stays on this machine, and each attack ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"lintel.dev/bench/harness"
)

// Bounds of what one attack may do to ours.
const (
	maxWait   = 250 // milliseconds
	maxMemory = 150 // megabytes
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

// bench is what a run was asked for.
type bench struct {
	lintel, peer string
	items        int
	length       time.Duration
}

func run(ctx context.Context) error {
	b := new(bench)
	t := harness.Flags(flag.CommandLine, os.Stdout, "memcached", 3)
	flag.IntVar(&b.items, "items", 1_000_000, "items that the server holds")
	flag.DurationVar(&b.length, "length", 5*time.Second, "length of an attack")
	flag.StringVar(&b.peer, "peer", "memcached", "memcached's program")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || b.items < 1000 || b.length < time.Second {
		return errors.New("unexpected arguments, see -help")
	}
	dir, err := os.MkdirTemp("", "abuse")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.lintel, err = harness.BuildLintel(ctx, dir); err != nil {
		return err
	}
	if b.peer, err = exec.LookPath(b.peer); err != nil {
		return err
	}
	t.Head(fmt.Sprintf("%d items, 2 threads, attacks of %v", b.items, b.length))
	for _, a := range attacks {
		m := &harness.Measure{
			Rows: []harness.Row{
				{Name: a.name + ": worst wait", Unit: "ms", Less: true, Limit: maxWait},
				{Name: a.name + ": memory", Unit: "MB", Less: true, Limit: maxMemory},
			},
			Take: func(ctx context.Context, side int) ([]float64, error) { return b.take(ctx, a, side) },
		}
		if !t.Wants(m) {
			continue
		}
		if _, err := t.Run(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// take runs one attack on one server and returns the good client's longest wait
// and the growth of the server.
func (b *bench) take(ctx context.Context, a attack, side int) ([]float64, error) {
	none := []float64{math.NaN(), math.NaN()}
	if side == harness.Peer && a.oursOnly {
		return none, nil
	}
	s, err := b.start(side, a.flags)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.fill(b.items); err != nil {
		return nil, fmt.Errorf("fill %s: %w", s.name, err)
	}
	if err := s.prepare(a); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	good, err := newGoodClient(s.addr, b.items)
	if err != nil {
		return nil, err
	}
	defer good.Close()

	ctx, cancel := context.WithTimeout(ctx, b.length)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, s) }()
	worst, peak, err := good.watch(ctx, s)
	cancel()
	if attackErr := <-ended; err == nil && attackErr != nil {
		err = fmt.Errorf("attack on %s: %w", s.name, attackErr)
	}
	return []float64{float64(worst.Microseconds()) / 1000, peak - before}, err
}
