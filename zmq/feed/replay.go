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
	active  map[replayKey]*replay
	waiting []*replay // snapshots and readings of the history that wait for their turn
	running int       // those under way

	slow sync.WaitGroup // the goroutines of running
}

const (
	// replayTurn is how many messages of a replay are sent in a row.
	replayTurn = 64
	// replayIdle is how long a reader may leave its window closed.
	replayIdle = 30 * time.Second
	// blockedRetry is how long a replay without a window waits for room.
	blockedRetry = 10 * time.Millisecond
	// maxSlow is how many snapshot functions, and how many readings of the history
	// together with them, run at a time.
	maxSlow = 4
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
	stop     context.CancelFunc // of a snapshot or a reading of the history
	free     bool               // of a format without windows
	blocked  bool               // free, and the reader's connection has no room for now

	reading bool // by a goroutine that reads the history

	sent, sentOctets   uint64
	taken, takenOctets uint64
	last               time.Time     // of the reader's last request or acknowledgement
	opened             chan struct{} // the window opened
}

// room returns how many messages and octets may be sent.
func (r *replay) room() (int, int64) {
	if r.free {
		return replayTurn, windowOctets
	}
	return windowMessages - int(r.sent-r.taken), windowOctets - int64(r.sentOctets-r.takenOctets)
}

func (r *replay) open() bool {
	n, octets := r.room()
	return !r.blocked && n > 0 && octets > 0
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
		if s.p.cfg.Format.vllm() {
			s.vllmRequest(m)
			continue
		}
		c, err := parseControl(m[1:])
		if err != nil {
			continue // a peer that does not speak the protocol gets no answer
		}
		s.request(string(m[0]), c, time.Now())
	}
}

// vllmRequest begins a replay up to the latest message. A second request of a
// reader replaces its first.
func (s *replayServer) vllmRequest(m zmq.Msg) {
	from, ok := parseVLLMRequest(m[1:])
	if !ok {
		return
	}
	s.p.mu.Lock()
	from, last := max(from, s.p.ring.first()), s.p.ring.last
	s.p.mu.Unlock()
	s.begin(&replay{key: replayKey{peer: string(m[0])}, next: from, to: last, last: time.Now(), free: true})
}

func (s *replayServer) request(peer string, c control, now time.Time) {
	key := replayKey{peer, c.id}
	switch c.cmd {
	case cmdPing:
		first, last := s.p.bounds()
		s.send(peer, control{cmd: cmdInfo, nonce: c.nonce, epoch: s.p.epoch, from: first, to: last, snapshot: s.p.cfg.Snapshot != nil})
	case cmdRange:
		if c.epoch != s.p.epoch || c.from == 0 || c.to < c.from {
			s.tooOld(peer, c.id)
			return
		}
		s.begin(&replay{key: key, next: c.from, to: c.to, last: now, opened: make(chan struct{}, 1)})
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
		if !r.free { // vLLM's readers have no word for it, and ask again
			s.send(r.key.peer, control{cmd: cmdNo, id: r.key.id, payload: []byte("too many requests at a time")})
		}
		return
	}
	s.active[r.key] = r
	if r.snapshot {
		s.queueSlow(r)
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
	select {
	case r.opened <- struct{}{}:
	default:
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
	defer s.slow.Wait()
	t := time.NewTicker(min(s.p.cfg.Heartbeat, replayIdle))
	defer t.Stop()
	var turn []*replay
	var entries []entry
	for {
		turn = turn[:0]
		s.mu.Lock()
		for _, r := range s.active {
			if !r.snapshot && !r.reading && r.open() {
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
		var retry <-chan time.Time
		if s.unblock() {
			retry = time.After(blockedRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry:
		case now := <-t.C:
			s.expire(now)
		}
	}
}

// unblock lets replays without a window try again and reports whether there are
// any.
func (s *replayServer) unblock() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := false
	for _, r := range s.active {
		some = some || r.blocked
		r.blocked = false
	}
	return some
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
		if r.free {
			r.next = first // vLLM's replays go on at the oldest there is
			return entries
		}
		if s.p.cfg.History.has(next) {
			s.mu.Lock()
			if s.active[r.key] == r {
				r.reading = true
				s.queueSlow(r)
			}
			s.mu.Unlock()
			return entries
		}
		s.finish(r)
		s.tooOld(r.key.peer, r.key.id)
		return entries
	}
	var count, size uint64
	for _, e := range entries {
		if err := s.sendEntry(r, e); err != nil {
			s.refused(r, count, err)
			return entries
		}
		count++
		size += uint64(len(e.topic) + len(e.payload))
	}
	s.mu.Lock()
	r.next += count
	r.sent += count
	r.sentOctets += size
	if r.free {
		r.last = time.Now()
	}
	next = r.next
	s.mu.Unlock()
	if next > min(to, last) {
		if err := s.sendEnd(r, next); err != nil && r.free {
			s.refused(r, 0, err)
			return entries
		}
		s.finish(r)
	}
	return entries
}

// refused handles that the reader is gone or does not read. A reader with a
// window asks again; one without cannot know.
func (s *replayServer) refused(r *replay, count uint64, err error) {
	if !r.free || !errors.Is(err, zmq.ErrWouldBlock) {
		s.finish(r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.next += count
	r.blocked = true
	if count > 0 {
		r.last = time.Now()
	}
}

func (s *replayServer) sendEntry(r *replay, e entry) error {
	if r.free {
		return s.p.control.TrySend(s.p.cfg.Format.vllmReply(r.key.peer, e))
	}
	return s.trySend(r.key.peer, control{cmd: cmdData, id: r.key.id, seq: e.seq, time: e.time, topic: e.topic, payload: e.payload})
}

func (s *replayServer) sendEnd(r *replay, next uint64) error {
	if r.free {
		return s.p.control.TrySend(s.p.cfg.Format.vllmReply(r.key.peer, entry{}))
	}
	return s.trySend(r.key.peer, control{cmd: cmdEnd, id: r.key.id, seq: next})
}

func (s *replayServer) finish(r *replay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[r.key] == r {
		s.end(r.key)
	}
}

func (s *replayServer) tooOld(peer string, id uint32) {
	first, last := s.p.bounds()
	s.sendTooOld(peer, id, first, last)
}

func (s *replayServer) sendTooOld(peer string, id uint32, first, last uint64) {
	s.send(peer, control{cmd: cmdTooOld, id: id, epoch: s.p.epoch, from: first, to: last, snapshot: s.p.cfg.Snapshot != nil})
}

// send sends c if the peer has room and reports whether it did.
func (s *replayServer) send(peer string, c control) bool { return s.trySend(peer, c) == nil }

func (s *replayServer) trySend(peer string, c control) error {
	m := c.message()
	return s.p.control.TrySend(append(zmq.Msg{[]byte(peer)}, m...))
}
