package feed

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
	"pgregory.net/rapid"
)

// The model: one publisher with a ring, one follower, and between them a live
// link and a control link that drop, duplicate, delay and restart. Each step is
// one of the actions below, chosen by pick. After each step the checker
// compares what the follower yielded with what the publisher did.
type model struct {
	now  time.Time
	pick func(n int) int // 0 <= result < n

	// The publisher.
	epoch     sequence.Epoch
	epochs    int
	order     map[sequence.Epoch]int // of all epochs
	clockBack bool                   // the publisher's clock was set back: epochs may be seen in another order
	ring      ring
	snapshots bool
	stopped   bool
	history   []published // of the current epoch

	live    []zmq.Msg // on their way to the reader
	request []zmq.Msg // on their way to the publisher
	replies []zmq.Msg
	replays map[uint32]*replay

	// What the reader has yielded.
	f         *follower
	at        Position
	inSnap    bool
	cut       uint64
	saysLive  bool
	gaps      int
	liveSince int
}

type published struct{ at time.Time }

const modelStale = 4 * time.Second

func newModel(pick func(int) int, start Start) *model {
	m := &model{now: time.Unix(1_000_000, 0), pick: pick, replays: make(map[uint32]*replay), order: make(map[sequence.Epoch]int)}
	m.snapshots = pick(2) == 0
	m.f = &follower{name: "m", dialect: nativeDialect{}, start: start, control: true, maxStale: modelStale, timeout: 2 * time.Second, maxAhead: 4, maxAheadOctets: 1 << 20}
	m.restart()
	return m
}

func (m *model) restart() {
	m.epochs++
	m.epoch = sequence.Epoch{0: 128, 15: byte(m.epochs), 14: byte(m.epochs >> 8)}
	if m.pick(8) == 0 {
		m.epoch[0] -= byte(m.pick(100))
		m.clockBack = true
	}
	m.order[m.epoch] = m.epochs
	m.ring = ring{maxMessages: 1 + m.pick(6), maxOctets: 1 << 20}
	m.history = nil
	clear(m.replays)
}

func (m *model) publish() {
	n := 1 + m.pick(2)
	h := header{epoch: m.epoch, seq: m.ring.last + 1, time: m.now}
	msg := zmq.Msg{[]byte("t"), h.append(nil)}
	for range n {
		payload := fmt.Appendf(nil, "%d", m.ring.last+1)
		m.ring.add(entry{seq: m.ring.last + 1, time: m.now, topic: msg[0], payload: payload})
		m.history = append(m.history, published{m.now})
		msg = append(msg, payload)
	}
	m.live = append(m.live, msg)
}

func (m *model) heartbeat() {
	m.live = append(m.live, zmq.Msg{nil, header{heartbeat: true, epoch: m.epoch, seq: m.ring.last, time: m.now}.append(nil)})
}

func (m *model) answer(c control) { m.replies = append(m.replies, c.message()) }

// serve lets the publisher handle one request, as replayServer does.
func (m *model) serve(msg zmq.Msg) {
	c, err := parseControl(msg)
	if err != nil {
		panic(err)
	}
	tooOld := control{cmd: cmdTooOld, id: c.id, epoch: m.epoch, from: m.ring.first(), to: m.ring.last, snapshot: m.snapshots}
	switch c.cmd {
	case cmdPing:
		m.answer(control{cmd: cmdInfo, nonce: c.nonce, epoch: m.epoch, from: m.ring.first(), to: m.ring.last, snapshot: m.snapshots})
	case cmdRange:
		switch {
		case c.epoch != m.epoch || c.from < m.ring.first() && c.from <= m.ring.last:
			m.answer(tooOld)
		case m.pick(8) == 0:
			m.answer(control{cmd: cmdNo, id: c.id, payload: []byte("busy")})
		default:
			m.replays[c.id] = &replay{next: c.from, to: c.to}
		}
	case cmdSnapshot:
		if !m.snapshots {
			m.answer(tooOld)
			return
		}
		m.answer(control{cmd: cmdCut, id: c.id, epoch: m.epoch, seq: m.ring.last})
		m.answer(control{cmd: cmdItem, id: c.id, topic: []byte("k"), payload: []byte("v")})
		m.answer(control{cmd: cmdEnd, id: c.id, seq: m.ring.last + 1})
	case cmdCancel:
		delete(m.replays, c.id)
	}
}

