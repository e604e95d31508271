package enginetest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A mutant is the memory engine with one defect, and the cases of which at least
// one must find it.
type mutant struct {
	name   string
	config func(*engine.QueueConfig)
	queue  func(engine.Queue) engine.Queue
	log    func(engine.Log) engine.Log
	job    func(engine.Job) engine.Job
	found  []string
}

// mutants are defects that a store has had or could have.
var mutants = []mutant{
	{name: "receipt before the message is stored", found: []string{"ReceiptMeansStored"}, queue: func(q engine.Queue) engine.Queue { return &early{Queue: q} }},
	{name: "ids are ignored", found: []string{"Duplicates"}, queue: func(q engine.Queue) engine.Queue {
		return changedPut{q, func(m engine.Message) engine.Message { m.ID = ""; return m }}
	}},
	{name: "every message has the same id", found: []string{"RoundTrip"}, queue: func(q engine.Queue) engine.Queue {
		return changedPut{q, func(m engine.Message) engine.Message { m.ID = "id"; return m }}
	}},
	{name: "ids are cut", found: []string{"RoundTrip"}, queue: func(q engine.Queue) engine.Queue {
		return changedPut{q, func(m engine.Message) engine.Message { m.ID = m.ID[:min(len(m.ID), 64)]; return m }}
	}},
	{name: "empty frames are dropped", found: []string{"RoundTrip"}, queue: func(q engine.Queue) engine.Queue {
		return changedPut{q, func(m engine.Message) engine.Message {
			frames := slices.DeleteFunc(slices.Clone(m.Frames), func(f []byte) bool { return len(f) == 0 })
			if len(frames) > 0 {
				m.Frames = frames
			}
			return m
		}}
	}},
	{name: "done is called twice", found: []string{"CloseEndsPuts", "BackPressure"}, queue: func(q engine.Queue) engine.Queue { return twice{q} }},
	{name: "the window of puts is ignored", found: []string{"BackPressure", "PutEndsWithContext"}, config: func(c *engine.QueueConfig) { c.MaxOutstanding = 1 << 10 }},
	{name: "AckWait is ignored", found: []string{"Redelivery"}, config: func(c *engine.QueueConfig) { c.AckWait = long }},
	{name: "AckWait is too short", found: []string{"Redelivery"}, config: func(c *engine.QueueConfig) { c.AckWait /= 2 }},
	{name: "MaxDeliver is ignored", found: []string{"TooManyDeliveries"}, config: func(c *engine.QueueConfig) { c.MaxDeliver = -1 }},
	{name: "MaxDeliver is one too many", found: []string{"TooManyDeliveries"}, config: func(c *engine.QueueConfig) { c.MaxDeliver++ }},
	{name: "no MaxDeliver is a limit", found: []string{"UnlimitedDeliveries"}, config: func(c *engine.QueueConfig) { c.MaxDeliver = 5 }},
	{name: "MaxUnacked is ignored", found: []string{"MaxUnacked"}, config: func(c *engine.QueueConfig) { c.MaxUnacked = 1000 }},
	{name: "MaxBytes is ignored", found: []string{"Full"}, config: func(c *engine.QueueConfig) { c.MaxBytes = -1 }},
	{name: "the window of ids is endless", found: []string{"DuplicateWindowEnds"}, config: func(c *engine.QueueConfig) { c.Dedup = long }},
	{name: "the window of ids is short", found: []string{"Duplicates"}, config: func(c *engine.QueueConfig) { c.Dedup = time.Nanosecond }},
	{name: "ack does nothing", found: []string{"AckEndsJob"}, job: func(j engine.Job) engine.Job { return noAck{j} }},
	{name: "nak does nothing", found: []string{"NakAtOnce"}, job: func(j engine.Job) engine.Job { return noNak{j} }},
	{name: "the delay of nak is ignored", found: []string{"NakDelay"}, job: func(j engine.Job) engine.Job { return hastyNak{j} }},
	{name: "progress does nothing", found: []string{"Progress"}, job: func(j engine.Job) engine.Job { return noProgress{j} }},
	{name: "term only acknowledges", found: []string{"Term"}, job: func(j engine.Job) engine.Job { return noTerm{j} }},
	{name: "deliveries are not counted", found: []string{"NakAtOnce"}, job: func(j engine.Job) engine.Job { return uncounted{j} }},
	{name: "late jobs are accepted", found: []string{"AckEndsJob"}, job: func(j engine.Job) engine.Job { return neverLate{j} }},
	{name: "a cancelled Get loses its job", found: []string{"GetLosesNoJob"}, queue: func(q engine.Queue) engine.Queue { return &forgetful{Queue: q} }},
	{name: "jobs come in reverse", found: []string{"Order"}, queue: func(q engine.Queue) engine.Queue { return reversed{q} }},
	{name: "close keeps the jobs", found: []string{"CloseReturnsJobs"}, queue: func(q engine.Queue) engine.Queue { return keeping{q} }},
	{name: "the prefix is ignored", found: []string{"LogPrefixes"}, log: func(l engine.Log) engine.Log { return changedRead{Log: l, prefix: func([]byte) []byte { return nil }} }},
	{name: "only four octets of the prefix count", found: []string{"LogPrefixes"}, log: func(l engine.Log) engine.Log {
		return changedRead{Log: l, prefix: func(p []byte) []byte { return p[:min(len(p), 4)] }}
	}},
	{name: "a position is read behind", found: []string{"LogPositions"}, log: func(l engine.Log) engine.Log {
		return changedRead{Log: l, from: func(n uint64) uint64 { return n + 1 }}
	}},
	{name: "loss is silent", found: []string{"LogTrims"}, log: func(l engine.Log) engine.Log {
		return changedRead{Log: l, entry: func(e engine.Entry) engine.Entry { e.Lost = engine.Range{}; return e }}
	}},
}

