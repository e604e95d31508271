package netloop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		p := b.dial()
		p.send("send 3\n")
		p.want("sent\nsent\nsent\n")
	})
}

// A peer that does not read gets a bounded amount queued for it, and Send
// refuses instead of waiting.
func TestSendBudget(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
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

// TestBackPressure checks that the session is paused for a peer that sends
// requests and never reads, and that at most the soft bound and one step is
// held.
func TestBackPressure(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
	eachAndTLS(t, func(t *testing.T, v variant) {
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
