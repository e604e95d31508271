package store

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// replay asks for the keys in order, stores what is missing, and returns the share of the requests that missed.
func replay(t testing.TB, s *Store, keys []string, value []byte) float64 {
	t.Helper()
	missed := 0
	for _, k := range keys {
		tx := s.Begin([]byte(k))
		if tx.Find() {
			tx.Bump()
		} else {
			missed++
			if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
				t.Fatal(err)
			}
		}
		tx.End()
	}
	return float64(missed) / float64(len(keys))
}

// TestRecordedTraces replays the files *.gz, one decimal key a line, of the folder named by LINTEL_TRACES, with values sized so
// that a quarter and a tenth of the keys fit in 64 MiB, and logs the miss ratios.
func TestRecordedTraces(t *testing.T) {
	dir := os.Getenv("LINTEL_TRACES")
	if dir == "" {
		t.Skip("LINTEL_TRACES is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces in %s: %v", dir, err)
	}
	for _, name := range files {
		keys, distinct := readTrace(t, name)
		for _, part := range []int{4, 10} {
			const limit = 64 << 20
			n := min(limit*part/distinct-64, 1_000_000)
			s, _ := open(t, Options{MaxBytes: limit})
			ratio := replay(t, s, keys, make([]byte, n))
			st := s.Stats()
			t.Logf("%-20s 1/%-2d of %6d keys, %6d B values: miss ratio %.4f, %d items held", filepath.Base(name), part, distinct,
				n, ratio, st.Items)
		}
	}
}

func readTrace(t testing.TB, name string) (keys []string, distinct int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		distinct = max(distinct, n+1)
		keys = append(keys, "key:"+lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return keys, distinct
}

// TestCapacity logs how many items fit, when LINTEL_CAPACITY names the limit in MiB.
func TestCapacity(t *testing.T) {
	mib, err := strconv.Atoi(os.Getenv("LINTEL_CAPACITY"))
	if err != nil {
		t.Skip("LINTEL_CAPACITY is not set")
	}
	for _, n := range []int{32, 100, 500} {
		s, err := New(Options{MaxBytes: int64(mib) << 20})
		if err != nil {
			t.Fatal(err)
		}
		value := make([]byte, n)
		for i := range mib << 20 / n * 2 {
			tx := s.Begin(fmt.Appendf(nil, "key:%012d", i))
			if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
				t.Fatal(err)
			}
			tx.End()
		}
		st := s.Stats()
		rss := resident(t)
		t.Logf("%d B values: %d items, %.1f B of the limit each; index %.1f B each; resident %d MiB, %.1f B each", n, st.Items,
			float64(st.Limit)/float64(st.Items), float64(st.HashBytes)/float64(st.Items), rss>>20, float64(rss)/float64(st.Items))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
