package exec

import (
	"iter"
	"strconv"

	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// scanStep is how many items a scan visits before other connections continue.
const scanStep = 512

// Scan is a command that visits all items.
type Scan struct {
	Each   func(b *Batch, it store.Item) (more bool)
	Finish func(b *Batch) // after the last item
	Crawl  bool           // counts as a run of the crawler: see Crawler.Begin

	next   func() (store.Item, bool)
	cancel func()
}

// StartScan makes s the pending command of the connection.
func (b *Batch) StartScan(s *Scan) {
	s.next, s.cancel = iter.Pull(func(yield func(store.Item) bool) { b.Engine.Items.Scan(yield) })
	b.Conn.Pending = s
}

// Step implements Pending.
func (s *Scan) Step(b *Batch, _ []byte) (n int, step netloop.Step) {
	for range scanStep {
		it, ok := s.next()
		if !ok || !s.Each(b, it) {
			s.Finish(b)
			s.Stop(b.Engine)
			return 0, netloop.Next
		}
		if b.W.Full() {
			break
		}
	}
	return 0, netloop.Yield
}

// Stop implements Pending.
func (s *Scan) Stop(e *Engine) {
	s.cancel()
	if s.Crawl {
		e.Crawler.end()
	}
}

// sizeBucket is the width of the buckets of stats sizes, in bytes.
const sizeBucket = 32

// ScanSizes is stats sizes: it counts the items of each size. stat and end encode
// the result.
func (b *Batch) ScanSizes(stat func(b *Batch, name, value string), end func(b *Batch)) {
	if !b.TrackSizes {
		stat(b, "sizes_status", "disabled")
		end(b)
		return
	}
	counts := make([]uint64, b.MaxItemSize/sizeBucket+2)
	b.StartScan(&Scan{
		Each: func(_ *Batch, it store.Item) bool {
			counts[min((it.Size+sizeBucket-1)/sizeBucket, len(counts)-1)]++
			return true
		},
		Finish: func(b *Batch) {
			for i, n := range counts {
				if n > 0 {
					stat(b, strconv.Itoa(i*sizeBucket), strconv.FormatUint(n, 10))
				}
			}
			end(b)
		},
	})
}