// replay sends one message of one replay.
func (m *model) replay() {
	for id, r := range m.replays {
		e, ok := m.ring.at(r.next)
		switch {
		case ok && r.next <= r.to:
			m.answer(control{cmd: cmdData, id: id, seq: e.seq, time: e.time, topic: e.topic, payload: e.payload})
			r.next++
		case r.next <= min(r.to, m.ring.last):
			m.answer(control{cmd: cmdTooOld, id: id, epoch: m.epoch, from: m.ring.first(), to: m.ring.last, snapshot: m.snapshots})
			delete(m.replays, id)
		default:
			m.answer(control{cmd: cmdEnd, id: id, seq: r.next})
			delete(m.replays, id)
		}
		return
	}
}

func pop(q *[]zmq.Msg) (zmq.Msg, bool) {
	if len(*q) == 0 {
		return nil, false
	}
	m := (*q)[0]
	*q = (*q)[1:]
	return m, true
}

// step does one random action. With calm, none that loses anything.
func (m *model) step(calm bool) {
	n := 16
	if calm {
		n = 8
	}
	switch m.pick(n) {
	case 0:
		if !calm && !m.stopped {
			m.publish()
		}
	case 1:
		if !m.stopped {
			m.heartbeat()
		}
	case 2, 3:
		if msg, ok := pop(&m.live); ok {
			m.f.publication(m.now, msg)
		}
	case 4:
		if msg, ok := pop(&m.request); ok && !m.stopped {
			m.serve(msg)
		}
	case 5:
		if !m.stopped {
			m.replay()
		}
	case 6:
		if msg, ok := pop(&m.replies); ok {
			m.f.reply(m.now, msg)
		}
	case 7:
		m.now = m.now.Add(time.Duration(1+m.pick(1000)) * time.Millisecond)
		m.f.tick(m.now)
	case 8:
		pop(&m.live) // dropped at the high-water mark
	case 9:
		switch {
		case len(m.live) > 0 && m.pick(2) == 0: // sent twice
			m.live = append(m.live[:1:1], m.live...)
		case len(m.live) > 1 && string(m.live[0][1][8:24]) != string(m.live[1][1][8:24]):
			// The old and the new process have a connection each.
			m.live[0], m.live[1] = m.live[1], m.live[0]
		}
	case 10: // the control connection is replaced
		m.request, m.replies = nil, nil
		clear(m.replays)
	case 11:
		pop(&m.request)
	case 12:
		if m.pick(4) == 0 { // what the old process sent may still be under way
			m.restart()
		}
	case 13:
		m.stopped = !m.stopped
	case 14: // the reader is stopped for a while
		m.now = m.now.Add(10 * time.Second)
	case 15:
		m.publish()
	}
	for _, c := range m.f.out {
		m.request = append(m.request, c.message())
	}
	m.f.out = m.f.out[:0]
}

// check takes the events yielded and compares them with what was published.
func (m *model) check() error {
	for _, e := range m.f.events {
		switch e.Kind {
		case Restart:
			if m.at.Epoch == e.Position.Epoch {
				return fmt.Errorf("restart within epoch %v", m.at.Epoch)
			}
			if !m.clockBack && m.at.Epoch != (Epoch{}) && m.order[sequence.Epoch(e.Position.Epoch)] < m.order[sequence.Epoch(m.at.Epoch)] {
				return fmt.Errorf("restart to the former epoch %v", e.Position.Epoch)
			}
			m.at, m.inSnap, m.saysLive = Position{Epoch: e.Position.Epoch}, false, false
		case SnapshotBegin:
			m.inSnap = true
			m.cut = e.Position.Seq
		case SnapshotEnd:
			if !m.inSnap {
				return fmt.Errorf("snapshot ends that did not begin")
			}
			if m.cut < m.at.Seq {
				return fmt.Errorf("snapshot of %d after message %d", m.cut, m.at.Seq)
			}
			m.inSnap, m.at = false, Position{e.Position.Epoch, m.cut}
		case Gap:
			m.gaps++
			if m.at.Epoch == (Epoch{}) {
				m.at = Position{e.Position.Epoch, e.From - 1}
			}
			if e.From != m.at.Seq+1 || e.To < e.From {
				return fmt.Errorf("gap %d to %d after message %d", e.From, e.To, m.at.Seq)
			}
			m.at.Seq = e.To
		case Message:
			if m.inSnap {
				return fmt.Errorf("message %d inside a snapshot", e.Position.Seq)
			}
			if m.at.Epoch == (Epoch{}) { // the first: the reader begins here
				m.at = Position{e.Position.Epoch, e.Position.Seq - 1}
			}
			if want := (Position{m.at.Epoch, m.at.Seq + 1}); e.Position != want {
				return fmt.Errorf("message %v, want %v", e.Position, want)
			}
			if string(e.Payload) != fmt.Sprint(e.Position.Seq) {
				return fmt.Errorf("message %d has the payload %q", e.Position.Seq, e.Payload)
			}
			m.at = e.Position
		case Live:
			m.saysLive = true
			m.liveSince++
			if m.at.Epoch == (Epoch{}) {
				m.at = e.Position
			}
		case Stale:
			m.saysLive = false
		}
	}
	m.f.events = nil
	// Time passed since the last tick is not the follower's fault.
	if !m.saysLive || !m.f.live {
		return nil
	}
	if m.at.Epoch != Epoch(m.epoch) {
		return nil // the publisher restarted; see bounded below
	}
	if got := m.f.position(); got.Seq > m.ring.last {
		return fmt.Errorf("position %d, published are %d", got.Seq, m.ring.last)
	}
	return nil
}

