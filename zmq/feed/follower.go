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
	name     string
	start    Start
	control  bool          // there is a control channel
	maxStale time.Duration // bound of Live
	timeout  time.Duration // of a request without progress

	maxAhead       int // messages
	maxAheadOctets int64

	state state
	seq   sequence.Tracker
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
	cut          uint64    // of a snapshot
	cutReceived  bool
	pastOldest   bool // the ring's oldest message is where the reader begins
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
	p, err := parsePublication(m)
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
		f.message(entry{p.seq + uint64(i), p.time, p.topic, payload})
	}
}

// enter makes the epoch of p the current one. It reports false if p is of an
// earlier epoch. Without a control channel the order of epochs is not relied on: if
// the publisher's clock was set back, nothing else would tell.
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
	if f.control && f.seq.Observe(p.epoch, p.seq) != sequence.Restart {
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
		f.req.pastOldest = true
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
	f.req.pastOldest = false
	f.stats.Messages++
	f.emit(Event{Kind: Message, Topic: e.topic, Payload: e.payload, Time: e.time})
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

// repair asks for what is missing.
func (f *follower) repair(now time.Time) {
	next := f.seq.Next()
	if now.Before(f.retryDue) {
		return
	}
	if f.req.wantSnapshot {
		f.askSnapshot(now)
		return
	}
	// The live connection delivers in order, so a number that was seen there
	// proves the loss of those below it that have not arrived. The control
	// channel may overtake the live connection: what it tells counts after a
	// while only, when the live connection is cut or stuck.
	switch {
	case f.told < next:
		f.behind = time.Time{}
	case f.behind.IsZero():
		f.behind = now
	case now.Sub(f.behind) >= f.timeout:
		f.seen = max(f.seen, f.told)
	}
	if f.seen < next {
		return
	}
	to := f.seen
	if len(f.ahead) > 0 {
		to = f.ahead[0].seq - 1
	}
	if !f.control {
		f.skip(to + 1)
		f.drain()
		return
	}
	f.ask(now, to)
}

func (f *follower) ask(now time.Time, to uint64) {
	f.state = replaying
	f.stats.Replays++
	old := f.req
	f.req = request{id: old.id + 1, to: to, progress: now, attempts: old.attempts, pastOldest: old.pastOldest}
	f.out = append(f.out, control{cmd: cmdRange, id: f.req.id, epoch: f.seq.Epoch(), from: f.seq.Next(), to: to})
}

func (f *follower) askSnapshot(now time.Time) {
	f.state = snapshotting
	f.stats.Snapshots++
	old := f.req
	f.req = request{id: old.id + 1, progress: now, attempts: old.attempts, wantSnapshot: true}
	f.out = append(f.out, control{cmd: cmdSnapshot, id: f.req.id})
}

// reply takes a message of the control channel.
func (f *follower) reply(now time.Time, m zmq.Msg) {
	c, err := parseControl(m)
	if err != nil || c.cmd < cmdInfo {
		f.stats.Malformed++
		return
	}
	defer f.settle(now)
	if c.cmd == cmdInfo {
		f.info(c)
		return
	}
	if c.id != f.req.id || f.state != replaying && f.state != snapshotting {
		return // of a request that is over
	}
	switch c.cmd {
	case cmdData:
		f.data(now, c)
	case cmdItem:
		f.item(now, c)
	case cmdCut:
		f.cut(now, c)
	case cmdEnd:
		f.end(now, c)
	case cmdTooOld:
		f.tooOld(now, c)
	case cmdNo:
		f.stats.Refused++
		f.again(now, retryDelay)
	}
}

func (f *follower) info(c control) {
	if f.state == joining {
		return
	}
	if c.epoch != f.seq.Epoch() {
		// The answer to the latest question, asked since the current epoch began,
		// is the truth: the live connection is late, or cut, or the publisher's
		// clock was set back.
		if f.fence.Answer(c.nonce) {
			f.restart(c.epoch)
		}
		return
	}
	if f.fence.Answer(c.nonce, c.to) {
		f.told = max(f.told, c.to)
	}
}

func (f *follower) data(now time.Time, c control) {
	if f.state != replaying {
		return
	}
	f.received(now, c)
	switch next := f.seq.Next(); {
	case c.seq < next:
		f.stats.Duplicates++
	case c.seq > next || c.seq > f.req.to:
		// Messages of the reply were lost: the control connection was replaced.
		f.again(now, 0)
	default:
		f.req.attempts = 0
		f.stats.Replayed++
		f.yield(entry{c.seq, c.time, c.topic, c.payload})
	}
}

// received opens the publisher's window as the reader takes messages.
func (f *follower) received(now time.Time, c control) {
	r := &f.req
	r.progress = now
	r.taken++
	r.takenOctets += uint64(len(c.topic) + len(c.payload))
	if r.taken-r.acked >= ackMessages || r.takenOctets-r.ackedOctets >= ackOctets {
		r.acked, r.ackedOctets = r.taken, r.takenOctets
		f.out = append(f.out, control{cmd: cmdMore, id: r.id, seq: r.taken, octets: r.takenOctets})
	}
}

// end finishes a request.
func (f *follower) end(now time.Time, c control) {
	if f.state == snapshotting {
		if !f.req.cutReceived {
			f.again(now, retryDelay)
			return
		}
		cut := f.req.cut
		f.req = request{id: f.req.id}
		f.state = following
		f.emit(Event{Kind: SnapshotEnd})
		f.seen = max(f.seen, cut)
		return
	}
	if c.seq != f.seq.Next() {
		f.again(now, 0)
		return
	}
	f.state = following
	if f.seq.Next() <= f.req.to {
		// The publisher has published less than the reader has seen.
		f.stats.Backwards++
		f.again(now, retryDelay)
		return
	}
}

func (f *follower) tooOld(now time.Time, c control) {
	if c.epoch != f.seq.Epoch() {
		// The publisher restarted and the live connection will say so.
		f.again(now, retryDelay)
		return
	}
	if f.state == snapshotting && !c.snapshot {
		f.state = following
		f.req = request{id: f.req.id}
		return
	}
	if f.state != replaying || c.from <= f.seq.Next() {
		f.again(now, retryDelay)
		return
	}
	f.state = following
	switch {
	case f.req.pastOldest:
		f.seq.Advance(c.from)
		f.fence.Advance(0, c.from-1)
	case c.snapshot:
		f.req.wantSnapshot = true
	default:
		f.skip(c.from)
	}
	f.req.attempts = 0
}

func (f *follower) cut(now time.Time, c control) {
	if f.state != snapshotting || c.epoch != f.seq.Epoch() || f.req.cutReceived {
		f.again(now, retryDelay)
		return
	}
	f.req.progress, f.req.attempts = now, 0
	f.req.cut, f.req.cutReceived = c.seq, true
	f.seq.Advance(c.seq + 1)
	f.emit(Event{Kind: SnapshotBegin})
	f.fence.Advance(0, c.seq)
}

func (f *follower) item(now time.Time, c control) {
	if f.state != snapshotting || !f.req.cutReceived {
		f.again(now, retryDelay)
		return
	}
	f.received(now, c)
	f.emit(Event{Kind: SnapshotItem, Topic: c.topic, Payload: c.payload})
}

// again gives the current request up and lets another one be sent after delay.
// Too many in a row without progress make a Gap of what is missing.
func (f *follower) again(now time.Time, delay time.Duration) {
	if f.state == replaying || f.state == snapshotting {
		f.out = append(f.out, control{cmd: cmdCancel, id: f.req.id})
	}
	f.state = following
	f.retryDue = now.Add(delay)
	if f.req.attempts++; f.req.attempts < maxAttempts {
		return
	}
	if f.req.wantSnapshot {
		f.retryDue = now.Add(f.timeout) // there is no state to go on with
		return
	}
	to := f.req.to
	f.req = request{id: f.req.id}
	f.skip(to + 1)
}

// tick lets time pass.
func (f *follower) tick(now time.Time) {
	if f.control && f.state != joining && !now.Before(f.pingDue) {
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
