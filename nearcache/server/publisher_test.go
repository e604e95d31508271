package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/memcached"
	"lintel.dev/zmq"
)

// patience is far more than anything in these tests takes.
const patience = 3 * time.Minute

// cache is a server with a feed, and a connection to it.
type cache struct {
	t    *testing.T
	feed *Publisher
	conn net.Conn
	in   *bufio.Reader
}

// start starts a server on one lane or more, whose clock commands can change.
func start(t *testing.T, heartbeat time.Duration) *cache {
	t.Helper()
	feed, err := New(&Config{Endpoints: []string{"tcp://127.0.0.1:*"}, Heartbeat: heartbeat})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := memcached.New(memcached.Options{Feed: feed, Debug: true, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c := &cache{t: t, feed: feed}
	t.Cleanup(func() {
		c.conn.Close()
		err := srv.Shutdown(context.Background())
		if serve := <-served; !errors.Is(serve, memcached.ErrServerClosed) {
			t.Error(serve)
		}
		if err := errors.Join(err, feed.Close()); err != nil {
			t.Error(err)
		}
	})
	if c.conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	c.in = bufio.NewReader(c.conn)
	return c
}

// do sends a command and returns the first line of its reply.
func (c *cache) do(command string) string {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(command + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *cache) set(key string) {
	c.t.Helper()
	if reply := c.do("set " + key + " 0 0 1\r\nx"); reply != "STORED" {
		c.t.Fatalf("set: %q", reply)
	}
}

func (c *cache) fence() wire.Fence {
	c.t.Helper()
	f, err := wire.ParseAnswer([]byte(c.do("mf 7")))
	if err != nil || f.Nonce != 7 {
		c.t.Fatalf("mf: %+v, %v", f, err)
	}
	return f
}

// subscriber follows the feed of a cache, as near caches do, and notes what changed.
type subscriber struct {
	*cache
	sock    *zmq.Sub
	next    []uint64 // of each lane; 0 is not known
	records []wire.Record
	gaps    int
	keys    map[uint64]int // records by hash
	flushes []string       // of lane 0
	beats   int
}

func (c *cache) subscribe(topics ...string) *subscriber {
	c.t.Helper()
	sock, err := zmq.NewSub(zmq.WithSubscribe(topics...), zmq.WithHWM(0))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { sock.Close() })
	if _, err := sock.Connect(c.feed.Endpoints()[0]); err != nil {
		c.t.Fatal(err)
	}
	return &subscriber{cache: c, sock: sock, keys: make(map[uint64]int), next: make([]uint64, len(c.fence().Last))}
}

// receive takes one message.
func (s *subscriber) receive() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	m, err := s.sock.Recv(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	h, records, err := wire.Decode(m, s.records[:0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.records = records
	if h.Epoch != s.feed.epoch || h.Lane >= len(s.next) {
		s.t.Fatalf("header %+v", h)
	}
	next := &s.next[h.Lane]
	if *next != 0 && (h.Count > 0 && h.First != *next || h.Count == 0 && h.First+1 != *next) {
		if h.Last() < *next-1 || h.Count > 0 && h.First < *next {
			s.t.Fatalf("lane %d runs backwards: %+v after %d", h.Lane, h, *next-1)
		}
		s.gaps++
	}
	*next = h.Last() + 1
	if h.Heartbeat() {
		s.beats++
	}
	for _, r := range records {
		switch {
		case r.Op == wire.FlushAll && h.Lane == 0:
			s.flushes = append(s.flushes, "")
		case r.Op == wire.FlushPrefix && h.Lane == 0:
			s.flushes = append(s.flushes, string(r.Prefix))
		case r.Op <= wire.Touched:
			s.keys[r.Hash]++
		}
	}
}

// join receives until the numbers of all lanes are known.
func (s *subscriber) join() *subscriber {
	s.t.Helper()
	for lane := 0; lane < len(s.next); {
		if s.next[lane] != 0 {
			lane++
			continue
		}
		s.receive()
	}
	return s
}

// reach receives until everything up to the numbers of a fence has arrived.
func (s *subscriber) reach() {
	s.t.Helper()
	for lane, n := range s.fence().Last {
		for s.next[lane] <= n {
			s.receive()
		}
	}
}

// TestSubscriber: a subscriber that applies the records from its join on knows
// which keys changed, and how often.
func TestSubscriber(t *testing.T) {
	c := start(t, 20*time.Millisecond)
	c.set("before")
	s := c.subscribe(wire.Topic).join()
	r := rand.New(rand.NewPCG(3, 4))
	want := make(map[uint64]int)
	var flushes []string
	for range 2000 {
		key := fmt.Sprint("key", r.IntN(30))
		reply := ""
		switch r.IntN(8) {
		case 0:
			reply = c.do("delete " + key)
		case 1:
			reply = c.do("add " + key + " 0 0 1\r\n5")
		case 2:
			reply = c.do("incr " + key + " 1")
		case 3:
			reply = c.do("md " + key + " I T30")
		case 4:
			if r.IntN(10) == 0 {
				c.do("flush_all")
				flushes = append(flushes, "")
			} else if r.IntN(10) == 0 {
				c.do("flush_prefix key1")
				flushes = append(flushes, "key1")
			} else {
				c.do("mg " + key)
			}
			continue
		default:
			reply = c.do("set " + key + " 0 0 1\r\n1")
		}
		if reply != "NOT_FOUND" && reply != "NOT_STORED" && reply != "NF" {
			want[wire.Hash([]byte(key))]++
		}
	}
	s.reach()
	if s.gaps > 0 || fmt.Sprint(s.flushes) != fmt.Sprint(flushes) {
		t.Errorf("%d gaps, flushes %q, expected %q", s.gaps, s.flushes, flushes)
	}
	if fmt.Sprint(s.keys) != fmt.Sprint(want) {
		t.Errorf("keys changed %v, expected %v", s.keys, want)
	}
	if st := c.feed.Stats(); st.Subscribers != 1 || st.Lost != 0 || st.Published < uint64(len(want)) {
		t.Errorf("stats %+v", st)
	}
}

// TestNumbersWithoutSubscribers: changes are numbered without subscribers too, so
// that one that comes back sees the gap.
func TestNumbersWithoutSubscribers(t *testing.T) {
	c := start(t, time.Millisecond)
	before := c.fence()
	c.set("a")
	after := c.fence()
	if sum(after.Last) != sum(before.Last)+1 || after.Epoch != before.Epoch {
		t.Errorf("numbers %d then %d, expected one more", sum(before.Last), sum(after.Last))
	}
	s := c.subscribe(wire.Topic).join()
	s.sock.Unsubscribe(wire.Topic)
	for c.feed.sock.TopicCount() > 0 {
		c.do("mn")
	}
	c.set("a")
	c.set("b")
	s.sock.Subscribe(wire.Topic)
	s.reach()
	c.set("a")
	s.reach()
	if n := s.keys[wire.Hash([]byte("a"))]; n == 0 {
		t.Error("no record for the last change")
	}
}

// TestHeartbeat: the last number arrives again and again, and a delayed flush_all is
// published at its time without any other command.
func TestHeartbeat(t *testing.T) {
	c := start(t, time.Millisecond)
	s := c.subscribe(wire.Topic).join()
	c.set("a")
	s.reach()
	for beats := s.beats; s.beats < beats+2*len(s.next); {
		s.receive()
	}
	if s.gaps > 0 {
		t.Errorf("%d gaps between heartbeats", s.gaps)
	}
	c.do("debugtime p")
	if reply := c.do("flush_all 10"); reply != "OK" {
		t.Fatalf("flush_all: %q", reply)
	}
	c.do("debugtime 20")
	for len(s.flushes) == 0 {
		s.receive()
	}
}

// TestFenceIsReached: what was changed before mf was sent arrives up to the numbers
// of its answer.
func TestFenceIsReached(t *testing.T) {
	c := start(t, time.Hour)
	s := c.subscribe(wire.Topic).join()
	for i := range 300 {
		key := fmt.Sprint("k", i)
		c.set(key)
		s.reach()
		if s.keys[wire.Hash([]byte(key))] != 1 {
			t.Fatalf("%s: %d records, expected 1", key, s.keys[wire.Hash([]byte(key))])
		}
	}
	f := c.fence()
	if len(f.Feeds) != 1 || f.Feeds[0] != c.feed.Endpoints()[0] || f.Epoch != c.feed.epoch {
		t.Errorf("fence %+v", f)
	}
}

// TestJoin: each new subscriber gets the numbers without waiting for a heartbeat,
// also beside others.
func TestJoin(t *testing.T) {
	c := start(t, time.Hour)
	for i := range 20 {
		s := c.subscribe(wire.Topic).join()
		c.set(fmt.Sprint("k", i))
		s.reach()
	}
}

// TestEpochs: each server has an epoch of its own, in fences and in messages.
func TestEpochs(t *testing.T) {
	a, b := start(t, time.Millisecond), start(t, time.Millisecond)
	a.subscribe(wire.Topic).join() // compares the epoch of each message
	b.subscribe(wire.Topic).join()
	if first, second := a.fence().Epoch, b.fence().Epoch; !first.Before(second) {
		t.Errorf("epochs %v and %v, expected the second to be later", first, second)
	}
}

// TestJunk: topics that do not exist, and messages, from a subscriber do
// not affect the others.
func TestJunk(t *testing.T) {
	c := start(t, time.Millisecond)
	s := c.subscribe(wire.Topic).join()
	junk, err := zmq.NewXSub(zmq.WithLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer junk.Close()
	if _, err := junk.Connect(c.feed.Endpoints()[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 2000 {
		for _, m := range []string{"\x01i\x00\x00" + fmt.Sprint(i), "\x01" + fmt.Sprint("zz", i), "\x00nothing", "\x02", strings.Repeat("x", 1000)} {
			if err := junk.SendBytes(ctx, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		if i%100 == 0 {
			c.set("a")
		}
	}
	s.reach()
	if n := s.keys[wire.Hash([]byte("a"))]; n != 20 || s.gaps > 0 {
		t.Errorf("%d records, %d gaps, expected 20 and none", n, s.gaps)
	}
}

// TestStoppedSubscriber: a subscriber that reads nothing costs a bounded queue, and
// others miss nothing.
func TestStoppedSubscriber(t *testing.T) {
	c := start(t, time.Hour)
	s := c.subscribe(wire.Topic).join()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.feed.Endpoints()[0], "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting := "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + strings.Repeat("\x00", 16) + "\x00" + strings.Repeat("\x00", 31)
	ready := "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
	if _, err := conn.Write([]byte(greeting + ready + "\x00\x02\x01x")); err != nil { // subscribes to x
		t.Fatal(err)
	}
	for c.feed.sock.TopicCount() < 2 {
		c.do("mn")
	}
	message := zmq.NewMsg("x", "", strings.Repeat("x", maxRecords*wire.RecordSize))
	for i := 0; c.feed.sock.Stats().DroppedFull == 0; i++ {
		if err := c.feed.sock.TrySend(message); err != nil || i > 1<<20 {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	for i := range 100 {
		c.set(fmt.Sprint("k", i))
	}
	if s.reach(); s.gaps > 0 || len(s.keys) != 100 {
		t.Errorf("the other subscriber has %d keys and %d gaps, expected 100 and none", len(s.keys), s.gaps)
	}
	for _, p := range c.feed.sock.Stats().Peers {
		if p.SendQueue > maxWaiting+1 {
			t.Errorf("%d messages wait for %s, expected at most %d", p.SendQueue, p.Remote, maxWaiting)
		}
	}
}

// TestVisibleBeforePublished: no client sees the old value once the change is
// published.
func TestVisibleBeforePublished(t *testing.T) {
	read := make(chan string, 1000)
	hook := &reader{read: read}
	srv, err := memcached.New(memcached.Options{Feed: hook, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hook.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	}()
	conn, err := net.Dial("tcp", hook.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for i := range 50 {
		fmt.Fprintf(conn, "set k 0 0 3\r\n%03d\r\n", i)
		if line, err := in.ReadString('\n'); err != nil || line != "STORED\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if got, want := <-read, fmt.Sprintf("%03d", i); got != want {
			t.Errorf("after the change to %s a client read %q", want, got)
		}
	}
}

// reader is a Feed that reads the key as a client during each change.
type reader struct {
	addr string
	read chan string
}

func (r *reader) Start(c memcached.Changes) error         { c.Listen(true); return nil }
func (r *reader) Stop()                                   {}
func (r *reader) AppendFence(dst []byte, _ uint64) []byte { return dst }
func (r *reader) Stats() memcached.FeedStats              { return memcached.FeedStats{} }

func (r *reader) Change(_ int, _ uint64, _ memcached.ChangeKind, key []byte) {
	asked := make(chan struct{})
	line := "get " + string(key) + "\r\n"
	go func() {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			close(asked)
			r.read <- err.Error()
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, line)
		close(asked)
		in := bufio.NewReader(conn)
		_, _ = in.ReadString('\n')
		value, _ := in.ReadString('\n')
		r.read <- strings.TrimSpace(value)
	}()
	<-asked
}

// TestConfig checks what New and Start refuse.
func TestConfig(t *testing.T) {
	for name, cfg := range map[string]*Config{
		"no endpoint":   {},
		"17 endpoints":  {Endpoints: make([]string, 17)},
		"bad endpoint":  {Endpoints: []string{"tcp://nowhere"}},
		"negative beat": {Endpoints: []string{"tcp://127.0.0.1:*"}, Heartbeat: -1},
		"bad inproc":    {Endpoints: []string{"inproc://a b"}},
	} {
		if p, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	c := start(t, time.Hour)
	if _, err := memcached.New(memcached.Options{Feed: c.feed}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server: %v, expected ErrInUse", err)
	}
	p, err := New(&Config{Endpoints: []string{"inproc://closed"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := memcached.New(memcached.Options{Feed: p}); !errors.Is(err, ErrInUse) {
		t.Errorf("after Close: %v, expected ErrInUse", err)
	}
}

func TestWildcard(t *testing.T) {
	for _, tc := range [][2]string{
		{"tcp://0.0.0.0:5", "tcp://*:5"},
		{"tcp://[::]:5", "tcp://*:5"},
		{"ws://0.0.0.0:5/feed", "ws://*:5/feed"},
		{"tcp://10.0.0.1:5", "tcp://10.0.0.1:5"},
		{"ipc:///run/feed", "ipc:///run/feed"},
		{"inproc://a", "inproc://a"},
	} {
		if got := wildcard(tc[0]); got != tc[1] {
			t.Errorf("%s: %s, expected %s", tc[0], got, tc[1])
		}
	}
}

func sum(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}
