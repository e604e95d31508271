package feed

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"lintel.dev/zmq"
)

func FuzzPublication(f *testing.F) {
	h := header{epoch: newModel(func(int) int { return 0 }, Latest).epoch, seq: 7, time: time.Unix(5, 6)}
	f.Add([]byte("topic"), h.append(nil), []byte("payload"), true)
	h.heartbeat = true
	f.Add([]byte(nil), h.append(nil), []byte(nil), false)
	f.Add([]byte(nil), []byte{1, 2, 3}, []byte(nil), true)
	f.Fuzz(func(t *testing.T, topic, head, payload []byte, message bool) {
		m := zmq.Msg{topic, head}
		if message {
			m = append(m, payload)
		}
		p, err := parsePublication(m)
		if err != nil {
			return
		}
		if got := p.append(nil); string(got[8:]) != string(head[8:]) {
			t.Errorf("header %x is written as %x", head, got)
		}
		fl := &follower{dialect: nativeDialect{}, control: true, maxStale: time.Second, timeout: time.Second, maxAhead: 4, maxAheadOctets: 1 << 10}
		for range 3 {
			fl.publication(time.Unix(100, 0), m)
			fl.tick(time.Unix(200, 0))
		}
	})
}

func FuzzControl(f *testing.F) {
	for cmd, form := range commandForm {
		f.Add(append([]byte{byte(cmd)}, make([]byte, form.octets)...), []byte("a"), []byte("b"), form.frames)
	}
	f.Add([]byte(nil), []byte(nil), []byte(nil), 0)
	f.Fuzz(func(t *testing.T, head, one, two []byte, frames int) {
		m := zmq.Msg{head, one, two}[:1+min(max(frames, 0), 2)]
		c, err := parseControl(m)
		if err != nil {
			return
		}
		again, err := parseControl(c.message())
		if err != nil {
			t.Fatalf("%x is written as a message that does not parse: %v", m, err)
		}
		if fmt.Sprint(again) != fmt.Sprint(c) {
			t.Errorf("%+v is written and read as %+v", c, again)
		}
	})
}

// TestForgedReplies: a publisher that answers what was never asked, or
// nonsense, changes nothing that the reader yields.
func TestForgedReplies(t *testing.T) {
	now := time.Unix(1000, 0)
	epoch := newModel(func(int) int { return 0 }, Latest).epoch
	f := &follower{dialect: nativeDialect{}, control: true, maxStale: time.Second, timeout: time.Second, maxAhead: 4, maxAheadOctets: 1 << 10}
	f.publication(now, zmq.Msg{nil, header{heartbeat: true, epoch: epoch, seq: 5}.append(nil)})
	for _, c := range []control{
		{cmd: cmdData, id: 9, seq: 6, topic: []byte("t"), payload: []byte("forged")},
		{cmd: cmdItem, id: 0, topic: []byte("t"), payload: []byte("forged")},
		{cmd: cmdCut, id: 0, epoch: epoch, seq: 1 << 63},
		{cmd: cmdEnd, id: 1, seq: 1 << 63},
		{cmd: cmdTooOld, id: 0, epoch: epoch, from: 1 << 62, to: 1 << 63, snapshot: true},
		{cmd: cmdInfo, nonce: 77, epoch: epoch, from: 1, to: 5},
		{cmd: cmdNo, id: 3, payload: []byte("no")},
		{cmd: cmdPing, nonce: 1},
	} {
		f.reply(now, c.message())
	}
	f.reply(now, nil)
	f.reply(now, zmq.Msg{{0xff}})
	f.reply(now, zmq.Msg{{byte(cmdData), 1, 2}})
	if len(f.events) != 0 || f.seq.Next() != 6 || f.live {
		t.Errorf("events %v, next %d, live %t", f.events, f.seq.Next(), f.live)
	}
	if f.stats.Malformed != 4 {
		t.Errorf("%d malformed messages counted, want 4", f.stats.Malformed)
	}
}

// TestEpochEveryMessage: a publisher that changes its epoch with every message
// costs an event each and no memory.
func TestEpochEveryMessage(t *testing.T) {
	now := time.Unix(1000, 0)
	f := &follower{dialect: nativeDialect{}, control: true, maxStale: time.Second, timeout: time.Second, maxAhead: 4, maxAheadOctets: 1 << 10}
	const n = 10_000
	for i := range uint64(n) {
		h := header{seq: 1 << 40}
		binary.BigEndian.PutUint64(h.epoch[:], i+1)
		f.publication(now, zmq.Msg{nil, h.append(nil), []byte("x")})
		f.events, f.out = nil, f.out[:0]
	}
	if f.stats.Restarts != n-1 || len(f.ahead) > 4 {
		t.Errorf("%d restarts, want %d; %d messages kept", f.stats.Restarts, n-1, len(f.ahead))
	}
}

