package interop_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lintel.dev/interop/peers"
)

// scenario is a behaviour that two clients of one server must agree on: a
// writes, b reads.
type scenario struct {
	name string
	run  func(t *testing.T, a, b cacheClient)
}

// month is a relative TTL that is longer than any run.
const month = 30 * 24 * 3600

var scenarios = []scenario{
	{"set and get", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("greeting", raw("good day"), 0))
		same(t, b.get("greeting"), raw("good day"))
		same(t, b.get("absent"), nil)
		yes(t, b.set("greeting", raw("good night"), month))
		same(t, a.get("greeting"), raw("good night"))
	}},
	{"empty value", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("nothing", raw(""), 0))
		same(t, b.get("nothing"), raw(""))
	}},
	{"any bytes", func(t *testing.T, a, b cacheClient) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		v := raw("\r\nEND\r\n" + string(all) + "VALUE x 0 1\r\n")
		yes(t, a.set("bytes", v, 0))
		same(t, b.get("bytes"), v)
	}},
	{"sizes", func(t *testing.T, a, b cacheClient) {
		for _, n := range []int{1, 100, 2047, 2048, 2049, 16 << 10, 64<<10 + 1, 500_000, 1_000_000} {
			key := "size-" + strconv.Itoa(n)
			v := &value{Type: "bytes", Bytes: noise(n)}
			yes(t, a.set(key, v, 0))
			if got := b.get(key); got == nil || !bytes.Equal(got.Bytes, v.Bytes) {
				t.Errorf("a value of %d bytes came back different", n)
			}
		}
	}},
	{"longest key", func(t *testing.T, a, b cacheClient) {
		key := strings.Repeat("k", 250)
		yes(t, a.set(key, raw("v"), 0))
		same(t, b.get(key), raw("v"))
	}},
	{"add and replace", func(t *testing.T, a, b cacheClient) {
		no(t, a.replace("ar", raw("0"), 0))
		yes(t, a.add("ar", raw("1"), 0))
		no(t, b.add("ar", raw("2"), 0))
		same(t, b.get("ar"), raw("1"))
		yes(t, b.replace("ar", raw("3"), 0))
		same(t, a.get("ar"), raw("3"))
	}},
	{"append and prepend", func(t *testing.T, a, b cacheClient) {
		no(t, a.appendTo("ap", raw("x")))
		no(t, b.prependTo("ap", raw("x")))
		yes(t, a.set("ap", raw("middle"), 0))
		yes(t, b.appendTo("ap", raw(", end")))
		yes(t, a.prependTo("ap", raw("start, ")))
		same(t, b.get("ap"), raw("start, middle, end"))
	}},
	{"cas", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("cas", raw("1"), 0))
		same(t, a.gets("cas"), raw("1"))
		yes(t, a.cas("cas", raw("2"), 0))
		same(t, b.get("cas"), raw("2"))

		same(t, a.gets("cas"), raw("2"))
		yes(t, b.set("cas", raw("3"), 0))
		no(t, a.cas("cas", raw("4"), 0))
		same(t, a.get("cas"), raw("3"))
	}},
	{"delete", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("gone", raw("v"), 0))
		yes(t, b.delete("gone"))
		same(t, a.get("gone"), nil)
		no(t, a.delete("gone"))
	}},
	{"incr and decr", func(t *testing.T, a, b cacheClient) {
		if _, ok := a.incr("n", 1); ok {
			t.Error("incr made an item")
		}
		yes(t, a.set("n", raw("10"), 0))
		number(t, 15)(a.incr("n", 5))
		number(t, 12)(b.decr("n", 3))
		number(t, 0)(a.decr("n", 100))
		yes(t, a.set("n", raw("9007199254740990"), 0))
		number(t, 1<<53)(b.incr("n", 2))
		same(t, a.get("n"), raw("9007199254740992"))
	}},
	{"touch", func(t *testing.T, a, b cacheClient) {
		no(t, a.touch("t", month))
		yes(t, a.set("t", raw("v"), month))
		yes(t, b.touch("t", month))
		same(t, a.get("t"), raw("v"))
	}},
	{"touch into the past", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("t", raw("v"), month))
		yes(t, b.touch("t", 2_592_001))
		same(t, a.get("t"), nil)
	}},
	{"a moment that has passed", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("past", raw("v"), 0))
		yes(t, a.set("past", raw("v"), 2_592_001)) // 31 January 1970
		same(t, b.get("past"), nil)
		yes(t, b.add("past", raw("w"), 0))
		same(t, a.get("past"), raw("w"))
	}},
	{"many keys at once", func(t *testing.T, a, b cacheClient) {
		values := map[string]*value{}
		var keys []string
		for i := range 500 {
			key := fmt.Sprintf("many:%d", i)
			values[key] = raw(strings.Repeat("v", i%100) + strconv.Itoa(i))
			keys = append(keys, key, "absent:"+key)
		}
		a.setMulti(values, month)
		if diff := cmp.Diff(values, b.getMulti(keys)); diff != "" {
			t.Errorf("get_multi (-stored +read):\n%s", diff)
		}
		b.deleteMulti(keys[:500])
		got := a.getMulti(keys)
		if len(got) != 250 {
			t.Errorf("%d of 500 keys left after 250 of them were deleted", len(got))
		}
	}},
	{"pipelined readers and writers", func(t *testing.T, a, b cacheClient) {
		for i := range 200 {
			key, v := "rw:"+strconv.Itoa(i%7), raw(strconv.Itoa(i))
			yes(t, a.set(key, v, 0))
			same(t, b.get(key), v)
		}
	}},
	{"flush", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("f1", raw("v"), 0))
		yes(t, b.set("f2", raw("v"), 0))
		a.flush()
		same(t, b.get("f1"), nil)
		same(t, a.get("f2"), nil)
		yes(t, b.set("f2", raw("w"), 0))
		same(t, a.get("f2"), raw("w"))
	}},
	{"stats", func(t *testing.T, a, b cacheClient) {
		yes(t, a.set("counted", raw("v"), 0))
		same(t, b.get("counted"), raw("v"))
		st := b.stats()
		for _, name := range []string{"pid", "uptime", "version", "curr_items", "cmd_get", "get_hits", "limit_maxbytes", "threads"} {
			if st[name] == "" {
				t.Errorf("stats have no %q", name)
			}
		}
	}},
}

