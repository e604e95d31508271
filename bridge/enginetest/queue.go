package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/bridge/engine"
)

// long is an AckWait that no case waits for.
const long = time.Hour

var queueCases = []testCase{
	{"RoundTrip", roundTrip},
	{"Order", order},
	{"ReceiptMeansStored", receiptMeansStored},
	{"Duplicates", duplicates},
	{"DuplicateWindowEnds", duplicateWindowEnds},
	{"BackPressure", backPressure},
	{"PutEndsWithContext", putEndsWithContext},
	{"TooLarge", tooLarge},
	{"Full", full},
	{"InvalidMessages", invalidMessages},
	{"Names", validNames},
	{"TwoHandles", twoHandles},
	{"Crowd", crowd},
}

// roundTrip checks that frames and IDs of any octets arrive as they were put.
func roundTrip(e *env) {
	q := e.queue(engine.QueueConfig{})
	messages := []engine.Message{
		message("", "one frame"),
		message("", ""),
		message("", "", ""),
		message("", "a", "", "b\x00\r\n", strings.Repeat("x", 100_000)),
		message("plain-id", "with id"),
		message("id with \r\n, %41 and \x00\xff", "odd id"),
		message(strings.Repeat("i", engine.MaxID), "longest id"),
		message("", slices.Repeat([]string{"f"}, 1000)...),
	}
	for i, m := range messages {
		r := e.put(q, m.ID, text(m.Frames)...)
		if r.Seq != uint64(i+1) || r.Duplicate {
			e.Errorf("receipt of message %d is %+v, want sequence %d", i, r, i+1)
		}
	}
	for i, j := range e.get(q, len(messages)) {
		got, want := j.Message(), messages[i]
		if got.ID != want.ID || !slices.Equal(text(got.Frames), text(want.Frames)) {
			e.Errorf("message %d: got id %q with %d frames, want id %q with %d frames", i, got.ID, len(got.Frames), want.ID, len(want.Frames))
		}
		if j.Seq() != uint64(i+1) || j.Deliveries() != 1 {
			e.Errorf("message %d: got sequence %d and delivery %d, want %d and 1", i, j.Seq(), j.Deliveries(), i+1)
		}
		e.ack(j)
	}
	e.expectStored(q, 0)
}

// order checks that one producer's messages are stored and delivered in its order.
func order(e *env) {
	const n = 300
	q := e.queue(engine.QueueConfig{MaxOutstanding: 64})
	var results []<-chan result
	for i := range n {
		results = append(results, e.start(q, message("", fmt.Sprint(i))))
	}
	for i, c := range results {
		if r := e.wait(c); r.err != nil || r.receipt.Seq != uint64(i+1) {
			e.Fatalf("put %d: got %+v, %v, want sequence %d", i, r.receipt, r.err, i+1)
		}
	}
	for i, j := range e.get(q, n) {
		if got := string(j.Message().Frames[0]); got != fmt.Sprint(i) {
			e.Fatalf("job %d has message %s", i, got)
		}
		e.ack(j)
	}
}

// receiptMeansStored checks that a message exists when done is called.
func receiptMeansStored(e *env) {
	q := e.queue(engine.QueueConfig{})
	for i := range uint64(10) {
		r := e.put(q, "", "x")
		if info := e.info(q); info.Waiting != i+1 || info.Last != r.Seq || info.Bytes == 0 {
			e.Fatalf("after receipt %+v the queue is %+v", r, info)
		}
	}
}

// duplicates checks that an ID is stored once, and that no ID is no duplicate.
func duplicates(e *env) {
	q := e.queue(engine.QueueConfig{})
	first := e.put(q, "a", "1")
	for range 3 {
		if r := e.put(q, "a", "again"); !r.Duplicate || r.Seq != first.Seq {
			e.Errorf("second put of an id: got %+v, want a duplicate of %d", r, first.Seq)
		}
	}
	for _, id := range []string{"b", "A", "a ", "%61", "", ""} {
		if r := e.put(q, id, "other"); r.Duplicate {
			e.Errorf("put of the new id %q: got %+v, want no duplicate", id, r)
		}
	}
	e.expectStored(q, 7)
	jobs := e.get(q, 7)
	if got := string(jobs[0].Message().Frames[0]); got != "1" {
		e.Errorf("the first message of an id is %q, want 1", got)
	}
	e.ack(jobs...)
	if r := e.put(q, "a", "after ack"); !r.Duplicate {
		e.Errorf("put after the ack: got %+v, want a duplicate", r)
	}
	e.expectStored(q, 0)
}