// TestNumbersRunBackwards: a heartbeat below what was seen is counted.
func TestNumbersRunBackwards(t *testing.T) {
	now := time.Unix(1000, 0)
	epoch := newModel(func(int) int { return 0 }, Latest).epoch
	f := &follower{dialect: nativeDialect{}, maxStale: time.Second, timeout: time.Second, maxAhead: 4, maxAheadOctets: 1 << 10}
	for _, seq := range []uint64{9, 3} {
		f.publication(now, zmq.Msg{nil, header{heartbeat: true, epoch: epoch, seq: seq}.append(nil)})
	}
	if f.stats.Backwards != 1 || f.seq.Next() != 10 {
		t.Errorf("counted %d, next %d", f.stats.Backwards, f.seq.Next())
	}
}

// TestRingBounds: the ring obeys each of its bounds.
func TestRingBounds(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := ring{maxMessages: 3, maxOctets: 1000, maxAge: 10 * time.Second}
	for i := range 5 {
		r.add(entry{seq: uint64(i + 1), time: at(i), payload: make([]byte, 10)})
	}
	if r.first() != 3 || r.last != 5 {
		t.Errorf("holds %d to %d, want 3 to 5", r.first(), r.last)
	}
	r.add(entry{seq: 6, time: at(5), payload: make([]byte, 800)})
	if r.first() != 6 {
		t.Errorf("holds from %d with %d octets, want 6", r.first(), r.octets)
	}
	r.add(entry{seq: 7, time: at(5), payload: make([]byte, 2000)})
	if r.first() != 8 || r.octets != 0 {
		t.Errorf("a message over the bound: holds from %d, %d octets", r.first(), r.octets)
	}
	r.add(entry{seq: 8, time: at(6)})
	r.expire(at(17))
	if _, ok := r.at(8); ok || r.first() != 9 {
		t.Error("an old message is held")
	}
}

// TestManyReplays: requests for everything from many readers that never take
// it are bounded, and neither publication nor an honest reader waits for them.
func TestManyReplays(t *testing.T) {
	const clients, allowed = 200, 16
	p, err := NewPublisher(&Config{MaxReplays: allowed, MaxMessages: 5000})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	addr, err := p.BindControl("inproc://many-replays")
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if _, err := p.Publish("", make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ask := control{cmd: cmdRange, id: 1, epoch: p.epoch, from: 1, to: 1 << 63}.message()
	refused := 0
	for range clients {
		d, err := zmq.NewDealer(zmq.WithLinger(0))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Connect(addr); err != nil {
			t.Fatal(err)
		}
		// A range of nothing is answered at once, a second time: the first answer
		// tells whether the flood was refused.
		for _, m := range []zmq.Msg{ask, {slices.Concat([]byte{99}, make([]byte, 10))}, {}} {
			if len(m) > 0 {
				if err := d.Send(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
		}
		m, err := d.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := parseControl(m); err != nil {
			t.Fatal(err)
		} else if c.cmd == cmdNo {
			refused++
		}
	}
	if refused != clients-allowed {
		t.Errorf("%d requests were refused, want %d", refused, clients-allowed)
	}
	p.replays.mu.Lock()
	for _, r := range p.replays.active {
		if r.sent-r.taken > windowMessages {
			t.Errorf("%d messages outstanding, more than the window of %d", r.sent-r.taken, windowMessages)
		}
	}
	p.replays.mu.Unlock()
	p.replays.expire(time.Now().Add(2 * replayIdle))
	p.replays.mu.Lock()
	left := len(p.replays.active)
	p.replays.mu.Unlock()
	if left != 0 {
		t.Errorf("%d idle requests are left", left)
	}
}

// TestLossAfterJoin: a reader that begins at the oldest message leaves out
// silently what was trimmed before it joined, and nothing else.
func TestLossAfterJoin(t *testing.T) {
	now := time.Unix(1000, 0)
	epoch := newModel(func(int) int { return 0 }, Latest).epoch
	for _, c := range []struct {
		joined uint64 // the last message when the reader joins
		from   uint64 // the oldest message when it asks
		want   string
	}{
		{joined: 0, from: 3, want: "gap 1-2"},
		{joined: 2, from: 3, want: ""},
		{joined: 2, from: 6, want: "gap 3-5"},
		{joined: 9, from: 6, want: ""},
	} {
		f := &follower{dialect: nativeDialect{}, start: Oldest, control: true, maxStale: time.Second, timeout: time.Second, maxAhead: 4, maxAheadOctets: 1 << 10}
		heartbeat := func(seq uint64) {
			f.publication(now, zmq.Msg{nil, header{heartbeat: true, epoch: epoch, seq: seq}.append(nil)})
		}
		heartbeat(c.joined)
		heartbeat(10)
		f.reply(now, control{cmd: cmdTooOld, id: f.req.id, epoch: epoch, from: c.from, to: 10}.message())
		got := ""
		for _, e := range f.events {
			got += fmt.Sprintf("%v %d-%d", e.Kind, e.From, e.To)
		}
		if got != c.want || f.seq.Next() != c.from {
			t.Errorf("joined at %d, the ring begins at %d: events %q, want %q; next %d", c.joined, c.from, got, c.want, f.seq.Next())
		}
	}
}
