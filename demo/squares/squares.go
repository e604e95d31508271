// Package squares shows what a cache saves. It looks up the squares of random
// numbers in a cache, and on a miss computes the square the slow way and stores
// it. Each run finds more of its numbers and takes less time.
package squares

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"lintel.dev/demo"
	"lintel.dev/demo/internal/fleet"
	"lintel.dev/memcache"
)

// maxN is the greatest number that is looked up.
const maxN = 5000

// Config is the configuration of a run. Defaults returns one that is ready to
// use.
type Config struct {
	// Servers are the addresses of memcached servers: host:port or the path of
	// a Unix socket. If it is empty, servers are started in this process.
	Servers []string
	// Instances is the number of servers started in this process, 1 to 64. The
	// client gets the address of one and discovers the others.
	Instances int
	// DB names a database whose queries are the slow way: postgres://... or
	// sqlite:FILE. Empty selects simulated work.
	DB string
	// Work is the duration of the simulated work.
	Work time.Duration
	// Runs is the number of runs, Requests the number of lookups in each.
	Runs, Requests int
	// Seed makes the numbers the same in every run of the program; 0 chooses a
	// random seed.
	Seed uint64
	// Near keeps values in this process, in a near cache, while a writer changes
	// some of them at the servers.
	Near bool
	// JSON selects one line of JSON as the output instead of tables.
	JSON bool
	// Out receives the result, Progress the state while it runs.
	Out, Progress io.Writer
}

// Defaults returns the configuration of ten runs of 2,000 lookups on four
// servers in this process, which writes nowhere.
func Defaults() Config {
	return Config{
		Instances: 4,
		Work:      time.Millisecond,
		Runs:      10,
		Requests:  2000,
		Out:       io.Discard,
		Progress:  io.Discard,
	}
}

const (
	maxInstances = 64
	maxRuns      = 1000
	maxRequests  = 10_000_000
)

func (c *Config) check() error {
	if len(c.Servers) == 0 && (c.Instances < 1 || c.Instances > maxInstances) {
		return demo.Inputf("--instances %d: expected 1 to %d", c.Instances, maxInstances)
	}
	if c.Work < 0 {
		return demo.Inputf("--work %v: expected 0 or more", c.Work)
	}
	if c.Runs < 1 || c.Runs > maxRuns {
		return demo.Inputf("--runs %d: expected 1 to %d", c.Runs, maxRuns)
	}
	if c.Requests < 1 || c.Requests > maxRequests {
		return demo.Inputf("--requests %d: expected 1 to %d", c.Requests, maxRequests)
	}
	return nil
}

// Report is the result of all runs.
type Report struct {
	SlowWay string   `json:"slow_way"`
	Runs    []Pass   `json:"runs"`
	Servers []Server `json:"servers"`
	// HitSeconds and SlowSeconds are the measured averages of a hit and of the
	// slow way. They are 0 without a hit or without a miss.
	HitSeconds  float64 `json:"hit_seconds"`
	SlowSeconds float64 `json:"slow_seconds"`
	// Uncached is the time that all lookups would have taken without a cache:
	// their number times SlowSeconds.
	Uncached float64 `json:"uncached_seconds"`
	Near     *Near   `json:"near,omitempty"`
	Seconds  float64 `json:"seconds"`
}

// Pass is one run.
type Pass struct {
	Seconds float64       `json:"seconds"`
	Hits    int           `json:"hits"`
	Misses  int           `json:"misses"`
	hit     time.Duration // total of the hits
	slow    time.Duration // total of the slow way
}

func (p Pass) ratio() float64 { return demo.Ratio(p.Hits, p.Hits+p.Misses) }

// Server is the share of one server.
type Server struct {
	Addr    string `json:"addr"`
	Lookups int    `json:"lookups"`
	Keys    int    `json:"keys"` // different numbers among the lookups
}

