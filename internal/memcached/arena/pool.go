package store

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// hugeFrom is the limit from which the segments of small items are worth huge pages.
const hugeFrom = 64 << 20

const (
	page    = 4096
	quantum = 512 // unit of extents
	quanta  = page / quantum
)

// pool hands out address space and accounts for memory. Its reservation is several times as large as the memory it may use, so
// that a large item always finds addresses in one piece, whatever is scattered over the rest: what is bounded is the pages.
//
// Below extents lie slots of one segment each; above, extents for items that have a segment to themselves.
type pool struct {
	base    unsafe.Pointer
	size    int64
	extents int64
	seg     int64          // bytes of a segment
	bits    unsafe.Pointer // what the bitmaps below lie in
	nbits   int64
	file    *file // what the memory is a mapping of, nil for none

	limit atomic.Int64
	used  atomic.Int64 // bytes of segments, extents, indexes and ghosts

	mu     sync.Mutex
	warm   []uint32 // free slots whose pages are still resident
	cold   []uint32 // free slots whose pages were given back
	next   uint32   // slots from here on were never used
	bitmap []uint64 // quanta of the extents in use
	cursor int
	idled  []uint64 // idle pages of the extents that are still resident
	idles  []run    // runs of pages that went idle, the longest ago first; some may be in use again
	nidle  int64    // pages in idled
	holes  [256]int // where an extent was freed last, by its size
}

type run struct{ first, end int64 }

// maxLimit is the largest limit that the reservation serves.
func (p *pool) maxLimit() int64 { return p.extents / 5 * 4 }

func (p *pool) init(size, seg, limit int64) {
	p.seg = seg
	p.limit.Store(limit)
	p.extents = size / 3 / (seg * 64) * (seg * 64)
	p.size = p.extents + (size-p.extents)/(64*quantum)*(64*quantum)
	p.next = 1 // the first slot stays empty: location 0 is none
}

// mapBits takes memory for the bitmaps. It is not Go's: of its many bytes few are ever touched, but the collector would count
// them all when it decides how much garbage to let lie.
func (p *pool) mapBits() error {
	n := (p.size - p.extents) / quantum / 64
	idled := (n/quanta/512 + 1) * 512 // words, in whole pages
	all := (n+511)/512*512 + idled
	base, err := reserve(all * 8)
	if err != nil {
		return fmt.Errorf("store: reserving %d bytes of addresses: %w", all*8, err)
	}
	p.bits, p.nbits = base, all*8
	if err := commit(base, all*8); err != nil {
		return fmt.Errorf("store: taking %d bytes of memory: %w", all*8, err)
	}
	smallPages(base, all*8)
	words := unsafe.Slice((*uint64)(base), all)
	p.bitmap, p.idled = words[:n:n], words[all-idled:]
	return nil
}

// anonymous takes memory that nothing else has to do with.
func (p *pool) anonymous() error {
	base, err := reserve(p.size)
	if err != nil {
		return fmt.Errorf("store: reserving %d bytes of addresses: %w", p.size, err)
	}
	p.base = base
	smallPages(p.at(p.extents), p.size-p.extents)
	if p.limit.Load() >= hugeFrom {
		hugePages(base, p.extents)
	}
	return nil
}

func (p *pool) close() error {
	var errs [2]error
	if p.bits != nil {
		errs[0] = unreserve(p.bits, p.nbits)
	}
	if p.file != nil {
		errs[1] = p.file.close()
	} else if p.base != nil {
		errs[1] = unreserve(p.base, p.size)
	}
	return errors.Join(errs[:]...)
}

func (p *pool) at(loc int64) unsafe.Pointer { return unsafe.Add(p.base, loc) }

func (p *pool) bytes(loc, n int64) []byte { return unsafe.Slice((*byte)(unsafe.Add(p.base, loc)), n) }

func (p *pool) segment(base int64) *segment { return (*segment)(unsafe.Add(p.base, base)) }

// baseOf returns the segment that the record at loc is in.
func (p *pool) baseOf(loc int64) int64 {
	if loc < p.extents {
		return loc &^ (p.seg - 1)
	}
	return loc &^ (quantum - 1)
}

func (p *pool) fits(n int64) bool { return p.used.Load()+n <= p.limit.Load() }

// takeSegment returns a free slot, 0 when there is none within the limit. Force ignores the limit: it is for moving records in
// order to free other segments.
func (p *pool) takeSegment(force bool) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !force && !p.fits(p.seg) {
		return 0
	}
	var slot uint32
	switch {
	case len(p.warm) > 0:
		slot, p.warm = p.warm[len(p.warm)-1], p.warm[:len(p.warm)-1]
	case len(p.cold) > 0:
		slot, p.cold = p.cold[len(p.cold)-1], p.cold[:len(p.cold)-1]
	case int64(p.next+1)*p.seg <= p.extents:
		if commit(p.at(int64(p.next)*p.seg), p.seg) != nil {
			return 0
		}
		slot = p.next
		p.next++
		if p.file != nil {
			atomic.StoreUint32(&(*superblock)(p.base).next, p.next)
		}
	default:
		return 0
	}
	p.used.Add(p.seg)
	p.trim()
	return int64(slot) * p.seg
}

func (p *pool) giveSegment(base int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used.Add(-p.seg)
	p.warm = append(p.warm, uint32(base/p.seg))
	p.trim()
}

