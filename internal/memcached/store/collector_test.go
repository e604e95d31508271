package store

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestCollector logs, when LINTEL_COLLECTOR is a number of items, how long a collection takes and how long look-ups do while
// one follows the other, in a store of so many items and in one of the 10,000 that are looked for.
func TestCollector(t *testing.T) {
	items, err := strconv.Atoi(os.Getenv("LINTEL_COLLECTOR"))
	if err != nil {
		t.Skip("LINTEL_COLLECTOR is not set")
	}
	value := make([]byte, 32)
	keys := make([][]byte, 10_000)
	for _, n := range []int{len(keys), items} {
		s, _ := open(t, Options{MaxBytes: int64(items)*80 + 64<<20})
		for i := range n {
			key := fmt.Appendf(nil, "key:%012d", i)
			if i < len(keys) {
				keys[i] = key
			}
			tx := s.Begin(key)
			if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
				t.Fatal(err)
			}
			tx.End()
		}
		if st := s.Stats(); st.Items != int64(n) {
			t.Fatalf("%d of %d items held", st.Items, n)
		}
		var cycles []time.Duration
		for range 50 {
			began := time.Now()
			runtime.GC()
			cycles = append(cycles, time.Since(began))
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC()
				}
			}
		}()
		took := make([]time.Duration, 1_000_000)
		for i := range took {
			began := time.Now()
			tx := s.Begin(keys[i*7919%len(keys)])
			if !tx.Find() {
				t.Fatal("an item is gone")
			}
			tx.Bump()
			tx.End()
			took[i] = time.Since(began)
		}
		close(stop)
		<-stopped
		slices.Sort(cycles)
		slices.Sort(took)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%8d items: a collection takes %v (median of %d); a look-up during collections %v, p99 %v, p99.9 %v; %d KiB of Go heap",
			n, cycles[len(cycles)/2], len(cycles), took[len(took)/2], took[len(took)*99/100], took[len(took)*999/1000], m.HeapAlloc>>10)
	}
}
