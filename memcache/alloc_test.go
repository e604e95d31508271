package memcache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"lintel.dev/memcache"
)

// canned is a server that has a value of 100 bytes under every key and does
// not allocate once it is warm.
type canned struct {
	mu     sync.Mutex
	more   sync.Cond
	out    []byte
	closed bool
}

func newCanned(context.Context, string, string) (net.Conn, error) {
	c := &canned{out: make([]byte, 0, 1<<20)}
	c.more.L = &c.mu
	return c, nil
}

var cannedValue = bytes.Repeat([]byte("x"), 100)

func (c *canned) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		switch {
		case string(line) == "mn":
			c.out = append(c.out, "MN\r\n"...)
			continue
		case bytes.HasPrefix(line, []byte("ms lintel:hello:")):
			c.out = append(c.out, "NS O1\r\n"...)
			continue
		case string(line) == "??":
			continue
		}
		c.out = append(c.out, "VA 100 f0 c1"...)
		c.out = append(c.out, line[bytes.LastIndexByte(line, ' '):]...)
		c.out = append(c.out, "\r\n"...)
		c.out = append(c.out, cannedValue...)
		c.out = append(c.out, "\r\n"...)
	}
	c.more.Signal()
	return len(p), nil
}

func (c *canned) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) == 0 {
		if c.closed {
			return 0, io.EOF
		}
		c.more.Wait()
	}
	n := copy(p, c.out)
	c.out = c.out[:copy(c.out, c.out[n:])]
	return n, nil
}

func (c *canned) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.more.Signal()
	return nil
}

func (c *canned) LocalAddr() net.Addr              { return nil }
func (c *canned) RemoteAddr() net.Addr             { return nil }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

func cannedFleet(t testing.TB, n int) *memcache.Client {
	var servers []string
	for i := range n {
		servers = append(servers, fmt.Sprintf("10.0.0.%d", i+1))
	}
	return dial(t, &memcache.Options{Dial: newCanned}, servers...)
}

func TestAllocs(t *testing.T) {
	if memcache.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	c := cannedFleet(t, 16)
	var buf []byte
	gate := func(what string, most float64, f func()) {
		t.Helper()
		for range 100 {
			f()
		}
		if n := testing.AllocsPerRun(1000, f); n > most {
			t.Errorf("%s allocates %v times, at most %v wanted", what, n, most)
		}
	}
	gate("Get", 1, func() { c.Get(ctx, "key") })
	gate("GetInto", 0, func() { buf, _, _ = c.GetInto(ctx, "key", buf[:0]) })

	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%d", i)
	}
	measure := func(c *memcache.Client) float64 {
		for range 100 {
			c.GetMulti(ctx, keys)
		}
		return testing.AllocsPerRun(300, func() {
			if m, err := c.GetMulti(ctx, keys); err != nil || len(m) != len(keys) {
				t.Fatal(len(m), err)
			}
		})
	}
	// 64 items and a handful, however many servers share them.
	one := measure(cannedFleet(t, 1))
	if one > float64(len(keys)+16) {
		t.Errorf("GetMulti of %d keys allocates %v times", len(keys), one)
	}
	for _, n := range []int{4, 16} {
		if got := measure(cannedFleet(t, n)); got > one+1 {
			t.Errorf("GetMulti of %d keys allocates %v times on one server, %v on %d", len(keys), one, got, n)
		}
	}
}
