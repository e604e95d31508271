package netloop_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// toy is a line protocol that asks for everything a session can ask for.
type toy struct {
	conn  netloop.Conn
	bench *bench
	flood int // bytes still to be sent by "flood"
	turns int // yields still to be taken by "yield"
}

// bench is what the tests see of the server's side.
type bench struct {
	t              *testing.T
	loop           netloop.Loop
	addr           net.Addr
	served         chan error
	opened         chan netloop.Conn
	closed         chan netloop.Reason
	drained        chan struct{}
	released, lent atomic.Int64
	held, resume   chan struct{} // a session has come to "hold", and goes on
	maxLen         atomic.Int64  // largest Writer.Len seen at the end of a call
}

func (s *toy) Closed(why netloop.Reason) { s.bench.closed <- why }

func (s *toy) Data(in []byte, w *netloop.Writer) (int, netloop.Next) {
	used, next := s.data(in, w)
	if n := int64(w.Len()); n > s.bench.maxLen.Load() {
		s.bench.maxLen.Store(n)
	}
	return used, next
}

func (s *toy) data(in []byte, w *netloop.Writer) (int, netloop.Next) {
	used := 0
	for {
		for s.flood > 0 {
			if w.Full() {
				return used, netloop.Yield
			}
			n := min(s.flood, 4<<10)
			w.B = append(w.B, pattern[:n]...)
			s.flood -= n
		}
		if s.turns > 0 {
			s.turns--
			w.B = append(w.B, "turn\n"...)
			return used, netloop.Yield
		}
		line, _, ok := bytes.Cut(in[used:], []byte("\n"))
		if !ok {
			return used, netloop.More
		}
		used += len(line) + 1
		word, arg, _ := strings.Cut(string(line), " ")
		n, _ := strconv.Atoi(arg)
		switch word {
		case "echo":
			w.B = append(append(w.B, arg...), '\n')
		case "copy":
			w.B = append(w.B, pattern[:n]...)
		case "lend":
			s.bench.lent.Add(1)
			w.B = append(w.B, '<')
			w.Ref(pattern[:n], func() { s.bench.released.Add(1) })
			w.B = append(w.B, '>')
		case "flood":
			s.flood = n
		case "yield":
			s.turns = n
		case "send":
			for range n {
				s.conn.Send([]byte("sent\n"))
			}
		case "stream":
			w.B = append(w.B, "streaming\n"...)
			return used, netloop.Stream
		case "hold":
			s.bench.held <- struct{}{}
			<-s.bench.resume
		case "quit":
			w.B = append(w.B, "bye\n"...)
			return used, netloop.Close
		case "panic":
			panic("toy")
		case "lie":
			return len(in) + 1, netloop.More
		default:
			w.B = append(w.B, "what?\n"...)
		}
	}
}

var pattern = func() []byte {
	b := make([]byte, 8<<20)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()

type variant struct {
	name    string
	make    func(netloop.Config) (netloop.Loop, error)
	network string
}

var variants = []variant{
	{"best/tcp", netloop.New, "tcp"},
	{"best/unix", netloop.New, "unix"},
	{"net/tcp", netloop.NewNet, "tcp"},
	{"net/unix", netloop.NewNet, "unix"},
}

// each runs the test against every driver and network.
func each(t *testing.T, test func(*testing.T, variant)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { test(t, v) })
	}
}