// Run does the configured runs and writes the report to cfg.Out. Wrong input is
// a *demo.InputError.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.check(); err != nil {
		return err
	}
	progress := demo.NewScreen(cfg.Progress)
	defer progress.Clear()
	slow, err := openSource(ctx, cfg.DB, cfg.Work, progress)
	if err != nil {
		return err
	}
	defer slow.close()

	var client *memcache.Client
	where := ""
	if len(cfg.Servers) > 0 {
		client, err = join(ctx, cfg.Servers)
		where = fmt.Sprintf("%d servers of a fleet", len(cfg.Servers))
		if len(cfg.Servers) == 1 {
			where = "the server at " + cfg.Servers[0]
		}
	} else {
		var f *fleet.Fleet
		start := fleet.Start
		if cfg.Near {
			start = fleet.StartNear
		}
		f, err = start(cfg.Instances, 64<<20)
		if err != nil {
			return err
		}
		defer func() {
			if stopErr := f.Stop(); err == nil {
				err = stopErr
			}
		}()
		if cfg.Near {
			client, err = memcache.New(fleet.ClientOptions(), f.Addrs()...)
			where = fmt.Sprintf("%d servers in this process", cfg.Instances)
		} else {
			client, err = memcache.Discover(ctx, f.Addrs()[0], fleet.ClientOptions())
			where = fmt.Sprintf("%d servers in this process, found through %s", cfg.Instances, f.Addrs()[0])
		}
		if cfg.Instances == 1 {
			where = "a server in this process, " + f.Addrs()[0]
		}
	}
	if err != nil {
		return err
	}
	defer client.Close()

	// With JSON the table is not shown, but the progress is.
	shown := cfg.Out
	if cfg.JSON {
		shown = io.Discard
	}
	out := demo.NewScreen(shown)
	out.Printf("%d runs of %s lookups of n*n, n from 0 to %s\n", cfg.Runs, demo.Count(cfg.Requests), demo.Count(maxN))
	out.Printf("cache     %s\nslow way  %s\n\n", where, slow)
	out.Printf("%s\n", out.Paint(demo.Bold, fmt.Sprintf("%3s  %9s  %7s", "run", "time", "found")))

	seed := cfg.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	l := &lookups{
		client: client,
		slow:   slow,
		random: rand.New(rand.NewPCG(seed, 0)),
		shares: map[string]*share{},
	}
	l.fetch = client.Fetch
	if cfg.Near {
		if l.near, err = openNear(ctx, client, cfg.Servers); err != nil {
			return err
		}
		defer l.near.close()
		l.fetch = l.near.cache.Fetch
	}
	report := Report{SlowWay: slow.String()}
	for run := range cfg.Runs {
		p, err := l.run(ctx, cfg.Requests, func(done int) {
			if cfg.JSON || !out.Terminal() {
				progress.Live("run %d of %d  %s", run+1, cfg.Runs, demo.Bar(demo.Ratio(done, cfg.Requests), barWidth))
				return
			}
			out.Live("%3d  %s", run+1, out.Paint(demo.Dim, demo.Bar(demo.Ratio(done, cfg.Requests), barWidth)))
		})
		if err != nil {
			return err
		}
		report.Runs = append(report.Runs, p)
		progress.Clear()
		printPass(out, run, report.Runs)
	}
	report.total(l)
	if cfg.JSON {
		return json.NewEncoder(cfg.Out).Encode(report)
	}
	report.printEnd(out)
	return out.Err()
}

// join returns a client. It checks that all servers answer, so a wrong address
// is reported before the runs.
func join(ctx context.Context, servers []string) (*memcache.Client, error) {
	const expected = "expected host:port[,host:port...] of memcached servers that answer"
	client, err := memcache.New(fleet.ClientOptions(), servers...)
	if err != nil {
		return nil, demo.Inputf("--servers: %w: %s", err, expected)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, demo.Inputf("--servers: %s: %s", first, expected)
	}
	return client, nil
}

// lookups does the lookups of all runs.
type lookups struct {
	client *memcache.Client
	slow   source
	fetch  func(context.Context, string, memcache.FetchOptions, func(context.Context) ([]byte, error)) ([]byte, error)
	near   *near // nil without --near
	random *rand.Rand
	shares map[string]*share // by server
}

// share counts the lookups of one server.
type share struct {
	lookups int
	keys    map[int]bool
}

// showEvery is the number of lookups between two calls of show.
const showEvery = 50

// run does the lookups of one run, one after the other.
func (l *lookups) run(ctx context.Context, requests int, show func(done int)) (p Pass, err error) {
	start := time.Now()
	for i := range requests {
		if i%showEvery == 0 {
			show(i)
		}
		n := l.random.IntN(maxN + 1)
		key := key(n)
		missed := false
		asked := time.Now()
		value, err := l.fetch(ctx, key, memcache.FetchOptions{}, func(ctx context.Context) ([]byte, error) {
			missed = true
			begun := time.Now()
			square, err := l.slow.square(ctx, n)
			p.slow += time.Since(begun)
			return strconv.AppendInt(nil, square, 10), err
		})
		if err != nil {
			return p, err
		}
		took := time.Since(asked)
		if l.near != nil {
			value = l.near.check(n, value, asked, took, missed)
		}
		if string(value) != strconv.Itoa(n*n) {
			return p, fmt.Errorf("squares: %s is %q, expected %d: does another program use these keys?", key, value, n*n)
		}
		if missed {
			p.Misses++
		} else {
			p.Hits++
			p.hit += took
		}
		l.note(key, n)
	}
	p.Seconds = time.Since(start).Seconds()
	return p, nil
}

// key returns the cache key of the square of n.
func key(n int) string { return "sq:" + strconv.Itoa(n) }

func (l *lookups) note(key string, n int) {
	addr := l.client.ServerFor(key)
	s := l.shares[addr]
	if s == nil {
		s = &share{keys: map[int]bool{}}
		l.shares[addr] = s
	}
	s.lookups++
	s.keys[n] = true
}

// total sums up the runs.
func (r *Report) total(l *lookups) {
	hits, misses := 0, 0
	var hit, slow time.Duration
	for _, p := range r.Runs {
		r.Seconds += p.Seconds
		hits += p.Hits
		misses += p.Misses
		hit += p.hit
		slow += p.slow
	}
	if hits > 0 {
		r.HitSeconds = hit.Seconds() / float64(hits)
	}
	if misses > 0 {
		r.SlowSeconds = slow.Seconds() / float64(misses)
	}
	if l.near != nil {
		r.Near = l.near.report()
	}
	r.Uncached = r.SlowSeconds * float64(hits+misses)
	for _, addr := range l.client.Servers() {
		s := Server{Addr: addr}
		if got := l.shares[addr]; got != nil {
			s.Lookups, s.Keys = got.lookups, len(got.keys)
		}
		r.Servers = append(r.Servers, s)
	}
}
