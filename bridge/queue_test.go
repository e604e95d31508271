package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel.dev/bridge"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/memory"
	"lintel.dev/zmq"
)

// patience is how long a test waits for what must happen. It decides only tests
// that fail.
const patience = time.Minute

const anyPort = "tcp://127.0.0.1:*"

// all has an endpoint for every type of peer.
func all(cfg engine.QueueConfig) bridge.QueueConfig {
	one := []string{anyPort}
	return bridge.QueueConfig{
		Engine:       cfg,
		ReqProducers: one, DealerProducers: one, PushProducers: one, ReqWorkers: one, DealerWorkers: one, PullWorkers: one,
		DeadAfter: time.Hour,
	}
}

type fixture struct {
	t     *testing.T
	ctx   context.Context
	queue *bridge.Queue
	store engine.Queue // another handle on the same queue
}

// newFixture starts a queue on a memory engine.
func newFixture(t *testing.T, cfg bridge.QueueConfig, opts memory.Options) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	e := memory.New(opts)
	t.Cleanup(func() { _ = e.Close() })
	q, err := bridge.NewQueue(ctx, e, "work", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(ctx) }) // a test may have closed it
	store, err := e.Queue(ctx, "work", cfg.Engine)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t, ctx, q, store}
}

func (f *fixture) endpoint(what string) string { return f.queue.Endpoints()[what][0] }

// peer connects a socket and closes it with the test.
func peer[S zmq.Socket](f *fixture, made func(...zmq.Option) (S, error), what string) S {
	f.t.Helper()
	s, err := made(zmq.WithLinger(0), zmq.WithReconnect(10*time.Millisecond, 0))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { s.Close() })
	if _, err := s.Connect(f.endpoint(what)); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// ask sends a request and returns the reply with bars between its frames.
func (f *fixture) ask(s *zmq.Req, frames ...string) string {
	f.t.Helper()
	m, err := s.Request(f.ctx, zmq.NewMsg(frames...))
	if err != nil {
		f.t.Fatalf("%q: %v", frames, err)
	}
	return m.String()
}

func (f *fixture) want(got, want string) {
	f.t.Helper()
	if !strings.HasPrefix(got, want) {
		f.t.Fatalf("got %q, want %q", got, want)
	}
}

// job checks that a reply is a job, and returns its token.
func (f *fixture) job(got string, deliveries int, body string) (token string) {
	f.t.Helper()
	token, rest, _ := strings.Cut(got, "|")
	if rest != fmt.Sprintf("%d|%s", deliveries, body) {
		f.t.Fatalf("got %q, want TOKEN|%d|%s", got, deliveries, body)
	}
	return token
}

