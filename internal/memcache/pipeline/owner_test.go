package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/memcache/memcachetest"
)

// client is the least of a client: it dials again and repeats what may be repeated.
type client struct {
	t     *testing.T
	d     *Dialer
	calls sync.Pool
	wg    sync.WaitGroup
	mu    sync.Mutex // protects conn
	conn  *Conn
}

// tcpClient is a client over sockets, where a caller that is alone reads its replies.
func tcpClient(t *testing.T, addr string, timeout time.Duration) *client {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, d: &Dialer{
		Host: host, Port: n, Dial: (&net.Dialer{}).DialContext, MaxItemSize: 1 << 20,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	}}
	t.Cleanup(func() {
		if c.conn != nil {
			c.conn.Close(ErrClosed)
		}
		c.wg.Wait()
	})
	if conn := c.only(); conn.reader.idleProbe == nil {
		t.Skip("callers do not own reading on", runtime.GOOS)
	}
	return c
}

// only returns the client's connection.
func (c *client) only() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || c.conn.failed.Load() {
		conn, err := c.d.Connect(context.Background(), &c.wg, func(*Conn, error) {})
		if err != nil {
			c.t.Error(err)
			panic(err)
		}
		c.conn = conn
	}
	return c.conn
}

func (c *client) do(ctx context.Context, cl *Call) error {
	for try := 0; ; try++ {
		conn := c.only()
		_, err := conn.Send(cl)
		if err == nil {
			if !conn.Wait(ctx, cl) {
				return ctx.Err()
			}
			err = cl.Err
		}
		again := err == ErrUnsent || errors.Is(err, ErrConnLost) && (!cl.Sent || cl.Idempotent())
		if try == 3 || !again {
			return err
		}
	}
}

func (c *client) Get(ctx context.Context, key string) (*Item, error) {
	cl := NewCall(&c.calls, OpGet, key)
	defer cl.Release()
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	return cl.Item, nil
}

func (c *client) GetInto(ctx context.Context, key string, dst []byte) ([]byte, error) {
	cl := NewCall(&c.calls, OpGetInto, key)
	defer cl.Release()
	if err := c.do(ctx, cl); err != nil {
		return dst, err
	}
	return append(dst, cl.Buf...), nil
}

func (c *client) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	cl := NewCall(&c.calls, OpGetMulti, "")
	defer cl.Release()
	cl.Keys, cl.Items = keys, make([]*Item, len(keys))
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	out := make(map[string]*Item)
	for i, it := range cl.Items {
		if it != nil {
			out[keys[i]] = it
		}
	}
	return out, nil
}

func (c *client) Set(ctx context.Context, key, value string) error {
	cl := NewCall(&c.calls, OpStore, key)
	defer cl.Release()
	cl.Mode, cl.Value = ModeSet, []byte(value)
	return c.do(ctx, cl)
}

func (c *client) Increment(ctx context.Context, key string) (uint64, error) {
	cl := NewCall(&c.calls, OpArith, key)
	defer cl.Release()
	cl.Delta = 1
	if err := c.do(ctx, cl); err != nil {
		return 0, err
	}
	return cl.Num, nil
}

// until yields until cond holds; the test ends when it never does.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for start := time.Now(); !cond(); runtime.Gosched() {
		if time.Since(start) > time.Minute {
			t.Fatal("never:", what)
		}
	}
}

// answering listens and serves each connection by talk, whose reader has what
// the client sends.
func answering(t *testing.T, talk func(n int, nc net.Conn, r *bufio.Reader)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				r := bufio.NewReader(nc)
				greet(r, nc)
				talk(n, nc, r)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// greet answers the handshake of a client that asks for meta commands.
func greet(r *bufio.Reader, w io.Writer) {
	for _, answer := range []string{"MN\r\n", "", "", "NS O1\r\nMN\r\n"} { // to mn, ms, its block, mn
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
		io.WriteString(w, answer)
	}
}

// heard reads a request line and returns its opaque.
func heard(r *bufio.Reader) (token string) {
	line, err := r.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:])
}

