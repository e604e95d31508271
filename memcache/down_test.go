package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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

// network dials servers by the host part of their address.
type network struct {
	mu      sync.Mutex
	servers map[string]*memcachetest.Server
	dials   map[string]int
	active  int // dials at the moment
	most    int
	refuse  func(host string) error
}

func newNetwork(hosts ...string) *network {
	n := &network{servers: make(map[string]*memcachetest.Server), dials: make(map[string]int)}
	for _, h := range hosts {
		n.servers[h] = memcachetest.New(nil)
	}
	return n
}

func (n *network) close() {
	for _, s := range n.servers {
		s.Close()
	}
}

func (n *network) dial(ctx context.Context, kind, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	n.mu.Lock()
	n.dials[host]++
	n.active++
	n.most = max(n.most, n.active)
	s, refuse := n.servers[host], n.refuse
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.active--
		n.mu.Unlock()
	}()
	if refuse != nil {
		if err := refuse(host); err != nil {
			return nil, err
		}
	}
	if s == nil {
		return nil, errors.New("no route to host")
	}
	return s.Dial(ctx, kind, addr)
}

func newClient(t *testing.T, o *memcache.Options, servers ...string) *memcache.Client {
	t.Helper()
	c, err := memcache.New(o, servers...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBreaker checks that a dead server is dialled by one caller at a time and
// ever more rarely, that other callers fail at once, and that it is used again
// when it is back.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork("10.0.0.1")
		defer n.close()
		down := true
		n.refuse = func(string) error {
			pass(10 * time.Millisecond)
			if down {
				return errors.New("connection refused")
			}
			return nil
		}
		c := newClient(t, &memcache.Options{Dial: n.dial}, "10.0.0.1")
		defer c.Close()
		ctx := t.Context()
		const callers = 20
		var wg sync.WaitGroup
		start := time.Now()
		for range callers {
			wg.Go(func() {
				for time.Since(start) < time.Minute {
					asked := time.Now()
					_, err := c.Get(ctx, "k")
					if !errors.Is(err, memcache.ErrServerDown) {
						t.Errorf("from a dead server: %v", err)
						return
					}
					if took := time.Since(asked); took > 10*time.Millisecond {
						t.Errorf("a caller waited %v", took)
					}
					pass(20 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		// 50 ms doubling up to 5 s, shortened by up to a half: at least 12 and
		// at most 34 attempts in a minute.
		if d := n.dials["10.0.0.1"]; d < 12 || d > 34 {
			t.Errorf("%d attempts in a minute", d)
		}
		if n.most != 1 {
			t.Errorf("%d attempts at once", n.most)
		}
		down = false
		pass(6 * time.Second)
		if err := c.Set(ctx, &memcache.Item{Key: "k"}); err != nil {
			t.Errorf("after its return: %v", err)
		}
	})
}

// TestSilentServer checks that a server which accepts requests and never
// answers costs one timeout, and that calls then fail at once.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &memcache.Options{ReadTimeout: memcache.DefaultTimeout, Dial: dialScript(t, func(n int, s *scripted) {
			s.greet()
			for s.line() != "" {
			}
		})}, "10.0.0.1")
		defer c.Close()
		start := time.Now()
		_, err := c.Get(t.Context(), "k")
		if took := time.Since(start); !errors.Is(err, memcache.ErrTimeout) || took < time.Second || took > 1500*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		start = time.Now()
		_, err = c.Get(t.Context(), "k")
		if took := time.Since(start); !errors.Is(err, memcache.ErrServerDown) || took > 0 {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestDeafServer: a server that does not read is given up after WriteTimeout,
// and a caller's context ends its wait before.
func TestDeafServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		c := newClient(t, &memcache.Options{WriteTimeout: 10 * time.Second, ReadTimeout: time.Hour, Dial: dialScript(t, func(n int, s *scripted) {
			s.greet()
			<-stop
		})}, "10.0.0.1")
		defer c.Close()
		defer close(stop)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := c.Set(ctx, &memcache.Item{Key: "k", Value: make([]byte, 1<<20)})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		// Its queue is full now: the next request waits for room, for a limited time.
		start = time.Now()
		for range 2 {
			err = c.Set(t.Context(), &memcache.Item{Key: "k", Value: make([]byte, 1<<20)})
		}
		if took := time.Since(start); !errors.Is(err, memcache.ErrTimeout) && !errors.Is(err, memcache.ErrServerDown) && !errors.Is(err, pipeline.ErrBusy) || took > 15*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestIdleDrop: a server that closes idle connections fails no call.
func TestIdleDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork("10.0.0.1")
		defer n.close()
		s := n.servers["10.0.0.1"]
		c := newClient(t, &memcache.Options{Dial: n.dial}, "10.0.0.1")
		defer c.Close()
		for i := range 3 {
			if err := c.Set(t.Context(), &memcache.Item{Key: "k", Value: []byte{byte(i)}}); err != nil {
				t.Error(err)
			}
			if _, err := c.Get(t.Context(), "k"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			s.Disconnect()
			synctest.Wait()
		}
		if d := n.dials["10.0.0.1"]; d != 3 {
			t.Errorf("%d dials for 3 connections", d)
		}
	})
}

