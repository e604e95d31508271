package enginetest

import (
	"errors"
	"sync/atomic"

	"lintel.dev/bridge/engine"
)

var closeCases = []testCase{
	{"CloseReturnsJobs", closeReturnsJobs},
	{"CloseEndsPuts", closeEndsPuts},
	{"CloseEndsGet", closeEndsGet},
	{"Closed", closed},
	{"EngineClose", engineClose},
}

// closeReturnsJobs checks that the jobs of a closed handle are due at once for
// another one.
func closeReturnsJobs(e *env) {
	name, cfg := newName(), engine.QueueConfig{AckWait: long}
	a, b := e.queueNamed(name, cfg), e.queueNamed(name, cfg)
	for range 5 {
		e.put(a, "", "x")
	}
	jobs := e.get(a, 5)
	e.ack(jobs[0])
	if err := a.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	if err := jobs[1].Ack(e.ctx); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Ack after Close returned %v, want ErrClosed", err)
	}
	again := e.get(b, 4)
	for _, j := range again {
		if j.Seq() == jobs[0].Seq() || j.Deliveries() != 2 {
			e.Errorf("got job %d, delivery %d", j.Seq(), j.Deliveries())
		}
	}
	e.ack(again...)
	e.expectStored(b, 0)
}

// closeEndsPuts checks that every put that was taken has exactly one result.
func closeEndsPuts(e *env) {
	name := newName()
	q := e.queueNamed(name, engine.QueueConfig{MaxOutstanding: 64})
	var taken, stored, ended atomic.Int64
	for range 50 {
		err := q.Put(e.ctx, message("", "x"), func(_ engine.Receipt, err error) {
			switch {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, engine.ErrClosed):
				e.Errorf("done: %v, want ErrClosed", err)
			}
			ended.Add(1)
		})
		if err != nil {
			e.Fatalf("Put: %v", err)
		}
		taken.Add(1)
	}
	if err := q.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	if ended.Load() != taken.Load() {
		e.Errorf("%d puts of %d have a result after Close", ended.Load(), taken.Load())
	}
	info := e.info(e.queueNamed(name, engine.QueueConfig{}))
	if info.Waiting < uint64(stored.Load()) {
		e.Errorf("%d messages are stored, want the %d with a receipt", info.Waiting, stored.Load())
	}
}

// closeEndsGet checks that a waiting Get ends with ErrClosed.
func closeEndsGet(e *env) {
	q := e.queue(engine.QueueConfig{})
	results := make(chan error, 1)
	go func() {
		_, err := q.Get(e.ctx, 1)
		results <- err
	}()
	if err := q.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	if err := <-results; !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Get returned %v, want ErrClosed", err)
	}
}

// closed checks that all methods return ErrClosed.
func closed(e *env) {
	q := e.queue(engine.QueueConfig{})
	if err := q.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	never := func(engine.Receipt, error) { e.Errorf("done was called for a put that failed") }
	_, get := q.Get(e.ctx, 1)
	_, info := q.Info(e.ctx)
	var dead error
	for _, err := range q.Dead(e.ctx) {
		dead = err
	}
	for name, err := range map[string]error{
		"Put": q.Put(e.ctx, message("", "x"), never), "Get": get, "Info": info, "Dead": dead, "Close": q.Close(),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			e.Errorf("%s after Close returned %v, want ErrClosed", name, err)
		}
	}
}

// engineClose checks that Engine.Close closes queues and logs.
func engineClose(e *env) {
	q := e.queue(engine.QueueConfig{})
	l := e.log(engine.LogConfig{})
	e.closeEngine()
	if _, err := q.Get(e.ctx, 1); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Get returned %v, want ErrClosed", err)
	}
	if _, err := l.Bounds(e.ctx); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Bounds returned %v, want ErrClosed", err)
	}
	if err := e.engine.Close(); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("the second Close returned %v, want ErrClosed", err)
	}
	if _, err := e.engine.Queue(e.ctx, newName(), engine.QueueConfig{}); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Queue returned %v, want ErrClosed", err)
	}
	if _, err := e.engine.Log(e.ctx, newName(), engine.LogConfig{}); !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Log returned %v, want ErrClosed", err)
	}
}
