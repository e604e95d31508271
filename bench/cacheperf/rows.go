package main

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keys      = 1000
	valueSize = 100
	multi     = 50 // keys of a GetMulti
)

var (
	names [keys]string
	value = make([]byte, valueSize)
)

func init() {
	for i := range names {
		names[i] = fmt.Sprintf("bench:key:%06d", i)
	}
}

// job is one call of a benchmark; i counts them.
type job func(c client, i int) error

func get(c client, i int) error {
	n, err := c.get(names[i%keys])
	if err == nil && n != valueSize {
		err = fmt.Errorf("a value of %d bytes, not %d", n, valueSize)
	}
	return err
}

func set(c client, i int) error { return c.set(names[i%keys], value) }

func getMulti(c client, i int) error {
	at := i * 7 % (keys - multi)
	n, err := c.getMulti(names[at : at+multi])
	if err == nil && n != multi {
		err = fmt.Errorf("%d of %d keys found", n, multi)
	}
	return err
}

// row is one line of the table. Rate rows compare calls a second, paced ones
// what 99 of 100 calls take at the most at the same rate.
type row struct {
	name    string
	job     job
	servers int
	callers int
	paced   bool
	target  float64 // 0: none
	open    opener  // of what stands in our column, nil: our client
}

// opener makes a client for a fleet that so many goroutines will use.
type opener func(fleet []string, callers int) (client, error)

var rows = []row{
	{name: "get, 1 goroutine", job: get, servers: 1, callers: 1, target: 1},
	{name: "get, 8 goroutines", job: get, servers: 1, callers: 8},
	{name: "get, 64 goroutines", job: get, servers: 1, callers: 64, target: 6},
	{name: "a loop without a protocol, 64 goroutines", job: get, servers: 1, callers: 64, open: newBare},
	{name: "set, 1 goroutine", job: set, servers: 1, callers: 1},
	{name: "set, 64 goroutines", job: set, servers: 1, callers: 64},
	{name: "50 keys, 1 goroutine", job: getMulti, servers: 1, callers: 1},
	{name: "50 keys, 64 goroutines", job: getMulti, servers: 1, callers: 64},
	{name: "get, 1 goroutine, 16 servers", job: get, servers: 16, callers: 1},
	{name: "get, 64 goroutines, 16 servers", job: get, servers: 16, callers: 64},
	{name: "50 keys, 1 goroutine, 16 servers", job: getMulti, servers: 16, callers: 1},
	{name: "50 keys, 64 goroutines, 16 servers", job: getMulti, servers: 16, callers: 64},
	{name: "p99 of get at an equal rate, 1 goroutine", job: get, servers: 1, callers: 1, paced: true, target: 1},
	{name: "p99 of get at an equal rate, 8 goroutines", job: get, servers: 1, callers: 8, paced: true, target: 1},
	{name: "p99 of get at an equal rate, 64 goroutines", job: get, servers: 1, callers: 64, paced: true, target: 1},
}

// sides are the clients, ours first.
var sides = [2]opener{newOurs, newTheirs}

func table(ctx context.Context, servers []string, rounds int, turn time.Duration, only *regexp.Regexp) error {
	fmt.Println("| | ours | gomemcache | ratio | target | |\n|---|---|---|---|---|---|")
	for _, r := range rows {
		if !only.MatchString(r.name) || r.servers > len(servers) {
			continue
		}
		if err := r.measure(ctx, servers[:r.servers], rounds, turn); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

func (r row) measure(ctx context.Context, fleet []string, rounds int, turn time.Duration) error {
	var both [2]client
	for i, open := range sides {
		if i == 0 && r.open != nil {
			open = r.open
		}
		c, err := open(fleet, r.callers)
		if err != nil {
			return err
		}
		defer c.close()
		both[i] = c
		for k := range keys {
			if err := set(c, k); err != nil {
				return err
			}
		}
	}
	var rate float64 // of the paced rows
	if r.paced {
		// A quarter of what the slower client can do.
		for i, c := range both {
			n, err := full(c, r.job, r.callers, 10*turn)
			if err != nil {
				return err
			}
			if can := n / 4; i == 0 || can < rate {
				rate = can
			}
		}
	}
	var got [2][]float64
	for round := range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range both {
			i = (i + round) % 2
			runtime.GC()
			if r.paced {
				took, err := pace(both[i], r.job, r.callers, rate, 10*turn)
				if err != nil {
					return err
				}
				got[i] = append(got[i], quantile(took, 0.99))
				continue
			}
			n, err := full(both[i], r.job, r.callers, turn)
			if err != nil {
				return err
			}
			got[i] = append(got[i], n)
		}
	}
	r.print(got)
	return nil
}

// print writes the row: medians over the rounds, and the median of their
// ratios.
func (r row) print(got [2][]float64) {
	form := func(x float64) string { return fmt.Sprintf("%.1f k/s", x/1000) }
	sign := ">="
	if r.paced {
		form = func(x float64) string { return fmt.Sprintf("%.0f us", x) }
		sign = "<="
	}
	var ratios []float64
	for i := range got[0] {
		ratios = append(ratios, got[0][i]/got[1][i])
	}
	us, them, ratio := quantile(got[0], 0.5), quantile(got[1], 0.5), quantile(ratios, 0.5)
	target, verdict := "", ""
	if r.target > 0 {
		target = fmt.Sprintf("%s %.1f", sign, r.target)
		if r.paced && ratio > r.target || !r.paced && ratio < r.target {
			verdict = "missed"
		}
	}
	fmt.Printf("| %s | %s | %s | %.2f | %s | %s |\n", r.name, form(us), form(them), ratio, target, verdict)
}

func quantile(x []float64, q float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[int(q*float64(len(x)))]
}

// full makes calls for as long as d, one after the other in each of the
// goroutines, and returns how many there were in a second.
func full(c client, do job, callers int, d time.Duration) (float64, error) {
	var calls atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for g := range callers {
		wg.Go(func() {
			n := 0
			for ; time.Since(start) < d; n++ {
				if err := do(c, g*keys/callers+n); err != nil {
					failed.Store(&err)
					return
				}
			}
			calls.Add(int64(n))
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(calls.Load()) / took.Seconds(), nil
}

// pace makes calls at a fixed rate and returns what each took, in
// microseconds. Each goroutine has a timetable: a call that is late because
// the one before took long counts from when it was due. One that is late
// because the goroutine overslept counts from when it began, and so does the
// timetable: a sleep takes a millisecond at least, whatever the client.
func pace(c client, do job, callers int, rate float64, d time.Duration) ([]float64, error) {
	every := time.Duration(float64(callers) / rate * float64(time.Second))
	took := make([][]float64, callers)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for g := range callers {
		wg.Go(func() {
			due := start.Add(every * time.Duration(g) / time.Duration(callers))
			for n := 0; due.Sub(start) < d; n++ {
				began := due
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
					began = time.Now()
					due = began
				}
				if err := do(c, g*keys/callers+n); err != nil {
					failed.Store(&err)
					return
				}
				took[g] = append(took[g], float64(time.Since(began))/float64(time.Microsecond))
				due = due.Add(every)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return slices.Concat(took...), nil
}
