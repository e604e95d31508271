package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// replayServer answers the control channel: liveness, replay and snapshots.
//
// One goroutine reads requests, another serves all replays in turn, a few
// messages each, so that a long one does not delay the others. Neither is
// waited for by publication: they take the publisher's lock to copy a few
// references out of the ring. A reader that stops taking messages stops its
// own window only.
type replayServer struct {
	p    *Publisher
	ctx  context.Context
	wake chan struct{}

	mu sync.Mutex
	// The fields below are protected by mu.
	active   map[replayKey]*replay
	waiting  []*replay // snapshots that wait for their turn
	snapping int       // snapshots under way

	snapshots sync.WaitGroup
}

const (
	// replayTurn is how many messages of a replay are sent in a row.
	replayTurn = 64
	// replayIdle is how long a reader may leave its window closed.
	replayIdle = 30 * time.Second
	// maxSnapshots is how many snapshot functions run at a time.
	maxSnapshots = 4
	// maxPerReader is how many requests one reader may have open.
	maxPerReader = 2
	// controlHWM is the high-water mark of the control sockets, in messages: the
	// windows of all requests of a reader, so that windows bound what is queued,
	// and the mark drops nothing.
	controlHWM = 2 * maxPerReader * windowMessages
)

type replayKey struct {
	peer string // routing id
	id   uint32
}

// replay is one request that is being answered.
type replay struct {
	key      replayKey
	next, to uint64
	snapshot bool
	stop     context.CancelFunc // of a snapshot

	sent, sentOctets   uint64
	taken, takenOctets uint64
	last               time.Time     // of the reader's last request or acknowledgement
	opened             chan struct{} // the window of a snapshot opened
}

// room returns how many messages and octets may be sent.
func (r *replay) room() (int, int64) {
	return windowMessages - int(r.sent-r.taken), windowOctets - int64(r.sentOctets-r.takenOctets)
}

func (r *replay) open() bool {
	n, octets := r.room()
	return n > 0 && octets > 0
}

func newReplayServer(ctx context.Context, p *Publisher) *replayServer {
	return &replayServer{p: p, ctx: ctx, wake: make(chan struct{}, 1), active: make(map[replayKey]*replay)}
}

func (s *replayServer) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// requests reads and carries out what readers ask.
func (s *replayServer) requests(ctx context.Context) {
	for {
		m, err := s.p.control.Recv(ctx)
		if err != nil {
			return
		}
		if len(m) < 2 {
			continue
		}
		c, err := parseControl(m[1:])
		if err != nil {
			continue // a peer that does not speak the protocol gets no answer
		}
		s.request(string(m[0]), c, time.Now())
	}
}

func (s *replayServer) request(peer string, c control, now time.Time) {
	key := replayKey{peer, c.id}
	switch c.cmd {
	case cmdPing:
		s.p.mu.Lock()
		first, last := s.p.ring.first(), s.p.ring.last
		s.p.mu.Unlock()
		s.send(peer, control{cmd: cmdInfo, nonce: c.nonce, epoch: s.p.epoch, from: first, to: last, snapshot: s.p.cfg.Snapshot != nil})
	case cmdRange:
		if c.epoch != s.p.epoch || c.from == 0 || c.to < c.from {
			s.tooOld(peer, c.id)
			return
		}
		s.begin(&replay{key: key, next: c.from, to: c.to, last: now})
	case cmdSnapshot:
		if s.p.cfg.Snapshot == nil {
			s.tooOld(peer, c.id)
			return
		}
		s.begin(&replay{key: key, snapshot: true, last: now, opened: make(chan struct{}, 1)})
	case cmdMore:
		s.more(key, c, now)
	case cmdCancel:
		s.mu.Lock()
		s.end(key)
		s.mu.Unlock()
	}
}

func (s *replayServer) begin(r *replay) {
	s.mu.Lock()
	s.end(r.key)
	mine := 0
	for k := range s.active {
		if k.peer == r.key.peer {
			mine++
		}
	}
	if len(s.active) >= s.p.cfg.MaxReplays || mine >= maxPerReader {
		s.mu.Unlock()
		s.send(r.key.peer, control{cmd: cmdNo, id: r.key.id, payload: []byte("too many requests at a time")})
		return
	}
	s.active[r.key] = r
	if r.snapshot {
		s.waiting = append(s.waiting, r)
		s.startSnapshots()
	}
	s.mu.Unlock()
	s.kick()
}

func (s *replayServer) more(key replayKey, c control, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.active[key]
	// A reader cannot have received what was not sent, nor less than before.
	if r == nil || c.seq > r.sent || c.octets > r.sentOctets || c.seq < r.taken || c.octets < r.takenOctets {
		return
	}
	r.taken, r.takenOctets, r.last = c.seq, c.octets, now
	if r.snapshot {
		select {
		case r.opened <- struct{}{}:
		default:
		}
	}
	s.kick()
}

// end forgets a request. s.mu is held.
func (s *replayServer) end(key replayKey) {
	r := s.active[key]
	if r == nil {
		return
	}
	delete(s.active, key)
	if r.stop != nil {
		r.stop()
	}
}

// serve sends what the windows of all replays have room for.
func (s *replayServer) serve(ctx context.Context) {
	defer s.snapshots.Wait()
	t := time.NewTicker(min(s.p.cfg.Heartbeat, replayIdle))
	defer t.Stop()
	var turn []*replay
	var entries []entry
	for {
		turn = turn[:0]
		s.mu.Lock()
		for _, r := range s.active {
			if !r.snapshot && r.open() {
				turn = append(turn, r)
			}
		}
		s.mu.Unlock()
		for _, r := range turn {
			if ctx.Err() != nil {
				return
			}
			entries = s.replay(r, entries[:0])
		}
		clear(entries[:cap(entries)])
		if len(turn) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case now := <-t.C:
			s.expire(now)
		}
	}
}