// start serves cfg with toys until the test ends.
func (v variant) start(t *testing.T, cfg netloop.Config) *bench {
	t.Helper()
	b := &bench{
		t:       t,
		served:  make(chan error, 1),
		opened:  make(chan netloop.Conn, 1<<16),
		closed:  make(chan netloop.Reason, 1<<16),
		drained: make(chan struct{}, 1<<16),
		held:    make(chan struct{}),
		resume:  make(chan struct{}),
	}
	cfg.NewSession = func(c netloop.Conn) netloop.Session {
		b.opened <- c
		return &toy{conn: c, bench: b}
	}
	if cfg.Threads == 0 {
		cfg.Threads = 2
	}
	var err error
	b.loop, err = v.make(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := v.listen(t)
	b.addr = ln.Addr()
	go func() { b.served <- b.loop.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.loop.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-b.served; !errors.Is(err, netloop.ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
		if n := b.loop.Stats().Open; n != 0 {
			t.Errorf("%d connections open after Shutdown", n)
		}
		if l, r := b.lent.Load(), b.released.Load(); l != r {
			t.Errorf("%d values lent, %d released", l, r)
		}
	})
	return b
}

func (v variant) listen(t *testing.T) net.Listener {
	t.Helper()
	addr := "127.0.0.1:0"
	if v.network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(v.network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// peer is the client's end of a connection.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (b *bench) dial() *peer {
	b.t.Helper()
	c, err := net.Dial(b.addr.Network(), b.addr.String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &peer{t: b.t, Conn: c, r: bufio.NewReader(c)}
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.Conn, format, args...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) want(text string) {
	p.t.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(p.r, got)
	if err != nil || string(got) != text {
		p.t.Fatalf("got %.80q, %v; want %.80q", got[:n], err, text)
	}
}

func (p *peer) wantEOF() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err == nil {
		p.t.Fatalf("got byte %q, want the end of the connection", b)
	} else if errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal("the connection stayed open")
	}
}

func (b *bench) wantClosed(why netloop.Reason) {
	b.t.Helper()
	if got := <-b.closed; got != why {
		b.t.Fatalf("closed with reason %v, want %v", got, why)
	}
}

// await returns when the statistics, which may lag behind the replies they
// count, say what they must come to say.
func (b *bench) await(done func(netloop.Stats) bool) {
	for !done(b.loop.Stats()) {
		runtime.Gosched()
	}
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("x", 60<<10)
	cases := []struct {
		name, in, out string
	}{
		{"one", "echo a\n", "a\n"},
		{"batch", "echo a\necho b\necho c\n", "a\nb\nc\n"},
		{"long line", "echo " + long + "\n", long + "\n"},
		{"copy", "copy 100000\necho z\n", string(pattern[:100000]) + "z\n"},
		{"lend", "echo a\nlend 100000\nlend 0\nlend 5\necho z\n", "a\n<" + string(pattern[:100000]) + "><><" + string(pattern[:5]) + ">z\n"},
		{"many lent", strings.Repeat("lend 3\n", 3000), strings.Repeat("<"+string(pattern[:3])+">", 3000)},
		{"large lent", "lend 8388608\necho z\n", "<" + string(pattern) + ">z\n"},
		{"yield", "yield 3\necho z\n", "turn\nturn\nturn\nz\n"},
		{"quit", "echo a\nquit\necho never\n", "a\nbye\n"},
		{"flood", "flood 3000000\necho z\n", string(bytes.Repeat(pattern[:4096], 733)[:3000000]) + "z\n"},
	}
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := b.dial()
				p.t = t
				go p.Write([]byte(c.in))
				p.want(c.out)
				p.Close()
				<-b.closed
			})
		}
	})
}

func TestBytewise(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		p := b.dial()
		for _, c := range "echo slow\n" {
			p.send("%c", c)
		}
		p.want("slow\n")
	})
}

// A peer that closes its sending half still gets its replies.
func TestHalfClose(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		p := b.dial()
		p.send("yield 2\necho a\nflood 2000000\necho z\n")
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		p.want("turn\nturn\na\n")
		all, err := io.ReadAll(p.r)
		if err != nil || len(all) != 2000002 {
			t.Fatalf("%d bytes, %v", len(all), err)
		}
		b.wantClosed(netloop.Normal)
	})
}

func TestClosedReasons(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		var panics atomic.Int64
		b := v.start(t, netloop.Config{
			MaxInput: 1 << 10,
			OnPanic:  func(any, []byte) { panics.Add(1) },
		})
		bystander := b.dial()
		for _, c := range []struct {
			in  string
			why netloop.Reason
		}{
			{"quit\n", netloop.Normal},
			{"panic\n", netloop.Failed},
			{"lie\n", netloop.Failed},
			{strings.Repeat("z", 100<<10), netloop.Failed}, // over MaxInput
		} {
			p := b.dial()
			p.Write([]byte(c.in)) // may be cut short by the close
			b.wantClosed(c.why)
			io.Copy(io.Discard, p.r)
			p.Close()
		}
		p := b.dial()
		p.send("echo a\n")
		p.want("a\n")
		p.Close()
		b.wantClosed(netloop.Normal)
		if n := panics.Load(); n != 2 || b.loop.Stats().Panics != 2 {
			t.Errorf("%d panics reported, %d counted, want 2", n, b.loop.Stats().Panics)
		}
		bystander.send("echo still here\n")
		bystander.want("still here\n")
	})
}

func TestServerCloses(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		p := b.dial()
		c := <-b.opened
		c.Close(netloop.Failed)
		p.wantEOF()
		b.wantClosed(netloop.Failed)
		if c.Send([]byte("x")) {
			t.Error("Send on a closed connection returned true")
		}
		c.Close(netloop.Failed)
	})
}

func TestStream(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{SendBudget: 1 << 20})
		p := b.dial()
		c := <-b.opened
		p.send("stream\necho ignored\n")
		p.want("streaming\n")
		p.send("echo ignored too\n")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					for !c.Send([]byte("event\n")) {
					}
				}
			})
		}
		p.want(strings.Repeat("event\n", 800))
		wg.Wait()
		p.Close()
		b.wantClosed(netloop.Normal)
	})
}

// What a session sends by Conn.Send is not lost among its replies.
func TestSendFromSession(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		p := b.dial()
		p.send("send 3\n")
		p.want("sent\nsent\nsent\n")
	})
}

// A peer that does not read gets a bounded amount queued for it, and Send
// refuses instead of waiting.
func TestSendBudget(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{SendBudget: 64 << 10})
		b.dial().send("stream\n")
		c := <-b.opened
		line := pattern[:8<<10]
		n := 0
		for c.Send(line) || n == 0 {
			n++
			if n > 64<<20/len(line) {
				t.Fatal("64 MiB queued for a peer that does not read")
			}
		}
	})
}

