// Command bridgeperf measures puts through the bridge, beside nats.go on the same
// server.
//
// Each row puts bodies of 128 octets for a time, over tcp on the loopback interface,
// with a number of puts outstanding, and prints puts a second and the time from a put
// to its reply. Rows of nats.go publish to a work-queue stream on the server that
// the bridge of the other rows has in its process.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"lintel.dev/bridge"
	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	engines "lintel.dev/bridge/jetstream"
	"lintel.dev/bridge/memory"
)

var (
	duration = flag.Duration("time", 2*time.Second, "duration of a row")
	rounds   = flag.Int("rounds", 3, "rounds; the one with the median rate is printed")
	rows     = flag.String("rows", "", "regular expression of the rows to run, such as always/DEALER/64")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bridgeperf:", err)
		os.Exit(1)
	}
}

// body is what each put has, in octets.
const body = 128

// clients put with a number of puts outstanding.
var clients = []struct {
	name    string
	windows []int
	connect func(s *stack, window int) (client, error)
}{
	{"REQ", []int{1}, newReq},
	{"DEALER", []int{1, 64, 1024}, newDealer},
	{"nats.go", []int{1, 64, 1024}, newNATS},
}

// A client sends puts and receives their results, in any order.
type client interface {
	put(n int) error
	result() (n int, err error)
	close()
}

func run() error {
	only, err := regexp.Compile(*rows)
	if err != nil {
		return err
	}
	fmt.Printf("%-8s %-8s %7s %9s %9s %9s\n", "store", "client", "window", "puts/s", "p50", "p99")
	for _, store := range []string{"memory", "default", "always"} {
		s, err := open(store)
		if err != nil {
			return err
		}
		for _, c := range clients {
			for _, window := range c.windows {
				if !only.MatchString(fmt.Sprintf("%s/%s/%d", store, c.name, window)) || c.name == "nats.go" && s.server == nil {
					continue
				}
				var all []result
				for range *rounds {
					conn, err := c.connect(s, window)
					if err != nil {
						return err
					}
					r, err := measure(conn, window)
					conn.close()
					if err != nil {
						return fmt.Errorf("%s %s %d: %w", store, c.name, window, err)
					}
					all = append(all, r)
				}
				slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.rate, b.rate) })
				r := all[len(all)/2]
				fmt.Printf("%-8s %-8s %7d %9.0f %9v %9v\n", store, c.name, window, r.rate, r.p50, r.p99)
			}
		}
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

// result is what one round measured.
type result struct {
	rate     float64 // puts a second
	p50, p99 time.Duration
}

// measure puts for the duration of a row.
func measure(c client, window int) (result, error) {
	var sent, took []time.Duration // sent is by number of the put
	begin := time.Now()
	for time.Since(begin) < *duration {
		for len(sent)-len(took) < window {
			sent = append(sent, time.Since(begin))
			if err := c.put(len(sent) - 1); err != nil {
				return result{}, err
			}
		}
		n, err := c.result()
		if err != nil {
			return result{}, err
		}
		took = append(took, time.Since(begin)-sent[n])
	}
	rate := float64(len(took)) / time.Since(begin).Seconds()
	for len(took) < len(sent) {
		n, err := c.result()
		if err != nil {
			return result{}, err
		}
		took = append(took, time.Since(begin)-sent[n])
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(time.Microsecond) }
	return result{rate, at(0.5), at(0.99)}, nil
}

// stack is a bridge on one store.
type stack struct {
	dir    string
	server *embedded.Server // nil: the store is memory
	engine engine.Engine
	queue  *bridge.Queue
}

func open(store string) (s *stack, err error) {
	s = &stack{}
	ctx := context.Background()
	if store == "memory" {
		s.engine = memory.New(memory.Options{MaxBytes: 4 << 30})
	} else {
		if s.dir, err = os.MkdirTemp("", "bridgeperf"); err != nil {
			return nil, err
		}
		cfg := embedded.Config{Dir: s.dir, Listen: "127.0.0.1:0"}
		if store == "default" {
			cfg.SyncEvery = 2 * time.Minute
		}
		if s.server, err = embedded.Start(cfg); err != nil {
			return nil, err
		}
		if s.engine, err = s.server.Open(ctx, engines.Config{}); err != nil {
			return nil, err
		}
	}
	any := []string{"tcp://127.0.0.1:*"}
	s.queue, err = bridge.NewQueue(ctx, s.engine, "perf", bridge.QueueConfig{ReqProducers: any, DealerProducers: any})
	return s, err
}

func (s *stack) close() error {
	err := errors.Join(s.queue.Close(context.Background()), s.engine.Close())
	if s.server != nil {
		err = errors.Join(err, s.server.Close(), os.RemoveAll(s.dir))
	}
	return err
}