// expire ends the requests of readers that do not go on.
func (s *replayServer) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.active {
		if now.Sub(r.last) > replayIdle {
			s.end(key)
		}
	}
}

// replay sends the next messages of r.
func (s *replayServer) replay(r *replay, entries []entry) []entry {
	s.mu.Lock()
	n, octets := r.room()
	next, to := r.next, r.to
	s.mu.Unlock()
	entries, first, last := s.p.window(entries, next, to, min(n, replayTurn), octets)
	if len(entries) == 0 && next <= min(to, last) && next < first {
		s.finish(r)
		s.tooOld(r.key.peer, r.key.id)
		return entries
	}
	var count, size uint64
	for _, e := range entries {
		c := control{cmd: cmdData, id: r.key.id, seq: e.seq, time: e.time, topic: e.topic, payload: e.payload}
		if !s.send(r.key.peer, c) {
			s.finish(r) // the reader is gone, or does not read; it asks again
			return entries
		}
		count++
		size += uint64(len(e.topic) + len(e.payload))
	}
	s.mu.Lock()
	r.next += count
	r.sent += count
	r.sentOctets += size
	next = r.next
	s.mu.Unlock()
	if next > min(to, last) {
		s.finish(r)
		s.send(r.key.peer, control{cmd: cmdEnd, id: r.key.id, seq: next})
	}
	return entries
}

func (s *replayServer) finish(r *replay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[r.key] == r {
		s.end(r.key)
	}
}

func (s *replayServer) tooOld(peer string, id uint32) {
	s.p.mu.Lock()
	first, last := s.p.ring.first(), s.p.ring.last
	s.p.mu.Unlock()
	s.send(peer, control{cmd: cmdTooOld, id: id, epoch: s.p.epoch, from: first, to: last, snapshot: s.p.cfg.Snapshot != nil})
}

// send sends c if the peer has room and reports whether it did.
func (s *replayServer) send(peer string, c control) bool {
	m := c.message()
	return s.p.control.TrySend(append(zmq.Msg{[]byte(peer)}, m...)) == nil
}

// SnapshotWriter takes a snapshot from Config.Snapshot.
//
// The snapshot must contain the effect of all messages up to its cut, and may
// contain that of later ones if applying a message twice does no harm. A
// function whose snapshot is exact calls Cut under the lock that orders its
// changes and its calls to Publish. One that does not call Cut has as its cut
// the last message that was published before the function was called.
type SnapshotWriter struct {
	s      *replayServer
	r      *replay
	ctx    context.Context
	cut    uint64
	opened bool
}

// Cut makes the last message published so far the cut. It must be called before
// the first Item.
func (w *SnapshotWriter) Cut() {
	w.s.p.mu.Lock()
	defer w.s.p.mu.Unlock()
	w.cut = w.s.p.ring.last
}

// Item sends one item to the reader. It waits while the reader is behind, until
// the context of the snapshot is done. It copies neither topic nor payload, which
// must not be changed any more.
func (w *SnapshotWriter) Item(topic string, payload []byte) error {
	if err := w.begin(); err != nil {
		return err
	}
	for {
		w.s.mu.Lock()
		open := w.r.open()
		w.s.mu.Unlock()
		if open {
			break
		}
		select {
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-w.r.opened:
		}
	}
	if !w.s.send(w.r.key.peer, control{cmd: cmdItem, id: w.r.key.id, topic: []byte(topic), payload: payload}) {
		return errors.New("feed: snapshot: the reader is gone")
	}
	w.s.mu.Lock()
	w.r.sent++
	w.r.sentOctets += uint64(len(topic) + len(payload))
	w.s.mu.Unlock()
	return w.ctx.Err()
}

func (w *SnapshotWriter) begin() error {
	if w.opened {
		return nil
	}
	w.opened = true
	if !w.s.send(w.r.key.peer, control{cmd: cmdCut, id: w.r.key.id, epoch: w.s.p.epoch, seq: w.cut}) {
		return errors.New("feed: snapshot: the reader is gone")
	}
	return nil
}

// startSnapshots starts the snapshots whose turn it is. s.mu is held.
func (s *replayServer) startSnapshots() {
	for s.snapping < maxSnapshots && len(s.waiting) > 0 && s.ctx.Err() == nil {
		r := s.waiting[0]
		s.waiting = s.waiting[1:]
		if s.active[r.key] != r {
			continue // cancelled or replaced
		}
		ctx, stop := context.WithCancel(s.ctx)
		r.stop = stop
		s.snapping++
		s.snapshots.Go(func() {
			defer stop()
			s.snapshot(ctx, r)
			s.mu.Lock()
			s.snapping--
			s.startSnapshots()
			s.mu.Unlock()
		})
	}
}

func (s *replayServer) snapshot(ctx context.Context, r *replay) {
	w := &SnapshotWriter{s: s, r: r, ctx: ctx}
	w.Cut()
	err := s.p.cfg.Snapshot(ctx, w)
	if err == nil {
		err = w.begin() // of an empty snapshot
	}
	s.mu.Lock()
	current := s.active[r.key] == r
	if current {
		s.end(r.key)
	}
	s.mu.Unlock()
	switch {
	case !current || s.ctx.Err() != nil:
	case err != nil:
		s.send(r.key.peer, control{cmd: cmdNo, id: r.key.id, payload: []byte("snapshot failed")})
	default:
		s.send(r.key.peer, control{cmd: cmdEnd, id: r.key.id, seq: w.cut + 1})
	}
}
