package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"lintel.dev/bridge/engine"
)

var jobCases = []testCase{
	{"AckEndsJob", ackEndsJob},
	{"Redelivery", redelivery},
	{"NakAtOnce", nakAtOnce},
	{"NakDelay", nakDelay},
	{"Progress", progress},
	{"Term", term},
	{"TooManyDeliveries", tooManyDeliveries},
	{"UnlimitedDeliveries", unlimitedDeliveries},
	{"MaxUnacked", maxUnacked},
	{"GetEndsWithContext", getEndsWithContext},
	{"GetLosesNoJob", getLosesNoJob},
}

// expectLate checks that a job is over.
func (e *env) expectLate(j engine.Job) {
	e.Helper()
	for name, err := range map[string]error{
		"Ack": j.Ack(e.ctx), "Nak": j.Nak(0), "Progress": j.Progress(), "Term": j.Term(e.ctx, "late"),
	} {
		if !errors.Is(err, engine.ErrLate) {
			e.Errorf("%s of a job that is over returned %v, want ErrLate", name, err)
		}
	}
}

// ackEndsJob checks that an acknowledged message is gone.
func ackEndsJob(e *env) {
	q := e.queue(engine.QueueConfig{AckWait: long})
	e.put(q, "", "x")
	j := e.get(q, 1)[0]
	e.expectStored(q, 1)
	e.ack(j)
	e.expectStored(q, 0)
	e.expectLate(j)
	if dead := e.dead(q); len(dead) != 0 {
		e.Errorf("there are dead letters: %+v", dead)
	}
}

// redelivery checks that a job that is not finished comes again after AckWait, and
// that its earlier delivery is over then.
func redelivery(e *env) {
	const wait = time.Second
	q := e.queue(engine.QueueConfig{AckWait: wait, MaxDeliver: -1})
	e.put(q, "id", "x")
	start := time.Now()
	first := e.get(q, 1)[0]
	second := e.get(q, 1)[0]
	if d := time.Since(start); d < wait {
		e.Errorf("the job came again after %v, want at least %v", d, wait)
	}
	if second.Seq() != first.Seq() || second.Deliveries() < 2 || second.Message().ID != "id" {
		e.Errorf("the second delivery is job %d, delivery %d, id %q", second.Seq(), second.Deliveries(), second.Message().ID)
	}
	e.expectLate(first)
	// The second may be late too by now.
	for err := second.Ack(e.ctx); err != nil; err = second.Ack(e.ctx) {
		if !errors.Is(err, engine.ErrLate) {
			e.Fatalf("Ack of the second delivery: %v", err)
		}
		second = e.get(q, 1)[0]
	}
	e.expectStored(q, 0)
}

// nakAtOnce checks that a returned job is due at once, long before AckWait.
func nakAtOnce(e *env) {
	q := e.queue(engine.QueueConfig{AckWait: long})
	e.put(q, "", "x")
	j := e.get(q, 1)[0]
	if err := j.Nak(0); err != nil {
		e.Fatalf("Nak: %v", err)
	}
	e.expectLate(j)
	again := e.get(q, 1)[0]
	if again.Seq() != j.Seq() || again.Deliveries() != 2 {
		e.Errorf("got job %d, delivery %d, want job %d, delivery 2", again.Seq(), again.Deliveries(), j.Seq())
	}
	e.ack(again)
}

// nakDelay checks that a returned job comes after its delay, and that others do
// not wait for it.
func nakDelay(e *env) {
	const delay = 2 * time.Second
	q := e.queue(engine.QueueConfig{AckWait: long})
	e.put(q, "", "delayed")
	j := e.get(q, 1)[0]
	start := time.Now()
	if err := j.Nak(delay); err != nil {
		e.Fatalf("Nak: %v", err)
	}
	e.put(q, "", "other")
	for range 2 {
		got := e.get(q, 1)[0]
		if d := time.Since(start); got.Seq() == j.Seq() && d < delay {
			e.Errorf("the job came again after %v, want at least %v", d, delay)
		}
		e.ack(got)
	}
	e.expectStored(q, 0)
}

// progress checks that Progress keeps a job beyond its AckWait. The job is ended
// after one and a half AckWait.
func progress(e *env) {
	const wait = 20 * time.Second
	q := e.queue(engine.QueueConfig{AckWait: wait})
	e.put(q, "", "x")
	j := e.get(q, 1)[0]
	for range 15 {
		if e.pause(wait/10) != nil {
			e.Fatalf("no time left")
		}
		if err := j.Progress(); err != nil {
			e.Fatalf("Progress: %v", err)
		}
	}
	e.put(q, "", "other")
	other := e.get(q, 1)[0]
	if other.Seq() == j.Seq() {
		e.Fatalf("the job was delivered again although Progress was called every %v", wait/10)
	}
	e.ack(j, other)
	e.expectStored(q, 0)
}

// term checks that a terminated message becomes a dead letter with the reason.
func term(e *env) {
	q := e.queue(engine.QueueConfig{AckWait: long})
	e.put(q, "the id", "a", "", "c")
	e.put(q, "", "stays")
	before := time.Now()
	j := e.get(q, 1)[0]
	const reason = "cannot parse \"x\" \r\n ümlaut"
	if err := j.Term(e.ctx, reason); err != nil {
		e.Fatalf("Term: %v", err)
	}
	e.expectLate(j)
	e.expectStored(q, 1)
	dead := e.dead(q)
	if len(dead) != 1 {
		e.Fatalf("there are %d dead letters, want 1", len(dead))
	}
	d := dead[0]
	if d.Message.ID != "the id" || !slices.Equal(text(d.Message.Frames), []string{"a", "", "c"}) ||
		d.Original != 1 || d.Seq != 1 || d.Deliveries != 1 || d.Reason != reason {
		e.Errorf("the dead letter is %+v", d)
	}
	if since := d.Time.Sub(before); since < -time.Minute || since > Patience {
		e.Errorf("the time of the dead letter is %v, want about %v", d.Time, before)
	}
	if info := e.info(q); info.Dead != 1 || info.Moved != 1 {
		e.Errorf("the queue is %+v, want 1 dead letter, moved by this process", info)
	}
}