// TestCutAfterRequest: when the connection ends after the request and before
// the reply, reads are sent again and increments are not.
func TestCutAfterRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var incrs atomic.Int64
		c := newClient(t, &memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
			s.greet()
			line := s.line()
			if strings.HasPrefix(line, "ma ") {
				incrs.Add(1)
				return
			}
			if n%2 == 1 {
				return
			}
			s.send("VA 1 f0 c1 " + opaque(line) + "\r\nv\r\n")
		})}, "10.0.0.1")
		defer c.Close()
		if it, err := c.Get(t.Context(), "k"); err != nil || string(it.Value) != "v" {
			t.Errorf("get: %v", err)
		}
		synctest.Wait()
		if _, err := c.Increment(t.Context(), "n", 1); !errors.Is(err, pipeline.ErrConnLost) {
			t.Errorf("incr: %v", err)
		}
		if n := incrs.Load(); n != 1 {
			t.Errorf("the increment was sent %d times", n)
		}
	})
}

func TestFailover(t *testing.T) {
	hosts := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	for _, policy := range []memcache.Failover{memcache.FailError, memcache.FailMiss, memcache.FailNext, memcache.FailGutter} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(append(hosts, "10.9.9.9")...)
				defer n.close()
				c := newClient(t, &memcache.Options{Dial: n.dial, Failover: policy, Gutter: []string{"10.9.9.9"}, GutterTTL: 5 * time.Second}, hosts...)
				defer c.Close()
				ctx := t.Context()
				key := ""
				for i := 0; c.ServerFor(key) != "10.0.0.2:11211"; i++ {
					key = fmt.Sprint("key", i)
				}
				set := func() error {
					return c.Set(ctx, &memcache.Item{Key: key, Value: []byte("new"), TTL: time.Hour})
				}
				if err := set(); err != nil {
					t.Fatal(err)
				}
				n.servers["10.0.0.2"].Close()
				synctest.Wait()
				setErr := set()
				it, getErr := c.Get(ctx, key)
				got, multiErr := c.GetMulti(ctx, []string{key})
				deleteErr := c.DeleteMulti(ctx, []string{"other", key})
				switch policy {
				case memcache.FailError:
					for _, err := range []error{setErr, getErr, multiErr, deleteErr} {
						wantErr(t, "dead server", err, memcache.ErrServerDown)
					}
				case memcache.FailMiss:
					wantErr(t, "set", setErr, memcache.ErrServerDown)
					wantErr(t, "get", getErr, memcache.ErrCacheMiss)
					if multiErr != nil || len(got) != 0 {
						t.Errorf("GetMulti: %v, %v", got, multiErr)
					}
					wantErr(t, "delete", deleteErr, memcache.ErrServerDown)
				case memcache.FailNext, memcache.FailGutter:
					for _, err := range []error{setErr, getErr, multiErr, deleteErr} {
						if err != nil {
							t.Errorf("failed over: %v", err)
						}
					}
					if it == nil || string(it.Value) != "new" || got[key] == nil {
						t.Errorf("failed over: %+v, %v", it, got)
					}
					if err := set(); err != nil {
						t.Error(err)
					}
					pass(10 * time.Second)
					_, err := c.Get(ctx, key)
					if policy == memcache.FailGutter {
						wantErr(t, "gutter after its TTL", err, memcache.ErrCacheMiss)
					} else if err != nil {
						t.Error(err)
					}
				}
				if n := n.dials["10.9.9.9"]; (n > 0) != (policy == memcache.FailGutter) {
					t.Errorf("the gutter was dialed %d times", n)
				}
			})
		})
	}
}

// names is a Resolver that the test writes.
type names struct {
	mu    sync.Mutex
	hosts map[string][]string
}