// bounded checks the promise of Live right after a tick: all that was published
// MaxStale ago was yielded, or the reader says otherwise.
func (m *model) bounded() error {
	if !m.saysLive || m.at.Epoch != Epoch(m.epoch) {
		return nil
	}
	for i, p := range m.history {
		if uint64(i) >= m.at.Seq && m.now.Sub(p.at) > modelStale {
			return fmt.Errorf("live at %d, but message %d was published %v ago", m.at.Seq, i+1, m.now.Sub(p.at))
		}
	}
	return nil
}

// run drives the model. mutate is called after each step and may damage the
// follower.
func (m *model) run(steps int, mutate func(*follower, time.Time)) error {
	act := func(calm bool) error {
		m.step(calm)
		if mutate != nil {
			mutate(m.f, m.now)
		}
		if err := m.check(); err != nil {
			return err
		}
		if m.pick(4) == 0 {
			m.f.tick(m.now)
			if mutate != nil {
				mutate(m.f, m.now)
			}
			if err := m.check(); err != nil {
				return err
			}
			return m.bounded()
		}
		return nil
	}
	for range steps {
		if err := act(false); err != nil {
			return err
		}
	}
	// Without further faults the reader catches up.
	m.stopped = false
	for range 20_000 {
		if m.saysLive && m.at == (Position{Epoch(m.epoch), m.ring.last}) {
			return nil
		}
		if err := act(true); err != nil {
			return err
		}
	}
	return fmt.Errorf("not live after the faults ended: at %v, published %d, state %d, request %+v", m.at, m.ring.last, m.f.state, m.f.req)
}

var starts = []Start{Latest, Oldest, Snapshot, After(Position{})}

// TestModel drives the follower through random orders of events.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		if err := newModel(pick, starts[pick(len(starts))]).run(60, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestModelLong does the same with longer runs and a plain source of numbers.
func TestModelLong(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		if err := newModel(rng.IntN, starts[rng.IntN(len(starts))]).run(400, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestModelCatchesMutants: the model notices each of these faults, so it can
// notice others.
func TestModelCatchesMutants(t *testing.T) {
	mutants := map[string]func(*follower, time.Time){
		"liveness by arrival": func(f *follower, now time.Time) {
			if f.state == following && !f.fence.Fresh().IsZero() {
				f.fence.Answer(f.fence.Ask(now))
				f.live = true
			}
		},
		"buffered messages are lost": func(f *follower, _ time.Time) {
			if len(f.ahead) > 1 {
				f.seq.Advance(f.ahead[0].seq)
			}
		},
		"an earlier epoch counts as a restart": func(f *follower, _ time.Time) { f.control = false },
		"duplicates are yielded": func(f *follower, _ time.Time) {
			if f.state == following && f.seq.Next() > 3 {
				f.seq.Advance(f.seq.Next() - 1)
			}
		},
		"a request is never given up": func(f *follower, now time.Time) {
			if f.state == replaying {
				f.req.progress = now
			}
		},
	}
	for name, mutate := range mutants {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				rng := rand.New(rand.NewPCG(seed, 2))
				if newModel(rng.IntN, starts[rng.IntN(len(starts))]).run(200, mutate) != nil {
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
