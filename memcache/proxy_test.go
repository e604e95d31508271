package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// proxy stands between a client and a server on sockets and does something to
// one byte of what the server says on its first connection.
type proxy struct {
	kind string // cut, stall, drop, swap or double; "" is nothing
	at   int64
	seen atomic.Int64 // bytes of the server on the first connection

	ln   net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex // protects open
	open []net.Conn
}

func startProxy(t *testing.T, server, kind string, at int64) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{kind: kind, at: at, ln: ln}
	p.wg.Go(func() {
		for n := 0; ; n++ {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, client, backend)
			p.mu.Unlock()
			p.wg.Go(func() {
				_, _ = io.Copy(backend, client)
				backend.Close()
			})
			p.wg.Go(func() {
				p.relay(client, backend, n == 0)
				client.Close()
			})
		}
	})
	return p
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	for _, c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) relay(client, backend net.Conn, first bool) {
	buf := make([]byte, 4096)
	for {
		n, err := backend.Read(buf)
		if err != nil {
			return
		}
		b := buf[:n]
		if first {
			i := p.at - p.seen.Add(int64(n)) + int64(n)
			if p.at >= 0 && i >= 0 && i < int64(n) {
				switch p.kind {
				case "cut":
					_, _ = client.Write(b[:i])
					return
				case "stall":
					_, _ = client.Write(b[:i])
					_, _ = io.Copy(io.Discard, backend)
					return
				case "drop":
					b = append(b[:i], b[i+1:]...)
				case "swap":
					if i+1 < int64(n) {
						b[i], b[i+1] = b[i+1], b[i]
					}
				case "double":
					b = append(b, b[i:]...)
				}
			}
		}
		if _, err := client.Write(b); err != nil {
			return
		}
	}
}

// conversation is what one lone caller asks, with each value checked. It
// returns how many requests failed. slack is how many bytes of a value the
// fault may have changed: nothing guards those.
func conversation(t *testing.T, c *memcache.Client, what string, slack int) (failed int) {
	ctx := t.Context()
	check := func(key, got, want string, err error) {
		switch {
		case errors.Is(err, memcache.ErrCacheMiss):
			t.Errorf("%s: %s is a miss", what, key)
		case err != nil:
			failed++
		case !near(got, want, slack):
			t.Errorf("%s: %s holds %q", what, key, got)
		}
	}
	for i := range faultKeys {
		key := fmt.Sprint("k", i)
		it, err := c.Get(ctx, key)
		if err != nil {
			it = &memcache.Item{}
		}
		check(key, string(it.Value), faultValue(i), err)
		v, _, err := c.GetInto(ctx, key, nil)
		check(key, string(v), faultValue(i), err)
		if it, err := c.Get(ctx, "none"); err == nil {
			t.Errorf("%s: a key without value holds %q", what, it.Value)
		} else if !errors.Is(err, memcache.ErrCacheMiss) {
			failed++
		}
		if err := c.Set(ctx, &memcache.Item{Key: "set", Value: []byte(key)}); err != nil {
			failed++
		}
		if n, err := c.Increment(ctx, "n", 1); err != nil {
			failed++
		} else if n == 0 || n > 2*faultKeys {
			if slack == 0 {
				t.Errorf("%s: the number is %d", what, n)
			}
		}
	}
	got, err := c.GetMulti(ctx, []string{"k0", "none", "k1", "k2", "k3"})
	if err != nil {
		failed++
	}
	for i := range faultKeys {
		if it := got[fmt.Sprint("k", i)]; it != nil {
			check(it.Key, string(it.Value), faultValue(i), nil)
		} else if err == nil {
			t.Errorf("%s: k%d is missing from GetMulti", what, i)
		}
	}
	if got["none"] != nil {
		t.Errorf("%s: GetMulti found what is not there", what)
	}
	return failed
}

// TestFaultsLone is TestFaults for a caller that is alone on a socket and reads
// its replies itself: each fault at the bytes of each kind of reply.
func TestFaultsLone(t *testing.T) {
	for _, peer := range peers {
		for _, kind := range []string{"", "cut", "stall", "drop", "swap", "double"} {
			t.Run(peer.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				faultsLone(t, peer.opts, kind)
			})
		}
	}
}

func faultsLone(t *testing.T, server memcachetest.Options, kind string) {
	addr, s := memcachetest.Start(t, &server)
	for i := range faultKeys {
		s.Set(fmt.Sprint("k", i), []byte(faultValue(i)), 0, 0)
	}
	run := func(at int64) (failed int, seen int64) {
		s.Set("n", []byte("0"), 0, 0)
		p := startProxy(t, addr, kind, at)
		defer p.close()
		opts := &memcache.Options{
			BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond,
			DialTimeout: time.Minute, QueueTimeout: time.Minute, WriteTimeout: time.Minute, ReadTimeout: time.Minute,
		}
		switch kind {
		case "stall", "drop", "swap": // what is short of a byte is waited for
			if at >= 0 {
				opts.ReadTimeout, opts.DialTimeout = 5*time.Millisecond, time.Second
			}
		}
		c, err := memcache.New(opts, p.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		slack := 0
		if kind == "swap" {
			slack = 2
		}
		failed = conversation(t, c, fmt.Sprintf("%s at %d", kind, at), slack)
		// The fault over, all is well again.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			if it, err := c.Get(ctx, "k1"); err == nil && string(it.Value) == faultValue(1) {
				break
			} else if ctx.Err() != nil {
				t.Fatalf("%s at %d: afterwards %+v, %v", kind, at, it, err)
			}
		}
		return failed, p.seen.Load()
	}
	failed, total := run(-1)
	if failed > 0 {
		t.Fatalf("%d requests failed without a fault", failed)
	}
	step := int64(1)
	switch {
	case memcache.RaceEnabled || testing.Short():
		step = 11
	case kind != "cut":
		step = 5 // each reply comes several times, and so does each of its bytes
	}
	sum := 0
	for at := int64(0); kind != "" && at < total; at += step {
		failed, _ := run(at)
		sum += failed
	}
	if sum == 0 && kind != "" && kind != "double" {
		t.Error("no request of any run failed: the fault did nothing")
	}
}