func (f *fixture) send(s *zmq.Dealer, frames ...string) {
	f.t.Helper()
	if err := s.Send(f.ctx, zmq.NewMsg(append([]string{""}, frames...)...)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) receive(s *zmq.Dealer) string {
	f.t.Helper()
	m, err := s.Recv(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return zmq.Msg(m[1:]).String()
}

func (f *fixture) dead() (all []engine.DeadLetter) {
	f.t.Helper()
	for d, err := range f.store.Dead(f.ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestReqProducer(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{}), memory.Options{MaxMessage: 1000})
	p := peer(f, zmq.NewReq, "in REQ")
	f.want(f.ask(p, "a", "b"), "OK|1")
	f.want(f.ask(p, "ID", "x", "a"), "OK|2")
	f.want(f.ask(p, "ID", "x", "a"), "DUP|2")
	f.want(f.ask(p, "ID", "", "ID", "body that begins with ID"), "OK|3")
	f.want(f.ask(p, "ID", "x"), "NO|invalid: ")
	f.want(f.ask(p, "ID", strings.Repeat("x", engine.MaxID+1), "a"), "NO|invalid: ")
	f.want(f.ask(p, strings.Repeat("x", 1001)), "NO|too large: ")
	f.want(f.ask(p, ""), "OK|4")
	w := peer(f, zmq.NewReq, "out REQ")
	for _, body := range []string{"a|b", "a", "ID|body that begins with ID", ""} {
		token := f.job(f.ask(w, "NEXT"), 1, body)
		f.want(f.ask(w, "ACK", token, "sync"), "OK|"+token)
	}
}

func TestDealerProducer(t *testing.T) {
	const n = 5000 // all are sent before the first reply is read
	f := newFixture(t, all(engine.QueueConfig{}), memory.Options{})
	p := peer(f, zmq.NewDealer, "in DEALER")
	for i := range n {
		f.send(p, "PUT", fmt.Sprint(i), "body")
	}
	seen := make(map[string]bool)
	for range n {
		reply := strings.Split(f.receive(p), "|")
		if reply[0] != "OK" || seen[reply[1]] {
			t.Fatalf("got %q", reply)
		}
		seen[reply[1]] = true
	}
	f.send(p, "PUT", "7", "body")
	f.want(f.receive(p), "DUP|7|")
	f.send(p, "PUT", "new")
	f.want(f.receive(p), "NO|new|invalid: ")
	f.send(p, "GET")
	f.want(f.receive(p), "NO||invalid: ")
}

func TestReqWorker(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{AckWait: time.Hour}), memory.Options{})
	p, w := peer(f, zmq.NewReq, "in REQ"), peer(f, zmq.NewReq, "out REQ")
	for i := range 4 {
		f.ask(p, fmt.Sprint("job ", i))
	}
	f.want(f.ask(w, "ACK", "unknown"), "NO|unknown|late")
	f.want(f.ask(w, "READY", "1"), "NO||invalid: ")
	f.want(f.ask(w, "SING"), "NO||invalid: ")

	first := f.job(f.ask(w, "NEXT"), 1, "job 0")
	f.want(f.ask(w, "PROG", first), "OK|"+first)
	second := f.job(f.ask(w, "ACK", first), 1, "job 1")
	f.want(f.ask(w, "ACK", first), "NO|"+first+"|late")
	third := f.job(f.ask(w, "NAK", second, "3600000"), 1, "job 2") // comes back in an hour
	fourth := f.job(f.ask(w, "TERM", third, "cannot be done"), 1, "job 3")
	f.job(f.ask(w, "NAK", fourth), 2, "job 3")
	// A worker that asks for a job gives back the one that it holds.
	again := f.job(f.ask(w, "NEXT"), 3, "job 3")
	f.want(f.ask(w, "ACK", again, "sync"), "OK|"+again)

	dead := f.dead()
	if len(dead) != 1 || dead[0].Reason != "cannot be done" || string(dead[0].Message.Frames[0]) != "job 2" {
		t.Fatalf("dead letters: %+v", dead)
	}
	s, err := f.queue.Status(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Acked != 2 || s.Nacked != 2 || s.Terminated != 1 || s.Returned != 1 || s.Late != 2 || s.Delivered != 6 || s.Queue.Waiting != 1 || s.Queue.Dead != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestDealerWorker(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{AckWait: time.Hour}), memory.Options{})
	p, w := peer(f, zmq.NewReq, "in REQ"), peer(f, zmq.NewDealer, "out DEALER")
	f.send(w, "READY", "2")
	for i := range 4 {
		f.ask(p, fmt.Sprint("job ", i))
	}
	first, second := f.job(f.receive(w), 1, "job 0"), f.job(f.receive(w), 1, "job 1")
	f.send(w, "ACK", second, "sync")
	// The confirmation precedes the job for which it made room.
	f.want(f.receive(w), "OK|"+second)
	third := f.job(f.receive(w), 1, "job 2")
	f.send(w, "PROG", third)
	f.send(w, "ACK", second)
	f.want(f.receive(w), "NO|"+second+"|late")
	f.send(w, "READY", "0") // no more jobs
	f.send(w, "ACK", first)
	f.send(w, "TERM", third, "no")
	f.send(w, "NEXT")
	f.want(f.receive(w), "NO||invalid: ")
	f.send(w, "READY", "1")
	f.job(f.receive(w), 1, "job 3")
}

// TestJobsOfAKilledWorkerReturnAtOnce measures how long the jobs of a worker whose
// connection ends take to reach another one. AckWait is an hour, so that only the
// end of the connection can return them.
func TestJobsOfAKilledWorkerReturnAtOnce(t *testing.T) {
	for _, kind := range []string{"REQ", "DEALER"} {
		t.Run(kind, func(t *testing.T) {
			f := newFixture(t, all(engine.QueueConfig{AckWait: time.Hour}), memory.Options{})
			p := peer(f, zmq.NewReq, "in REQ")
			f.ask(p, "job")
			var killed zmq.Socket
			if kind == "REQ" {
				w := peer(f, zmq.NewReq, "out REQ")
				f.job(f.ask(w, "NEXT"), 1, "job")
				killed = w
			} else {
				w := peer(f, zmq.NewDealer, "out DEALER")
				f.send(w, "READY", "10")
				f.job(f.receive(w), 1, "job")
				killed = w
			}
			other := peer(f, zmq.NewDealer, "out DEALER")
			f.send(other, "READY", "10")
			begin := time.Now()
			killed.Close()
			f.job(f.receive(other), 2, "job")
			t.Logf("returned after %v", time.Since(begin))
		})
	}
}

