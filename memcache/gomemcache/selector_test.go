package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	memcache "lintel.dev/memcache/gomemcache"
	"lintel.dev/memcache/memcachetest"
	"lintel.dev/memcache/placement"
)

// address is a net.Addr in the syntax of a program.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// byPrefix is a ServerSelector of a program: keys begin with the address.
type byPrefix struct{ known []string }

func (b *byPrefix) PickServer(key string) (net.Addr, error) {
	prefix, _, ok := strings.Cut(key, "/")
	if !ok {
		return nil, fmt.Errorf("no server for %s", key)
	}
	return address(prefix), nil
}

func (b *byPrefix) Each(f func(net.Addr) error) error {
	for _, a := range b.known {
		if err := f(address(a)); err != nil {
			return err
		}
	}
	return nil
}

// network is a fleet in memory, by address.
type network struct {
	mu      sync.Mutex // protects what follows
	servers map[string]*memcachetest.Server
	down    error // of dialing
	dials   int
	lines   []string
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	if n.down != nil {
		return nil, n.down
	}
	if n.servers[addr] == nil {
		if n.servers == nil {
			n.servers = make(map[string]*memcachetest.Server)
		}
		n.servers[addr] = memcachetest.New(nil)
		n.servers[addr].Intercept(func(line string) (string, bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.lines = append(n.lines, line)
			return "", false
		})
	}
	return n.servers[addr].Dial(ctx, network, addr)
}

func (n *network) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
}

func (n *network) close() {
	for _, s := range n.servers {
		s.Close()
	}
}

// TestSelector: the selector of the program is asked for every key, addresses appear at
// any time, and only gomemcache's commands are sent.
func TestSelector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.close()
		s := &byPrefix{known: []string{"10.0.0.1:1"}}
		c := memcache.NewFromSelector(s)
		c.DialContext = n.dial
		defer c.Close()
		for _, key := range []string{"10.0.0.1:1/a", "10.0.0.2:1/b", "cache/x:1=z/c", "10.0.0.1:1/d"} {
			if err := c.Set(&memcache.Item{Key: key, Value: []byte(key)}); err != nil {
				t.Fatal(err)
			}
			if it, err := c.Get(key); err != nil || string(it.Value) != key {
				t.Errorf("%s: %+v, %v", key, it, err)
			}
		}
		if len(n.servers) != 3 || n.servers["10.0.0.1:1"].Len() != 2 || n.servers["cache"].Len() != 1 {
			t.Errorf("servers %v", n.servers)
		}
		m, err := c.GetMulti([]string{"10.0.0.1:1/a", "10.0.0.2:1/b", "10.0.0.1:1/none"})
		if err != nil || len(m) != 2 {
			t.Errorf("%v, %v", m, err)
		}
		if m, err := c.GetMulti([]string{"10.0.0.1:1/a", "b c"}); m != nil || err != memcache.ErrMalformedKey {
			t.Errorf("%v, %v", m, err)
		}
		if _, err := c.Get("x"); err == nil || err.Error() != "no server for x" {
			t.Errorf("the selector's error: %v", err)
		}
		if err := c.Touch("10.0.0.1:1/a", 60); err != nil {
			t.Error(err)
		}
		if err := c.FlushAll(); err != nil || n.servers["10.0.0.1:1"].Len() != 0 || n.servers["10.0.0.2:1"].Len() != 1 {
			t.Errorf("only the servers of Each are flushed: %v", err)
		}
		if err := c.Ping(); err != nil {
			t.Error(err)
		}
		for _, line := range n.lines {
			switch word, _, _ := strings.Cut(line, " "); word {
			case "gets", "set", "touch", "flush_all", "version":
			default:
				t.Errorf("gomemcache does not send %q", line)
			}
		}
	})
}

