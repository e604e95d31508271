// Command nearperf measures near caches (lintel.dev/nearcache).
//
//	go run ./nearperf [-rounds 7] [-sets 200000] [-rows REGEXP]
//
// server.go has what the feed of invalidations costs the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"lintel.dev/bench/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "nearperf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	t := harness.Flags(flag.CommandLine, os.Stdout, "no feed", 7)
	sets := flag.Int("sets", 200_000, "sets of a turn")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || *sets < 1000 {
		return errors.New("unexpected arguments, see -help")
	}
	dir, err := os.MkdirTemp("", "nearperf")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lintel, err := harness.BuildLintel(ctx, dir)
	if err != nil {
		return err
	}
	t.Head(fmt.Sprintf("%d sets of 100 octets a turn, pipelined, tcp on one machine", *sets))
	for _, subscribers := range []int{0, 1, 100} {
		m := serverCost(t, lintel, subscribers, *sets)
		if t.Wants(m) {
			if _, err := t.Run(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}
