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
	"os"
	"os/exec"
	"os/signal"
	"time"

	"lintel.dev/bench/abuse/cache"
	"lintel.dev/bench/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := new(cache.Options)
	t := harness.Flags(flag.CommandLine, os.Stdout, "memcached", 3)
	flag.IntVar(&o.Items, "items", 1_000_000, "items that the server holds")
	flag.DurationVar(&o.Length, "length", 5*time.Second, "length of an attack")
	flag.StringVar(&o.Peer, "peer", "memcached", "memcached's program")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || o.Items < 1000 || o.Length < time.Second {
		return errors.New("unexpected arguments, see -help")
	}
	dir, err := os.MkdirTemp("", "abuse")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.Lintel, err = harness.BuildLintel(ctx, dir); err != nil {
		return err
	}
	if o.Peer, err = exec.LookPath(o.Peer); err != nil {
		return err
	}
	if o.Certificate, err = harness.NewCertificate(dir); err != nil {
		return err
	}
	t.Head(fmt.Sprintf("%d items, 2 threads, attacks of %v", o.Items, o.Length))
	for _, m := range o.Measures() {
		if !t.Wants(m) {
			continue
		}
		if _, err := t.Run(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
