package memcache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/memcache/memcachetest"
)

func newReadTest(t *testing.T, o *memcachetest.Options, protocol Protocol, servers int) (*Client, []*memcachetest.Server) {
	t.Helper()
	var all []*memcachetest.Server
	var addrs []string
	for range servers {
		addr, s := memcachetest.Start(t, o)
		all, addrs = append(all, s), append(addrs, addr)
	}
	c, err := New(&Options{Protocol: protocol}, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, all
}

func TestRead(t *testing.T) {
	c, _ := newReadTest(t, nil, ProtocolMeta, 1)
	ctx := t.Context()
	server := c.Servers()[0]
	if r, err := c.Read(ctx, "none", 0); err != ErrCacheMiss || r.Server != server || r.Item != nil {
		t.Errorf("missing: %+v, %v", r, err)
	}
	if err := c.Set(ctx, &Item{Key: "k", Value: []byte("v"), Flags: 3, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Read(ctx, "k", 0)
	if err != nil || r.Item == nil || string(r.Item.Value) != "v" || r.Item.Flags != 3 || r.Item.Key != "k" || r.Server != server || r.Leased || r.Unchanged {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.TTL <= 59*time.Minute || r.TTL > time.Hour {
		t.Errorf("TTL %v, expected an hour", r.TTL)
	}
	cas := r.Item.CAS
	if r, err = c.Read(ctx, "k", cas); err != nil || !r.Unchanged || r.Item != nil || r.TTL <= 0 || r.Server != server {
		t.Errorf("unchanged: %+v, %v", r, err)
	}
	if err := c.Set(ctx, &Item{Key: "k", Value: []byte("w")}); err != nil {
		t.Fatal(err)
	}
	if r, err = c.Read(ctx, "k", cas); err != nil || r.Unchanged || string(r.Item.Value) != "w" || r.TTL >= 0 {
		t.Errorf("changed: %+v, %v", r, err)
	}
	if err := c.Invalidate(ctx, "k", time.Minute); err != nil {
		t.Fatal(err)
	}
	if r, err = c.Read(ctx, "k", 0); err != nil || !r.Leased {
		t.Errorf("stale: %+v, %v", r, err)
	}
}

func TestReadMulti(t *testing.T) {
	for _, protocol := range []Protocol{ProtocolMeta, ProtocolClassic} {
		c, _ := newReadTest(t, nil, protocol, 3)
		ctx := t.Context()
		keys := strings.Fields("a b c d e f g h")
		for _, key := range keys[:6] {
			if err := c.Set(ctx, &Item{Key: key, Value: []byte("v" + key), TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		rs, err := c.ReadMulti(ctx, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		cas := make([]uint64, len(keys))
		for i, r := range rs {
			if r.Server != c.ServerFor(keys[i]) || (r.Item != nil) != (i < 6) {
				t.Errorf("%s: %+v", keys[i], r)
			}
			if r.Item != nil && i%2 == 0 {
				cas[i] = r.Item.CAS
			}
		}
		if rs, err = c.ReadMulti(ctx, keys, cas); err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			if unchanged := protocol == ProtocolMeta && cas[i] != 0; r.Unchanged != unchanged || (r.Item != nil) != (i < 6 && !unchanged) {
				t.Errorf("%s: %+v", keys[i], r)
			}
			if r.Item != nil && string(r.Item.Value) != "v"+keys[i] {
				t.Errorf("%s: %q", keys[i], r.Item.Value)
			}
		}
	}
}

func TestReadOfADeadServer(t *testing.T) {
	c, all := newReadTest(t, nil, ProtocolMeta, 2)
	all[1].Close()
	var keys []string
	for i := range 100 {
		keys = append(keys, strconv.Itoa(i))
	}
	rs, err := c.ReadMulti(t.Context(), keys, nil)
	if !errors.Is(err, ErrServerDown) {
		t.Errorf("error %v, expected ErrServerDown", err)
	}
	for i, r := range rs {
		if dead := c.ServerFor(keys[i]) == c.Servers()[1]; (r.Server == "") != dead {
			t.Errorf("%s: server %q", keys[i], r.Server)
		}
	}
}

func TestCommand(t *testing.T) {
	c, _ := newReadTest(t, nil, ProtocolAuto, 2)
	ctx := t.Context()
	if got, err := c.Command(ctx, c.Servers()[1], "version", "VERSION "); err != nil || !strings.HasPrefix(got, "VERSION ") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.Command(ctx, c.Servers()[0], "nonsense", "HD "); !errors.Is(err, ErrServer) {
		t.Errorf("unknown command: %v, expected ErrServer", err)
	}
	if _, err := c.Command(ctx, "other:1", "version", "VERSION "); !errors.Is(err, ErrNoServers) {
		t.Errorf("unknown server: %v, expected ErrNoServers", err)
	}
	if _, err := c.Command(ctx, c.Servers()[0], "a\r\nb", "HD "); err == nil {
		t.Error("a line break was sent")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Command(gone, c.Servers()[0], "version", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

func TestFleetVersion(t *testing.T) {
	c, _ := newReadTest(t, nil, ProtocolAuto, 2)
	before := c.FleetVersion()
	if err := c.SetServers(c.Servers()[0]); err != nil {
		t.Fatal(err)
	}
	if c.FleetVersion() == before {
		t.Error("SetServers left the version as it was")
	}
}

func TestFetched(t *testing.T) {
	c, _ := newReadTest(t, nil, ProtocolAuto, 1)
	ctx := t.Context()
	o := FetchOptions{NegativeTTL: time.Minute, ErrorTTL: time.Minute}
	boom := errors.New("boom")
	for key, fail := range map[string]error{"value": nil, "missing": ErrNotFound, "broken": boom} {
		_, _ = c.Fetch(ctx, key, o, func(context.Context) ([]byte, error) { return []byte("v"), fail })
		it, err := c.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := it.Fetched()
		cached, isCached := errors.AsType[*CachedError](err)
		switch {
		case fail == nil && (err != nil || string(v) != "v"), fail == ErrNotFound && err != ErrNotFound, fail == boom && (!isCached || cached.Text != "boom"):
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
}

// TestReadThatIsGivenUp: the call still belongs to the connection. The test is for the race
// detector.
func TestReadThatIsGivenUp(t *testing.T) {
	c, _ := newReadTest(t, nil, ProtocolMeta, 1)
	if err := c.Set(t.Context(), &Item{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if r, err := c.Read(ctx, "k", 0); err != nil && r != (Reading{}) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}
