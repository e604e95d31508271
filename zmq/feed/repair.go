package feed

import (
	"time"

	"lintel.dev/zmq"
)

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
	f.req = request{id: old.id + 1, to: to, progress: now, attempts: old.attempts}
	if f.probes {
		f.req.nonce = f.fence.Ask(now)
		f.pingDue = now.Add(f.maxStale / 4)
	}
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
	c, err := f.dialect.reply(m)
	if err != nil || c.cmd < cmdInfo {
		f.stats.Malformed++
		return
	}
	f.answer(now, c)
}

func (f *follower) answer(now time.Time, c control) {
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
	if f.probes && f.req.taken == 1 && c.seq > f.seq.Next() {
		if f.snapshots && c.seq-1 > f.free {
			f.state = following
			f.req.wantSnapshot = true
			return
		}
		f.trimmed(c.seq)
	}
	switch next := f.seq.Next(); {
	case c.seq < next:
		f.stats.Duplicates++
	case c.seq > next && f.probes:
		// The publisher dropped some of its reply. Replies do not say to which
		// request they belong: the next one has to wait for the end of this one.
		f.req.hole = true
	case c.seq > next || c.seq > f.req.to && !f.probes:
		// Messages of the reply were lost: the control connection was replaced.
		f.again(now, 0)
	default:
		f.req.attempts = 0
		f.stats.Replayed++
		f.yield(entry{c.seq, c.time, c.topic, c.payload, f.probes && len(c.payload) == 0})
	}
}

// vllmSnapshot takes a snapshot in the format VLLMEpoch: one message.
func (f *follower) vllmSnapshot(now time.Time, m zmq.Msg) {
	all, err := parseVLLMSnapshot(f.req.id, m)
	if err != nil {
		f.stats.Malformed++
		return
	}
	if f.state != snapshotting {
		return
	}
	if epoch := all[0].epoch; epoch != f.seq.Epoch() {
		f.restart(epoch)
		f.state = snapshotting
		f.req.wantSnapshot = true
	}
	for _, c := range all {
		f.answer(now, c)
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
		f.fence.Advance(0, cut) // not before: half a snapshot is no state
		f.seen = max(f.seen, cut)
		return
	}
	if !f.probes && c.seq != f.seq.Next() {
		f.again(now, 0)
		return
	}
	if f.req.hole {
		f.again(now, 0)
		return
	}
	f.state = following
	if f.seq.Next() <= f.req.to {
		// The publisher has published less than the reader has seen, or dropped
		// some of the replay.
		if !f.probes {
			f.stats.Backwards++
		}
		f.again(now, retryDelay)
		return
	}
	if f.req.nonce != 0 {
		f.fence.Answer(f.req.nonce, f.seq.Next()-1)
	}
	f.req.attempts = 0
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
	f.req.attempts = 0
	if c.snapshot && c.from-1 > f.free {
		f.req.wantSnapshot = true
		return
	}
	f.trimmed(c.from)
}

// trimmed goes on at first, the oldest message that the publisher has. What was
// published since the reader joined and is lost is a Gap.
func (f *follower) trimmed(first uint64) {
	if next := min(first, f.free+1); next > f.seq.Next() {
		f.seq.Advance(next)
		f.fence.Advance(0, next-1)
	}
	f.free = 0
	f.skip(first)
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