// TestMutants checks that the cases find each mutant, and nothing in the engine
// without a defect.
func TestMutants(t *testing.T) {
	cases := make(map[string]testCase)
	for _, c := range allCases() {
		cases[c.name] = c
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for _, name := range m.found {
				if problems := try(t, cases[name], mutant{}); len(problems) > 0 {
					t.Fatalf("%s fails without a mutant: %s", name, problems[0])
				}
				if len(try(t, cases[name], m)) > 0 {
					return
				}
			}
			t.Errorf("not found by %v", m.found)
		})
	}
}

// try runs a case on a mutant and returns its failures.
func try(t *testing.T, c testCase, m mutant) []string {
	r := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		r.ctx = t.Context()
		ended := make(chan struct{})
		inner := memory.New(memory.Options{Delay: time.Millisecond})
		go func() {
			defer close(ended)
			s := Suite{Open: func(TB) engine.Engine { return &mutated{inner, m} }}
			s.run(r, c)
		}()
		<-ended
		_ = inner.Close() // again, for a mutant whose Close does too little
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problems
}

// recorder is a TB that collects failures.
type recorder struct {
	ctx      context.Context
	mu       sync.Mutex
	problems []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
	r.mu.Unlock()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// mutated wraps what an engine returns.
type mutated struct {
	engine.Engine
	m mutant
}

func (e *mutated) Queue(ctx context.Context, name string, cfg engine.QueueConfig) (engine.Queue, error) {
	if e.m.config != nil {
		e.m.config(&cfg)
	}
	q, err := e.Engine.Queue(ctx, name, cfg)
	if err == nil && e.m.job != nil {
		q = changedJobs{q, e.m.job}
	}
	if err == nil && e.m.queue != nil {
		q = e.m.queue(q)
	}
	return q, err
}

func (e *mutated) Log(ctx context.Context, name string, cfg engine.LogConfig) (engine.Log, error) {
	l, err := e.Engine.Log(ctx, name, cfg)
	if err == nil && e.m.log != nil {
		l = e.m.log(l)
	}
	return l, err
}

// The queues with a defect.
type (
	early      struct{ engine.Queue }
	twice      struct{ engine.Queue }
	reversed   struct{ engine.Queue }
	keeping    struct{ engine.Queue }
	forgetful  struct{ engine.Queue }
	changedPut struct {
		engine.Queue
		change func(engine.Message) engine.Message
	}
	changedJobs struct {
		engine.Queue
		change func(engine.Job) engine.Job
	}
)

func (q *early) Put(ctx context.Context, m engine.Message, done func(engine.Receipt, error)) error {
	info, err := q.Info(ctx)
	if err != nil {
		return err
	}
	done(engine.Receipt{Seq: info.Last + 1}, nil)
	return q.Queue.Put(ctx, m, func(engine.Receipt, error) {})
}

func (q twice) Put(ctx context.Context, m engine.Message, done func(engine.Receipt, error)) error {
	return q.Queue.Put(ctx, m, func(r engine.Receipt, err error) { done(r, err); done(r, err) })
}

func (q reversed) Get(ctx context.Context, n int) ([]engine.Job, error) {
	jobs, err := q.Queue.Get(ctx, n)
	slices.Reverse(jobs)
	return jobs, err
}

func (q keeping) Close() error { return nil }

func (q *forgetful) Get(ctx context.Context, n int) ([]engine.Job, error) {
	jobs, err := q.Queue.Get(context.WithoutCancel(ctx), n)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return jobs, err
}

func (q changedPut) Put(ctx context.Context, m engine.Message, done func(engine.Receipt, error)) error {
	if err := m.Check(); err != nil {
		return err
	}
	return q.Queue.Put(ctx, q.change(m), done)
}

func (q changedJobs) Get(ctx context.Context, n int) ([]engine.Job, error) {
	jobs, err := q.Queue.Get(ctx, n)
	for i, j := range jobs {
		jobs[i] = q.change(j)
	}
	return jobs, err
}

// The jobs with a defect.
type (
	noAck      struct{ engine.Job }
	noNak      struct{ engine.Job }
	hastyNak   struct{ engine.Job }
	noProgress struct{ engine.Job }
	noTerm     struct{ engine.Job }
	uncounted  struct{ engine.Job }
	neverLate  struct{ engine.Job }
)

func (j noAck) Ack(context.Context) error                      { return nil }
func (j noNak) Nak(time.Duration) error                        { return nil }
func (j hastyNak) Nak(time.Duration) error                     { return j.Job.Nak(0) }
func (j noProgress) Progress() error                           { return nil }
func (j noTerm) Term(ctx context.Context, _ string) error      { return j.Ack(ctx) }
func (j uncounted) Deliveries() int                            { return 1 }
func (j neverLate) Ack(ctx context.Context) error              { _ = j.Job.Ack(ctx); return nil }
func (j neverLate) Nak(d time.Duration) error                  { _ = j.Job.Nak(d); return nil }
func (j neverLate) Progress() error                            { _ = j.Job.Progress(); return nil }
func (j neverLate) Term(ctx context.Context, why string) error { _ = j.Job.Term(ctx, why); return nil }

// changedRead is a log with a defect.
type changedRead struct {
	engine.Log
	from   func(uint64) uint64
	prefix func([]byte) []byte
	entry  func(engine.Entry) engine.Entry
}

func (l changedRead) Read(ctx context.Context, from uint64, prefix []byte) iter.Seq2[engine.Entry, error] {
	if l.from != nil {
		from = l.from(from)
	}
	if l.prefix != nil {
		prefix = l.prefix(prefix)
	}
	return func(yield func(engine.Entry, error) bool) {
		for e, err := range l.Log.Read(ctx, from, prefix) {
			if l.entry != nil && err == nil {
				e = l.entry(e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
