package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// clock is a settable time.
type clock struct{ t int64 }

func (c *clock) now() int64 { return c.t }

func open(t testing.TB, o Options) (*Store, *clock) {
	t.Helper()
	c := &clock{t: 1_800_000_000}
	if o.MaxBytes == 0 {
		o.MaxBytes = 4 << 20
	}
	if o.Now == nil {
		o.Now = c.now
		o.NoSweep = true
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c
}

func put(t testing.TB, s *Store, key, value string, expiry int64) uint64 {
	t.Helper()
	tx := s.Begin([]byte(key))
	defer tx.End()
	cas, err := tx.Put(Record{Expiry: expiry, Parts: [2][]byte{[]byte(value)}})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return cas
}

func get(s *Store, key string) (string, bool) {
	tx := s.Begin([]byte(key))
	defer tx.End()
	if !tx.Find() {
		return "", false
	}
	tx.Bump()
	return string(tx.Value()), true
}

func want(t *testing.T, s *Store, key, value string) {
	t.Helper()
	if v, ok := get(s, key); !ok || v != value {
		t.Errorf("%q is %q, %v; want %q", key, v, ok, value)
	}
}

func wantNone(t *testing.T, s *Store, key string) {
	t.Helper()
	if v, ok := get(s, key); ok {
		t.Errorf("%q is %q; want none", key, v)
	}
}

func TestPutFindDelete(t *testing.T) {
	s, c := open(t, Options{})
	wantNone(t, s, "a")
	cas1 := put(t, s, "a", "one", 0)
	want(t, s, "a", "one")
	cas2 := put(t, s, "a", "two!", 0)
	want(t, s, "a", "two!")
	if cas1 == 0 || cas2 <= cas1 {
		t.Errorf("cas went from %d to %d", cas1, cas2)
	}

	tx := s.Begin([]byte("a"))
	if !tx.Find() {
		t.Fatal("lost")
	}
	c.t += 7
	tx.Bump()
	if tx.LastAccess() != c.t || !tx.Fetched() || tx.Size() != ItemSize(1, 4, 0, true) {
		t.Errorf("last access %d, fetched %v, size %d", tx.LastAccess(), tx.Fetched(), tx.Size())
	}
	cas3 := tx.Overwrite([]byte("2222"))
	if cas3 <= cas2 || tx.CAS() != cas3 || string(tx.Value()) != "2222" {
		t.Errorf("overwrite: cas %d after %d, value %q", cas3, cas2, tx.Value())
	}
	tx.SetCAS(99)
	tx.SetMarks(true, true)
	tx.SetExpiry(c.t + 10)
	if tx.CAS() != 99 || !tx.Stale() || !tx.Won() || tx.Expiry() != c.t+10 || string(tx.Value()) != "2222" {
		t.Errorf("cas %d, stale %v, won %v, expiry %d, value %q", tx.CAS(), tx.Stale(), tx.Won(), tx.Expiry(), tx.Value())
	}
	if _, err := tx.Put(Record{Flags: 5, Parts: [2][]byte{tx.Value(), []byte("tail")}}); err != nil {
		t.Fatal(err)
	}
	if string(tx.Value()) != "2222tail" || tx.Flags() != 5 || tx.Stale() || tx.Won() || tx.Expiry() != 0 {
		t.Errorf("after put: %q %d %v %v %d", tx.Value(), tx.Flags(), tx.Stale(), tx.Won(), tx.Expiry())
	}
	tx.Delete()
	tx.End()
	wantNone(t, s, "a")
	if st := s.Stats(); st.Items != 0 || st.Bytes != 0 {
		t.Errorf("%d items of %d bytes left", st.Items, st.Bytes)
	}
}

func TestExpiry(t *testing.T) {
	s, c := open(t, Options{})
	put(t, s, "a", "x", c.t+2)
	put(t, s, "far", "x", 1<<33)
	c.t++
	want(t, s, "a", "x")
	c.t++
	tx := s.Begin([]byte("a"))
	if tx.Find() || tx.Missed() != Expired {
		t.Errorf("missed: %v", tx.Missed())
	}
	tx.End()
	want(t, s, "far", "x")
	for i := range 50 {
		put(t, s, fmt.Sprint("k", i), "v", c.t+5)
	}
	c.t += 5
	if _, n := s.Crawl(nil, nil); n != 50 {
		t.Errorf("crawl removed %d, want 50", n)
	}
	if st := s.Stats(); st.Items != 1 || st.ExpiredUnfetched != 50 || st.CrawlerReclaimed != 50 {
		t.Errorf("stats %+v", st)
	}
}

func TestFlush(t *testing.T) {
	s, c := open(t, Options{})
	put(t, s, "user:1", "x", 0)
	put(t, s, "other", "y", 0)
	s.FlushPrefix([]byte("user:"))
	wantNone(t, s, "user:1")
	want(t, s, "other", "y")
	put(t, s, "user:1", "z", 0)
	want(t, s, "user:1", "z")

	s.FlushAll(c.t)
	wantNone(t, s, "user:1")
	wantNone(t, s, "other")
	put(t, s, "other", "again", 0)
	want(t, s, "other", "again")

	s.FlushAll(c.t + 10)
	want(t, s, "other", "again")
	c.t += 10
	tx := s.Begin([]byte("other"))
	if tx.Find() || tx.Missed() != Flushed {
		t.Errorf("missed: %v", tx.Missed())
	}
	tx.End()
	put(t, s, "other", "third", 0)
	want(t, s, "other", "third")
}

func TestLimits(t *testing.T) {
	s, _ := open(t, Options{MaxBytes: 2 << 20, MaxItemSize: 64 << 10})
	tx := s.Begin([]byte("big"))
	if _, err := tx.Put(Record{Parts: [2][]byte{make([]byte, 64<<10)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("put of an item beyond the limit: %v", err)
	}
	tx.End()
	value := string(bytes.Repeat([]byte("v"), 1000))
	for i := range 10_000 {
		put(t, s, fmt.Sprint("key", i), value, 0)
	}
	st := s.Stats()
	if st.Evictions == 0 || st.Used > 2<<20 || st.Items < 1500 {
		t.Errorf("%d evictions, %d items in %d bytes", st.Evictions, st.Items, st.Used)
	}
	if err := s.SetLimit(1 << 20); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Used > 1<<20 || st.Items < 700 {
		t.Errorf("after shrinking: %d items in %d bytes", st.Items, st.Used)
	}
	if err := s.SetLimit(1); !errors.Is(err, ErrLimit) {
		t.Errorf("limit of 1 byte: %v", err)
	}
}

func TestNoEvict(t *testing.T) {
	s, c := open(t, Options{MaxBytes: 1 << 20, NoEvict: true})
	value := make([]byte, 10_000)
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		tx := s.Begin(fmt.Append(nil, "key", n))
		_, err = tx.Put(Record{Expiry: c.t + 5, Parts: [2][]byte{value}})
		tx.End()
	}
	if !errors.Is(err, ErrNoMemory) || n < 80 {
		t.Fatalf("%d puts, then %v", n, err)
	}
	want(t, s, "key0", string(value))
	c.t += 5
	put(t, s, "new", "x", 0)
	want(t, s, "new", "x")
}

func TestScan(t *testing.T) {
	s, c := open(t, Options{})
	for i := range 100 {
		put(t, s, fmt.Sprint("key", i), "v", c.t+1+int64(i%2))
	}
	c.t++
	seen := map[string]bool{}
	s.Scan(func(it Item) bool {
		seen[string(it.Key)] = true
		if it.Expiry != c.t+1 || it.Class != 1 || it.CAS == 0 {
			t.Errorf("%+v", it)
		}
		return true
	})
	if len(seen) != 50 {
		t.Errorf("saw %d items, want 50", len(seen))
	}
	n := 0
	s.Scan(func(Item) bool { n++; return n < 7 })
	if n != 7 {
		t.Errorf("scan went on to %d after yield returned false", n)
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct{ size, class int }{{1, 1}, {96, 1}, {97, 2}, {82792, 31}, {66233, 31}, {524288, 39}, {1 << 20, 39}} {
		if got := ClassOf(c.size); got != c.class {
			t.Errorf("ClassOf(%d) = %d, want %d", c.size, got, c.class)
		}
	}
	if n := ItemSize(1, 1048516, 0, true); n != 1<<20 {
		t.Errorf("the largest value of a default memcached counts %d", n)
	}
}

func TestLayoutOfShards(t *testing.T) {
	for _, x := range []struct {
		mib         int64
		loops       int
		kib, shards int
	}{
		{1, 1, 16, 1},
		{1, 4, 16, 1},
		{8, 4, 16, 8},
		{64, 0, 32, 16},
		{64, 1, 32, 16},
		{64, 2, 16, 64},
		{64, 4, 16, 64},
		{256, 1, 64, 32},
		{256, 2, 32, 64},
		{1024, 1, 64, 32},
		{1024, 4, 64, 64},
		{65536, 16, 64, 64},
	} {
		seg, shards := layout(x.mib<<20, x.loops)
		if seg != int64(x.kib)<<10 || shards != x.shards {
			t.Errorf("%d MiB for %d loops: segments of %d KiB in %d shards, want %d in %d", x.mib, x.loops, seg>>10, shards, x.kib, x.shards)
		}
	}
}