// A peer that asks and never reads: the session is told to pause, and no more
// than the soft bound and one step is held.
func TestBackPressure(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{SoftQueued: 64 << 10})
		p := b.dial()
		go io.WriteString(p, strings.Repeat("flood 1000000\n", 64))
		// Another connection, on each thread, is served meanwhile.
		for range 4 {
			q := b.dial()
			q.send("echo a\n")
			q.want("a\n")
		}
		n, err := io.CopyN(io.Discard, p.r, 64*1000000)
		if err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if m := b.maxLen.Load(); m > 64<<10+8<<10 {
			t.Errorf("%d bytes were queued, soft bound is %d", m, 64<<10)
		}
	})
}

func TestMaxQueued(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{MaxQueued: 1 << 20})
		p := b.dial()
		p.send("lend 2000000\n")
		io.Copy(io.Discard, p.r)
		b.wantClosed(netloop.Failed)
		if n := b.loop.Stats().SlowKicks; n != 1 {
			t.Errorf("SlowKicks %d, want 1", n)
		}
	})
}

func TestConnsAndStats(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		now := int64(1_000_000)
		b := v.start(t, netloop.Config{Threads: 2, Now: func() int64 { return now }})
		seen := map[int]bool{}
		for range 4 {
			p := b.dial()
			p.send("echo abc\n")
			p.want("abc\n")
		}
		n := 0
		for c := range b.loop.Conns() {
			n++
			if c.LocalAddr() == nil || c.LocalAddr().String() != b.addr.String() {
				t.Errorf("local address %v, want %v", c.LocalAddr(), b.addr)
			}
			if c.RemoteAddr() == nil || c.RemoteAddr().Network() != b.addr.Network() {
				t.Errorf("remote address %v", c.RemoteAddr())
			}
			if c.Loop() < 0 || c.Loop() >= 2 {
				t.Errorf("loop %d of 2", c.Loop())
			}
			if c.Active() != now {
				t.Errorf("active at %d, want %d", c.Active(), now)
			}
			if seen[c.ID()] {
				t.Errorf("two connections have ID %d", c.ID())
			}
			seen[c.ID()] = true
		}
		for range b.loop.Conns() {
			break
		}
		if s := b.loop.Stats(); n != 4 || s.Open != 4 || !s.Accepting {
			t.Errorf("%d connections listed, stats %+v", n, s)
		}
		p := b.dial()
		p.send("yield 3\nquit\n")
		p.want("turn\nturn\nturn\nbye\n")
		p.wantEOF()
		<-b.closed
		// Counters are published after the reply they count.
		b.await(func(s netloop.Stats) bool {
			if s.BytesRead > 4*9+13 || s.BytesWritten > 4*4+3*5+4 || s.Yields > 3 {
				t.Fatalf("%+v", s)
			}
			return s.BytesRead == 4*9+13 && s.BytesWritten == 4*4+3*5+4 && s.Yields == 3
		})
	})
}

func TestShutdownClosesAll(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		var peers []*peer
		for range 20 {
			p := b.dial()
			p.send("echo a\n")
			p.want("a\n")
			peers = append(peers, p)
		}
		peers[0].send("stream\n")
		peers[1].send("lend 8000000\nlend 8000000\n") // never read
		ln2 := v.listen(t)
		served2 := make(chan error, 1)
		go func() { served2 <- b.loop.Serve(ln2) }()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.loop.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-served2; !errors.Is(err, netloop.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		for range 20 {
			if why := <-b.closed; why != netloop.Shutdown {
				t.Errorf("reason %v, want shutdown", why)
			}
		}
		peers[2].wantEOF()
		if err := b.loop.Serve(v.listen(t)); !errors.Is(err, netloop.ErrClosed) {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestShutdownBeforeServe(t *testing.T) {
	for _, v := range variants {
		l, err := v.make(netloop.Config{NewSession: func(netloop.Conn) netloop.Session { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestBadConfig(t *testing.T) {
	session := func(netloop.Conn) netloop.Session { return nil }
	for _, cfg := range []netloop.Config{
		{},
		{NewSession: session, Threads: -1},
		{NewSession: session, MaxConns: -1},
		{NewSession: session, MaxQueued: -1},
	} {
		if _, err := netloop.New(cfg); err == nil {
			t.Errorf("New(%+v) succeeded", cfg)
		}
		if _, err := netloop.NewNet(cfg); err == nil {
			t.Errorf("NewNet(%+v) succeeded", cfg)
		}
	}
}

// Many connections talk at once; every reply is checked.
func TestCrowd(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{Threads: 3, SoftQueued: 8 << 10})
		var wg sync.WaitGroup
		for i := range 32 {
			p := b.dial()
			wg.Go(func() {
				for j := range 50 {
					n := (i*7919 + j*104729) % 40000
					go fmt.Fprintf(p, "echo %d\nlend %d\nyield 2\ncopy %d\n", j, n, n)
					want := fmt.Sprintf("%d\n<%s>turn\nturn\n%s", j, pattern[:n], pattern[:n])
					got := make([]byte, len(want))
					if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
						t.Errorf("connection %d, round %d: wrong reply, %v", i, j, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
