// Package enginetest is the contract of lintel.dev/bridge/engine as tests, for the
// implementations of the interface.
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, enginetest.Suite{Open: open})
//	}
//
// A case never fails because something took long, except at Patience. It bounds
// times only from below: a redelivery must not come before AckWait or a delay has
// passed. Where a case needs time to pass, it waits; with Suite.Simulated the
// clock is that of testing/synctest.
package enginetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/bridge/engine"
)

// Patience is how long a case waits for what must happen.
const Patience = 3 * time.Minute

// TB is the part of testing.TB that the cases use.
type TB interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// A Suite says how to run the cases.
type Suite struct {
	// Open returns an engine for one case, which closes it. The engines of a run
	// may share their storage: each case uses names of its own.
	Open func(t TB) engine.Engine
	// Simulated runs each case in a bubble of testing/synctest. The engine must be
	// all in this process and without network. Otherwise the cases run in parallel.
	Simulated bool
}

// A testCase is one rule of the contract.
type testCase struct {
	name string
	run  func(*env)
}

// Run runs all cases as subtests of t.
func Run(t *testing.T, s Suite) {
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			if s.Simulated {
				synctest.Test(t, func(t *testing.T) { s.run(t, c) })
				return
			}
			t.Parallel()
			s.run(t, c)
		})
	}
}

func allCases() []testCase {
	var all []testCase
	for _, cs := range [][]testCase{queueCases, jobCases, closeCases, logCases} {
		all = append(all, cs...)
	}
	return all
}

// run runs one case on an engine of its own.
func (s Suite) run(t TB, c testCase) {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	e := &env{TB: t, ctx: ctx, engine: s.Open(t)}
	defer e.closeEngine()
	c.run(e)
}

// env is what a case works with.
type env struct {
	TB
	ctx    context.Context // ends after Patience
	engine engine.Engine
	once   sync.Once
}

var names atomic.Uint64

// newName returns a name that no other case uses.
func newName() string { return fmt.Sprintf("case-%d_%d", time.Now().UnixNano(), names.Add(1)) }

func (e *env) closeEngine() {
	e.once.Do(func() {
		if err := e.engine.Close(); err != nil {
			e.Errorf("Engine.Close: %v", err)
		}
	})
}

// queue opens a new queue.
func (e *env) queue(cfg engine.QueueConfig) engine.Queue {
	e.Helper()
	return e.queueNamed(newName(), cfg)
}

func (e *env) queueNamed(name string, cfg engine.QueueConfig) engine.Queue {
	e.Helper()
	q, err := e.engine.Queue(e.ctx, name, cfg)
	if err != nil {
		e.Fatalf("Queue(%q): %v", name, err)
	}
	return q
}

// result is the outcome of an asynchronous put.
type result struct {
	receipt engine.Receipt
	err     error
}

// start begins a put and returns the channel of its result.
func (e *env) start(q engine.Queue, m engine.Message) <-chan result {
	e.Helper()
	results := make(chan result, 2) // a second call of done must not block: it is found by wait
	if err := q.Put(e.ctx, m, func(r engine.Receipt, err error) { results <- result{r, err} }); err != nil {
		e.Fatalf("Put: %v", err)
	}
	return results
}

// wait returns the result of a put.
func (e *env) wait(results <-chan result) result {
	e.Helper()
	select {
	case r := <-results:
		return r
	case <-e.ctx.Done():
		e.Fatalf("done was not called within %v", Patience)
	}
	return result{}
}

// put stores a message and returns its receipt.
func (e *env) put(q engine.Queue, id string, frames ...string) engine.Receipt {
	e.Helper()
	r := e.wait(e.start(q, message(id, frames...)))
	if r.err != nil {
		e.Fatalf("Put: %v", r.err)
	}
	return r.receipt
}

// get returns n jobs.
func (e *env) get(q engine.Queue, n int) []engine.Job {
	e.Helper()
	var jobs []engine.Job
	for len(jobs) < n {
		more, err := q.Get(e.ctx, n-len(jobs))
		if err != nil {
			e.Fatalf("Get after %d of %d jobs: %v", len(jobs), n, err)
		}
		if len(more) == 0 || len(more) > n-len(jobs) {
			e.Fatalf("Get(%d) returned %d jobs", n-len(jobs), len(more))
		}
		jobs = append(jobs, more...)
	}
	return jobs
}

// ack acknowledges jobs.
func (e *env) ack(jobs ...engine.Job) {
	e.Helper()
	for _, j := range jobs {
		if err := j.Ack(e.ctx); err != nil {
			e.Fatalf("Ack of job %d: %v", j.Seq(), err)
		}
	}
}

// info returns the state of q.
func (e *env) info(q engine.Queue) engine.QueueInfo {
	e.Helper()
	info, err := q.Info(e.ctx)
	if err != nil {
		e.Fatalf("Info: %v", err)
	}
	return info
}

// expectStored waits until there is that number of messages that are neither
// acknowledged nor dead. A cluster removes a message after it has confirmed the
// acknowledgement.
func (e *env) expectStored(q engine.Queue, want uint64) {
	e.Helper()
	for info := e.info(q); info.Waiting+info.Unacked != want; info = e.info(q) {
		if e.pause(50*time.Millisecond) != nil {
			e.Fatalf("%d messages wait and %d are unacknowledged, want %d together", info.Waiting, info.Unacked, want)
		}
	}
}

// pause lets time pass. It returns an error when none is left.
func (e *env) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

// dead returns the dead letters of q.
func (e *env) dead(q engine.Queue) []engine.DeadLetter {
	e.Helper()
	var all []engine.DeadLetter
	for d, err := range q.Dead(e.ctx) {
		if err != nil {
			e.Fatalf("Dead: %v", err)
		}
		all = append(all, d)
	}
	return all
}

func message(id string, frames ...string) engine.Message {
	m := engine.Message{ID: id}
	for _, f := range frames {
		m.Frames = append(m.Frames, []byte(f))
	}
	return m
}

// text returns the frames of a message as strings.
func text(frames [][]byte) []string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = string(f)
	}
	return out
}