// tooManyDeliveries checks that a message that is never acknowledged becomes a dead
// letter after MaxDeliver deliveries, and does not hold up others.
func tooManyDeliveries(e *env) {
	const limit = 3
	q := e.queue(engine.QueueConfig{AckWait: long, MaxDeliver: limit})
	e.put(q, "poison", "x")
	for i := range limit {
		j := e.get(q, 1)[0]
		if j.Deliveries() != i+1 || j.Message().ID != "poison" {
			e.Fatalf("got delivery %d of %q, want delivery %d of the poison message", j.Deliveries(), j.Message().ID, i+1)
		}
		if err := j.Nak(0); err != nil {
			e.Fatalf("Nak: %v", err)
		}
	}
	e.put(q, "", "good")
	good := e.get(q, 1)[0]
	if good.Seq() != 2 {
		e.Fatalf("after %d deliveries got message %d again, want message 2", limit, good.Seq())
	}
	e.ack(good)
	// The engine may still be moving it if the good message overtook it.
	for e.info(q).Dead == 0 {
		ctx, cancel := context.WithTimeout(e.ctx, time.Second)
		if jobs, err := q.Get(ctx, 1); err == nil {
			e.Fatalf("got message %d in delivery %d, want none", jobs[0].Seq(), jobs[0].Deliveries())
		}
		cancel()
		if e.ctx.Err() != nil {
			e.Fatalf("there is no dead letter")
		}
	}
	dead := e.dead(q)
	if len(dead) != 1 || dead[0].Original != 1 || dead[0].Deliveries != limit || dead[0].Reason != engine.ReasonDeliveries || dead[0].Message.ID != "poison" {
		e.Errorf("the dead letters are %+v", dead)
	}
	e.expectStored(q, 0)
}

// unlimitedDeliveries checks that a negative MaxDeliver is no limit.
func unlimitedDeliveries(e *env) {
	q := e.queue(engine.QueueConfig{AckWait: long, MaxDeliver: -1})
	e.put(q, "", "x")
	for i := range 20 {
		j := e.get(q, 1)[0]
		if j.Deliveries() != i+1 {
			e.Fatalf("got delivery %d, want %d", j.Deliveries(), i+1)
		}
		if err := j.Nak(0); err != nil {
			e.Fatalf("Nak: %v", err)
		}
	}
	e.expectStored(q, 1)
}

// maxUnacked checks that no more than MaxUnacked jobs are delivered at a time.
func maxUnacked(e *env) {
	q := e.queue(engine.QueueConfig{AckWait: long, MaxUnacked: 2})
	for i := range 4 {
		e.put(q, "", fmt.Sprint(i))
	}
	var jobs []engine.Job
	for len(jobs) < 2 {
		more, err := q.Get(e.ctx, 10)
		if err != nil {
			e.Fatalf("Get: %v", err)
		}
		jobs = append(jobs, more...)
	}
	if len(jobs) != 2 {
		e.Fatalf("got %d jobs, want 2", len(jobs))
	}
	var ended atomic.Bool
	type got struct {
		jobs  []engine.Job
		early bool
		err   error
	}
	next := make(chan got, 1)
	go func() {
		jobs, err := q.Get(e.ctx, 10)
		next <- got{jobs, !ended.Load(), err}
	}()
	_ = e.pause(100 * time.Millisecond) // an engine that ignores the limit has time to show it
	ended.Store(true)
	e.ack(jobs[0])
	g := <-next
	if g.err != nil || len(g.jobs) != 1 || g.early {
		e.Fatalf("got %d jobs, early: %v, %v, want 1 after an ack", len(g.jobs), g.early, g.err)
	}
	e.ack(jobs[1], g.jobs[0])
	e.ack(e.get(q, 1)...)
	e.expectStored(q, 0)
}

// getEndsWithContext checks that Get returns the cause of its context.
func getEndsWithContext(e *env) {
	q := e.queue(engine.QueueConfig{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(e.ctx)
	results := make(chan error, 1)
	go func() {
		_, err := q.Get(ctx, 1)
		results <- err
	}()
	cancel(cause)
	if err := <-results; !errors.Is(err, cause) {
		e.Errorf("Get returned %v, want the cause of its context", err)
	}
	if _, err := q.Get(ctx, 1); !errors.Is(err, cause) {
		e.Errorf("Get with a context that has ended returned %v, want its cause", err)
	}
}

// getLosesNoJob checks that a job that arrives while its Get is cancelled is not
// lost until AckWait.
func getLosesNoJob(e *env) {
	const n = 50
	q := e.queue(engine.QueueConfig{AckWait: long})
	seen := 0
	for i := range n {
		ctx, cancel := context.WithCancel(e.ctx)
		results := make(chan []engine.Job, 1)
		go func() {
			jobs, _ := q.Get(ctx, 3)
			results <- jobs
		}()
		c := e.start(q, message("", fmt.Sprint(i)))
		cancel()
		jobs := <-results
		e.ack(jobs...)
		seen += len(jobs)
		if r := e.wait(c); r.err != nil {
			e.Fatalf("Put: %v", r.err)
		}
	}
	e.ack(e.get(q, n-seen)...)
	e.expectStored(q, 0)
}
