package feed_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

func be(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// frames returns m as text, for comparison.
func frames(m zmq.Msg) string { return fmt.Sprintf("%q", [][]byte(m)) }

func msg(parts ...string) string { return frames(zmq.NewMsg(parts...)) }

// TestVLLMFormats: our Reader follows our Publisher in each of vLLM's formats:
// from the oldest message, through a replay, to live.
func TestVLLMFormats(t *testing.T) {
	for _, format := range []feed.Format{feed.VLLM, feed.VLLMNoTopic, feed.VLLMEpoch} {
		t.Run(format.String(), func(t *testing.T) {
			p, live, control := publisher(t, &feed.Config{Format: format})
			publish(t, p, 1499)
			r := open(t, nil, feed.Source{Live: live, Control: control, Format: format, From: feed.Oldest})
			// Without heartbeats a reader learns of the publisher with its first
			// live message.
			awaitSubscriber(t, p)
			publish(t, p, 1)
			events := until(t, r, seq(1500))
			next := uint64(1)
			for _, e := range events {
				if e.Kind == feed.Message {
					if e.Position.Seq != next || string(e.Payload) != fmt.Sprint(next) {
						t.Fatalf("message %d %q, want %d", e.Position.Seq, e.Payload, next)
					}
					next++
				}
			}
			until(t, r, kind(feed.Live))
		})
	}
}

// awaitSubscriber waits for p to have a subscriber.
func awaitSubscriber(t *testing.T, p *feed.Publisher) {
	t.Helper()
	for ctx := within(t); !p.Subscribed(); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal("no subscriber")
		}
	}
}

