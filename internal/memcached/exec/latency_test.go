package exec

import (
	"testing"
	"time"
)

func TestBucketOf(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1, 999, 1000, 1001, 1999, 2000, 2001, 4000, 4001, time.Second, 1 << 20 * time.Microsecond, 1<<20*time.Microsecond + 1, time.Hour} {
		want := 0
		for want < NumBounds && d > Bound(want) {
			want++
		}
		if got := bucketOf(d); got != want {
			t.Errorf("bucketOf(%d) is %d, want %d", d, got, want)
		}
	}
}

// BenchmarkMeasure is what TrackLatency costs for each command.
func BenchmarkMeasure(b *testing.B) {
	batch := &Batch{Engine: &Engine{Config: Config{TrackLatency: true}}, loop: new(loopCounters)}
	for b.Loop() {
		batch.StartCommand()
		batch.EndCommand()
	}
}
