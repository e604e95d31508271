package feed_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq/feed"
)

// shelf is a history in memory. Publishers that share it are one feed.
type shelf struct {
	mu    sync.Mutex
	all   []feed.Stored // some numbers may be missing
	fails int           // how many times Read fails after one message
	reads int
}

// fill adds messages with these numbers.
func (s *shelf) fill(from, to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n <= to; n++ {
		s.all = append(s.all, stored(n))
	}
}

func stored(n uint64) feed.Stored {
	return feed.Stored{Seq: n, Time: time.Now(), Topic: []byte("topic"), Payload: fmt.Append(nil, n)}
}

// remove removes messages from to to.
func (s *shelf) remove(from, to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(m feed.Stored) bool { return from <= m.Seq && m.Seq <= to })
}

func (s *shelf) first() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[0].Seq
}

func (s *shelf) read(ctx context.Context, from, to uint64) iter.Seq2[feed.Stored, error] {
	return func(yield func(feed.Stored, error) bool) {
		s.mu.Lock()
		all := slices.Clone(s.all)
		s.reads++
		fail := s.fails > 0
		s.fails--
		s.mu.Unlock()
		for _, m := range all {
			if m.Seq < from || m.Seq > to || ctx.Err() != nil {
				continue
			}
			if !yield(m, nil) {
				return
			}
			if fail {
				yield(feed.Stored{}, errors.New("the shelf fell down"))
				return
			}
		}
	}
}

// config is that of a publisher of what the shelf has, with a ring of 10 messages.
func (s *shelf) config(last uint64) *feed.Config {
	return &feed.Config{MaxMessages: 10, Heartbeat: 50 * time.Millisecond, History: &feed.History{
		After: feed.Position{Epoch: feed.Epoch{15: 1}, Seq: last}, First: s.first, Read: s.read,
	}}
}

func publishStored(t *testing.T, p *feed.Publisher, s *shelf, from, to uint64) {
	t.Helper()
	s.fill(from, to)
	for n := from; n <= to; n++ {
		if err := p.PublishStored(stored(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryIsReplayed(t *testing.T) {
	s := &shelf{fails: 1}
	s.fill(1, 2000)
	p, live, control := publisher(t, s.config(2000))
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
	until(t, r, kind(feed.Live)) // nothing else is promised of an error
	r.Close()

	publishStored(t, p, s, 2001, 2050)
	r = open(t, nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
	checkRun(t, until(t, r, seq(2050)), 1, 2050)
	publishStored(t, p, s, 2051, 2060)
	checkRun(t, until(t, r, seq(2060)), 2051, 2060)
}

// TestHistoryOfTwoPublishers resumes at another publisher of the same messages: it
// is the same feed.
func TestHistoryOfTwoPublishers(t *testing.T) {
	s := &shelf{}
	s.fill(1, 100)
	_, live, control := publisher(t, s.config(100))
	r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
	events := until(t, r, seq(60))
	at := events[len(events)-1].Position
	r.Close()

	_, live, control = publisher(t, s.config(100))
	r = open(t, nil, feed.Source{Live: live, Control: control, From: feed.After(at)})
	events = until(t, r, seq(100))
	checkRun(t, events, 61, 100)
	for _, e := range events {
		if e.Kind == feed.Restart {
			t.Error("another publisher of the same history is a restart")
		}
	}
}

// TestHistoryHasHoles removes messages that a reader wants: each hole is a gap of
// its own, and nothing beside it is lost.
func TestHistoryHasHoles(t *testing.T) {
	for name, hole := range map[string][2]uint64{
		"at the front":              {1, 30},
		"in the middle":             {40, 49},
		"at the end of the history": {80, 100},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{}
			s.fill(1, 100)
			p, live, control := publisher(t, s.config(100))
			publishStored(t, p, s, 101, 110)
			r := open(t, nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
			events := until(t, r, seq(10))
			at := events[len(events)-1].Position
			r.Close()
			s.remove(hole[0], hole[1])
			r = open(t, nil, feed.Source{Live: live, Control: control, From: feed.After(at)})
			next := at.Seq + 1
			for _, e := range until(t, r, seq(110)) {
				switch e.Kind {
				case feed.Gap:
					if e.From != max(hole[0], at.Seq+1) || e.To != hole[1] || e.From != next {
						t.Errorf("gap %d to %d, want %v", e.From, e.To, hole)
					}
					next = e.To + 1
				case feed.Message:
					if e.Position.Seq != next {
						t.Fatalf("message %d, want %d", e.Position.Seq, next)
					}
					next++
				}
			}
		})
	}
}

func TestHistoryIsChecked(t *testing.T) {
	s := &shelf{}
	s.fill(1, 10)
	for name, change := range map[string]func(*feed.Config){
		"format":   func(c *feed.Config) { c.Format = feed.VLLM },
		"no First": func(c *feed.Config) { c.History.First = nil },
		"no Read":  func(c *feed.Config) { c.History.Read = nil },
		"no epoch": func(c *feed.Config) { c.History.After.Epoch = feed.Epoch{} },
	} {
		c := s.config(10)
		change(c)
		if _, err := feed.NewPublisher(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, _, _ := publisher(t, s.config(10))
	if _, err := p.Publish("topic", nil); err == nil {
		t.Error("Publish gives a number to a message of a history")
	}
	if err := p.PublishStored(stored(10)); err == nil {
		t.Error("a number is published twice")
	}
	if err := p.PublishStored(stored(12)); err != nil || p.Position().Seq != 12 {
		t.Errorf("position %v, %v, want 12", p.Position(), err)
	}
	plain, _, _ := publisher(t, nil)
	if err := plain.PublishStored(stored(1)); err == nil {
		t.Error("PublishStored without a history")
	}
}
