package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/enginetest"
	"lintel.dev/bridge/jetstream"
)

// patience bounds the wait for what must happen.
const patience = enginetest.Patience

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// openEngine opens an engine that ends with the test, before its server.
func openEngine(t testing.TB, s *embedded.Server, cfg jetstream.Config) *jetstream.Engine {
	t.Helper()
	e, err := s.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func openQueue(t testing.TB, e engine.Engine, name string, cfg engine.QueueConfig) engine.Queue {
	t.Helper()
	q, err := e.Queue(within(t), name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// put stores a message and waits for its receipt.
func put(t testing.TB, q engine.Queue, id string, frames ...string) engine.Receipt {
	t.Helper()
	type result struct {
		r   engine.Receipt
		err error
	}
	m := engine.Message{ID: id}
	for _, f := range frames {
		m.Frames = append(m.Frames, []byte(f))
	}
	results := make(chan result, 1)
	if err := q.Put(within(t), m, func(r engine.Receipt, err error) { results <- result{r, err} }); err != nil {
		t.Fatal(err)
	}
	got := <-results
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.r
}

func get(t testing.TB, q engine.Queue) engine.Job {
	t.Helper()
	jobs, err := q.Get(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	return jobs[0]
}

func info(t testing.TB, q engine.Queue) engine.QueueInfo {
	t.Helper()
	i, err := q.Info(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func deadLetters(t testing.TB, q engine.Queue) []engine.DeadLetter {
	t.Helper()
	var all []engine.DeadLetter
	for d, err := range q.Dead(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestDirectoryInUse checks that a directory has one server at a time.
func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := embedded.Start(embedded.Config{Dir: dir}); err == nil {
		t.Errorf("a second server started: %v", second.Close())
	} else if want := "directory " + dir + " is in use by another process"; !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, embedded.Config{Dir: dir})
}

// TestRestart checks that messages, their deduplication ids and delivery counts
// survive a restart of the server.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	cfg := engine.QueueConfig{AckWait: time.Second, MaxDeliver: -1}
	run := func(check func(engine.Queue, engine.Log)) {
		s, err := embedded.Start(embedded.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Open(within(t), jetstream.Config{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.Log(within(t), "log", engine.LogConfig{})
		if err != nil {
			t.Fatal(err)
		}
		check(openQueue(t, e, "jobs", cfg), l)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var epoch [16]byte
	run(func(q engine.Queue, l engine.Log) {
		for i := range 3 {
			put(t, q, fmt.Sprint(i), "x")
		}
		if err := get(t, q).Ack(within(t)); err != nil {
			t.Fatal(err)
		}
		get(t, q) // comes again after AckWait
		b, err := l.Bounds(within(t))
		if err != nil {
			t.Fatal(err)
		}
		epoch = b.Epoch
	})
	run(func(q engine.Queue, l engine.Log) {
		if r := put(t, q, "2", "again"); !r.Duplicate || r.Seq != 3 {
			t.Errorf("a put after the restart has receipt %+v, want a duplicate of 3", r)
		}
		for i := info(t, q); i.Waiting+i.Unacked > 0; i = info(t, q) {
			j := get(t, q)
			if j.Seq() == 1 || j.Seq() == 2 && j.Deliveries() < 2 {
				t.Errorf("got job %d, delivery %d", j.Seq(), j.Deliveries())
			}
			if err := j.Ack(within(t)); err != nil && !errors.Is(err, engine.ErrLate) {
				t.Error(err)
			}
		}
		b, err := l.Bounds(within(t))
		if err != nil || b.Epoch != epoch {
			t.Errorf("the log has epoch %x, want %x, %v", b.Epoch, epoch, err)
		}
	})
}

// TestGuarantee checks what the modes claim.
func TestGuarantee(t *testing.T) {
	synced := start(t, embedded.Config{})
	fast := start(t, embedded.Config{SyncEvery: time.Minute})
	for _, tt := range []struct {
		server *embedded.Server
		cfg    jetstream.Config
		want   engine.Guarantee
	}{
		{synced, jetstream.Config{}, engine.PowerLoss},
		{fast, jetstream.Config{SyncAlways: true}, engine.ProcessCrash}, // the server knows better
		{synced, jetstream.Config{Memory: true}, engine.Volatile},
	} {
		if got := openEngine(t, tt.server, tt.cfg).Guarantee(); got != tt.want {
			t.Errorf("%+v claims %q, want %q", tt.cfg, got, tt.want)
		}
	}
}

func TestInvalidConfig(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		cfg  embedded.Config
		want string
	}{
		{embedded.Config{}, "no directory"},
		{embedded.Config{Dir: dir, MaxPayload: 65 << 20}, "MaxPayload"},
		{embedded.Config{Dir: dir, MaxPayload: -1}, "MaxPayload"},
		{embedded.Config{Dir: dir, Listen: "4222"}, "want host:port"},
		{embedded.Config{Dir: dir, Listen: "127.0.0.1:70000"}, "port out of range"},
		{embedded.Config{Dir: dir, Cluster: &embedded.Cluster{}}, "needs Listen"},
	} {
		if s, err := embedded.Start(tt.cfg); err == nil {
			t.Errorf("%+v started: %v", tt.cfg, s.Close())
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// TestLimits checks that the server has bounds of its own, whatever is free.
func TestLimits(t *testing.T) {
	s := start(t, embedded.Config{MaxStore: 1 << 20})
	q := openQueue(t, openEngine(t, s, jetstream.Config{}), "jobs", engine.QueueConfig{})
	var last error
	for i := 0; i < 100 && last == nil; i++ {
		results := make(chan error, 1)
		err := q.Put(within(t), engine.Message{Frames: [][]byte{make([]byte, 100_000)}}, func(_ engine.Receipt, err error) { results <- err })
		if err != nil {
			t.Fatal(err)
		}
		last = <-results
	}
	if last == nil || !strings.Contains(last.Error(), engine.ErrFull.Error()) {
		t.Errorf("10 MB into a store of 1 MiB: %v, want ErrFull", last)
	}
}

// native connects as another NATS program.
func native(t testing.TB, s *embedded.Server, opts ...natsjs.JetStreamOpt) natsjs.JetStream {
	t.Helper()
	return nativeAt(t, s.URL(), opts...)
}

func nativeAt(t testing.TB, url string, opts ...natsjs.JetStreamOpt) natsjs.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := natsjs.New(nc, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestNatives checks that programs that know nothing of the bridge share its
// streams.
func TestNatives(t *testing.T) {
	s := start(t, embedded.Config{Listen: "127.0.0.1:0"})
	if other := start(t, embedded.Config{}); other.URL() != "" {
		t.Errorf("a server without Listen has the address %s", other.URL())
	}
	e := openEngine(t, s, jetstream.Config{})
	q := openQueue(t, e, "jobs", engine.QueueConfig{})
	js := native(t, s)

	if _, err := js.Publish(within(t), "Q.jobs", []byte("from a native"), natsjs.WithMsgID("native id")); err != nil {
		t.Fatal(err)
	}
	j := get(t, q)
	if m := j.Message(); len(m.Frames) != 1 || string(m.Frames[0]) != "from a native" || m.ID != "native id" {
		t.Errorf("got %+v", m)
	}
	if err := j.Ack(within(t)); err != nil {
		t.Error(err)
	}

	l, err := e.Log(within(t), "log", engine.LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 1)
	if err := l.Append(within(t), []byte("sensor"), [][]byte{[]byte("21.5")}, func(_ engine.Receipt, err error) { results <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), "P_log")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "P.log.73.65.6e.73._" || string(m.Data) != "21.5" || m.Header.Get("Zmq-Topic") != "sensor" {
		t.Errorf("a native reads %q from %s with %v", m.Data, m.Subject, m.Header)
	}
}

// TestDamage checks that a message with a wrong checksum is never delivered: it is
// an event, a counter and a dead letter, or a lost position of a log.
func TestDamage(t *testing.T) {
	s := start(t, embedded.Config{Listen: "127.0.0.1:0"})
	events := make(chan engine.Event, 10)
	e := openEngine(t, s, jetstream.Config{Options: engine.Options{OnEvent: func(ev engine.Event) { events <- ev }}})
	q := openQueue(t, e, "jobs", engine.QueueConfig{})
	js := native(t, s)
	damaged := func(subject string) *nats.Msg {
		m := nats.NewMsg(subject)
		m.Data = []byte("dbmaged")
		m.Header.Set("Zmq-Crc32c", "00000000")
		m.Header.Set("Nats-Expected-Stream", "Q_jobs")
		if strings.HasPrefix(subject, "P.") {
			m.Header.Set("Nats-Expected-Stream", "P_log")
		}
		return m
	}
	if _, err := js.PublishMsg(within(t), damaged("Q.jobs")); err != nil {
		t.Fatal(err)
	}
	put(t, q, "", "good")
	if j := get(t, q); string(j.Message().Frames[0]) != "good" {
		t.Errorf("got the message %q", j.Message().Frames)
	}
	for _, want := range []engine.EventKind{engine.Damaged, engine.DeadLettered} {
		if ev := <-events; ev.Kind != want || ev.Name != "jobs" || ev.Seq != 1 {
			t.Errorf("got the event %+v, want %v", ev, want)
		}
	}
	if i := info(t, q); i.Damaged != 1 || i.Dead != 1 || i.Moved != 1 {
		t.Errorf("the queue is %+v", i)
	}
	if dead := deadLetters(t, q); len(dead) != 1 || dead[0].Reason != engine.ReasonDamaged || string(dead[0].Message.Frames[0]) != "dbmaged" {
		t.Errorf("the dead letters are %+v", dead)
	}

	l, err := e.Log(within(t), "log", engine.LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(within(t), damaged("P.log._")); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(within(t), "P.log._", []byte("good")); err != nil {
		t.Fatal(err)
	}
	for entry, err := range l.Read(within(t), 1, nil) {
		if err != nil || entry.Pos != 2 || entry.Lost != (engine.Range{First: 1, Last: 1}) {
			t.Errorf("got %+v, %v, want entry 2 with 1 lost", entry, err)
		}
		break
	}
	if ev := <-events; ev.Kind != engine.Damaged || ev.Name != "log" || ev.Seq != 1 {
		t.Errorf("got the event %+v", ev)
	}
}
