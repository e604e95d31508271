package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// fault is what a faulty connection does to the bytes that the server sends.
type fault struct {
	kind string // cut, stall, drop or swap; "" is none
	at   int    // offset of the byte it happens to
	slow time.Duration
}

// faulty is the client's end of a connection with a fault.
type faulty struct {
	net.Conn
	fault
	seen    *atomic.Int64 // bytes read
	off     int
	held    []byte
	stalled bool
}

func (f *faulty) Read(p []byte) (int, error) {
	if f.slow > 0 {
		pass(f.slow)
	}
	if f.stalled {
		_, err := io.Copy(io.Discard, f.Conn)
		if err == nil {
			err = io.EOF
		}
		return 0, err
	}
	if len(f.held) == 0 {
		buf := make([]byte, 256)
		if f.slow > 0 {
			buf = buf[:1]
		}
		n, err := f.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		buf = buf[:n]
		i := f.at - f.off
		f.off += n
		if f.seen != nil {
			f.seen.Add(int64(n))
		}
		if i >= 0 && i < n {
			switch f.kind {
			case "cut":
				f.Close()
				buf = buf[:i]
			case "stall":
				f.stalled = true
				if buf = buf[:i]; i == 0 {
					return f.Read(p)
				}
			case "drop":
				buf = append(buf[:i], buf[i+1:]...)
			case "swap":
				if i+1 < n {
					buf[i], buf[i+1] = buf[i+1], buf[i]
				}
			}
		}
		f.held = buf
	}
	n := copy(p, f.held)
	f.held = f.held[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// pass lets time go by; in a bubble none does really.
func pass(d time.Duration) { <-time.After(d) }

// dialFaulty gives the first connection the fault and leaves the others alone.
func dialFaulty(s *memcachetest.Server, f fault, seen *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := s.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := f
		if dials.Add(1) > 1 {
			g = fault{}
		}
		return &faulty{Conn: nc, fault: g, seen: seen}, nil
	}
}

const faultKeys = 4

func faultValue(i int) string { return fmt.Sprintf("value-of-k%d", i) }

// near tells whether two strings of one length differ in at most n bytes.
func near(a, b string, n int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] {
			n--
		}
	}
	return n >= 0
}

// underFault runs concurrent requests over a faulty connection. No caller may
// get another's value; afterwards, everything works.
func underFault(t *testing.T, opts memcachetest.Options, f fault, seen *atomic.Int64) (failed int) {
	synctest.Test(t, func(t *testing.T) {
		s := memcachetest.New(&opts)
		defer s.Close()
		for i := range faultKeys {
			s.Set(fmt.Sprint("k", i), []byte(faultValue(i)), 0, 0)
		}
		var bytesRead atomic.Int64
		c, err := memcache.New(&memcache.Options{Dial: dialFaulty(s, f, &bytesRead)}, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := t.Context()
		slack := 0
		if f.kind == "swap" {
			slack = 2 // bytes of the value itself, which nothing guards
		}
		var wg sync.WaitGroup
		var failures atomic.Int64
		check := func(i int, got string, err error) {
			switch {
			case errors.Is(err, memcache.ErrCacheMiss):
				t.Errorf("%+v: k%d is a miss", f, i)
			case err != nil:
				failures.Add(1)
			case !near(got, faultValue(i), slack):
				t.Errorf("%+v: k%d holds %q", f, i, got)
			}
		}
		for i := range faultKeys {
			wg.Go(func() {
				it, err := c.Get(ctx, fmt.Sprint("k", i))
				if err == nil {
					check(i, string(it.Value), nil)
				} else {
					check(i, "", err)
				}
			})
			wg.Go(func() {
				if it, err := c.Get(ctx, "none"); err == nil {
					t.Errorf("%+v: a key without value holds %q", f, it.Value)
				}
			})
			wg.Go(func() {
				v, _, err := c.GetInto(ctx, fmt.Sprint("k", i), nil)
				check(i, string(v), err)
			})
		}
		wg.Go(func() {
			got, err := c.GetMulti(ctx, []string{"k0", "none", "k1", "k2", "k3"})
			for i := range faultKeys {
				if it := got[fmt.Sprint("k", i)]; it != nil {
					check(i, string(it.Value), nil)
				} else if err == nil {
					t.Errorf("%+v: k%d is missing from GetMulti", f, i)
				}
			}
			if got["none"] != nil {
				t.Errorf("%+v: GetMulti found what is not there", f)
			}
		})
		wg.Wait()
		failed = int(failures.Load())
		if seen != nil {
			seen.Store(bytesRead.Load())
		}
		// The order of the requests, and so the length of the conversation,
		// differs from run to run: a late fault may hit these.
		for range 4 {
			_ = c.Ping(ctx)
			pass(time.Minute)
		}
		for i := range faultKeys {
			it, err := c.Get(ctx, fmt.Sprint("k", i))
			if err != nil || string(it.Value) != faultValue(i) {
				t.Errorf("%+v: afterwards k%d: %v, %v", f, i, it, err)
			}
		}
	})
	return failed
}

// TestFaults puts each fault at every byte of the conversation.
func TestFaults(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			var seen atomic.Int64
			if n := underFault(t, peer.opts, fault{at: -1}, &seen); n > 0 {
				t.Fatalf("%d failures without a fault", n)
			}
			total := int(seen.Load())
			step := 1
			if memcache.RaceEnabled || testing.Short() {
				step = 5
			}
			for _, kind := range []string{"cut", "stall", "drop", "swap"} {
				failed := 0
				for at := 0; at < total; at += step {
					failed += underFault(t, peer.opts, fault{kind: kind, at: at}, nil)
				}
				if kind == "cut" {
					if failed > 0 {
						t.Errorf("%d reads failed that could have been sent again", failed)
					}
				} else if failed == 0 {
					t.Errorf("%s: no request of any run failed: the fault did nothing", kind)
				}
			}
			if n := underFault(t, peer.opts, fault{at: -1, slow: 100 * time.Microsecond}, nil); n > 0 {
				t.Errorf("%d requests failed on a slow line", n)
			}
		})
	}
}

