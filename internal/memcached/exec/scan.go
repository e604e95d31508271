package exec

import (
	"strconv"

	"lintel.dev/internal/memcached/store"
)

// scanStep is how many items a scan visits before it pauses.
const scanStep = 512

// scanEmit is how much of a reply a scan collects, in bytes.
const scanEmit = 16 << 10

// Scan returns a Job that visits all items. each appends what the reply says of an
// item, and returns false to end the scan. finish appends the end of the reply.
func Scan(each func(b []byte, it *store.Item) (out []byte, more bool), finish func(b []byte) []byte) *Job {
	return &Job{Run: func(j *Job) {
		var b []byte
		n := 0
		for it := range j.engine.Items.Scan {
			var more bool
			if b, more = each(b, &it); !more {
				break
			}
			n++
			pause := n%scanStep == 0
			if !pause && len(b) < scanEmit {
				continue
			}
			if len(b) > 0 && !j.Emit(b) || pause && !j.Pause() {
				return
			}
			b = b[:0]
		}
		j.Emit(finish(b))
	}}
}

// sizeBucket is the width of the buckets of stats sizes, in bytes.
const sizeBucket = 32

// ScanSizes is stats sizes: it counts the items of each size. appendStat and end
// encode the result. It returns false over UDP.
func (b *Batch) ScanSizes(appendStat func(b []byte, name, value string) []byte, end func(b []byte) []byte) bool {
	if !b.TrackSizes {
		b.W.B = end(appendStat(b.W.B, "sizes_status", "disabled"))
		return true
	}
	counts := make([]uint64, b.MaxItemSize/sizeBucket+2)
	return b.StartJob(Scan(func(out []byte, it *store.Item) ([]byte, bool) {
		counts[min((it.Size+sizeBucket-1)/sizeBucket, len(counts)-1)]++
		return out, true
	}, func(out []byte) []byte {
		for i, n := range counts {
			if n > 0 {
				out = appendStat(out, strconv.Itoa(i*sizeBucket), strconv.FormatUint(n, 10))
			}
		}
		return end(out)
	}))
}
