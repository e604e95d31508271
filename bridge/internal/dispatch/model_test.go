package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/dispatch"
	"lintel.dev/bridge/internal/protocol"
	"lintel.dev/bridge/memory"
)

// A world is producers, a bridge and workers on a memory engine, in simulated time.
// One goroutine takes random steps: put, lose a reply and repeat, deliver, finish
// in any way, repeat and lose acknowledgements, kill a worker or the bridge, let
// time pass. The engine stays, as a store outside the bridge does. In the end all
// failures stop, and the history is checked.
type world struct {
	rng    *rand.Rand
	faulty mutant
	store  *memory.Engine
	cfg    engine.QueueConfig

	bridge  *bridge
	killed  []engine.Queue // handles of killed bridges
	workers []*worker
	peers   int

	// The history.
	put       map[string]bool // every body that was put
	confirmed map[string]bool // of these, those with an OK
	processed map[string]int
	acked     map[string]bool // confirmed by a sync
	wrong     []string
}

// mutant is a fault that the checker must find.
type mutant struct {
	name  string
	wrap  func(engine.Job) engine.Job
	early bool // OK before the engine has the message, which is then lost
}

// bridge is one life of the bridge.
type bridge struct {
	desk    *dispatch.Desk
	queue   engine.Queue
	stop    context.CancelFunc
	pending []func() // calls of the engine on behalf of workers
	sent    map[string][][][]byte
}

// worker is a DEALER or REQ worker with one connection.
type worker struct {
	peer   string
	kind   dispatch.Kind
	credit int
	asking bool // of a REQ: a request waits for its reply
	holds  []job
}

type job struct{ token, body string }

const (
	maxCredit  = 3 // less than some workers ask for
	maxDeliver = 4
	ackWait    = 10 * time.Second
)

