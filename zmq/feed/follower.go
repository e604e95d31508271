package feed

import (
	"time"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
)

// follower is the state machine of one source. Publications, control messages
// and the time go in; events and control messages come out. It does no I/O and
// reads no clock, so that a test can drive it through every order of events.
//
// What it promises:
//
//   - every message is yielded once, in order, or inside a Gap;
//   - a Restart is yielded before the first message of another epoch;
//   - Live is yielded only when all that had been published at the time it
//     names was yielded before.
type follower struct {
	name      string
	start     Start
	dialect   dialect
	control   bool          // there is a control channel
	probes    bool          // liveness is asked for by a replay, which begins at the oldest message held
	snapshots bool          // there is a channel for snapshots alone
	maxStale  time.Duration // bound of Live
	timeout   time.Duration // of a request without progress

	maxAhead       int // messages
	maxAheadOctets int64

	state state
	seq   sequence.Tracker
	free  uint64 // up to this number messages may be left out: the reader begins at the oldest one held
	fence sequence.Fence
	live  bool

	// Live messages that arrived during a replay, ascending, without
	// duplicates. Those that exceed the bound are dropped: seen tells that they
	// exist, and another replay brings them.
	ahead       []entry
	aheadOctets int64
	seen        uint64    // highest number that is known to be published
	told        uint64    // highest number that the control channel named
	behind      time.Time // since when told has not arrived; zero if it has

	req      request
	pingDue  time.Time
	retryDue time.Time // of a refused request

	events []Event
	out    []control
	stats  Stats
}

type state uint8

const (
	joining   state = iota // nothing is known of the publisher
	following              // live messages are yielded as they arrive
	replaying
	snapshotting
)

// request is what the publisher was asked for last.
type request struct {
	id           uint32
	to           uint64
	taken        uint64 // messages of it that arrived
	takenOctets  uint64
	acked        uint64
	ackedOctets  uint64
	progress     time.Time // of the last sign of it
	attempts     int       // since the last message of it
	hole         bool      // messages of the reply are missing
	nonce        uint64    // of the question that its end answers; 0 if none
	cut          uint64    // of a snapshot
	cutReceived  bool
	wantSnapshot bool // the reader begins with a snapshot
}

const (
	// maxAttempts is how often a request is sent without any progress before
	// its messages are given up.
	maxAttempts = 3
	// retryDelay is how long a refused request waits.
	retryDelay = 200 * time.Millisecond
	// ackMessages and ackOctets are after how much received the publisher's
	// window is opened.
	ackMessages = windowMessages / 4
	ackOctets   = windowOctets / 4
)

// position is that of the last message yielded. It is zero before the first
// message and inside a snapshot: there is no state yet that could be resumed.
func (f *follower) position() Position {
	if f.state == joining || f.state == snapshotting && f.req.cutReceived {
		return Position{}
	}
	return Position{Epoch(f.seq.Epoch()), f.seq.Next() - 1}
}

func (f *follower) emit(e Event) {
	e.Source = f.name
	e.Position = Position{Epoch(f.seq.Epoch()), f.seq.Next() - 1}
	f.events = append(f.events, e)
}

// publication takes a live message or heartbeat.
func (f *follower) publication(now time.Time, m zmq.Msg) {
	p, err := f.dialect.publication(m)
	if err != nil {
		f.stats.Malformed++
		return
	}
	defer f.settle(now)
	if !f.enter(now, p) {
		f.stats.Duplicates++ // of a former epoch
		return
	}
	if p.heartbeat {
		if p.seq < f.seen {
			f.stats.Backwards++
		}
		f.seen = max(f.seen, p.seq)
		return
	}
	for i, payload := range p.payloads {
		f.message(entry{p.seq + uint64(i), p.time, p.topic, payload, p.filler})
	}
}

// enter makes the epoch of p the current one. It reports false if p is of an
// earlier epoch. Where the control channel does not tell the epoch, their order is
// not relied on: if the publisher's clock was set back, nothing else would tell.
func (f *follower) enter(now time.Time, p publication) bool {
	if f.state == joining {
		last := p.seq // published before what this Reader can see
		if !p.heartbeat {
			last--
		}
		f.join(now, p.epoch, last)
		return true
	}
	if p.epoch == f.seq.Epoch() {
		return true
	}
	if f.control && !f.probes && f.seq.Observe(p.epoch, p.seq) != sequence.Restart {
		return false
	}
	f.restart(p.epoch)
	return true
}

// join begins at the start that the user chose. last is the number of the last
// message published.
func (f *follower) join(now time.Time, epoch sequence.Epoch, last uint64) {
	f.state = following
	f.seen = last
	switch f.start.kind {
	case fromLatest:
		f.begin(epoch, last+1)
	case fromOldest:
		f.begin(epoch, 1)
		f.free = last
	case fromSnapshot:
		f.begin(epoch, 1)
		f.req.wantSnapshot = true
	case fromPosition:
		at := f.start.at
		if at == (Position{}) {
			f.begin(epoch, 1)
			return
		}
		if sequence.Epoch(at.Epoch) == epoch && at.Seq <= last {
			f.begin(epoch, at.Seq+1)
			return
		}
		// Another life of the publisher.
		f.seq.Begin(sequence.Epoch(at.Epoch), at.Seq+1)
		f.restart(epoch)
		f.seen = last
	}
}