// duplicateWindowEnds checks that an ID can be used again after the window, and
// not before.
func duplicateWindowEnds(e *env) {
	const window = time.Second
	q := e.queue(engine.QueueConfig{Dedup: window})
	e.put(q, "a", "first")
	start := time.Now() // the window may have begun earlier
	for {
		before := time.Now()
		if r := e.put(q, "a", "again"); !r.Duplicate {
			break
		}
		if e.pause(window/4) != nil {
			e.Fatalf("the id is a duplicate %v after its put, want %v", before.Sub(start), window)
		}
	}
	e.expectStored(q, 2)
}

// backPressure checks that no more than MaxOutstanding puts are without a result.
func backPressure(e *env) {
	const outstanding, n = 4, 200
	q := e.queue(engine.QueueConfig{MaxOutstanding: outstanding})
	var taken, finished atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		// A put counts as outstanding after it returned, and until done begins.
		err := q.Put(e.ctx, message("", "x"), func(_ engine.Receipt, err error) {
			if err != nil {
				e.Errorf("done: %v", err)
			}
			finished.Add(1)
			wg.Done()
		})
		if err != nil {
			e.Fatalf("Put: %v", err)
		}
		if now := taken.Add(1) - finished.Load(); now > outstanding {
			e.Fatalf("%d puts are outstanding, want at most %d", now, outstanding)
		}
	}
	e.join(&wg)
}

// join waits for wg.
func (e *env) join(wg *sync.WaitGroup) {
	e.Helper()
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-e.ctx.Done():
		e.Fatalf("not finished within %v", Patience)
	}
}

// putEndsWithContext checks that a put that waits for a slot ends with its context,
// and that its message is not stored.
func putEndsWithContext(e *env) {
	q := e.queue(engine.QueueConfig{MaxOutstanding: 1})
	release := make(chan struct{})
	held := make(chan struct{})
	err := q.Put(e.ctx, message("", "holds the slot"), func(engine.Receipt, error) { close(held); <-release })
	if err != nil {
		e.Fatalf("Put: %v", err)
	}
	<-held
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(e.ctx)
	results := make(chan error, 1)
	go func() {
		results <- q.Put(ctx, message("", "waits"), func(engine.Receipt, error) { e.Errorf("done was called for a put that failed") })
	}()
	cancel(cause)
	if err := <-results; !errors.Is(err, cause) {
		e.Errorf("Put returned %v, want the cause of its context", err)
	}
	close(release)
	e.put(q, "", "next")
	e.expectStored(q, 2)
}

// tooLarge checks that a message beyond the limit is refused at the door.
func tooLarge(e *env) {
	q := e.queue(engine.QueueConfig{})
	never := func(engine.Receipt, error) { e.Errorf("done was called for a put that failed") }
	for name, m := range map[string]engine.Message{
		"one frame":  message("", strings.Repeat("x", 2<<20)),
		"two frames": message("", strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20)),
	} {
		if err := q.Put(e.ctx, m, never); !errors.Is(err, engine.ErrTooLarge) {
			e.Errorf("%s of 2 MiB: Put returned %v, want ErrTooLarge", name, err)
		}
	}
	e.put(q, "", strings.Repeat("x", 900<<10))
	e.expectStored(q, 1)
}

// full checks that a queue at MaxBytes refuses messages until some are processed.
func full(e *env) {
	q := e.queue(engine.QueueConfig{MaxBytes: 100_000})
	body := strings.Repeat("x", 10_000)
	stored := 0
	for ; stored < 12; stored++ {
		r := e.wait(e.start(q, message("", body)))
		if errors.Is(r.err, engine.ErrFull) {
			break
		}
		if r.err != nil {
			e.Fatalf("put %d: %v", stored, r.err)
		}
	}
	if stored < 5 || stored > 10 {
		e.Errorf("%d messages of 10,000 octets fit into 100,000, want 5 to 10", stored)
	}
	e.ack(e.get(q, 2)...)
	for { // until the acknowledged messages are removed
		r := e.wait(e.start(q, message("", body)))
		if r.err == nil {
			break
		}
		if !errors.Is(r.err, engine.ErrFull) || e.pause(50*time.Millisecond) != nil {
			e.Fatalf("put after an ack: %v", r.err)
		}
	}
	e.expectStored(q, uint64(stored-1))
}