// scripted is a server that answers as its script says, one request at a time.
type scripted struct {
	net.Conn
	t *testing.T
}

// dialScript returns a Dial whose connections are served by script.
func dialScript(t *testing.T, script func(n int, s *scripted)) func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int64
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		n := int(dials.Add(1))
		go func() {
			defer server.Close()
			script(n, &scripted{server, t})
		}()
		return client, nil
	}
}

// line reads one request line; "" when the client hung up.
func (s *scripted) line() string {
	var out []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(s, b); err != nil {
			return ""
		}
		if b[0] == '\n' {
			return string(out[:max(len(out)-1, 0)])
		}
		out = append(out, b[0])
	}
}

func (s *scripted) send(text string) { io.WriteString(s, text) }

// greet answers the handshake of a client that asks for meta commands.
func (s *scripted) greet() {
	if line := s.line(); line != "mn" && line != "" {
		s.t.Errorf("first line is %q", line)
	}
	s.send("MN\r\n")
	s.proof()
}

// proof answers the second part of the handshake: an ms with a data block, and mn.
func (s *scripted) proof() {
	if line := s.line(); !strings.HasPrefix(line, "ms lintel:hello:") && line != "" {
		s.t.Errorf("line behind mn is %q", line)
	}
	s.line()
	s.line()
	s.send("NS O1\r\nMN\r\n")
}

// opaque cuts the opaque token off a meta request.
func opaque(line string) string {
	for i := len(line) - 1; i >= 0; i-- {
		if line[i] == 'O' {
			return line[i:]
		}
	}
	return ""
}

// TestSwappedReplies: two whole replies in the wrong order reach no caller.
func TestSwappedReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := memcache.New(&memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
			s.greet()
			a, b := s.line(), s.line()
			s.send("VA 1 f0 c1 " + opaque(b) + "\r\nB\r\nVA 1 f0 c1 " + opaque(a) + "\r\nA\r\n")
			s.line()
		})}, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b"} {
			wg.Go(func() {
				it, err := c.Get(t.Context(), key)
				if !errors.Is(err, pipeline.ErrProtocol) {
					t.Errorf("%s: %+v, %v", key, it, err)
				}
			})
		}
		wg.Wait()
	})
}

// TestCancelled: a caller that gives up leaves the connection in step. Its
// late reply is dropped.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		dials := 0
		c, err := memcache.New(&memcache.Options{ReadTimeout: time.Hour, Dial: dialScript(t, func(n int, s *scripted) {
			dials = n
			s.greet()
			first := s.line()
			s.send("VA 5 f0 c1 " + opaque(first) + "\r\nfi")
			<-release
			s.send("rst\r\n")
			second := s.line()
			s.send("VA 6 f0 c1 " + opaque(second) + "\r\nsecond\r\n")
			s.line()
		})}, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Get(ctx, "first")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		wg.Go(func() {
			it, err := c.Get(t.Context(), "second")
			if err != nil || string(it.Value) != "second" || it.Key != "second" {
				t.Errorf("second: %+v, %v", it, err)
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
		if dials != 1 {
			t.Errorf("%d connections, one would do", dials)
		}
	})
}

// TestGiantValue: an announced length allocates nothing and is refused above
// the limit.
func TestGiantValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, head := range []string{"VA 2147483647 f0 c1 ", "VA 99999999999999999999 f0 c1 ", "VA -1 f0 c1 ", "VA f0 c1 "} {
			c, err := memcache.New(&memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
				s.greet()
				s.send(head + opaque(s.line()) + "\r\n")
				s.line()
			})}, "10.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			if it, err := c.Get(t.Context(), "k"); !errors.Is(err, pipeline.ErrProtocol) {
				t.Errorf("%q: %+v, %v", head, it, err)
			}
			c.Close()
		}
	})
}

// TestUnaskedBytes: a connection on which the server speaks first is closed.
func TestUnaskedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := memcache.New(&memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
			s.greet()
			s.send("EN " + opaque(s.line()) + "\r\n")
			if n == 1 {
				s.send("VA 1 f0 c1 O1\r\nX\r\n")
			}
			if line := s.line(); line != "" {
				s.send("EN " + opaque(line) + "\r\n")
			}
			s.line()
		})}, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 {
			if _, err := c.Get(t.Context(), "k"); !errors.Is(err, memcache.ErrCacheMiss) {
				t.Error(err)
			}
			pass(time.Minute)
		}
	})
}
