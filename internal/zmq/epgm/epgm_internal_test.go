package epgm

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/epgm/epgmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is a group on the loopback interface with a port of its own.
func loopback(t *testing.T) Config {
	t.Helper()
	c, err := Parse(epgmtest.Group(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Rate = 100_000
	c.Limits = enginetest.Unlimited
	return c
}

func attach(t *testing.T, c engine.Conn) *enginetest.Session {
	t.Helper()
	s, _, err := enginetest.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Ten receivers that lose packets get every message once, in order.
func TestGroup(t *testing.T) {
	cfg := loopback(t)
	src, err := NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lossyCfg := cfg
	lossyCfg.Wrap = epgmtest.Lossy(1)
	lossyCfg.Lost = func(n int) { t.Errorf("lost %d packets", n) }
	var receivers []*enginetest.Session
	for range 10 {
		r, err := NewReceiver(lossyCfg)
		if err != nil {
			t.Fatal(err)
		}
		receivers = append(receivers, attach(t, r))
	}
	pub := attach(t, src)

	const count = 300
	want := func(i int) []string {
		return []string{fmt.Sprintf("topic %d", i), strings.Repeat("x", i*7%3000), "end"}
	}
	var wg sync.WaitGroup
	for _, r := range receivers {
		wg.Go(func() {
			// The first packets may be lost before the receiver knows the
			// source; what comes first says where it joined.
			first := -1
			for {
				msg, err := r.Recv()
				i := 0
				if err == nil {
					_, err = fmt.Sscanf(msg[0], "topic %d", &i)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if first < 0 {
					first = i
				}
				if fmt.Sprint(msg) != fmt.Sprint(want(i)) {
					t.Errorf("message %d came damaged", i)
					return
				}
				if i != first {
					t.Errorf("message %d where %d was due", i, first)
					return
				}
				if first++; first == count {
					return
				}
			}
		})
	}
	for i := range count {
		if err := pub.Send(want(i)...); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// A source publishes everything, a receiver filters by itself.
func TestSubscriptions(t *testing.T) {
	src, err := NewSource(loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	pub := attach(t, src)
	pub.Close()
	if got := pub.Commands(1); len(got) != 1 || got[0] != "SUBSCRIBE" {
		t.Errorf("a source gets %q, want a subscription to everything", got)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "expected interface;group:port"},
		{"127.0.0.1;239.1.1.1", "expected interface;group:port"},
		{"127.0.0.1;239.1.1.1:0", "port"},
		{"127.0.0.1;239.1.1.1:http", "port"},
		{"127.0.0.1;10.0.0.1:5555", "multicast"},
		{"127.0.0.1;group:5555", "multicast"},
		{"no-such-interface;239.1.1.1:5555", "no-such-interface"},
	} {
		if _, err := Parse(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want an error that says %q", c.in, err, c.says)
		}
	}
	c, err := Parse("127.0.0.1;239.1.2.3:5555")
	if err != nil || c.Group.String() != "239.1.2.3:5555" || c.Source.String() != "127.0.0.1" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for says, edit := range map[string]func(*Config){
		"rate":     func(c *Config) { c.Rate = -1 },
		"recovery": func(c *Config) { c.Recovery = -1 },
		"hops":     func(c *Config) { c.Hops = 256 },
		"datagram": func(c *Config) { c.MaxTPDU = 10 },
	} {
		c := loopback(t)
		edit(&c)
		for _, open := range []func(Config) (engine.Conn, error){NewSource, NewReceiver} {
			if conn, err := open(c); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v %v", says, conn, err)
			}
		}
	}
}
