// Command abuse measures what a well-behaved client or peer notices while
// others attack the process that serves it: its longest wait, and how much the
// process's memory grows. The rows of the cache server (folder cache) are
// measured beside memcached, those of the sockets (folder sockets) beside
// libzmq.
//
//	go run ./abuse [-length 5s] [-rounds 3] [-rows REGEXP]
//	go run ./abuse -items 100000 -rows metadump
//	go run ./abuse -profile DIR -rows 'PING flood'
//
// All traffic stays on this machine, and each attack ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"lintel.dev/bench/abuse/cache"
	"lintel.dev/bench/abuse/sockets"
	"lintel.dev/bench/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := table
	if len(os.Args) > 2 && os.Args[1] == "sockets" {
		run = func(ctx context.Context) error { return sockets.Main(ctx, os.Args[2:]) }
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

// part is a part of the table: rows with one peer.
type part struct {
	peer, title string
	measures    []*harness.Measure
	build       func(ctx context.Context, dir string) error
}

// table measures the rows that the flags choose.
func table(ctx context.Context) error {
	c, s := new(cache.Options), new(sockets.Options)
	t := harness.Flags(flag.CommandLine, os.Stdout, "", 3)
	flag.IntVar(&c.Items, "items", 1_000_000, "items that the cache server holds")
	flag.DurationVar(&c.Length, "length", 5*time.Second, "length of an attack")
	flag.StringVar(&c.Peer, "peer", "memcached", "memcached's program")
	flag.StringVar(&s.Profile, "profile", "", "`folder` for CPU profiles of our sockets under attack")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || c.Items < 1000 || c.Length < time.Second {
		return errors.New("unexpected arguments, see -help")
	}
	s.Length = c.Length
	dir, err := os.MkdirTemp("", "abuse")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t.NameWidth = 34
	parts := []part{
		{"memcached", fmt.Sprintf("Cache: %d items, 2 threads, attacks of %v", c.Items, c.Length), c.Measures(), c.Build},
		{"libzmq", fmt.Sprintf("Sockets: attacks of %v", s.Length), s.Measures(), s.Build},
	}
	first := true
	for _, p := range parts {
		wanted := slices.DeleteFunc(p.measures, func(m *harness.Measure) bool { return !t.Wants(m) })
		if len(wanted) == 0 {
			continue
		}
		if err := p.build(ctx, dir); err != nil {
			return err
		}
		if t.Peer = p.peer; !first && !t.JSON {
			fmt.Println()
		}
		first = false
		t.Head(p.title)
		for _, m := range wanted {
			if _, err := t.Run(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}
