package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// publisher starts a publisher on loopback and returns its endpoints.
func publisher(t *testing.T, cfg *feed.Config) (p *feed.Publisher, live, control string) {
	t.Helper()
	p, err := feed.NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if live, err = p.Bind("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	if control, err = p.BindControl("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	return p, live, control
}

func open(t *testing.T, o *feed.Options, sources ...feed.Source) *feed.Reader {
	t.Helper()
	r, err := feed.Open(o, sources...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// until reads events until want says so, and returns them.
func until(t *testing.T, r *feed.Reader, want func(feed.Event) bool) []feed.Event {
	t.Helper()
	var all []feed.Event
	for e, err := range r.Messages(within(t)) {
		if err != nil {
			t.Fatalf("%v after %d events, the last %v; %+v", err, len(all), all[max(0, len(all)-3):], r.Stats())
		}
		all = append(all, e)
		if want(e) {
			break
		}
	}
	return all
}

func kind(k feed.Kind) func(feed.Event) bool {
	return func(e feed.Event) bool { return e.Kind == k }
}

func seq(n uint64) func(feed.Event) bool {
	return func(e feed.Event) bool { return e.Kind == feed.Message && e.Position.Seq == n }
}

func publish(t *testing.T, p *feed.Publisher, n int) {
	t.Helper()
	for range n {
		if _, err := p.Publish("topic", fmt.Appendf(nil, "%d", p.Position().Seq+1)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkRun fails unless the messages of events are from to to, in order, with
// the payloads that publish gave them, and there is no Gap.
func checkRun(t *testing.T, events []feed.Event, from, to uint64) {
	t.Helper()
	next := from
	for _, e := range events {
		switch e.Kind {
		case feed.Gap:
			t.Errorf("gap %d to %d", e.From, e.To)
		case feed.Message:
			if e.Position.Seq != next || string(e.Payload) != fmt.Sprint(next) || string(e.Topic) != "topic" {
				t.Fatalf("message %d %q %q, want %d", e.Position.Seq, e.Topic, e.Payload, next)
			}
			next++
		}
	}
	if next != to+1 {
		t.Errorf("the last message is %d, want %d", next-1, to)
	}
}

func TestLatest(t *testing.T) {
	p, live, control := publisher(t, nil)
	publish(t, p, 3)
	r := open(t, nil, feed.Source{Live: live, Control: control})
	until(t, r, kind(feed.Live))
	publish(t, p, 5)
	events := until(t, r, seq(8))
	checkRun(t, events, 4, 8)
	if got := events[len(events)-1].Position; got != p.Position() {
		t.Errorf("position %v, the publisher's is %v", got, p.Position())
	}
	if age, ok := r.Fresh(live); !ok || age > feed.DefaultMaxStale {
		t.Errorf("Fresh = %v, %t", age, ok)
	}
}

// TestOldest replays a whole ring, many windows of it, and goes on live.
func TestOldest(t *testing.T) {
	p, live, control := publisher(t, nil)
	publish(t, p, 5000)
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
	checkRun(t, until(t, r, seq(5000)), 1, 5000)
	publish(t, p, 10)
	checkRun(t, until(t, r, seq(5010)), 5001, 5010)
}

// TestResume: a Reader goes on behind a stored position.
func TestResume(t *testing.T) {
	p, live, control := publisher(t, nil)
	r := open(t, nil, feed.Source{Live: live, Control: control})
	until(t, r, kind(feed.Live))
	publish(t, p, 10)
	last := until(t, r, seq(4))
	text, err := last[len(last)-1].Position.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	publish(t, p, 10)

	var at feed.Position
	if err := at.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	r = open(t, nil, feed.Source{Live: live, Control: control, From: feed.After(at)})
	checkRun(t, until(t, r, seq(20)), 5, 20)
}

// TestTooOld: what left the ring is a Gap, and the rest follows.
func TestTooOld(t *testing.T) {
	p, live, control := publisher(t, &feed.Config{MaxMessages: 10})
	publish(t, p, 1)
	at := p.Position()
	publish(t, p, 30)
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.After(at)})
	events := until(t, r, seq(31))
	if e := events[0]; e.Kind != feed.Gap || e.From != 2 || e.To != 21 {
		t.Errorf("first event %v %d to %d, want the gap 2 to 21", e.Kind, e.From, e.To)
	}
	checkRun(t, events[1:], 22, 31)
}

// TestLoss: a reader that does not read loses live messages at the high-water
// mark, notices, and gets them by replay.
func TestLoss(t *testing.T) {
	mark := []zmq.Option{zmq.WithHWM(5), zmq.WithOption("sndbuf", "4096"), zmq.WithOption("rcvbuf", "4096")}
	p, live, control := publisher(t, &feed.Config{Options: mark})
	r := open(t, &feed.Options{Options: mark, MaxBuffered: 8}, feed.Source{Live: live, Control: control})
	until(t, r, kind(feed.Live))
	publish(t, p, 3000)
	checkRun(t, until(t, r, seq(3000)), 1, 3000)
	if s := r.Stats()[live]; s.Replayed == 0 {
		t.Errorf("nothing was lost and replayed: %+v", s)
	}
}

// TestNoControl: without a control channel a loss is a Gap, and a source is
// never live.
func TestNoControl(t *testing.T) {
	mark := []zmq.Option{zmq.WithHWM(5), zmq.WithOption("sndbuf", "4096"), zmq.WithOption("rcvbuf", "4096")}
	p, live, _ := publisher(t, &feed.Config{Options: mark, Heartbeat: 10 * time.Millisecond})
	r := open(t, &feed.Options{Options: mark}, feed.Source{Live: live, From: feed.Oldest})
	publish(t, p, 1)
	until(t, r, func(e feed.Event) bool { return e.Position.Seq == 1 })
	publish(t, p, 3000)
	next := uint64(2)
	for _, e := range until(t, r, func(e feed.Event) bool { return e.Position.Seq == 3001 }) {
		switch e.Kind {
		case feed.Message:
			if e.Position.Seq != next {
				t.Fatalf("message %d, want %d", e.Position.Seq, next)
			}
			next++
		case feed.Gap:
			if e.From != next {
				t.Fatalf("gap from %d, want %d", e.From, next)
			}
			next = e.To + 1
		default:
			t.Errorf("event %v", e.Kind)
		}
	}
	if s := r.Stats()[live]; s.Lost == 0 {
		t.Errorf("nothing was lost: %+v", s)
	}
}

// TestRestart: a publisher that restarted is noticed with its first message,
// even if its numbers are past the old ones.
func TestRestart(t *testing.T) {
	p, live, control := publisher(t, nil)
	r := open(t, &feed.Options{Options: []zmq.Option{zmq.WithReconnect(time.Millisecond, 10*time.Millisecond)}}, feed.Source{Live: live, Control: control})
	until(t, r, kind(feed.Live))
	publish(t, p, 2)
	until(t, r, seq(2))
	p.Close()

	p2, err := feed.NewPublisher(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p2.Close() })
	publish(t, p2, 5)
	if _, err := p2.Bind(live); err != nil {
		t.Fatal(err)
	}
	if _, err := p2.BindControl(control); err != nil {
		t.Fatal(err)
	}
	events := until(t, r, seq(5))
	for events[0].Kind == feed.Stale {
		events = events[1:]
	}
	if events[0].Kind != feed.Restart {
		t.Fatalf("first event %v, want restart", events[0].Kind)
	}
	checkRun(t, events, 1, 5)
}

// TestSnapshot: a reader that begins with a snapshot gets it whole, then all
// messages behind its cut.
func TestSnapshot(t *testing.T) {
	const items = 2000
	block := make(chan struct{})
	p, live, control := publisher(t, &feed.Config{MaxMessages: 100, Snapshot: func(ctx context.Context, w *feed.SnapshotWriter) error {
		w.Cut()
		<-block
		for i := range items {
			if err := w.Item(fmt.Sprintf("key %d", i), make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	}})
	publish(t, p, 500)
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.Snapshot})
	go func() {
		for p.Position().Seq < 505 {
			p.Publish("topic", fmt.Appendf(nil, "%d", p.Position().Seq+1))
		}
		close(block)
	}()
	events := until(t, r, kind(feed.SnapshotEnd))
	n := 0
	for _, e := range events {
		if e.Kind == feed.SnapshotItem {
			if want := fmt.Sprintf("key %d", n); string(e.Topic) != want {
				t.Fatalf("item %q, want %q", e.Topic, want)
			}
			n++
		}
	}
	cut := events[0]
	if n != items || cut.Kind != feed.SnapshotBegin {
		t.Fatalf("%d items, want %d; first event %v", n, items, cut.Kind)
	}
	publish(t, p, 5)
	checkRun(t, until(t, r, seq(510)), cut.Position.Seq+1, 510)
}

// TestSnapshotInsteadOfGap: where there are snapshots, what left the ring is
// not lost.
func TestSnapshotInsteadOfGap(t *testing.T) {
	p, live, control := publisher(t, &feed.Config{MaxMessages: 10, Snapshot: func(_ context.Context, w *feed.SnapshotWriter) error {
		return w.Item("state", []byte("all"))
	}})
	publish(t, p, 1)
	at := p.Position()
	publish(t, p, 30)
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.After(at)})
	var kinds []string
	for _, e := range until(t, r, kind(feed.Live)) {
		kinds = append(kinds, e.Kind.String())
	}
	if got, want := strings.Join(kinds, " "), "snapshot-begin snapshot-item snapshot-end live"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// TestMerge: one Reader follows several publishers.
func TestMerge(t *testing.T) {
	var sources []feed.Source
	var pubs []*feed.Publisher
	for i := range 3 {
		p, live, control := publisher(t, nil)
		pubs = append(pubs, p)
		sources = append(sources, feed.Source{Name: fmt.Sprint(i), Live: live, Control: control, From: feed.Oldest})
	}
	for _, p := range pubs {
		publish(t, p, 100)
	}
	r := open(t, nil, sources...)
	bySource := make(map[string][]feed.Event)
	done := 0
	until(t, r, func(e feed.Event) bool {
		bySource[e.Source] = append(bySource[e.Source], e)
		if seq(100)(e) {
			done++
		}
		return done == 3
	})
	for _, s := range sources {
		checkRun(t, bySource[s.Name], 1, 100)
	}
	if at := r.Positions(); at["1"] != pubs[1].Position() {
		t.Errorf("position of source 1 is %v, want %v", at["1"], pubs[1].Position())
	}
}

func TestBadConfiguration(t *testing.T) {
	if _, err := feed.NewPublisher(&feed.Config{MaxMessages: -1}); err == nil {
		t.Error("a negative bound was accepted")
	}
	for name, sources := range map[string][]feed.Source{
		"no source":           nil,
		"two with one name":   {{Live: "tcp://127.0.0.1:1"}, {Live: "tcp://127.0.0.1:1"}},
		"a bad endpoint":      {{Live: "nowhere"}},
		"snapshot, no way":    {{Live: "tcp://127.0.0.1:1", From: feed.Snapshot}},
		"a bad control":       {{Live: "tcp://127.0.0.1:1", Control: "x"}},
		"a name that repeats": {{Name: "a", Live: "tcp://127.0.0.1:1"}, {Name: "a", Live: "tcp://127.0.0.1:2"}},
	} {
		if r, err := feed.Open(nil, sources...); err == nil {
			r.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestClosed(t *testing.T) {
	p, live, control := publisher(t, nil)
	r := open(t, nil, feed.Source{Live: live, Control: control})
	done := make(chan error, 1)
	go func() {
		for _, err := range r.Messages(context.Background()) {
			if err != nil {
				done <- err
			}
		}
	}()
	until := time.After(30 * time.Second)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, feed.ErrClosed) {
			t.Errorf("Messages ends with %v, want ErrClosed", err)
		}
	case <-until:
		t.Fatal("Messages does not end")
	}
	p.Close()
	if _, err := p.Publish("", nil); !errors.Is(err, feed.ErrClosed) {
		t.Errorf("Publish on a closed publisher: %v", err)
	}
}
