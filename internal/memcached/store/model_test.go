package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelItem is what the model knows of an item. An item may be missing from the store at any time, as far as evictions have
// been counted; it may never be there with anything else.
type modelItem struct {
	value      string
	flags      uint32
	expiry     int64
	access     int64
	cas        uint64
	fetched    bool
	stale, won bool
	flushed    bool
}

type model struct {
	*rapid.T
	s       *Store
	clock   int64
	items   map[string]*modelItem
	evicted map[string]bool
	noEvict bool
	flushAt int64
	pins    []func()
	pinned  [][2][]byte
}

func (m *model) tick() {
	if m.flushAt != 0 && m.clock >= m.flushAt {
		m.flushAt = 0
		m.flush("")
	}
}

func (m *model) flush(prefix string) {
	for k, it := range m.items {
		if strings.HasPrefix(k, prefix) {
			it.flushed = true
		}
	}
}

func (m *model) key() string {
	return fmt.Sprintf("%c%s%d", 'a'+rapid.IntRange(0, 2).Draw(m.T, "prefix"), strings.Repeat("k", rapid.IntRange(0, 30).Draw(m.T, "pad")/10*10),
		rapid.IntRange(0, 40).Draw(m.T, "key"))
}

func (m *model) value() string {
	n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3000), rapid.IntRange(0, 60_000)).Draw(m.T, "size")
	return strings.Repeat(string(rune('A'+rapid.IntRange(0, 25).Draw(m.T, "fill"))), n)
}

func (m *model) expiry() int64 {
	switch rapid.IntRange(0, 4).Draw(m.T, "ttl") {
	case 0:
		return m.clock + int64(rapid.IntRange(-1, 20).Draw(m.T, "seconds"))
	case 1:
		return m.clock + 1_000_000_000
	}
	return 0
}

// find looks in both and compares. It returns nil if the item is in neither.
func (m *model) find(tx *Txn, key string) *modelItem {
	found := tx.Find()
	it := m.items[key]
	if m.evicted[key] {
		if found {
			m.Fatalf("%q was evicted and is there", key)
		}
		delete(m.evicted, key)
		delete(m.items, key)
		return nil
	}
	if it == nil {
		if found {
			m.Fatalf("%q should not be there, is %q", key, tx.Value())
		}
		return nil
	}
	want := Absent
	switch {
	case it.flushed:
		want = Flushed
	case it.expiry != 0 && it.expiry <= m.clock:
		want = Expired
	}
	if want != Absent {
		// It may have been reclaimed already; then it is absent.
		if found || tx.Missed() != want && tx.Missed() != Absent {
			m.Fatalf("%q: found %v, missed %v; want %v", key, found, tx.Missed(), want)
		}
		delete(m.items, key)
		return nil
	}
	if !found {
		m.Fatalf("%q is gone: %v", key, tx.Missed())
	}
	m.same(tx, key, it)
	return it
}

func (m *model) same(tx *Txn, key string, it *modelItem) {
	got := modelItem{string(tx.Value()), tx.Flags(), tx.Expiry(), tx.LastAccess(), tx.CAS(), tx.Fetched(), tx.Stale(), tx.Won(), false}
	if got != *it {
		if len(got.value) > 50 {
			got.value = got.value[:50]
		}
		m.Fatalf("%q is %+v, want %+v", key, got, *it)
	}
}

func (m *model) put(tx *Txn, key string, old *modelItem, it *modelItem, rec Record) {
	cas, err := tx.Put(rec)
	if err != nil {
		if !m.noEvict && len(it.value) < 50_000 && len(m.pins) == 0 {
			m.Fatalf("put of %d bytes: %v", len(it.value), err)
		}
		if old != nil {
			if m.evicted[key] {
				m.Fatalf("%q was evicted for nothing", key)
			}
			m.same(tx, key, old)
		}
		return
	}
	if rec.CAS != 0 && cas != rec.CAS || old != nil && rec.CAS == 0 && cas <= old.cas {
		m.Fatalf("cas %d after %v, wanted %d", cas, old, rec.CAS)
	}
	it.cas = cas
	it.access = m.clock
	delete(m.evicted, key)
	m.items[key] = it
	m.same(tx, key, it)
}