// TestSilentWorkerIsDead stops the heartbeats of a worker that stays connected.
func TestSilentWorkerIsDead(t *testing.T) {
	cfg := all(engine.QueueConfig{AckWait: time.Hour})
	cfg.DeadAfter = 50 * time.Millisecond
	f := newFixture(t, cfg, memory.Options{})
	p, silent := peer(f, zmq.NewReq, "in REQ"), peer(f, zmq.NewDealer, "out DEALER")
	f.ask(p, "job")
	f.send(silent, "READY", "1")
	token := f.job(f.receive(silent), 1, "job")
	w := peer(f, zmq.NewReq, "out REQ") // has no heartbeats
	got := f.ask(w, "NEXT")
	f.job(got, 2, "job")
	f.send(silent, "ACK", token)
	f.want(f.receive(silent), "NO|"+token+"|late")
}

// TestGoodbye sends one empty frame, which returns the jobs of a worker.
func TestGoodbye(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{AckWait: time.Hour}), memory.Options{})
	p, w := peer(f, zmq.NewReq, "in REQ"), peer(f, zmq.NewDealer, "out DEALER")
	f.ask(p, "job")
	f.send(w, "READY", "1")
	f.job(f.receive(w), 1, "job")
	if err := w.Send(f.ctx, zmq.NewMsg("")); err != nil {
		t.Fatal(err)
	}
	other := peer(f, zmq.NewReq, "out REQ")
	f.job(f.ask(other, "NEXT"), 2, "job")
}

func TestPushAndPull(t *testing.T) {
	const n = 300
	f := newFixture(t, all(engine.QueueConfig{MaxOutstanding: 4}), memory.Options{})
	push, pull := peer(f, zmq.NewPush, "in PUSH"), peer(f, zmq.NewPull, "out PULL")
	go func() {
		for i := range n {
			if push.Send(f.ctx, zmq.NewMsg("job", fmt.Sprint(i))) != nil {
				return
			}
		}
	}()
	var got []string
	for range n {
		m, err := pull.Recv(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.String())
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != n {
		t.Fatalf("%d different jobs, want %d", len(got), n)
	}
}

// TestBackPressure has an engine that gives no receipt: producers reach their
// high-water marks, and messages stay with them.
func TestBackPressure(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{MaxOutstanding: 4}), memory.Options{Delay: time.Hour})
	push := peer(f, zmq.NewPush, "in PUSH")
	body := make([]byte, 64<<10)
	for sent := 0; ; sent++ {
		full, cancel := context.WithTimeout(f.ctx, time.Second)
		err := push.SendBytes(full, body)
		cancel()
		if err != nil {
			t.Logf("the producer waits after %d messages", sent)
			break
		}
		if sent > 10_000 {
			t.Fatal("the producer never waited")
		}
	}
	// Without time to wait for the results, Close ends the puts.
	over, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.queue.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}

// TestCloseAnswersPuts closes a queue that has outstanding puts.
func TestCloseAnswersPuts(t *testing.T) {
	f := newFixture(t, all(engine.QueueConfig{AckWait: time.Hour}), memory.Options{Delay: 100 * time.Millisecond})
	p, w := peer(f, zmq.NewDealer, "in DEALER"), peer(f, zmq.NewDealer, "out DEALER")
	f.send(w, "READY", "1")
	f.send(p, "PUT", "0", "job")
	f.want(f.receive(p), "OK|0|1")
	f.job(f.receive(w), 1, "job")
	const n = 20
	for i := range n {
		f.send(p, "PUT", fmt.Sprint(i+1), "job")
	}
	f.want(f.receive(p), "OK|1|2") // the others are read, or wait in the socket
	if err := f.queue.Close(f.ctx); err != nil {
		t.Fatal(err)
	}
	info, err := f.store.Info(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Unacked != 0 {
		t.Errorf("%d jobs are still held after Close", info.Unacked)
	}
	answered := uint64(2)
	for {
		m, err := p.TryRecv()
		if err != nil {
			break
		}
		if string(m[1]) == "OK" {
			answered++
		}
	}
	if answered > info.Last {
		t.Errorf("%d puts acknowledged, %d stored", answered, info.Last)
	}
}

func TestQueueConfigIsChecked(t *testing.T) {
	e := memory.New(memory.Options{})
	defer e.Close()
	for name, cfg := range map[string]bridge.QueueConfig{
		"no endpoint":      {},
		"negative workers": {MaxWorkers: -1, ReqWorkers: []string{anyPort}},
		"bad endpoint":     {ReqWorkers: []string{"tcp://127.0.0.1:*", "nonsense"}},
		"bad option":       {ReqProducers: []string{anyPort}, Options: []zmq.Option{zmq.WithOption("nonsense", "1")}},
	} {
		if _, err := bridge.NewQueue(context.Background(), e, "work", cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := bridge.NewQueue(context.Background(), e, "no spaces", bridge.QueueConfig{ReqWorkers: []string{anyPort}}); err == nil {
		t.Error("a bad name is accepted")
	}
}