// servers are the servers that the scenarios run on.
var cacheServers = []struct {
	name  string
	start func(t *testing.T) string
}{
	{"lintel", embedded},
	{"lintel-unix", embeddedUnix},
	{"debian", func(t *testing.T) string { return peers.Memcached(t) }},
	{"debian-unix", func(t *testing.T) string { return peers.MemcachedUnix(t) }},
}

// TestCacheClients runs the scenarios with two clients of the same kind, on
// every server.
func TestCacheClients(t *testing.T) {
	for _, server := range cacheServers {
		for _, c := range append(ourClients(), foreignClients...) {
			t.Run(server.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				addr := server.start(t)
				play(t, c.dial(t, addr), c.dial(t, addr), c.lacks)
			})
		}
	}
}

// TestCacheMixed runs them with Lintel's client on one side and another client
// on the other: each understands what the other stores.
func TestCacheMixed(t *testing.T) {
	for _, c := range foreignClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr := cacheServers[0].start(t)
			play(t, goClient(nil)(t, addr), c.dial(t, addr), c.lacks)
		})
	}
}

// play runs every scenario twice, with the two clients in both roles.
func play(t *testing.T, a, b cacheClient, lacks map[string]string) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if why := lacks[s.name]; why != "" {
				t.Skip(why)
			}
			a.flush()
			s.run(t, a, b)
			a.flush()
			s.run(t, b, a)
		})
	}
}

func yes(t *testing.T, ok bool) {
	t.Helper()
	if !ok {
		t.Error("refused")
	}
}

func no(t *testing.T, ok bool) {
	t.Helper()
	if ok {
		t.Error("accepted, and should have been refused")
	}
}

func same(t *testing.T, got, want *value) {
	t.Helper()
	switch {
	case got == nil && want == nil:
	case got == nil:
		t.Errorf("got a miss, want %.80q", want.Bytes)
	case want == nil:
		t.Errorf("got %.80q, want a miss", got.Bytes)
	case got.Type != want.Type || !bytes.Equal(got.Bytes, want.Bytes):
		t.Errorf("got %s %.80q, want %s %.80q", got.Type, got.Bytes, want.Type, want.Bytes)
	}
}

func number(t *testing.T, want uint64) func(uint64, bool) {
	t.Helper()
	return func(got uint64, ok bool) {
		t.Helper()
		if !ok || got != want {
			t.Errorf("got %d (%v), want %d", got, ok, want)
		}
	}
}

// noise returns n bytes that do not compress, the same ones each time.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}
