package feed

import "time"

// entry is one message of a feed. Its slices are never changed.
type entry struct {
	seq     uint64
	time    time.Time
	topic   []byte
	payload []byte
	filler  bool // not for the user, see header
}

// entryOverhead is what an entry costs beside its topic and payload, in
// octets, as counted against the bound.
const entryOverhead = 96

func (e entry) octets() int64 { return entryOverhead + int64(len(e.topic)+len(e.payload)) }

// ring keeps the latest messages of a feed, bounded by number, octets and age.
// It is not safe for concurrent use.
type ring struct {
	maxMessages int
	maxOctets   int64
	maxAge      time.Duration // 0: unbounded

	buf    []entry // circular; its length is a power of two
	head   int     // index of the oldest
	n      int
	octets int64
	last   uint64 // number of the latest message ever added
}

// first returns the number of the oldest message held, last+1 if there is none.
func (r *ring) first() uint64 { return r.last - uint64(r.n) + 1 }

// add appends the next message. A message that exceeds maxOctets on its own is
// numbered and not kept.
func (r *ring) add(e entry) {
	r.last = e.seq
	if r.n == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = e
	r.n++
	r.octets += e.octets()
	for r.n > r.maxMessages || r.octets > r.maxOctets {
		r.drop()
	}
	r.expire(e.time)
}

// restart empties the ring. The next message follows last.
func (r *ring) restart(last uint64) {
	clear(r.buf)
	r.head, r.n, r.octets, r.last = 0, 0, 0, last
}

func (r *ring) grow() {
	bigger := make([]entry, max(16, 2*len(r.buf)))
	for i := range r.n {
		bigger[i] = r.buf[(r.head+i)&(len(r.buf)-1)]
	}
	r.buf, r.head = bigger, 0
}

func (r *ring) drop() {
	r.octets -= r.buf[r.head].octets()
	r.buf[r.head] = entry{}
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
}

// expire drops what is older than maxAge.
func (r *ring) expire(now time.Time) {
	for r.maxAge > 0 && r.n > 0 && now.Sub(r.buf[r.head].time) > r.maxAge {
		r.drop()
	}
}

// at returns message seq if the ring holds it.
func (r *ring) at(seq uint64) (entry, bool) {
	if seq < r.first() || seq > r.last {
		return entry{}, false
	}
	return r.buf[(r.head+int(seq-r.first()))&(len(r.buf)-1)], true
}
