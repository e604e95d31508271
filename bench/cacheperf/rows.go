package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/bench/harness"
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

// row is one line of the table. Rate rows compare calls a second, paced rows
// the 99th percentile of the latency at an equal rate.
type row struct {
	harness.Row
	job     job
	servers int
	callers int
	open    opener // of our column; nil: our client
}

// opener makes a client for a fleet, to be used by callers goroutines.
type opener func(fleet []string, callers int) (client, error)

// rate is a row whose target is the least ratio of calls a second; 0: none.
func rate(name string, do job, servers, callers int, target float64) row {
	return row{Row: harness.Row{Name: name, Unit: "/s", Target: target}, job: do, servers: servers, callers: callers}
}

// paced is a row of latencies, of which ours must not be higher.
func paced(name string, callers int) row {
	return row{Row: harness.Row{Name: name, Unit: "us", Target: 1, Less: true}, job: get, servers: 1, callers: callers}
}

// withoutProtocol is the ceiling of the rate rows: see bare.
func withoutProtocol() row {
	r := rate("a loop without a protocol, 64 goroutines", get, 1, 64, 0)
	r.open = newBare
	return r
}

var rows = []row{
	rate("get, 1 goroutine", get, 1, 1, 1),
	rate("get, 8 goroutines", get, 1, 8, 0),
	rate("get, 64 goroutines", get, 1, 64, 6),
	withoutProtocol(),
	rate("set, 1 goroutine", set, 1, 1, 0),
	rate("set, 64 goroutines", set, 1, 64, 0),
	rate("50 keys, 1 goroutine", getMulti, 1, 1, 0),
	rate("50 keys, 64 goroutines", getMulti, 1, 64, 0),
	rate("get, 1 goroutine, 16 servers", get, 16, 1, 0),
	rate("get, 64 goroutines, 16 servers", get, 16, 64, 0),
	rate("50 keys, 1 goroutine, 16 servers", getMulti, 16, 1, 0),
	rate("50 keys, 64 goroutines, 16 servers", getMulti, 16, 64, 0),
	paced("p99 of get at an equal rate, 1 goroutine", 1),
	paced("p99 of get at an equal rate, 8 goroutines", 8),
	paced("p99 of get at an equal rate, 64 goroutines", 64),
}

// measure returns what the harness runs for the row.
func (r row) measure(fleet []string, turn time.Duration) *harness.Measure {
	var both [2]client
	var calls float64 // a second, of the paced rows
	return &harness.Measure{
		Rows: []harness.Row{r.Row},
		Prepare: func(context.Context) (end func(), err error) {
			end = func() {
				for _, c := range both {
					if c != nil {
						c.close()
					}
				}
			}
			for i, open := range [2]opener{newOurs, newTheirs} {
				if i == harness.Ours && r.open != nil {
					open = r.open
				}
				if both[i], err = open(fleet, r.callers); err != nil {
					return end, err
				}
				for k := range keys {
					if err := set(both[i], k); err != nil {
						return end, err
					}
				}
			}
			if r.Less {
				calls, err = quarter(both, r.job, r.callers, 10*turn)
			}
			return end, err
		},
		Take: func(_ context.Context, side int) ([]float64, error) {
			runtime.GC()
			if r.Less {
				took, err := pace(both[side], r.job, r.callers, calls, 10*turn)
				return []float64{harness.Quantile(took, 0.99)}, err
			}
			n, err := full(both[side], r.job, r.callers, turn)
			return []float64{n}, err
		},
	}
}

// quarter returns a quarter of the rate that the slower client can reach.
func quarter(both [2]client, do job, callers int, d time.Duration) (float64, error) {
	least := math.Inf(1)
	for _, c := range both {
		n, err := full(c, do, callers, d)
		if err != nil {
			return 0, err
		}
		least = min(least, n/4)
	}
	return least, nil
}

// full makes calls for the time d, one after the other in each of the callers
// goroutines, and returns the calls a second.
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

// pace makes calls at a fixed rate and returns the latency of each in
// microseconds. Each goroutine has a schedule. A call that is late because the
// previous one took long counts from the time it was due. A call that is late
// because the goroutine slept too long counts from the time it began, and the
// schedule moves with it: a sleep takes at least a millisecond with any client.
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