// trim gives pages back to the system as long as those in use and idle ones together exceed the limit.
func (p *pool) trim() {
	excess := func() bool {
		return p.used.Load()+int64(len(p.warm))*p.seg+p.nidle*page > p.limit.Load()
	}
	for len(p.idles) > 0 && excess() {
		r := p.idles[0]
		p.idles = p.idles[1:]
		for r.first < r.end {
			end := r.first
			for end < r.end && p.idled[end/64]>>(end%64)&1 != 0 {
				p.idled[end/64] &^= 1 << (end % 64)
				end++
			}
			if n := end - r.first; n > 0 {
				p.nidle -= n
				p.release(p.extents+r.first*page, n*page)
			}
			r.first = end + 1
		}
	}
	for len(p.warm) > 0 && excess() {
		slot := p.warm[len(p.warm)-1]
		p.warm = p.warm[:len(p.warm)-1]
		p.release(int64(slot)*p.seg, p.seg)
		p.cold = append(p.cold, slot)
	}
}

// charge counts d bytes that an index or a ghost takes, or gives back when negative.
func (p *pool) charge(d int64) {
	if p.used.Add(d); d > 0 {
		p.trimNow()
	}
}

func (p *pool) trimNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trim()
}

func (p *pool) release(base, n int64) {
	if p.file != nil {
		p.file.punch(base, n)
		return
	}
	decommit(p.at(base), n)
	_ = commit(p.at(base), n) // of pages just given back; where it can fail at all, the next use reports it
}

// takeExtent returns n bytes, a multiple of quantum, in one piece; 0 when there is no room within the limit, which force
// ignores.
func (p *pool) takeExtent(n int64, force bool) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !force && !p.fits(n) {
		return 0
	}
	want := int(n / quantum)
	// A hole of just this size leaves no pages half used; what was freed last often is one.
	at := p.holes[want%len(p.holes)]
	if p.run(at, at+want, want) != at {
		// Twice the limit is gone through round and round, so that no more page tables are filled than needed.
		all := len(p.bitmap) * 64
		window := min(all, int(p.limit.Load()/quantum)*2)
		if at = p.run(min(p.cursor, window), window, want); at < 0 {
			at = p.run(0, all, want)
		}
		if at < 0 {
			return 0
		}
		p.cursor = at + want
	}
	base := p.extents + int64(at)*quantum
	if p.file == nil && commit(p.at(base), n) != nil {
		return 0
	}
	first, end := p.idle(at, want)
	p.mark(at, want, true)
	p.used.Add((end - first) * page)
	for i := first; i < end; i++ {
		if m := uint64(1) << (i % 64); p.idled[i/64]&m != 0 {
			p.idled[i/64] &^= m
			p.nidle--
		}
	}
	if p.file != nil {
		b := (*superblock)(p.base)
		atomic.StoreInt64(&b.high, max(b.high, int64(at+want)*quantum))
	}
	p.trim()
	return base
}

func (p *pool) giveExtent(base, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, want := int((base-p.extents)/quantum), int(n/quantum)
	p.mark(at, want, false)
	p.holes[want%len(p.holes)] = at
	if first, end := p.idle(at, want); end > first {
		p.used.Add(-(end - first) * page)
		for i := first; i < end; i++ {
			p.idled[i/64] |= 1 << (i % 64)
		}
		p.nidle += end - first
		// One run may be here twice, its pages are counted once; the list is kept from growing by what was used again.
		if p.idles = append(p.idles, run{first, end}); len(p.idles) > maxIdles {
			p.forgetIdles()
		}
		p.trim()
	}
}

// maxIdles bounds the list of idle runs.
const maxIdles = 1024

// forgetIdles drops the runs that have nothing idle left, and gives back the pages of the older half when that is not enough.
func (p *pool) forgetIdles() {
	kept := p.idles[:0]
	for _, r := range p.idles {
		for i := r.first; i < r.end; i++ {
			if p.idled[i/64]>>(i%64)&1 != 0 {
				kept = append(kept, r)
				break
			}
		}
	}
	p.idles = kept
	for _, r := range p.idles[:max(0, len(p.idles)-maxIdles/2)] {
		for i := r.first; i < r.end; i++ {
			if m := uint64(1) << (i % 64); p.idled[i/64]&m != 0 {
				p.idled[i/64] &^= m
				p.nidle--
				p.release(p.extents+i*page, page)
			}
		}
	}
	p.idles = append([]run(nil), p.idles[max(0, len(p.idles)-maxIdles/2):]...)
}

// idle returns which of the pages that want quanta from at on lie in have nothing in them: they are in a row.
func (p *pool) idle(at, want int) (first, end int64) {
	first, end = int64(at/quanta), int64((at+want+quanta-1)/quanta)
	if first < end && p.inUse(first) {
		first++
	}
	if first < end && p.inUse(end-1) {
		end--
	}
	return first, end
}

func (p *pool) inUse(page int64) bool {
	return p.bitmap[page*quanta/64]>>(page*quanta%64)&(1<<quanta-1) != 0
}

// run finds want free quanta in a row within [from, to), -1 when there are none.
func (p *pool) run(from, to, want int) int {
	start := from
	to = min(to, len(p.bitmap)*64)
	for i := from; i < to; {
		w := p.bitmap[i/64] >> (i % 64)
		if w == 0 {
			i += 64 - i%64
		} else if z := bits.TrailingZeros64(w); z > 0 {
			i += z
		} else {
			i += bits.TrailingZeros64(^w)
			start = i
			continue
		}
		if min(i, to)-start >= want {
			return start
		}
	}
	return -1
}

func (p *pool) mark(at, n int, used bool) {
	for n > 0 {
		k := min(n, 64-at%64)
		m := (^uint64(0) >> (64 - k)) << (at % 64)
		if used {
			p.bitmap[at/64] |= m
		} else {
			p.bitmap[at/64] &^= m
		}
		at, n = at+k, n-k
	}
}
