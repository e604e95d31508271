package store

// ghost remembers which items left small unused, as 12 bits of their hash and 4 of the time. It is an array of buckets of
// ghostWays entries; an entry is forgotten after about as many departures as it was made for, or when its bucket is full and it
// is the oldest there.
type ghost struct {
	entries []uint16 // tag<<4 | epoch, 0 for none
	keep    int      // departures remembered
	epoch   uint16   // 0 to 15
	count   int      // departures in this epoch
	hand    int      // bucket to be cleaned next
}

const (
	ghostWays   = 8
	ghostEpochs = 12 // an entry this old is forgotten; the clock has 16 hours so that it is not taken for new before it is cleaned
)

func (g *ghost) age(e uint16) uint16 { return (g.epoch - e) & 15 }

// size makes the memory right for a shard of so many items and returns by how many bytes it grew. To remember as many
// departures as half to three quarters of the items does best on the traces; more gains nothing.
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

// add remembers a departure.
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

// clean forgets what is too old in the next bucket; each is visited before the clock is round.
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

// take tells whether h left not long ago, and forgets it.
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