func (r *names) LookupHost(_ context.Context, host string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ips := r.hosts[host]; len(ips) > 0 {
		return slices.Clone(ips), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (r *names) set(host string, ips ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts[host] = ips
}

// TestReresolve: when a name moves, the old connection answers what it owes
// and the new address gets the rest.
func TestReresolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork("10.0.0.1", "10.0.0.2")
		defer n.close()
		n.servers["10.0.0.1"].Set("k", []byte("old"), 0, 0)
		n.servers["10.0.0.2"].Set("k", []byte("new"), 0, 0)
		r := &names{hosts: map[string][]string{"cache": {"10.0.0.1"}}}
		c := newClient(t, &memcache.Options{Dial: n.dial, Resolver: r, ResolveEvery: 10 * time.Second}, "cache")
		defer c.Close()
		want := func(value string) {
			t.Helper()
			if it, err := c.Get(t.Context(), "k"); err != nil || string(it.Value) != value {
				t.Errorf("%+v, %v, want %s", it, err, value)
			}
		}
		want("old")
		pass(time.Minute)
		want("old")
		if n.dials["10.0.0.1"] != 1 {
			t.Errorf("%d dials", n.dials["10.0.0.1"])
		}
		r.set("cache", "10.0.0.2")
		want("old")
		pass(11 * time.Second)
		want("new")
		synctest.Wait()
		if open := n.servers["10.0.0.1"].Conns(); open != 0 {
			t.Errorf("%d connections to the old address", open)
		}
		// A failing resolver changes nothing.
		r.set("cache")
		pass(time.Minute)
		want("new")
		// Of several addresses, one that answers is taken.
		r.set("cache", "10.0.0.9", "10.0.0.1")
		pass(11 * time.Second)
		want("old")
	})
}

// TestSetServers: the fleet changes under load, and no request fails.
func TestSetServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}
		n := newNetwork(hosts...)
		defer n.close()
		c := newClient(t, &memcache.Options{Dial: n.dial}, hosts[:2]...)
		defer c.Close()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					key := fmt.Sprintf("g%d-%d", g, i%50)
					if err := c.Set(t.Context(), &memcache.Item{Key: key, Value: []byte(key)}); err != nil {
						t.Error(err)
						return
					}
					it, err := c.Get(t.Context(), key)
					if err != nil && !errors.Is(err, memcache.ErrCacheMiss) || err == nil && string(it.Value) != key {
						t.Errorf("%s: %+v, %v", key, it, err)
						return
					}
					keys := []string{key, fmt.Sprintf("g%d-%d", g, (i+1)%50)}
					got, err := c.GetMulti(t.Context(), keys)
					if err != nil {
						t.Error(err)
						return
					}
					for k, it := range got {
						if string(it.Value) != k {
							t.Errorf("%s holds %q", k, it.Value)
						}
					}
					pass(time.Millisecond)
				}
			})
		}
		for _, fleet := range [][]string{hosts, hosts[2:], hosts[1:3], hosts[:1], hosts} {
			pass(50 * time.Millisecond)
			if err := c.SetServers(fleet...); err != nil {
				t.Error(err)
			}
		}
		pass(50 * time.Millisecond)
		close(stop)
		wg.Wait()
		for _, h := range hosts {
			if n.dials[h] > 3 {
				t.Errorf("%s was dialed %d times", h, n.dials[h])
			}
		}
	})
}

// TestDowngrade: servers that answer meta commands without opaques, or close the
// connection, get classic commands.
func TestDowngrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
			for {
				switch line := s.line(); {
				case line == "mn":
					s.send("MN\r\n")
					s.proof()
				case strings.HasPrefix(line, "mg "):
					s.send("EN\r\n")
				case line == "gets k":
					s.send("VALUE k 0 1 7\r\nv\r\nEND\r\n")
				case line == "":
					return
				default:
					t.Errorf("line %q", line)
					return
				}
			}
		})}, "10.0.0.1")
		defer c.Close()
		if it, err := c.Get(t.Context(), "k"); err != nil || string(it.Value) != "v" || it.CAS != 7 {
			t.Errorf("no opaques: %+v, %v", it, err)
		}
		rude := newClient(t, &memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
			for {
				switch line := s.line(); line {
				case "gets k":
					s.send("END\r\n")
				case "get lintel:hello":
					s.send("END\r\n")
				default:
					return
				}
			}
		})}, "10.0.0.1")
		defer rude.Close()
		if _, err := rude.Get(t.Context(), "k"); !errors.Is(err, memcache.ErrCacheMiss) {
			t.Errorf("hangs up: %v", err)
		}
		strict := newClient(t, &memcache.Options{Protocol: memcache.ProtocolMeta, Dial: dialScript(t, func(n int, s *scripted) {
			s.line()
			s.send("ERROR\r\n")
		})}, "10.0.0.1")
		defer strict.Close()
		if _, err := strict.Get(t.Context(), "k"); !errors.Is(err, pipeline.ErrProtocol) {
			t.Errorf("meta insisted on: %v", err)
		}
	})
}