// TestLoneCaller: a caller that is alone reads its reply itself, and allocates no
// more for it; the reader has an idle connection.
func TestLoneCaller(t *testing.T) {
	addr := answering(t, func(n int, nc net.Conn, r *bufio.Reader) {
		var out []byte
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			out = append(out[:0], "VA 5 f0 c1"...)
			out = append(out, line[bytes.LastIndexByte(line, ' '):]...)
			out = append(out, "value\r\n"...)
			if _, err := nc.Write(out); err != nil {
				return
			}
		}
	})
	c := tcpClient(t, addr, time.Minute)
	if _, err := c.Get(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	// Look often whether the connection is idle, and never give it up for that.
	only := c.only()
	only.queue.mu.Lock()
	only.dog.beat, only.dog.readBeats, only.dog.writeBeats = 5*time.Millisecond, math.MaxUint32, math.MaxUint32
	only.dog.timer.Reset(only.dog.beat)
	only.queue.mu.Unlock()
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		var buf []byte
		get := func() {
			it, err := c.Get(ctx, "key")
			if err != nil || string(it.Value) != "value" {
				t.Fatal(it, err)
			}
		}
		getInto := func() {
			var err error
			if buf, err = c.GetInto(ctx, "key", buf[:0]); err != nil || string(buf) != "value" {
				t.Fatal(buf, err)
			}
		}
		get()
		for _, gate := range []struct {
			call func()
			most float64
		}{{get, 1}, {getInto, 0}} {
			gate.call()
			if n := testing.AllocsPerRun(200, gate.call); n > gate.most && !raceEnabled {
				t.Errorf("%v allocations, at most %v wanted", n, gate.most)
			}
		}
		for led := 0; led < 10; {
			get()
			if c.only().reader.owner.Load() == byNone {
				led++
			}
		}
		// Left alone, the connection is the reader's again.
		until(t, "the reader has the idle connection", func() bool { return c.only().reader.owner.Load() == byReader })
		get()
	}
}

// TestLoneIdleDrop: a server that closes an idle connection fails no call,
// whether or not a goroutine reads the connection.
func TestLoneIdleDrop(t *testing.T) {
	for _, classic := range []bool{false, true} {
		addr, s := memcachetest.Start(t, &memcachetest.Options{ClassicOnly: classic})
		c := tcpClient(t, addr, time.Minute)
		for i := range 30 {
			if err := c.Set(t.Context(), "n", fmt.Sprint(i)); err != nil {
				t.Fatal(i, err)
			}
			for range i % 3 {
				if it, err := c.Get(t.Context(), "n"); err != nil || string(it.Value) != fmt.Sprint(i) {
					t.Fatal(i, it, err)
				}
			}
			gone := c.only()
			s.Disconnect()
			// The news has to be there: from then on no request is lost.
			until(t, "the end of the connection arrives", func() bool {
				return gone.reader.owner.Load() != byNone || gone.reader.idleProbe() != nil
			})
			if gone.reader.owner.Load() != byNone {
				<-gone.done
			}
			if n, err := c.Increment(t.Context(), "n"); err != nil || n != uint64(i+1) {
				t.Fatal(i, n, err)
			}
		}
	}
}

// TestLoneCrossed: the reply to another caller's request is not taken for bytes
// without a request, in whatever order the request and the probe of an idle
// connection come.
func TestLoneCrossed(t *testing.T) {
	for _, classic := range []bool{false, true} {
		addr, s := memcachetest.Start(t, &memcachetest.Options{ClassicOnly: classic})
		s.Set("n", []byte("0"), 0, 0)
		c := tcpClient(t, addr, time.Minute)
		crossed := make(chan error, 1)
		looked := false
		for !looked {
			for range 2 * soloReplies {
				if _, err := c.Get(t.Context(), "n"); err != nil {
					t.Fatal(err)
				}
			}
			only := c.only()
			if only.reader.owner.Load() != byNone {
				continue // the watchdog had the reader look after it
			}
			peek := only.reader.idleProbe
			only.reader.idleProbe = func() error {
				if looked {
					return peek()
				}
				looked = true
				crosses := only.queue.mu.TryLock() // a request can be sent during the look
				if crosses {
					only.queue.mu.Unlock()
				}
				go func() {
					_, err := c.Get(t.Context(), "n")
					crossed <- err
				}()
				if crosses {
					until(t, "the other reply arrives", func() bool { return peek() != nil })
				}
				return peek()
			}
			if _, err := c.Increment(t.Context(), "n"); err != nil {
				t.Fatal(err)
			}
			if c.only() != only {
				t.Error("the connection was given up")
			}
		}
		if err := <-crossed; err != nil {
			t.Error(err)
		}
	}
}

// TestLoneUnasked: bytes without a request are not taken for the next reply.
func TestLoneUnasked(t *testing.T) {
	addr := answering(t, func(n int, nc net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			token := heard(r)
			if token == "" {
				return
			}
			reply := fmt.Sprintf("VA 1 f0 c1 %s\r\n%d\r\n", token, i%10)
			io.WriteString(nc, reply+reply) // twice
		}
	})
	c := tcpClient(t, addr, time.Minute)
	for range 50 {
		it, err := c.Get(t.Context(), "k")
		if err == nil && string(it.Value) != "0" {
			t.Fatalf("%q", it.Value)
		}
		if err != nil && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrServerDown) {
			t.Fatal(err)
		}
	}
}

