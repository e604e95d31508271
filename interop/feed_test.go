package interop_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os/exec"
	"runtime"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq/feed"
)

// feedPeer starts testdata/feedpeer.py in one of its roles.
func feedPeer(t *testing.T, start map[string]any, reply any) *peers.Proc {
	t.Helper()
	p := peers.Start(t, exec.Command(peers.Python(t, "zmq"), "-u", "testdata/feedpeer.py"))
	p.Call(start, reply)
	return p
}

type feedEndpoints struct {
	Live, Control, Snapshots string
	Subscribed               bool
}

// vllmPublisher starts a publisher with a Reader of it.
func vllmPublisher(t *testing.T, mode string, extra map[string]any, from feed.Start) (*peers.Proc, *feed.Reader) {
	t.Helper()
	start := map[string]any{"role": "publish", "mode": mode}
	for k, v := range extra {
		start[k] = v
	}
	var at feedEndpoints
	p := feedPeer(t, start, &at)
	format, err := feed.ParseFormat(mode)
	if err != nil {
		t.Fatal(err)
	}
	source := feed.Source{Live: at.Live, Control: at.Control, Format: format, From: from}
	if format == feed.VLLMEpoch {
		source.Snapshots = at.Snapshots
	}
	r, err := feed.Open(nil, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	p.Reply(&at)
	if !at.Subscribed {
		t.Fatal("no subscription")
	}
	return p, r
}

// feedRun reads events until message last and describes them, runs of messages
// in one word.
func feedRun(t *testing.T, r *feed.Reader, last uint64) []string {
	t.Helper()
	var got []string
	var from, next uint64
	flush := func() {
		if from != 0 {
			got = append(got, fmt.Sprintf("%d-%d", from, next-1))
		}
		from = 0
	}
	for e, err := range r.Messages(guard(t)) {
		switch {
		case err != nil:
			flush()
			t.Fatalf("%v after %q", err, got)
		case e.Kind == feed.Message:
			if string(e.Payload) != fmt.Sprint(e.Position.Seq) {
				t.Errorf("message %d has the payload %q", e.Position.Seq, e.Payload)
			}
			if e.Position.Seq != next || from == 0 {
				flush()
				from = e.Position.Seq
			}
			next = e.Position.Seq + 1
		case e.Kind == feed.Gap:
			flush()
			got = append(got, fmt.Sprintf("gap %d-%d", e.From, e.To))
		case e.Kind == feed.SnapshotItem:
			got = append(got, "item "+string(e.Payload))
		case e.Kind == feed.Live || e.Kind == feed.Stale:
			continue
		default:
			flush()
			got = append(got, e.Kind.String())
		}
		if e.Position.Seq == last && (e.Kind == feed.Message || e.Kind == feed.Gap) {
			flush()
			return got
		}
	}
	t.Fatal("the reader ended")
	return nil
}

func checkFeed(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestFeedReadsVLLM: our Reader follows a publisher that behaves like vLLM's, in
// each of its formats, through losses, what its buffer no longer has, and a
// restart.
func TestFeedReadsVLLM(t *testing.T) {
	var reply struct{ Seq, Ignored int }
	for _, mode := range []string{"vllm", "vllm-notopic", "vllm-epoch"} {
		t.Run(mode, func(t *testing.T) {
			p, r := vllmPublisher(t, mode, nil, feed.Oldest)
			p.Call(map[string]any{"n": 5}, &reply)
			checkFeed(t, feedRun(t, r, 5), "1-5")
			p.Call(map[string]any{"n": 5, "lose": 3}, &reply)
			checkFeed(t, feedRun(t, r, 10), "6-10")
			// The last messages are lost: nothing arrives that could tell, but the
			// reader asks.
			p.Call(map[string]any{"n": 3, "lose": 3}, &reply)
			checkFeed(t, feedRun(t, r, 13), "11-13")
			p.Call(map[string]any{"restart": true, "n": 0}, &reply)
			p.Call(map[string]any{"n": 2}, &reply)
			checkFeed(t, feedRun(t, r, 2), "restart", "1-2")
			if reply.Ignored != 0 {
				t.Errorf("the publisher ignored %d requests", reply.Ignored)
			}
		})
	}
	t.Run("trimmed", func(t *testing.T) {
		p, r := vllmPublisher(t, "vllm", map[string]any{"steps": 10}, feed.Latest)
		p.Call(map[string]any{"n": 1}, &reply)
		checkFeed(t, feedRun(t, r, 1), "1-1")
		p.Call(map[string]any{"n": 51, "lose": 50}, &reply)
		checkFeed(t, feedRun(t, r, 52), "gap 2-42", "43-52")
	})
	// The publisher's ROUTER drops most of a long replay, its end too: the reader
	// asks for the rest until it has all.
	t.Run("dropped replies", func(t *testing.T) {
		p, r := vllmPublisher(t, "vllm", map[string]any{"hwm": 1000}, feed.Oldest)
		p.Call(map[string]any{"n": 4001, "lose": 4000}, &reply)
		checkFeed(t, feedRun(t, r, 4001), "1-4001")
	})
	t.Run("snapshot", func(t *testing.T) {
		p, r := vllmPublisher(t, "vllm-epoch", nil, feed.Snapshot)
		p.Call(map[string]any{"n": 5}, &reply)
		for e, err := range r.Messages(guard(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == feed.SnapshotEnd {
				break
			}
		}
		p.Call(map[string]any{"n": 1}, &reply)
		checkFeed(t, feedRun(t, r, 6), "6-6")
	})
}

// TestFeedStopped: a publisher that is stopped makes the reader stale, and one
// that goes on makes it live again, without a gap.
func TestFeedStopped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be stopped here")
	}
	var reply struct{ Seq int }
	p, r := vllmPublisher(t, "vllm", nil, feed.Oldest)
	p.Call(map[string]any{"n": 1}, &reply)
	await := func(kind feed.Kind) {
		t.Helper()
		for e, err := range r.Messages(guard(t)) {
			if err != nil {
				t.Fatalf("no %v: %v", kind, err)
			}
			if e.Kind == kind {
				return
			}
		}
	}
	await(feed.Live)
	p.Stop()
	await(feed.Stale)
	p.Continue()
	await(feed.Live)
}

// TestFeedServesVLLM: a consumer that speaks vLLM's formats gets from our
// Publisher what it would get from vLLM.
func TestFeedServesVLLM(t *testing.T) {
	for _, c := range []struct {
		format feed.Format
		kind   string
		replay int // messages of the replay, its end included
		frames int // of each
	}{
		{feed.VLLM, "DEALER", 4, 3},
		{feed.VLLM, "REQ", 1, 3},
		{feed.VLLMNoTopic, "DEALER", 4, 2},
		{feed.VLLMEpoch, "DEALER", 4, 3},
	} {
		t.Run(c.format.String()+"/"+c.kind, func(t *testing.T) {
			p, err := feed.NewPublisher(&feed.Config{Format: c.format, Heartbeat: 1 << 40})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			live, err := p.Bind("tcp://127.0.0.1:*")
			if err != nil {
				t.Fatal(err)
			}
			control, err := p.BindControl("tcp://127.0.0.1:*")
			if err != nil {
				t.Fatal(err)
			}
			var ready struct{ Ready bool }
			peer := feedPeer(t, map[string]any{"role": "consume", "live": live, "control": control, "kind": c.kind, "start": 0, "n": 3}, &ready)
			for ctx := guard(t); !p.Subscribed(); runtime.Gosched() {
				if ctx.Err() != nil {
					t.Fatal("no subscription")
				}
			}
			for i := range 3 {
				if _, err := p.Publish("kv", fmt.Append(nil, i)); err != nil {
					t.Fatal(err)
				}
			}
			var got struct{ Live, Replay [][]string }
			peer.Reply(&got)
			for i, m := range got.Live {
				seq := hexFrame(t, m[1])
				if len(m) != 3 || string(hexFrame(t, m[0])) != "kv" || binary.BigEndian.Uint64(seq) != uint64(i) || string(hexFrame(t, m[2])) != fmt.Sprint(i) {
					t.Errorf("live message %d is %q", i, m)
				}
			}
			if len(got.Replay) != c.replay {
				t.Fatalf("%d messages in the replay, want %d", len(got.Replay), c.replay)
			}
			for i, m := range got.Replay {
				want := uint64(i)
				if i == 3 {
					want = 1<<64 - 1
				}
				if n := binary.BigEndian.Uint64(hexFrame(t, m[len(m)-2])); n != want || len(m) != c.frames {
					t.Errorf("message %d of the replay is %q", i, m)
				}
			}
		})
	}
}

func hexFrame(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFeedBitcoin: Bitcoin Core's notifications in both directions.
func TestFeedBitcoin(t *testing.T) {
	var at feedEndpoints
	peer := feedPeer(t, map[string]any{"role": "bitcoin"}, &at)
	r, err := feed.Open(nil, feed.Source{Live: at.Live, Format: feed.Bitcoin, Topic: "hashblock"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	peer.Reply(&at)
	var ok struct{ OK bool }
	for _, seq := range []uint32{1<<32 - 2, 1<<32 - 1, 0, 3} {
		body := fmt.Sprint(uint64(1<<32)*uint64(1-seq>>31) + uint64(seq) + 1)
		peer.Call(map[string]any{"topic": "hashblock", "body": body, "seq": seq}, &ok)
	}
	checkFeed(t, feedRun(t, r, 1<<32+4), "4294967295-4294967297", "gap 4294967298-4294967299", "4294967300-4294967300")

	p, err := feed.NewPublisher(&feed.Config{Format: feed.Bitcoin})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	live, err := p.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ Ready bool }
	peer = feedPeer(t, map[string]any{"role": "consume", "live": live, "topic": "hashtx", "n": 2}, &ready)
	for ctx := guard(t); !p.Subscribed(); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal("no subscription")
		}
	}
	for _, topic := range []string{"hashblock", "hashtx", "hashtx"} {
		if _, err := p.Publish(topic, []byte("body")); err != nil {
			t.Fatal(err)
		}
	}
	var got struct{ Live [][]string }
	peer.Reply(&got)
	want := fmt.Sprint([][]string{
		{hex.EncodeToString([]byte("hashtx")), hex.EncodeToString([]byte("body")), "00000000"},
		{hex.EncodeToString([]byte("hashtx")), hex.EncodeToString([]byte("body")), "01000000"},
	})
	if fmt.Sprint(got.Live) != want {
		t.Errorf("consumer got %q, want %s", got.Live, want)
	}
}