// TestServerList: the list places keys as package placement's rule of the same name, and
// keeps its servers if new ones do not resolve.
func TestServerList(t *testing.T) {
	specs := []string{"127.0.0.1:1", "127.0.0.2:2", "127.0.0.1:1", "/run/m.sock"}
	var list memcache.ServerList
	if _, err := list.PickServer("k"); err != memcache.ErrNoServers {
		t.Errorf("empty list: %v", err)
	}
	if err := list.SetServers(specs...); err != nil {
		t.Fatal(err)
	}
	if err := list.SetServers("127.0.0.1:no-such-port"); err == nil {
		t.Error("a port that does not exist is accepted")
	}
	rule, err := placement.New("gomemcache")
	if err != nil {
		t.Fatal(err)
	}
	var servers []placement.Server
	for _, spec := range specs {
		s, err := placement.ParseServer(spec)
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, s)
	}
	picker, err := rule.Place(servers)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		if a, err := list.PickServer(key); err != nil || a.String() != specs[picker.Pick(key, nil)] {
			t.Errorf("%s: %v, %v", key, a, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = list.PickServer("key") }); n > 0.5 {
		t.Errorf("PickServer allocates %v times", n)
	}
}

// TestReusable: a client that was closed may still be used.
func TestReusable(t *testing.T) {
	if err := memcache.New().Close(); err != nil {
		t.Errorf("without servers: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.close()
		c := memcache.New("10.0.0.1:11211")
		c.DialContext = n.dial
		for i := 1; i <= 3; i++ {
			if err := c.Set(&memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if open := n.servers["10.0.0.1:11211"].Conns(); open != 0 || n.dials != i {
				t.Errorf("round %d: %d connections are open after %d dials", i, open, n.dials)
			}
		}
	})
}

// slow is a timeout of a dial function.
type slow struct{}

func (slow) Error() string   { return "too slow" }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

// TestNetworkErrors: errors of the network have the types that gomemcache's have.
func TestNetworkErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.close()
		c := memcache.New("10.0.0.1:11211")
		c.DialContext, c.Timeout = n.dial, 200*time.Millisecond
		defer c.Close()

		n.fail(slow{})
		_, err := c.Get("k")
		if connect, ok := err.(*memcache.ConnectTimeoutError); !ok || connect.Addr.String() != "10.0.0.1:11211" || err.Error() != "memcache: connect timeout to 10.0.0.1:11211" {
			t.Errorf("connect timeout: %T %v", err, err)
		}
		<-time.After(time.Second)
		n.fail(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
		for range 2 {
			_, err = c.Get("k")
			if _, ok := err.(net.Error); !ok || !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "dial tcp: connection refused" {
				t.Errorf("refused: %T %v", err, err)
			}
		}
		<-time.After(time.Second)
		n.fail(nil)
		if _, err := c.Get("k"); err != memcache.ErrCacheMiss {
			t.Error(err)
		}
		n.servers["10.0.0.1:11211"].Intercept(func(string) (string, bool) { return "", true })
		start := time.Now()
		_, err = c.Get("k")
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Errorf("no answer: %T %v", err, err)
		}
		if took := time.Since(start); took < c.Timeout || took > 2*c.Timeout {
			t.Errorf("no answer: after %v", took)
		}
	})
}

// TestComesBack: a server that was down for a long time is used again within 200 ms.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.close()
		c := memcache.New("10.0.0.1:11211")
		c.DialContext = n.dial
		defer c.Close()
		n.fail(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
		for range 6000 {
			if err := c.Set(&memcache.Item{Key: "k"}); err == nil {
				t.Fatal("stored on a server that is down")
			}
			<-time.After(time.Millisecond)
		}
		n.fail(nil)
		<-time.After(200 * time.Millisecond)
		for range 100 {
			if err := c.Set(&memcache.Item{Key: "k"}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestServerError: error lines match ErrServerError, or have gomemcache's text.
func TestServerError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.close()
		c := memcache.New("10.0.0.1:11211")
		c.DialContext = n.dial
		defer c.Close()
		if err := c.Set(&memcache.Item{Key: "k", Value: []byte("text")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Increment("k", 1); err == nil || err.Error() != "memcache: client error: cannot increment or decrement non-numeric value" {
			t.Error(err)
		}
		n.servers["10.0.0.1:11211"].Intercept(func(string) (string, bool) { return "SERVER_ERROR out of memory\r\n", true })
		if err := c.Delete("k"); !errors.Is(err, memcache.ErrServerError) || !strings.Contains(err.Error(), "SERVER_ERROR out of memory") {
			t.Error(err)
		}
	})
}