func (w *world) fail(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// start begins a life of the bridge.
func (w *world) start() {
	queue, err := w.store.Queue(context.Background(), "q", w.cfg)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &bridge{queue: queue, stop: stop, sent: make(map[string][][][]byte)}
	b.desk = dispatch.New(dispatch.Config{
		MaxWorkers: 5, MaxCredit: maxCredit, DeadAfter: 3 * time.Second,
		Send: func(_ dispatch.Kind, frames [][]byte) error {
			peer := string(frames[0])
			if w.worker(peer) == nil {
				return errors.New("no such peer")
			}
			b.sent[peer] = append(b.sent[peer], frames[2:])
			if body := string(frames[len(frames)-1]); len(frames) == 5 && w.acked[body] {
				w.fail("%s is delivered after its acknowledgement was confirmed", body)
			}
			return nil
		},
		Start: func(op func(context.Context) error, done func(error)) {
			b.pending = append(b.pending, func() { done(op(context.Background())) })
		},
		Alive: func(_ dispatch.Kind, peer string) bool { return w.worker(peer) != nil },
	})
	go func() {
		for {
			n, fetch, err := b.desk.Want(ctx)
			if err != nil {
				return
			}
			jobs, _ := queue.Get(fetch, n)
			for i, j := range jobs {
				if w.faulty.wrap != nil {
					jobs[i] = w.faulty.wrap(j)
				}
			}
			b.desk.Deliver(jobs)
		}
	}()
	w.bridge = b
}

// kill ends the bridge without any of its last acts: the engine finds out by
// AckWait.
func (w *world) kill() {
	w.bridge.stop()
	w.killed = append(w.killed, w.bridge.queue)
	for _, k := range w.workers {
		k.holds, k.asking = nil, false
	}
	w.workers = nil // their connections end
	w.start()
}

func (w *world) worker(peer string) *worker {
	if i := slices.IndexFunc(w.workers, func(k *worker) bool { return k.peer == peer }); i >= 0 {
		return w.workers[i]
	}
	return nil
}

// say sends a message of a worker to the bridge.
func (w *world) say(k *worker, content ...string) {
	m := protocol.Message{Peer: k.peer, Envelope: [][]byte{[]byte(k.peer), nil}}
	for _, c := range content {
		m.Content = append(m.Content, []byte(c))
	}
	w.bridge.desk.Receive(k.kind, "", m, time.Now())
	k.asking = k.kind == dispatch.Req
}

// produce puts a message, and repeats it with the same id while its reply is lost.
func (w *world) produce() {
	body := fmt.Sprint("m", len(w.put))
	w.put[body] = true
	for repeat := true; repeat; repeat = w.rng.IntN(3) == 0 {
		lost := w.rng.IntN(4) == 0
		if w.faulty.early {
			w.confirmed[body] = w.confirmed[body] || !lost
			if w.rng.IntN(4) == 0 {
				continue // the bridge dies before it puts
			}
		}
		err := w.bridge.queue.Put(context.Background(), engine.Message{ID: body, Frames: [][]byte{[]byte(body)}}, func(r engine.Receipt, err error) {
			if err == nil && !lost {
				w.confirmed[body] = true
			}
		})
		if err != nil {
			w.fail("put %s: %v", body, err)
		}
		synctest.Wait()
	}
}

// take lets a worker read what the bridge sent to it.
func (w *world) take(k *worker) {
	for _, m := range w.bridge.sent[k.peer] {
		k.asking = false
		if first := string(m[0]); first == protocol.OK || first == protocol.No {
			if first == protocol.OK && k.kind == dispatch.Dealer {
				w.settled(k, string(m[1]))
			}
			k.forget(string(m[1]))
			continue
		}
		j := job{string(m[0]), string(m[2])}
		switch {
		case !w.put[j.body]:
			w.fail("processed %q, which was not put", j.body)
		case string(m[1]) > fmt.Sprint(maxDeliver):
			w.fail("%s is delivered %s times, at most %d", j.body, m[1], maxDeliver)
		}
		k.holds = append(k.holds, j)
	}
	delete(w.bridge.sent, k.peer)
}

// settled notes that the engine confirmed an acknowledgement.
func (w *world) settled(k *worker, token string) {
	for _, j := range k.holds {
		if j.token == token {
			w.acked[j.body] = true
		}
	}
}

func (k *worker) forget(token string) {
	k.holds = slices.DeleteFunc(k.holds, func(j job) bool { return j.token == token })
}

// finish lets a worker end a job in one of the ways there are.
func (w *world) finish(k *worker) {
	if len(k.holds) == 0 || k.asking {
		return
	}
	j := k.holds[w.rng.IntN(len(k.holds))]
	verb, lost := w.rng.IntN(10), w.rng.IntN(8) == 0
	if verb < 7 {
		w.processed[j.body]++ // the work is done, whether or not the bridge hears of it
	}
	switch {
	case lost:
		if k.kind == dispatch.Dealer {
			return
		}
		w.leave(k) // a REQ has no other way to lose a message
	case verb < 6 && k.kind == dispatch.Dealer:
		for range 1 + w.rng.IntN(2) {
			w.say(k, "ACK", j.token, "sync")
		}
	case verb < 7:
		w.say(k, "ACK", j.token)
		k.forget(j.token)
	case verb == 7:
		w.say(k, "NAK", j.token, fmt.Sprint(w.rng.IntN(5000)))
		k.forget(j.token)
	case verb == 8:
		w.say(k, "PROG", j.token)
		if k.kind == dispatch.Req {
			k.asking = false
		}
	default:
		w.say(k, "TERM", j.token, "refused")
		k.forget(j.token)
	}
}

// join connects a worker.
func (w *world) join() {
	w.peers++
	k := &worker{peer: fmt.Sprint("w", w.peers), kind: dispatch.Dealer, credit: 1 + w.rng.IntN(4)}
	if w.rng.IntN(2) == 0 {
		k.kind = dispatch.Req
	}
	w.workers = append(w.workers, k)
}

// leave ends the connection of a worker.
func (w *world) leave(k *worker) {
	w.workers = slices.DeleteFunc(w.workers, func(other *worker) bool { return other == k })
	delete(w.bridge.sent, k.peer)
	w.bridge.desk.Gone(k.kind, k.peer, "")
}

// ask lets a worker say that it wants jobs.
func (w *world) ask(k *worker) {
	switch {
	case k.kind == dispatch.Dealer:
		w.say(k, "READY", fmt.Sprint(k.credit))
	case !k.asking && len(k.holds) == 0:
		w.say(k, "NEXT")
	}
}

// step does one random thing.
func (w *world) step() {
	var k *worker
	if len(w.workers) > 0 {
		k = w.workers[w.rng.IntN(len(w.workers))]
	}
	b := w.bridge
	switch n := w.rng.IntN(100); {
	case n < 20:
		w.produce()
	case n < 45 && len(b.pending) > 0:
		i := w.rng.IntN(len(b.pending))
		op := b.pending[i]
		b.pending = slices.Delete(b.pending, i, i+1)
		op()
	case n < 50:
		time.Sleep(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
		b.desk.Tick(time.Now())
	case n < 55:
		w.join()
	case n == 55 && w.rng.IntN(2) == 0:
		w.kill()
	case k == nil:
	case n < 58:
		w.leave(k)
	case n < 70:
		w.ask(k)
	case n < 85:
		w.take(k)
	default:
		w.finish(k)
	}
	synctest.Wait()
	some, _, _ := w.bridge.desk.Workers(100)
	for _, s := range some {
		if s.Held > maxCredit {
			w.fail("a worker holds %d jobs, at most %d", s.Held, maxCredit)
		}
	}
}

// drain lets one worker without faults finish everything that is left.
func (w *world) drain() {
	for _, k := range slices.Clone(w.workers) {
		w.leave(k)
	}
	k := &worker{peer: "last", kind: dispatch.Dealer, credit: 3}
	w.workers = append(w.workers, k)
	for range 2000 {
		w.say(k, "READY", "3")
		synctest.Wait()
		for _, m := range w.bridge.sent[k.peer] {
			if first := string(m[0]); first != protocol.OK && first != protocol.No {
				w.processed[string(m[2])]++
				w.say(k, "ACK", string(m[0]), "sync")
			}
		}
		delete(w.bridge.sent, k.peer)
		for _, op := range w.bridge.pending {
			op()
		}
		w.bridge.pending = nil
		synctest.Wait()
		if info, err := w.bridge.queue.Info(context.Background()); err == nil && info.Waiting+info.Unacked == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	w.fail("the queue is not empty after 2,000 s without faults")
}

// check compares what was confirmed with what was processed or is a dead letter.
func (w *world) check() {
	dead := make(map[string]bool)
	for d, err := range w.bridge.queue.Dead(context.Background()) {
		if err != nil {
			w.fail("dead letters: %v", err)
			return
		}
		body := string(d.Message.Frames[0])
		dead[body] = true
		if !w.put[body] {
			w.fail("dead letter %q, which was not put", body)
		}
	}
	for body := range w.confirmed {
		if w.processed[body] == 0 && !dead[body] {
			w.fail("%s was confirmed, and is neither processed nor a dead letter", body)
		}
	}
}

// live runs one world and returns what is wrong with its history.
func live(t *testing.T, seed uint64, steps int, faulty mutant) (wrong []string, processed int) {
	synctest.Test(t, func(*testing.T) {
		w := &world{
			rng: rand.New(rand.NewPCG(seed, 1)), faulty: faulty, store: memory.New(memory.Options{}),
			cfg:       engine.QueueConfig{AckWait: ackWait, MaxDeliver: maxDeliver, MaxUnacked: 8},
			put:       make(map[string]bool),
			confirmed: make(map[string]bool), processed: make(map[string]int), acked: make(map[string]bool),
		}
		w.start()
		for range steps {
			w.step()
		}
		w.drain()
		w.check()
		w.bridge.stop()
		if err := w.store.Close(); err != nil {
			w.fail("close: %v", err)
		}
		wrong, processed = w.wrong, len(w.processed)
	})
	return wrong, processed
}

func TestModel(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 20
	}
	total := 0
	for seed := range seeds {
		wrong, processed := live(t, uint64(seed), 400, mutant{})
		if len(wrong) > 0 {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(wrong, "\n"))
		}
		total += processed
	}
	t.Logf("%d messages processed", total)
}

// faultyJob replaces some methods of a job.
type faultyJob struct {
	engine.Job
	nak func(time.Duration) error
	ack func(context.Context) error
}

func (j faultyJob) Nak(d time.Duration) error {
	if j.nak != nil {
		return j.nak(d)
	}
	return j.Job.Nak(d)
}

func (j faultyJob) Ack(ctx context.Context) error {
	if j.ack != nil {
		return j.ack(ctx)
	}
	return j.Job.Ack(ctx)
}

// TestModelFindsMutants runs the model with bridges that break a promise.
func TestModelFindsMutants(t *testing.T) {
	for _, m := range []mutant{
		{name: "a job is acknowledged when it is fetched", wrap: func(j engine.Job) engine.Job {
			_ = j.Ack(context.Background())
			return j
		}},
		{name: "the jobs of a worker that is gone are removed", wrap: func(j engine.Job) engine.Job {
			return faultyJob{Job: j, nak: func(time.Duration) error { return j.Ack(context.Background()) }}
		}},
		{name: "an acknowledgement is confirmed and not made", wrap: func(j engine.Job) engine.Job {
			return faultyJob{Job: j, ack: func(context.Context) error { return nil }}
		}},
		{name: "OK before the engine has the message", early: true},
	} {
		t.Run(m.name, func(t *testing.T) {
			for seed := range uint64(50) {
				if wrong, _ := live(t, seed, 400, m); len(wrong) > 0 {
					t.Logf("found with seed %d: %s", seed, wrong[0])
					return
				}
			}
			t.Error("not found")
		})
	}
}
