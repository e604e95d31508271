package store

// ghost remembers which items were evicted from the small queue: 12 bits of the
// hash and 4 bits of the time. It is an array of buckets of ghostWays entries. An
// entry is dropped after keep more evictions, or when it is the oldest of a full
// bucket.
type ghost struct {
	entries []uint16 // tag<<4 | epoch, 0 for none
	keep    int      // evictions remembered
	epoch   uint16   // 0 to 15
	count   int      // evictions in this epoch
	hand    int      // bucket to clean next
}

const (
	ghostWays   = 8
	ghostEpochs = 12 // age of an entry at which it is dropped; of 16, so that it is cleaned before it looks new
)

func (g *ghost) age(e uint16) uint16 { return (g.epoch - e) & 15 }

// size adapts the ghost to a shard of so many items and returns the bytes by which
// it grew. Remembering half to three quarters as many evictions as there are items
// does best on the traces.
func (g *ghost) size(items int) int64 {
	n := (max(items*2/3, 64) + ghostWays) / ghostWays * ghostWays
	if have := len(g.entries); n <= have+have/3 && n >= have/3 && have > 0 {
		return 0
	}
	d := int64(n-len(g.entries)) * 2
	*g = ghost{entries: make([]uint16, n), keep: n * 9 / 10}
	return d
}

func (g *ghost) bucket(h uint64) ([]uint16, uint16) {
	n := uint64(len(g.entries) / ghostWays)
	i := (h >> tagBits & (1<<32 - 1)) * n >> 32 * ghostWays
	tag := uint16(h>>4&0xfff) << 4
	if tag == 0 {
		tag = 1 << 4
	}
	return g.entries[i : i+ghostWays], tag
}

// add remembers an eviction.
func (g *ghost) add(h uint64) {
	if len(g.entries) == 0 {
		return
	}
	g.count++
	if g.count > g.keep/ghostEpochs {
		g.count = 0
		g.epoch = (g.epoch + 1) & 15
	}
	g.clean()
	b, tag := g.bucket(h)
	oldest := 0
	for i, e := range b {
		if e == 0 || e&^15 == tag {
			oldest = i
			break
		}
		if g.age(e) > g.age(b[oldest]) {
			oldest = i
		}
	}
	b[oldest] = tag | g.epoch
}

// clean drops old entries of the next bucket. It visits each before the epoch wraps.
func (g *ghost) clean() {
	b := g.entries[g.hand : g.hand+ghostWays]
	for i, e := range b {
		if e != 0 && g.age(e) > ghostEpochs {
			b[i] = 0
		}
	}
	if g.hand += ghostWays; g.hand == len(g.entries) {
		g.hand = 0
	}
}

// take reports whether h was evicted recently, and drops it.
func (g *ghost) take(h uint64) bool {
	if len(g.entries) == 0 {
		return false
	}
	b, tag := g.bucket(h)
	for i, e := range b {
		if e&^15 == tag && g.age(e) <= ghostEpochs {
			b[i] = 0
			return true
		}
	}
	return false
}