func testModel(rt *rapid.T) {
	m := &model{T: rt, clock: 1_800_000_000, items: map[string]*modelItem{}, evicted: map[string]bool{}}
	m.noEvict = rapid.Bool().Draw(rt, "noEvict")
	limit := int64(rapid.SampledFrom([]int{1, 2, 5, 20}).Draw(rt, "limit")) << 20
	var err error
	opts := Options{
		MaxBytes: limit, NoEvict: m.noEvict, NoSweep: true, MaxItemSize: 70_000, Now: func() int64 { return m.clock },
		Hooks: Hooks{Evict: func(it Item) { m.evicted[string(it.Key)] = true }},
	}
	if runtime.GOOS != "windows" && rapid.IntRange(0, 3).Draw(rt, "file") == 0 {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		opts.Path = filepath.Join(dir, "items")
	}
	m.s, err = New(opts)
	if err != nil {
		rt.Fatal(err)
	}
	defer func() {
		for _, f := range m.pins {
			f()
		}
		if err := m.s.Close(); err != nil {
			rt.Fatal(err)
		}
	}()
	with := func(f func(tx *Txn, key string, it *modelItem)) func(*rapid.T) {
		return func(t *rapid.T) {
			m.T = t
			m.tick()
			key := m.key()
			tx := m.s.Begin([]byte(key))
			defer tx.End()
			f(&tx, key, m.find(&tx, key))
		}
	}
	found := func(f func(tx *Txn, key string, it *modelItem)) func(*rapid.T) {
		return with(func(tx *Txn, key string, it *modelItem) {
			if it != nil {
				f(tx, key, it)
			}
		})
	}
	set := with(func(tx *Txn, key string, it *modelItem) {
		n := &modelItem{value: m.value(), flags: uint32(rapid.IntRange(0, 2).Draw(m.T, "flags")), expiry: m.expiry()}
		n.stale, n.won = rapid.Bool().Draw(m.T, "stale"), rapid.Bool().Draw(m.T, "won")
		rec := Record{Flags: n.flags, Expiry: n.expiry, Stale: n.stale, Won: n.won, Parts: [2][]byte{[]byte(n.value)}}
		if rapid.IntRange(0, 9).Draw(m.T, "own cas") == 0 {
			rec.CAS = rapid.Uint64Range(1, 1<<62).Draw(m.T, "cas")
		}
		m.put(tx, key, it, n, rec)
	})
	rt.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { check(t, m.s) },
		"get": found(func(tx *Txn, key string, it *modelItem) {
			tx.Bump()
			it.access, it.fetched = m.clock, true
			m.same(tx, key, it)
		}),
		"set":  set,
		"set2": set,
		"set3": set,
		"append": found(func(tx *Txn, key string, it *modelItem) {
			n := *it
			n.fetched, n.stale, n.won = false, false, false
			tail := m.value()
			if len(tail)+len(it.value) > 60_000 {
				return
			}
			n.value += tail
			m.put(tx, key, it, &n, Record{Flags: n.flags, Expiry: n.expiry, Parts: [2][]byte{tx.Value(), []byte(tail)}})
		}),
		"overwrite": found(func(tx *Txn, key string, it *modelItem) {
			v := bytes.Repeat([]byte("z"), len(it.value))
			cas := tx.Overwrite(v)
			if cas == it.cas {
				m.Fatalf("cas stays %d", cas)
			}
			it.value, it.cas = string(v), cas
			m.same(tx, key, it)
		}),
		"touch": found(func(tx *Txn, key string, it *modelItem) {
			it.expiry, it.access = m.expiry(), m.clock
			tx.SetExpiry(it.expiry)
			m.same(tx, key, it)
		}),
		"mark": found(func(tx *Txn, key string, it *modelItem) {
			it.stale = !it.stale
			tx.SetMarks(it.stale, it.won)
			m.same(tx, key, it)
		}),
		"recas": found(func(tx *Txn, key string, it *modelItem) {
			it.cas = rapid.Uint64Range(1, 1<<62).Draw(m.T, "cas")
			tx.SetCAS(it.cas)
			m.same(tx, key, it)
		}),
		"delete": found(func(tx *Txn, key string, it *modelItem) { tx.Delete(); delete(m.items, key) }),
		"pin": found(func(tx *Txn, key string, it *modelItem) {
			if len(m.pins) < 5 {
				v, release := tx.Pin()
				m.pins = append(m.pins, release)
				m.pinned = append(m.pinned, [2][]byte{v, []byte(it.value)})
			}
		}),
		"unpin": func(t *rapid.T) {
			if n := len(m.pins); n > 0 {
				if !bytes.Equal(m.pinned[0][0], m.pinned[0][1]) {
					t.Fatal("a pinned value changed")
				}
				m.pins[0]()
				m.pins, m.pinned = m.pins[1:], m.pinned[1:]
			}
		},
		"wait":  func(t *rapid.T) { m.clock += int64(rapid.IntRange(1, 10).Draw(t, "seconds")) },
		"crawl": func(t *rapid.T) { m.tick(); m.s.Crawl(nil, nil) },
		"flush": func(t *rapid.T) {
			m.tick()
			if rapid.IntRange(0, 5).Draw(t, "rarely") != 0 {
				return
			}
			if rapid.Bool().Draw(t, "later") {
				m.flushAt = m.clock + int64(rapid.IntRange(1, 10).Draw(t, "seconds"))
				m.s.FlushAll(m.flushAt)
			} else {
				m.flushAt = 0
				m.s.FlushAll(m.clock)
				m.flush("")
			}
		},
		"flush prefix": func(t *rapid.T) {
			m.tick()
			p := string(rune('a' + rapid.IntRange(0, 2).Draw(t, "prefix")))
			m.s.FlushPrefix([]byte(p))
			m.flush(p)
		},
		"limit": func(t *rapid.T) {
			m.tick()
			limit = int64(rapid.SampledFrom([]int{1, 2, 5, 20}).Draw(t, "limit")) << 20
			if err := m.s.SetLimit(limit); err != nil && !m.noEvict && len(m.pins) == 0 && opts.Path == "" {
				t.Fatal(err)
			}
		},
		"restart": func(t *rapid.T) {
			if opts.Path == "" || len(m.pins) > 0 {
				return
			}
			if err := m.s.Close(); err != nil {
				t.Fatal(err)
			}
			m.s, err = New(opts)
			if err != nil {
				t.Fatal(err)
			}
		},
		"scan": func(t *rapid.T) {
			m.tick()
			seen := map[string]bool{}
			m.s.Scan(func(it Item) bool {
				k := string(it.Key)
				w := m.items[k]
				if seen[k] || w == nil || m.evicted[k] || w.flushed || w.expiry != 0 && w.expiry <= m.clock {
					t.Fatalf("scan sees %q, %+v", k, w)
				}
				if it.CAS != w.cas || it.Expiry != w.expiry || it.Flags != w.flags || it.LastAccess != w.access || it.Fetched != w.fetched {
					t.Fatalf("scan sees %q as %+v, want %+v", k, it, w)
				}
				seen[k] = true
				return true
			})
			for k, w := range m.items {
				if !seen[k] && !m.evicted[k] && !w.flushed && (w.expiry == 0 || w.expiry > m.clock) {
					t.Fatalf("scan does not see %q", k)
				}
			}
		},
	})
}

// TestModel compares the store with a map under a clock, one operation after the other.
func TestModel(t *testing.T) { rapid.Check(t, testModel) }
