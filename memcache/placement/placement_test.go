package placement

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

type vector struct {
	Client    string
	Placement string
	Servers   []string
	Dead      []int
	Keys      map[string]int
}

func readVectors(t *testing.T, file string) []vector {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return v
}

func mustServers(t testing.TB, specs ...string) []Server {
	t.Helper()
	out := make([]Server, len(specs))
	for i, spec := range specs {
		s, err := ParseServer(spec)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = s
	}
	return out
}

func mustPlace(t testing.TB, name string, specs ...string) Picker {
	t.Helper()
	sel, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sel.Place(mustServers(t, specs...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlacementVectors compares every rule with recorded placements of the client
// it is named after.
func TestPlacementVectors(t *testing.T) {
	vectors := readVectors(t, "testdata/placement.json")
	vectors = append(vectors, readVectors(t, "testdata/observed.json")...)
	vectors = append(vectors, readVectors(t, "testdata/random.json")...)
	vectors = append(vectors, readVectors(t, "testdata/sockets.json")...)
	for _, v := range vectors {
		t.Run(v.Client, func(t *testing.T) {
			p := mustPlace(t, v.Placement, v.Servers...)
			var dead func(int) bool
			if len(v.Dead) > 0 {
				dead = func(i int) bool { return slices.Contains(v.Dead, i) }
			}
			wrong := 0
			for key, want := range v.Keys {
				if got := p.Pick(key, dead); got != want {
					if wrong++; wrong <= 3 {
						t.Errorf("%q is on server %d, want %d", key, got, want)
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d keys are wrong", wrong, len(v.Keys))
			}
		})
	}
}

var five = []string{"10.0.0.1:11211", "10.0.0.2:11211:2=two", "cache3:11311", "[2001:db8::4]:11211", "/run/five.sock"}

// TestPlacementRules: every rule uses every server, avoids dead ones and does not
// allocate.
func TestPlacementRules(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			p := mustPlace(t, name, five...)
			seen := make(map[int]int)
			for i := range 5000 {
				key := fmt.Sprintf("key:%x", mix64(uint64(i)))
				at := p.Pick(key, nil)
				seen[at]++
				if got := p.Pick(key, func(int) bool { return false }); got != at {
					t.Fatalf("%s: %d without dead servers, %d with none of them dead", key, at, got)
				}
				if got := p.Pick(key, func(j int) bool { return j == at }); got == at {
					t.Fatalf("%s stays on dead server %d", key, at)
				}
				if got := p.Pick(key, func(int) bool { return true }); got != -1 {
					t.Fatalf("%s is on %d when all are dead", key, got)
				}
			}
			for i := range five {
				if seen[i] < 200 {
					t.Errorf("server %d has %d of 5000 keys", i, seen[i])
				}
			}
			key := "a key of ordinary length:1234"
			if n := testing.AllocsPerRun(100, func() { p.Pick(key, nil) }); n != 0 {
				t.Errorf("Pick allocates %v times", n)
			}
		})
	}
}

// TestRendezvousMoves: a server that joins takes its share, and no other key moves,
// with any order and weights.
func TestRendezvousMoves(t *testing.T) {
	before := []string{"a:1", "b:1:2", "c:1:3=gamma"}
	after := []string{"d:1:2", "c:9:3=gamma", "b:1:2", "a:1"}
	p, q := mustPlace(t, "rendezvous", before...), mustPlace(t, "rendezvous", after...)
	const n = 20000
	moved := 0
	for i := range n {
		key := fmt.Sprint("k", i)
		from, to := before[p.Pick(key, nil)], after[q.Pick(key, nil)]
		if from[0] != to[0] {
			if moved++; to[0] != 'd' {
				t.Fatalf("%s moved from %s to %s", key, from, to)
			}
		}
	}
	if want := n * 2 / 8; moved < want*9/10 || moved > want*11/10 {
		t.Errorf("%d of %d keys moved to a server of a quarter of the weight", moved, n)
	}
}

func TestPlacementNames(t *testing.T) {
	for _, bad := range []string{"", "ketema", "ketama:md5", "libmemcached:sha1", "twemproxy:md5:{", "memcached-proxy:x"} {
		if _, err := New(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	p := mustPlace(t, "twemproxy:fnv1a_64:{}", five...)
	q := mustPlace(t, "twemproxy:fnv1a_64", five...)
	for _, k := range [][2]string{{"a{user1}b", "user1"}, {"{}x", "{}x"}, {"{user", "{user"}, {"}{x}", "x"}} {
		if p.Pick(k[0], nil) != q.Pick(k[1], nil) {
			t.Errorf("%q is not placed as %q", k[0], k[1])
		}
	}
}

func TestNaturalOrder(t *testing.T) {
	in := []string{"b", "a10", "a-", "a9", "a1b2", "a1", "ab", "a1b10", "10.0.0.10:1", "10.0.0.9:1", "a99999999999999999999"}
	want := "10.0.0.9:1|10.0.0.10:1|a1|a1b2|a1b10|a9|a10|a99999999999999999999|a-|ab|b"
	slices.SortStableFunc(in, func(a, b string) int {
		switch {
		case naturalLess(a, b):
			return -1
		case naturalLess(b, a):
			return 1
		}
		return 0
	})
	if got := strings.Join(in, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseServer(t *testing.T) {
	for spec, want := range map[string]Server{
		"h":                    {Host: "h", Port: 11211, Weight: 1},
		"h:1":                  {Host: "h", Port: 1, Weight: 1},
		"h:1:7":                {Host: "h", Port: 1, Weight: 7},
		"h:1:7=n":              {Host: "h", Port: 1, Weight: 7, Name: "n"},
		"h=n":                  {Host: "h", Port: 11211, Weight: 1, Name: "n"},
		"[::1]":                {Host: "::1", Port: 11211, Weight: 1},
		"[::1]:5:2=x":          {Host: "::1", Port: 5, Weight: 2, Name: "x"},
		"/run/m.sock":          {Path: "/run/m.sock", Port: 0, Weight: 1},
		"unix:/run/m.sock=one": {Path: "/run/m.sock", Weight: 1, Name: "one"},
		"/run/m.sock:3":        {Path: "/run/m.sock", Weight: 3},
		"unix:/m:1000=/m:0":    {Path: "/m", Weight: 1000, Name: "/m:0"},
	} {
		got, err := ParseServer(spec)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", spec, got, err, want)
		}
		if again, err := ParseServer(got.String()); err != nil || again != got {
			t.Errorf("%q is printed as %q, which is read as %+v, %v", spec, got, again, err)
		}
	}
	for _, bad := range []string{"", ":1", "h:", "h:x", "h:0", "h:65536", "h:1:", "h:1:0", "h:1:-1", "h:1:2:3", "[::1", "[::1]5", "h=", "unix:", "/m:", "/m:0", "/m:1001", "/m:1:2"} {
		if s, err := ParseServer(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}
