package netloop_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

	// What the driver has promised: the input of the next Data.
	ahead  []byte
	rested bool // PrefetchRest was called
}

// bench is what the tests see of the server's side.
type bench struct {
	t              *testing.T
	loop           netloop.Loop
	addr           net.Addr
	tls            bool
	served         chan error
	opened         chan netloop.Conn
	closed         chan netloop.Reason
	drained        chan struct{}
	released, lent atomic.Int64
	held, resume   chan struct{} // a session has come to "hold", and goes on
	maxLen         atomic.Int64  // largest Writer.Len seen at the end of a call
	prefetched     atomic.Int64  // calls of Data that Prefetch came before
}

func (s *toy) Closed(why netloop.Reason) { s.bench.closed <- why }

func (s *toy) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	if s.ahead != nil {
		if !s.rested || !bytes.Equal(in, s.ahead) {
			s.bench.t.Errorf("Data(%.80q), want the input of Prefetch, %.80q, and PrefetchRest before: %v", in, s.ahead, s.rested)
		}
		s.ahead, s.rested = nil, false
		s.bench.prefetched.Add(1)
	}
	used, next := s.data(in, w)
	if n := int64(w.Len()); n > s.bench.maxLen.Load() {
		s.bench.maxLen.Store(n)
	}
	return used, next
}

func (s *toy) Prefetch(in []byte) netloop.Hint {
	if s.ahead != nil {
		s.bench.t.Errorf("Prefetch(%.80q) after Prefetch(%.80q)", in, s.ahead)
	}
	s.ahead = append([]byte{}, in...)
	return netloop.Hint{Hash: uint64(len(in)), Change: true}
}

func (s *toy) PrefetchRest(h netloop.Hint) {
	if want := (netloop.Hint{Hash: uint64(len(s.ahead)), Change: true}); h != want || s.rested {
		s.bench.t.Errorf("PrefetchRest(%v), want %v, once", h, want)
	}
	s.rested = true
}

func (s *toy) data(in []byte, w *netloop.Writer) (int, netloop.Step) {
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
			return used, netloop.NeedMore
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
			return len(in) + 1, netloop.NeedMore
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
	var b *bench
	cfg.NewSession = func(c netloop.Conn) netloop.Session {
		b.opened <- c
		return &toy{conn: c, bench: b}
	}
	b = v.prepare(t, cfg)
	b.serve(v)
	return b
}

// prepare makes the loop of a bench, which serve starts.
func (v variant) prepare(t *testing.T, cfg netloop.Config) *bench {
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
	if cfg.Threads == 0 {
		cfg.Threads = 2
	}
	var err error
	b.loop, err = v.make(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve runs the loop until the test ends.
func (b *bench) serve(v variant) {
	t := b.t
	t.Helper()
	ln := v.listen(t)
	b.addr, b.tls = ln.Addr(), v.network == "tls"
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
}

func (v variant) listen(t *testing.T) net.Listener {
	t.Helper()
	network, addr := v.network, "127.0.0.1:0"
	switch network {
	case "unix":
		addr = filepath.Join(t.TempDir(), "s")
	case "tls":
		network = "tcp"
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	if v.network == "tls" {
		return tlsListener{tls.NewListener(ln, testTLS()), ln}
	}
	return ln
}

// tlsListener is a netloop.TLSListener.
type tlsListener struct {
	net.Listener
	plain net.Listener
}

func (l tlsListener) Plain() net.Listener { return l.plain }
func (l tlsListener) Config() *tls.Config { return testTLS() }

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
	if b.tls {
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := tc.Handshake(); err != nil {
			b.t.Error(err)
		}
		c = tc
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
