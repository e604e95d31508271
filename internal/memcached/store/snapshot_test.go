//go:build unix

package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/arena"
)

func TestRestart(t *testing.T) {
	c := &clock{t: 1_800_000_000}
	o := Options{MaxBytes: 8 << 20, Now: c.now, NoSweep: true, Path: filepath.Join(t.TempDir(), "items")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second store on the file: %v", err)
	}
	cas := map[string]uint64{}
	for i := range 3000 {
		key := fmt.Sprint("key", i)
		tx := s.Begin([]byte(key))
		rec := Record{Flags: uint32(i % 3), Parts: [2][]byte{sealed(key, 20+i%700*(1+i%7*10), 1)}}
		switch i % 5 {
		case 1:
			rec.Expiry = c.t + 100
		case 2:
			rec.Expiry = c.t + 10
		}
		if _, err := tx.Put(rec); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			tx.Bump()
		}
		if i%11 == 0 {
			tx.SetMarks(true, false)
			tx.SetCAS(uint64(i) + 1)
		}
		tx.End()
	}
	s.FlushPrefix([]byte("key11"))
	before := map[string]Item{}
	s.Scan(func(it Item) bool { before[string(it.Key)] = it; cas[string(it.Key)] = it.CAS; return true })
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	for _, x := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.MaxBytes = 64 << 20 }, "memory limit in bytes was 8388608 and is now 67108864"},
		{func(o *Options) { o.MaxItemSize = 4096 }, "largest item in bytes was 1048576 and is now 4096"},
		{func(o *Options) { o.DisableCAS = true }, "use of CAS"},
	} {
		n := o
		x.change(&n)
		if _, err := New(n); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("opened with other settings: %v; want %q", err, x.says)
		}
	}

	c.t += 50
	s, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	check(t, s)
	n := 0
	for key, it := range before {
		tx := s.Begin([]byte(key))
		if found := tx.Find(); found != (it.Expiry == 0 || it.Expiry > c.t) {
			t.Errorf("%q, which expires at %d: found %v at %d", key, it.Expiry, found, c.t)
		} else if found {
			n++
			if !intact(key, tx.Value()) || tx.CAS() != it.CAS || tx.Flags() != it.Flags || tx.Expiry() != it.Expiry ||
				tx.Fetched() != it.Fetched || tx.LastAccess() != it.LastAccess {
				t.Errorf("%q is not what it was", key)
			}
		}
		tx.End()
	}
	if st := s.Stats(); n < 500 || int(st.Items) != n {
		t.Errorf("%d items came back, %d are there", n, st.Items)
	}
	// Life goes on.
	for i := range 20_000 {
		key := fmt.Sprint("new", i)
		put(t, s, key, string(sealed(key, 500, 2)), 0)
	}
	check(t, s)
	s.FlushAll(c.t + 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.t += 10
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	if wantNone(t, s, "new19999"); s.Stats().Items > 0 {
		s.Crawl(nil, nil)
	}
	if st := s.Stats(); st.Items != 0 {
		t.Errorf("%d items survived a flush that was due while the store was closed", st.Items)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestRestartRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items")
	if err := os.WriteFile(path, []byte(strings.Repeat("these are not items ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{MaxBytes: 2 << 20, Path: path}); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a file that is something else: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(b), "these") {
		t.Errorf("it was changed: %.20q, %v", b, err)
	}
	if _, err := New(Options{MaxBytes: 2 << 20, Path: filepath.Join(path, "no", "such")}); !errors.Is(err, ErrSnapshot) {
		t.Errorf("no such folder: %v", err)
	}
}

// The operations of a process to be killed: what operation i does follows from i alone.
const (
	killedKeys  = 600
	killedBatch = 16
)

type killedOp struct {
	key    string
	prefix string // to be flushed, "" for none
	del    bool
	touch  bool
	inc    bool
	size   int
}

func killedAt(i uint64) killedOp {
	r := rand.New(rand.NewPCG(i, 99))
	op := killedOp{key: fmt.Sprintf("%c:%d", 'a'+r.IntN(4), r.IntN(killedKeys/4)), size: 12 + r.IntN(200)}
	switch n := r.IntN(1000); {
	case n == 0:
		op.prefix = op.key[:2]
	case n < 100:
		op.del = true
	case n < 400:
		op.inc = true
	case n < 450:
		op.touch = true
	case n < 500:
		op.size += r.IntN(30_000)
	}
	return op
}

func killedOptions(path string) Options {
	return Options{MaxBytes: 2 << 20, NoSweep: true, Path: path, Now: func() int64 { return 1_800_000_000 }}
}

// TestKilledChild is the process that TestKill kills.
func TestKilledChild(t *testing.T) {
	path := os.Getenv("STORE_KILLED")
	if path == "" {
		t.Skip("only runs as a child of TestKill")
	}
	s, err := New(killedOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); ; i++ {
		op := killedAt(i)
		if op.prefix != "" {
			s.FlushPrefix([]byte(op.prefix))
			continue
		}
		tx := s.Begin([]byte(op.key))
		found := tx.Find()
		switch {
		case op.del && found:
			tx.Delete()
		case op.touch && found:
			tx.SetExpiry(2_000_000_000)
		case op.inc && found:
			tx.Overwrite(sealed(op.key, len(tx.Value()), i))
		case !op.del && !op.touch && !op.inc:
			if _, err := tx.Put(Record{Parts: [2][]byte{sealed(op.key, op.size, i)}}); err != nil {
				t.Fatal(err)
			}
		}
		tx.End()
		if i%killedBatch == 0 {
			if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, i)); err != nil {
				return
			}
		}
	}
}

// TestKill kills a process in the midst of its work, again and again, and looks at what it left.
func TestKill(t *testing.T) {
	runs := 8
	if testing.Short() || raceEnabled {
		runs = 2
	}
	for run := range runs {
		path := filepath.Join(t.TempDir(), "items")
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		cmd.Env = append(os.Environ(), "STORE_KILLED="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(out)
		var acked uint64
		buf := make([]byte, 8)
		for goal := uint64(5000 + run*7777); acked < goal; {
			if _, err := io.ReadFull(in, buf); err != nil {
				t.Fatalf("the child ended by itself after %d: %v", acked, err)
			}
			acked = binary.LittleEndian.Uint64(buf)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := io.ReadFull(in, buf); err != nil {
				break
			}
			acked = binary.LittleEndian.Uint64(buf)
		}
		_ = cmd.Wait() // it was killed
		afterKill(t, path, acked)
	}
}

// afterKill checks that the items in the file are whole and not older than the last thing known to have been done to their keys.
func afterKill(t *testing.T, path string, acked uint64) {
	t.Helper()
	s, err := New(killedOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check(t, s)
	put, gone := map[string]uint64{}, map[string]uint64{}
	for i := uint64(1); i <= acked; i++ {
		op := killedAt(i)
		switch {
		case op.prefix != "":
			for k := range killedKeys / 4 {
				gone[fmt.Sprint(op.prefix, k)] = i
			}
		case op.del:
			gone[op.key] = i
		case !op.touch && !op.inc:
			put[op.key] = i
		}
	}
	n := 0
	s.Scan(func(it Item) bool {
		n++
		key := string(it.Key)
		tx := s.Begin(it.Key)
		defer tx.End()
		if !tx.Find() || !intact(key, tx.Value()) {
			t.Errorf("%q is corrupt", key)
			return true
		}
		if v := binary.LittleEndian.Uint64(tx.Value()); v < put[key] || v < gone[key] {
			t.Errorf("%q is of operation %d, but was stored anew at %d and removed at %d", key, v, put[key], gone[key])
		}
		return true
	})
	if n < killedKeys/10 {
		t.Errorf("only %d items came back", n)
	}
}

// The size that memcached's hash table would have only grows, and a restart does not make it smaller.
func TestHashPower(t *testing.T) {
	c := &clock{t: 1_800_000_000}
	o := Options{MaxBytes: 16 << 20, Now: c.now, NoSweep: true, Path: filepath.Join(t.TempDir(), "items")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(n, power int) {
		t.Helper()
		for i := s.Stats().Items; i < int64(n); i++ {
			put(t, s, fmt.Sprint("key", i), "", 0)
		}
		if got := s.Stats().HashPower; got != power {
			t.Errorf("%d items: power %d, want %d", n, got, power)
		}
	}
	fill(1, 0)
	fill(3<<9, 10)
	fill(3<<12, 13)
	fill(3<<12+1, 14)
	s.FlushAll(c.t)
	c.t += 2
	s.Crawl(nil, nil)
	if st := s.Stats(); st.Items != 0 || st.HashPower != 14 {
		t.Errorf("%d items left by a flush, power %d, want 14", st.Items, st.HashPower)
	}
	fill(3, 14)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Items != 3 || st.HashPower != 14 {
		t.Errorf("after a restart: %d items, power %d, want 3 and 14", st.Items, st.HashPower)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The number of loops decides how a new file is laid out, and is not asked of an
// old one.
func TestRestartWithOtherLoops(t *testing.T) {
	o := Options{MaxBytes: 64 << 20, Loops: 1, Path: filepath.Join(t.TempDir(), "items")}
	for _, loops := range []int{4, 1, 0} {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if o.Loops == 1 {
			put(t, s, "key", "value", 0)
		}
		if want(t, s, "key", "value"); len(s.shards) != 16 {
			t.Errorf("%d shards", len(s.shards))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.Loops = loops
	}
}

// The image of a disk begins with zeros, and is left alone.
func TestRestartRefusesImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	image := append(make([]byte, 1080), 0x53, 0xef)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{MaxBytes: 2 << 20, Path: path}); !errors.Is(err, ErrSnapshot) {
		t.Errorf("an image: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(image) {
		t.Errorf("it was changed: %d bytes, %v", len(b), err)
	}
}

// A process may be killed before the superblock is complete. The file it leaves,
// whatever its size, is new.
func TestRestartUnfinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items")
	for _, size := range []int64{0, 1, 4096, 77 << 20} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s, err := New(Options{MaxBytes: 2 << 20, Path: path})
			if err != nil {
				t.Fatalf("a file of %d zeros: %v", size, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A file may be so long that its last locations need more than 38 bits, and as
// long as locations reach. Nearly all of it is a hole.
func TestRestartLargeFile(t *testing.T) {
	for _, limit := range []int64{43 << 30, MaxLimit} {
		path := filepath.Join(t.TempDir(), "items")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, min(limit*6+leastFile, mostAddresses)); err != nil {
			t.Skipf("the file system has no files of that length: %v", err)
		}
		large := strings.Repeat("large", 100_000)
		for run := range 2 {
			s, err := New(Options{MaxBytes: limit, Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if run == 0 {
				s.pool.Skip(s.pool.Extents-arena.Loc(200*s.pool.Seg), arena.Loc(s.pool.Size())-4<<20)
				for i := range 1000 {
					put(t, s, fmt.Sprint("key", i), fmt.Sprint("value", i), 0)
				}
				put(t, s, "large", large, 0)
			}
			for i := range 1000 {
				want(t, s, fmt.Sprint("key", i), fmt.Sprint("value", i))
			}
			want(t, s, "large", large)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A bit that was flipped in the file costs the item that it was in: neither a
// wrong value nor a wrong key is served.
func TestRestartFlippedBits(t *testing.T) {
	c := &clock{t: 1_800_000_000}
	o := Options{MaxBytes: 4 << 20, Now: c.now, NoSweep: true, Path: filepath.Join(t.TempDir(), "items")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	put(t, s, "large", string(sealed("large", 100_000, 1)), 0)
	for i := range n {
		key := fmt.Sprint("key", i)
		put(t, s, key, string(sealed(key, 20+i%300, 1)), 0)
		tx := s.Begin([]byte(key))
		tx.Find()
		switch i % 5 { // each kind of change in place keeps the checksum right
		case 0:
			tx.SetMarks(true, true)
		case 1:
			tx.SetCAS(77)
			tx.SetCAS(78)
		case 2:
			tx.SetExpiry(c.t + 1000)
			tx.SetExpiry(c.t + 2000)
		case 3:
			tx.Overwrite(sealed(key, 20+i%300, 2))
			tx.Overwrite(sealed(key, 20+i%300, 3))
		}
		tx.End()
	}
	items := s.Stats().Items
	var flips []int64
	rnd := rand.New(rand.NewPCG(3, 4))
	s.Scan(func(it Item) bool {
		if rnd.IntN(20) == 0 || string(it.Key) == "large" {
			tx := s.Begin(it.Key)
			if tx.Find() { // in the key, the value or the header, but not in the length
				at := int(tx.r.key) - 1 + rnd.IntN(len(tx.r.b)-int(tx.r.key)+1)
				flips = append(flips, int64(tx.r.loc)+int64(at))
			}
			tx.End()
		}
		return true
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(o.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range flips {
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1 << rnd.IntN(8)
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Damaged != uint64(len(flips)) || st.Items != items-int64(len(flips)) {
		t.Errorf("%d items damaged: %d found, %d of %d left", len(flips), st.Damaged, st.Items, items)
	}
	s.Scan(func(it Item) bool {
		tx := s.Begin(it.Key)
		defer tx.End()
		if !tx.Find() || !intact(string(it.Key), tx.Value()) {
			t.Errorf("%q is corrupt", it.Key)
		}
		return true
	})
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