// TestVLLMFrames compares what a publisher sends with the tables of the format,
// frame by frame.
func TestVLLMFrames(t *testing.T) {
	for _, c := range []struct {
		format feed.Format
		long   bool     // the sequence frame has an epoch
		reply  []string // to a request for everything
	}{
		{feed.VLLM, false, []string{msg("", "topic", be(0), "1"), msg("", "topic", be(1), "2"), msg("", "", be(1<<64-1), "")}},
		{feed.VLLMNoTopic, false, []string{msg("", be(0), "1"), msg("", be(1), "2"), msg("", be(1<<64-1), "")}},
		{feed.VLLMEpoch, true, []string{msg("", "topic", be(0), "1"), msg("", "topic", be(1), "2"), msg("", "", be(1<<64-1), "")}},
	} {
		t.Run(c.format.String(), func(t *testing.T) {
			ctx := within(t)
			p, live, control := publisher(t, &feed.Config{Format: c.format, Heartbeat: 1 << 40})
			sub := dial(t, zmq.NewSub, live)
			if err := sub.Subscribe(""); err != nil {
				t.Fatal(err)
			}
			awaitSubscriber(t, p)
			publish(t, p, 2)
			for i := range 2 {
				m, err := sub.Recv(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if len(m) != 3 || string(m[0]) != "topic" || string(m[1][:8]) != be(uint64(i)) || string(m[2]) != fmt.Sprint(i+1) {
					t.Errorf("live message %s", frames(m))
				}
				if want := map[bool]int{true: 24, false: 8}[c.long]; len(m[1]) != want {
					t.Errorf("sequence frame of %d octets, want %d", len(m[1]), want)
				}
			}

			// A DEALER gets the whole replay and its end.
			d := dial(t, zmq.NewDealer, control)
			if err := d.Send(ctx, zmq.NewMsg("", be(0))); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.reply {
				if m, err := d.Recv(ctx); err != nil || frames(m) != want {
					t.Errorf("a DEALER got %s, %v, want %s", frames(m), err, want)
				}
			}

			// A REQ gets the first message only: it takes one reply.
			q := dial(t, zmq.NewReq, control)
			if err := q.Send(ctx, zmq.NewMsg(be(1))); err != nil {
				t.Fatal(err)
			}
			m, err := q.Recv(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got := frames(append(zmq.NewMsg(""), m...)); got != c.reply[1] {
				t.Errorf("a REQ got %s, want %s without its first frame", got, c.reply[1])
			}
		})
	}
}

// dial makes a socket that is closed with the test and connects it.
func dial[S zmq.Socket](t *testing.T, make func(...zmq.Option) (S, error), endpoint string) S {
	t.Helper()
	s, err := make(zmq.WithLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestVLLMTrimmed: a replay that begins later than asked, without a word, is a
// Gap.
func TestVLLMTrimmed(t *testing.T) {
	p, live, control := publisher(t, &feed.Config{Format: feed.VLLM, MaxMessages: 10})
	r := open(t, nil, feed.Source{Live: live, Control: control, Format: feed.VLLM, From: feed.After(feed.Position{})})
	publish(t, p, 99)
	awaitSubscriber(t, p)
	publish(t, p, 1)
	e := until(t, r, seq(100))
	if e[0].Kind != feed.Gap || e[0].From != 1 || e[0].To != 90 || len(e) != 11 {
		t.Errorf("%d events, the first %v %d to %d, want the gap 1 to 90 and 10 messages", len(e), e[0].Kind, e[0].From, e[0].To)
	}
}

// TestVLLMSnapshot: the snapshot format, from the snapshot to live messages.
func TestVLLMSnapshot(t *testing.T) {
	p, live, control := publisher(t, &feed.Config{Format: feed.VLLMEpoch, Snapshot: func(_ context.Context, w *feed.SnapshotWriter) error {
		for _, chunk := range []string{"a", "b"} {
			if err := w.Item("", []byte(chunk)); err != nil {
				return err
			}
		}
		return nil
	}})
	snaps, err := p.BindSnapshots("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, 10)
	r := open(t, nil, feed.Source{Live: live, Control: control, Snapshots: snaps, Format: feed.VLLMEpoch, From: feed.Snapshot})
	items := ""
	events := until(t, r, kind(feed.SnapshotEnd))
	for _, e := range events {
		if e.Kind == feed.SnapshotItem {
			items += string(e.Payload)
		}
	}
	if items != "ab" {
		t.Errorf("items %q, want a and b", items)
	}
	cut := events[0].Position.Seq
	publish(t, p, 1)
	e := until(t, r, kind(feed.Message))
	if got := e[len(e)-1].Position.Seq; got <= cut {
		t.Errorf("message %d after a snapshot of %d", got, cut)
	}
}

// TestBitcoin: each topic has numbers of its own, and a loss is a Gap.
func TestBitcoin(t *testing.T) {
	pub, err := zmq.NewPub()
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	e, err := pub.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, nil,
		feed.Source{Name: "tx", Live: e.Addr(), Format: feed.Bitcoin, Topic: "hashtx"},
		feed.Source{Name: "block", Live: e.Addr(), Format: feed.Bitcoin, Topic: "hashblock"})
	send := func(topic string, n uint32) {
		m := zmq.Msg{[]byte(topic), []byte(fmt.Sprint(n)), binary.LittleEndian.AppendUint32(nil, n)}
		if err := pub.Send(within(t), m); err != nil {
			t.Fatal(err)
		}
	}
	// The first of each topic, until both subscriptions are there.
	seen := make(map[string]bool)
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint32(0); ctx.Err() == nil && n < 1<<20; n++ {
			send("hashtx", 1<<31+n)
			send("hashblock", n)
		}
	}()
	until(t, r, func(e feed.Event) bool { seen[e.Source] = true; return len(seen) == 2 })
	cancel()
	<-done

	send("hashtx", 1<<32-2)
	send("hashtx", 1<<32-1)
	send("hashtx", 0) // wraps
	send("hashtx", 2) // 1 is lost
	send("hashtx", 0) // bitcoind restarted
	var got []string
	begun := false
	until(t, r, func(e feed.Event) bool {
		// Leave out the first ones, and the gap behind them.
		begun = begun || e.Source == "tx" && e.Kind == feed.Message && e.Position.Seq == 1<<32-1
		if !begun || e.Source != "tx" {
			return false
		}
		s := e.Kind.String()
		if e.Kind == feed.Message {
			s += " " + string(e.Payload)
		}
		if e.Kind == feed.Gap {
			s = fmt.Sprintf("gap %d-%d", e.From, e.To)
		}
		got = append(got, s)
		return e.Kind == feed.Message && len(got) > 5
	})
	want := []string{"message 4294967294", "message 4294967295", "message 0", "gap 4294967298-4294967298", "message 2", "restart", "message 0"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %q, want %q", got, want)
	}
}
