// Command feedperf measures feeds (lintel.dev/zmq/feed) beside plain PUB/SUB:
// what the numbers, the ring and the control channel cost, how soon a lost
// message is there after all, and whether replays slow publication.
//
//	go run ./feedperf [-rounds 7] [-messages 20000] [-rows REGEXP]
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
	"slices"
	"sync"
	"time"

	"lintel.dev/bench/harness"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

const payloadSize = 256

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "feedperf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) == 4 && os.Args[1] == "replays" {
		var readers sync.WaitGroup
		for range replayers {
			readers.Go(func() { replays(ctx, feed.Source{Live: os.Args[2], Control: os.Args[3]}) })
		}
		readers.Wait()
		return nil
	}
	t := harness.Flags(flag.CommandLine, os.Stdout, "PUB/SUB", 7)
	messages := flag.Int("messages", 20_000, "messages of a turn")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || *messages < 1000 {
		return errors.New("unexpected arguments, see -help")
	}
	t.Head(fmt.Sprintf("%d messages of %d octets a turn, tcp on one machine", *messages, payloadSize))
	var all []*harness.Measure
	for _, readers := range []int{1, 10, 100} {
		all = append(all, delivery(readers, max(1000, *messages/readers)))
	}
	all = append(all, repair(*messages), quiet(*messages))
	for _, m := range all {
		if t.Wants(m) {
			if _, err := t.Run(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// delivery measures messages a second until every reader has all of them. Plain
// PUB/SUB runs without a high-water mark, so that it loses none either.
func delivery(readers, messages int) *harness.Measure {
	return &harness.Measure{
		Rows: []harness.Row{{Name: fmt.Sprintf("publish, %d readers", readers), Unit: "/s"}},
		Take: func(ctx context.Context, side int) ([]float64, error) {
			take := feedDelivery
			if side == harness.Peer {
				take = plainDelivery
			}
			d, err := take(ctx, readers, messages)
			return []float64{float64(messages) / d.Seconds()}, err
		},
	}
}

func feedDelivery(ctx context.Context, readers, messages int) (time.Duration, error) {
	p, source, err := publisher(&feed.Config{MaxMessages: messages + 1})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	var all group
	live := make(chan struct{}, readers)
	for range readers {
		r, err := feed.Open(nil, source)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		all.Go(func() error {
			return follow(ctx, r, func(e feed.Event) bool {
				if e.Kind == feed.Live && e.Position.Seq == 0 {
					live <- struct{}{}
				}
				return e.Kind == feed.Message && e.Position.Seq == uint64(messages)
			})
		})
	}
	for range readers {
		select {
		case <-live:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	begin := time.Now()
	for range messages {
		if _, err := p.Publish("t", make([]byte, payloadSize)); err != nil {
			return 0, err
		}
	}
	err = all.Wait()
	return time.Since(begin), err
}

func plainDelivery(ctx context.Context, readers, messages int) (time.Duration, error) {
	pub, err := zmq.NewXPub(zmq.WithHWM(0), zmq.WithOption("xpub_verbose", "1"))
	if err != nil {
		return 0, err
	}
	defer pub.Close()
	at, err := pub.Bind("tcp://127.0.0.1:*")
	if err != nil {
		return 0, err
	}
	var all group
	for range readers {
		sub, err := zmq.NewSub(zmq.WithHWM(0), zmq.WithSubscribe(""))
		if err != nil {
			return 0, err
		}
		defer sub.Close()
		if _, err := sub.Connect(at.Addr()); err != nil {
			return 0, err
		}
		all.Go(func() error {
			for range messages {
				if _, err := sub.Recv(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range readers {
		if _, err := pub.Recv(ctx); err != nil { // a subscription
			return 0, err
		}
	}
	begin := time.Now()
	for range messages {
		if err := pub.Send(ctx, zmq.Msg{[]byte("t"), make([]byte, 40), make([]byte, payloadSize)}); err != nil {
			return 0, err
		}
	}
	err = all.Wait()
	return time.Since(begin), err
}

// lossEvery is the share of publications that the relay of repair drops.
const lossEvery = 100

// repair measures the time from the loss of a message to its delivery, while
// messages go on at 20,000 a second.
func repair(messages int) *harness.Measure {
	return &harness.Measure{
		Sides: 1,
		Rows:  []harness.Row{{Name: "lost to repaired, p50", Unit: "us", Less: true}, {Name: "lost to repaired, p99", Unit: "us", Less: true}},
		Take: func(ctx context.Context, _ int) ([]float64, error) {
			p, source, err := publisher(nil)
			if err != nil {
				return nil, err
			}
			defer p.Close()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			relay, lost, err := lossyRelay(ctx, source.Live)
			if err != nil {
				return nil, err
			}
			source.Live = relay
			r, err := feed.Open(nil, source)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			if err := follow(ctx, r, func(e feed.Event) bool { return e.Kind == feed.Live }); err != nil {
				return nil, err
			}
			go func() {
				const batch = 20 // a millisecond's
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for p.Position().Seq < uint64(messages) && ctx.Err() == nil {
					<-tick.C
					for range batch {
						p.Publish("t", make([]byte, payloadSize))
					}
				}
			}()
			var times []float64
			err = follow(ctx, r, func(e feed.Event) bool {
				if at, ok := lost.take(e.Position.Seq); ok && e.Kind == feed.Message {
					times = append(times, float64(time.Since(at).Microseconds()))
				}
				return e.Kind == feed.Message && e.Position.Seq >= uint64(messages)
			})
			return []float64{percentile(times, 0.5), percentile(times, 0.99)}, err
		},
	}
}

// quiet measures how long Publish takes at the 99th percentile while readers in
// another process replay the whole ring again and again, beside the same without readers.
func quiet(messages int) *harness.Measure {
	return &harness.Measure{
		Rows: []harness.Row{{Name: "Publish p99 while 16 replay, beside none", Unit: "us", Less: true}},
		Take: func(ctx context.Context, side int) ([]float64, error) {
			p, source, err := publisher(nil)
			if err != nil {
				return nil, err
			}
			defer p.Close()
			for range feed.DefaultMaxMessages {
				if _, err := p.Publish("t", make([]byte, payloadSize)); err != nil {
					return nil, err
				}
			}
			if side == harness.Ours {
				end, err := replayProcess(ctx, source)
				if err != nil {
					return nil, err
				}
				defer end()
			}
			var times []float64
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range messages / 20 {
				<-tick.C
				begin := time.Now()
				if _, err := p.Publish("t", make([]byte, payloadSize)); err != nil {
					return nil, err
				}
				times = append(times, float64(time.Since(begin).Nanoseconds())/1e3)
			}
			return []float64{percentile(times, 0.99)}, nil
		},
	}
}

// replayers is how many readers replay at the same time.
const replayers = 16

// replayProcess runs this program as a process of readers.
func replayProcess(ctx context.Context, source feed.Source) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "replays", source.Live, source.Control)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}, nil
}

// replays follows source from its oldest message to the latest, time and again.
func replays(ctx context.Context, source feed.Source) {
	source.From = feed.Oldest
	for ctx.Err() == nil {
		r, err := feed.Open(nil, source)
		if err != nil {
			return
		}
		_ = follow(ctx, r, func(e feed.Event) bool { return e.Kind == feed.Live })
		r.Close()
	}
}

// publisher starts a publisher and returns how to follow it.
func publisher(cfg *feed.Config) (*feed.Publisher, feed.Source, error) {
	p, err := feed.NewPublisher(cfg)
	if err != nil {
		return nil, feed.Source{}, err
	}
	live, err := p.Bind("tcp://127.0.0.1:*")
	if err != nil {
		return nil, feed.Source{}, errors.Join(err, p.Close())
	}
	control, err := p.BindControl("tcp://127.0.0.1:*")
	if err != nil {
		return nil, feed.Source{}, errors.Join(err, p.Close())
	}
	return p, feed.Source{Live: live, Control: control}, nil
}

// follow reads events until done says so.
func follow(ctx context.Context, r *feed.Reader, done func(feed.Event) bool) error {
	for e, err := range r.Messages(ctx) {
		if err != nil {
			return err
		}
		if e.Kind == feed.Gap {
			return fmt.Errorf("messages %d to %d were lost", e.From, e.To)
		}
		if done(e) {
			return nil
		}
	}
	return nil
}

func percentile(times []float64, p float64) float64 {
	if len(times) == 0 {
		return math.NaN()
	}
	slices.Sort(times)
	return times[int(p*float64(len(times)-1))]
}

// group waits for goroutines and keeps the first error.
type group struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

func (g *group) Go(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.err == nil {
				g.err = err
			}
		}
	})
}

func (g *group) Wait() error {
	g.wg.Wait()
	return g.err
}
