package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDelay checks that a receipt comes Delay after its Put, and that the next
// Put beyond MaxOutstanding waits for it.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New(memory.Options{Delay: time.Second})
		defer e.Close()
		q, err := e.Queue(t.Context(), "jobs", engine.QueueConfig{MaxOutstanding: 2})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var receipts []time.Duration
		for i := range 4 {
			m := engine.Message{Frames: [][]byte{{byte(i)}}}
			err := q.Put(t.Context(), m, func(_ engine.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
				receipts = append(receipts, time.Since(start))
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := time.Duration(i/2) * time.Second; time.Since(start) != want {
				t.Errorf("put %d returned after %v, want %v", i, time.Since(start), want)
			}
		}
		jobs, err := q.Get(context.Background(), 4)
		if err != nil || len(jobs) == 0 {
			t.Fatalf("Get returned %d jobs, %v", len(jobs), err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(receipts) != 4 || receipts[3] != 2*time.Second {
			t.Errorf("receipts after %v, want the last of 4 after 2s", receipts)
		}
	})
}
