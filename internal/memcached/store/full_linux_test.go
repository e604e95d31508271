package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFileSystemFull stores more than the file system has space for: items are
// evicted, the process is not killed, and what is there is intact.
func TestFileSystemFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	c := &clock{t: 1_800_000_000}
	o := Options{MaxBytes: 32 << 20, Now: c.now, NoSweep: true, Path: filepath.Join(dir, "items")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) string { return fmt.Sprint("key", i) }
	refused := 0
	for i := range 60_000 {
		size := 500
		if i%50 == 0 {
			size = 30_000
		}
		if i == 20_000 { // what others of the file system need is not missed
			if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 64<<10), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
		}
		tx := s.Begin([]byte(key(i)))
		_, err := tx.Put(Record{Parts: [2][]byte{sealed(key(i), size, 1)}})
		tx.End()
		if err != nil {
			refused++
		}
	}
	st := s.Stats()
	if st.FileSystemFull == 0 || st.Evictions == 0 || st.Items < 5_000 || refused > 0 {
		t.Errorf("full %d times, %d evictions, %d items, %d refused", st.FileSystemFull, st.Evictions, st.Items, refused)
	}
	check(t, s)
	intactAll := func() int {
		n := 0
		s.Scan(func(it Item) bool {
			tx := s.Begin(it.Key)
			defer tx.End()
			if !tx.Find() || !intact(string(it.Key), tx.Value()) {
				t.Errorf("%q is corrupt", it.Key)
			}
			n++
			return true
		})
		return n
	}
	n := intactAll()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	if after := intactAll(); after != n {
		t.Errorf("%d items after a restart, %d before", after, n)
	}
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// Without space for the file there is none.
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 12<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	o.Path = filepath.Join(dir, "second")
	if _, err := New(o); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a file without space: %v", err)
	}
}