// invalidMessages checks that Put refuses what no engine can store.
func invalidMessages(e *env) {
	q := e.queue(engine.QueueConfig{})
	never := func(engine.Receipt, error) { e.Errorf("done was called for a put that failed") }
	for name, m := range map[string]engine.Message{
		"no frame": {},
		"long id":  message(strings.Repeat("i", engine.MaxID+1), "x"),
	} {
		if err := q.Put(e.ctx, m, never); !errors.Is(err, engine.ErrMessage) {
			e.Errorf("%s: Put returned %v, want ErrMessage", name, err)
		}
	}
}

// validNames checks which names are accepted.
func validNames(e *env) {
	for _, name := range []string{"", "a.b", "a*", ">", "a b", "ä", "a/b", "a\n", strings.Repeat("n", engine.MaxName+1)} {
		if _, err := e.engine.Queue(e.ctx, name, engine.QueueConfig{}); !errors.Is(err, engine.ErrName) {
			e.Errorf("Queue(%q) returned %v, want ErrName", name, err)
		}
		if _, err := e.engine.Log(e.ctx, name, engine.LogConfig{}); !errors.Is(err, engine.ErrName) {
			e.Errorf("Log(%q) returned %v, want ErrName", name, err)
		}
	}
	longest := (newName() + strings.Repeat("_-Az09", 11))[:engine.MaxName]
	e.put(e.queueNamed(longest, engine.QueueConfig{}), "", "x")
}

// twoHandles checks that two handles of a name share its messages.
func twoHandles(e *env) {
	name := newName()
	a, b := e.queueNamed(name, engine.QueueConfig{AckWait: long}), e.queueNamed(name, engine.QueueConfig{AckWait: long})
	for range 5 {
		e.put(a, "", "from a")
		e.put(b, "", "from b")
	}
	seen := make(map[uint64]bool)
	for _, j := range append(e.get(a, 5), e.get(b, 5)...) {
		if seen[j.Seq()] {
			e.Errorf("job %d was delivered to both handles", j.Seq())
		}
		seen[j.Seq()] = true
		e.ack(j)
	}
	e.expectStored(a, 0)
}

// crowd checks that every acknowledged put is processed at least once, with many
// producers and workers and random ends of jobs.
func crowd(e *env) {
	const producers, workers, each = 4, 4, 40
	name := newName()
	var wg sync.WaitGroup
	var mu sync.Mutex
	processed := make(map[string]bool)
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	finished := make(chan struct{})
	for p := range producers {
		wg.Go(func() {
			q := e.queueNamed(name, engine.QueueConfig{AckWait: long, MaxDeliver: -1, MaxOutstanding: 8})
			for i := range each {
				e.put(q, fmt.Sprintf("%d/%d", p, i), "x")
			}
		})
	}
	for w := range workers {
		wg.Go(func() {
			q := e.queueNamed(name, engine.QueueConfig{AckWait: long, MaxDeliver: -1, MaxOutstanding: 8})
			for {
				jobs, err := q.Get(ctx, 1+w)
				if err != nil {
					return
				}
				for i, j := range jobs {
					if (int(j.Seq())+i+w)%3 == 0 && j.Deliveries() < 3 {
						if err := j.Nak(time.Duration(i) * time.Millisecond); err != nil {
							e.Errorf("Nak: %v", err)
						}
						continue
					}
					e.ack(j)
					mu.Lock()
					processed[j.Message().ID] = true
					if len(processed) == producers*each {
						cancel()
						close(finished)
					}
					mu.Unlock()
				}
			}
		})
	}
	select {
	case <-finished:
	case <-e.ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		e.Fatalf("%d of %d messages were processed", len(processed), producers*each)
	}
	e.join(&wg)
}