func (f *follower) begin(epoch sequence.Epoch, next uint64) {
	f.seq.Begin(epoch, next)
	f.fence.Reset()
	f.fence.Advance(0, next-1)
	f.pingDue = time.Time{}
}

// restart begins anew with the first message of another epoch.
func (f *follower) restart(epoch sequence.Epoch) {
	f.stats.Restarts++
	f.forget()
	f.stale()
	f.begin(epoch, 1)
	f.seen, f.told = 0, 0
	f.state = following
	f.emit(Event{Kind: Restart})
}

// forget drops the current request and what arrived meanwhile.
func (f *follower) forget() {
	if f.state == replaying || f.state == snapshotting {
		f.out = append(f.out, control{cmd: cmdCancel, id: f.req.id})
	}
	clear(f.ahead)
	f.ahead, f.aheadOctets = f.ahead[:0], 0
	f.req = request{id: f.req.id}
	f.free = 0
	f.behind, f.retryDue = time.Time{}, time.Time{}
}

// message takes a live message.
func (f *follower) message(e entry) {
	f.seen = max(f.seen, e.seq)
	switch {
	case e.seq < f.seq.Next():
		f.stats.Duplicates++
	case f.state == following && e.seq == f.seq.Next() && !f.req.wantSnapshot:
		f.yield(e)
	default:
		f.keep(e)
	}
}

// keep stores a live message behind a gap.
func (f *follower) keep(e entry) {
	if n := len(f.ahead); n > 0 && e.seq <= f.ahead[n-1].seq {
		f.stats.Duplicates++ // PUB/SUB keeps the order of a connection
		return
	}
	if len(f.ahead) >= f.maxAhead || f.aheadOctets+e.octets() > f.maxAheadOctets {
		return
	}
	f.ahead = append(f.ahead, e)
	f.aheadOctets += e.octets()
}

func (f *follower) yield(e entry) {
	f.seq.Advance(e.seq + 1)
	f.free = 0
	if !e.filler {
		f.stats.Messages++
		f.emit(Event{Kind: Message, Topic: e.topic, Payload: e.payload, Time: e.time})
	}
	f.fence.Advance(0, e.seq)
}

// skip yields a Gap up to the message before next.
func (f *follower) skip(next uint64) {
	from := f.seq.Next()
	if next <= from {
		return
	}
	f.stats.Gaps++
	f.stats.Lost += next - from
	f.seq.Advance(next)
	f.emit(Event{Kind: Gap, From: from, To: next - 1})
	f.fence.Advance(0, next-1)
}

// drain yields the messages kept that follow without a gap.
func (f *follower) drain() {
	n := 0
	for _, e := range f.ahead {
		if e.seq > f.seq.Next() {
			break
		}
		if e.seq == f.seq.Next() {
			f.yield(e)
		} else {
			f.stats.Duplicates++
		}
		f.aheadOctets -= e.octets()
		n++
	}
	rest := copy(f.ahead, f.ahead[n:])
	clear(f.ahead[rest:])
	f.ahead = f.ahead[:rest]
}

// settle decides what follows from the state: whether to ask for something,
// and whether the source is live.
func (f *follower) settle(now time.Time) {
	if f.state == following {
		if !f.req.wantSnapshot {
			f.drain()
		}
		f.repair(now)
	}
	fresh := f.state == following && !f.fence.Fresh().IsZero() && now.Sub(f.fence.Fresh()) <= f.maxStale
	switch {
	case fresh && !f.live:
		f.live = true
		f.emit(Event{Kind: Live, Time: f.fence.Fresh()})
	case !fresh:
		// A short replay does not make a source stale.
		if f.state == joining || f.fence.Fresh().IsZero() || now.Sub(f.fence.Fresh()) > f.maxStale {
			f.stale()
		}
	}
}

func (f *follower) stale() {
	if f.live {
		f.live = false
		f.emit(Event{Kind: Stale})
	}
}

// tick lets time pass.
func (f *follower) tick(now time.Time) {
	switch due := f.control && !now.Before(f.pingDue); {
	case due && f.probes && f.state == following && !f.req.wantSnapshot && !now.Before(f.retryDue):
		f.ask(now, 0)
	case due && !f.probes && f.state != joining:
		f.out = append(f.out, control{cmd: cmdPing, nonce: f.fence.Ask(now)})
		f.pingDue = now.Add(f.maxStale / 4)
	}
	if (f.state == replaying || f.state == snapshotting) && now.Sub(f.req.progress) >= f.patience() {
		f.stats.Timeouts++
		f.again(now, 0)
	}
	f.settle(now)
}

// patience is how long the current request may make no progress. It doubles with
// each attempt, so that a slow publisher is not asked faster than it answers.
func (f *follower) patience() time.Duration { return f.timeout << min(f.req.attempts, 5) }

// due returns when tick has something to do next.
func (f *follower) due(now time.Time) time.Time {
	due := now.Add(f.maxStale / 4)
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(due) {
			due = t
		}
	}
	if f.control && f.state != joining {
		earlier(f.pingDue)
	}
	if f.state == replaying || f.state == snapshotting {
		earlier(f.req.progress.Add(f.patience()))
	}
	earlier(f.retryDue)
	if !f.behind.IsZero() {
		earlier(f.behind.Add(f.timeout))
	}
	if f.live {
		earlier(f.fence.Fresh().Add(f.maxStale + 1))
	}
	return due
}