// TestLoneCancelled: a caller that leaves in the middle of a reply hands the
// reading over; the connection stays in step and in use, and callers behind
// it have their replies.
func TestLoneCancelled(t *testing.T) {
	for _, part := range []string{"", "VA", "VA 5 f0 c1 ", "VA 5 f0 c1 %s\r\n", "VA 5 f0 c1 %s\r\nfi", "VA 5 f0 c1 %s\r\nfirst\r"} {
		for _, end := range []string{"cancel", "deadline"} {
			t.Run(fmt.Sprintf("%q %s", part, end), func(t *testing.T) { loneCancelled(t, part, end) })
		}
	}
}

// overdue is a context whose deadline passes when the test says so: a real one may
// have passed before the request is sent.
type overdue struct {
	context.Context
	passed chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.passed }

func (o overdue) Err() error {
	select {
	case <-o.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func loneCancelled(t *testing.T, part, end string) {
	asked, release := make(chan struct{}), make(chan struct{})
	dials := 0
	addr := answering(t, func(n int, nc net.Conn, r *bufio.Reader) {
		dials = n
		io.WriteString(nc, "EN "+heard(r)+"\r\n")
		token := heard(r)
		whole := fmt.Sprintf("VA 5 f0 c1 %s\r\nfirst\r\n", token)
		head := strings.ReplaceAll(part, "%s", token)
		io.WriteString(nc, head)
		close(asked)
		<-release
		io.WriteString(nc, whole[len(head):])
		for token := heard(r); token != ""; token = heard(r) {
			io.WriteString(nc, "VA 4 f0 c1 "+token+"\r\nnext\r\n")
		}
	})
	c := tcpClient(t, addr, time.Minute)
	if _, err := c.Get(t.Context(), "none"); err != ErrCacheMiss {
		t.Fatal(err)
	}
	until(t, "callers may read", func() bool { return c.only().reader.owner.Load() == byNone })
	ctx, cancel := context.WithCancel(t.Context())
	want := context.Canceled
	if end == "deadline" {
		late := overdue{t.Context(), make(chan struct{})}
		ctx, cancel = late, sync.OnceFunc(func() { close(late.passed) })
		want = context.DeadlineExceeded
	}
	defer cancel()
	var first, behind sync.WaitGroup
	first.Go(func() {
		if _, err := c.Get(ctx, "first"); !errors.Is(err, want) {
			t.Error(err)
		}
	})
	<-asked
	behind.Go(func() {
		if it, err := c.Get(t.Context(), "behind"); err != nil || string(it.Value) != "next" {
			t.Errorf("behind: %+v, %v", it, err)
		}
	})
	cancel()
	first.Wait()
	close(release)
	behind.Wait()
	for range 3 * soloReplies {
		if it, err := c.Get(t.Context(), "next"); err != nil || string(it.Value) != "next" {
			t.Errorf("%+v, %v", it, err)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections, one would do", dials)
	}
}

// TestLoneAndNot: callers come and go, some of them in the middle of a reply. Every
// caller gets its own value, whichever goroutine reads.
func TestLoneAndNot(t *testing.T) {
	addr, s := memcachetest.Start(t, nil)
	const n = 50
	key := func(i int) string { return fmt.Sprint("key", i%n) }
	big := strings.Repeat("x", 2*readBuffer)
	for i := range n {
		value := key(i)
		if i%10 == 0 {
			value += big
		}
		s.Set(key(i), []byte(value), 0, 0)
	}
	c := tcpClient(t, addr, time.Minute)
	for callers := range 5 {
		var wg sync.WaitGroup
		for g := range callers + 1 {
			wg.Go(func() {
				for i := range 300 {
					ctx, cancel := t.Context(), func() {}
					if i%7 == g {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Microsecond)
					}
					if i%5 == 0 {
						keys := []string{key(i), key(i + 1), "none", key(i + 2)}
						got, err := c.GetMulti(ctx, keys)
						if err == nil && len(got) != 3 {
							t.Errorf("%d items", len(got))
						}
						for k, it := range got {
							if v := strings.TrimSuffix(string(it.Value), big); v != k {
								t.Errorf("%s holds %.20q", k, v)
							}
						}
					} else if it, err := c.Get(ctx, key(i)); err == nil {
						if v := strings.TrimSuffix(string(it.Value), big); v != key(i) {
							t.Errorf("%s holds %.20q", key(i), v)
						}
					} else if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		wg.Wait()
	}
	if open := s.Conns(); open != 1 {
		t.Errorf("%d connections", open)
	}
}
