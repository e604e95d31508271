package arena

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	// Page is the unit in which memory is counted and returned to the system.
	Page = 4096
	// Quantum is the unit of extents.
	Quantum = 512

	quanta = Page / Quantum
)

// HugeFrom is the limit from which the segments are backed by huge pages.
const HugeFrom = 64 << 20

// Pool hands out segments and extents of a Memory and accounts for them. Its
// methods are safe for concurrent use.
type Pool struct {
	Memory
	Seg     int64 // bytes of a segment, a power of two. It does not change.
	Extents Loc   // segments are below it, extents above. It does not change.

	bits Memory // holds bitmap and idled
	file *File  // that Memory is a mapping of, nil for none
	used atomic.Int64
	most atomic.Int64 // limit of used

	mu     sync.Mutex // guards what follows
	high   *HighMark  // in the file; nil for none
	warm   []uint32   // free segments whose pages are resident
	cold   []uint32   // free segments whose pages were returned
	next   uint32     // segments from this number on were never used
	bitmap []uint64   // quanta of the extents in use
	cursor int        // quantum where the search for a hole continues
	idled  []uint64   // pages of the extents that are free and resident
	idles  []run      // runs of such pages, the oldest first; some may be in use again
	nidle  int64      // pages in idled
	holes  [256]int   // where an extent was freed last, by its size
}

// run is a range of pages.
type run struct{ first, end int64 }

// HighMark is how far segments and extents were ever used. It lies in a file, so
// that they are found again.
type HighMark struct {
	Segments uint32 // segments from this number on were never used
	_        uint32
	Extents  int64 // bytes from Pool.Extents to the end of the last extent
}

// Open lays out size bytes of addresses for segments of seg bytes, a power of
// two. With a file, it must be mapped with PoolSize(size, seg) bytes. limit is
// the number of bytes that may be used. After an error, Close must be called as
// well.
func (p *Pool) Open(file *File, size, seg, limit int64) error {
	p.Seg = seg
	p.most.Store(limit)
	p.Extents, size = divide(size, seg)
	p.next = 1 // location 0 is none
	if p.file = file; file != nil {
		p.Memory = file.Memory
		return p.mapBits()
	}
	m, err := Reserve(size)
	if err != nil {
		return fmt.Errorf("arena: reserving %d bytes of addresses: %w", size, err)
	}
	p.Memory = m
	p.SmallPages(p.Extents, size-int64(p.Extents))
	if limit >= HugeFrom {
		p.HugePages(0, int64(p.Extents))
	}
	return p.mapBits()
}

// divide returns where extents begin in about size bytes, and the exact size.
func divide(size, seg int64) (Loc, int64) {
	extents := size / 3 / (seg * 64) * (seg * 64)
	return Loc(extents), extents + (size-extents)/(64*Quantum)*(64*Quantum)
}

// PoolSize returns the size, not above size, that Open uses.
func PoolSize(size, seg int64) int64 {
	_, exact := divide(size, seg)
	return exact
}

// mapBits takes memory for the bitmaps. It is outside the Go heap: few of its
// bytes are ever touched, but the garbage collector would count all of them
// when it decides how much garbage to allow.
func (p *Pool) mapBits() error {
	n := (p.size - int64(p.Extents)) / Quantum / 64
	idled := (n/quanta/512 + 1) * 512 // words, in whole pages
	all := (n+511)/512*512 + idled
	m, err := Reserve(all * 8)
	if err != nil {
		return fmt.Errorf("arena: reserving %d bytes of addresses: %w", all*8, err)
	}
	p.bits = m
	if err := m.Commit(0, all*8); err != nil {
		return fmt.Errorf("arena: taking %d bytes of memory: %w", all*8, err)
	}
	m.SmallPages(0, all*8)
	words := Slice[uint64](&m, 0, int(all))
	p.bitmap, p.idled = words[:n:n], words[all-idled:]
	return nil
}

// Close returns all memory, and closes the file if there is one.
func (p *Pool) Close() error {
	var errs [2]error
	if p.bits.size > 0 {
		errs[0] = p.bits.Release()
	}
	if p.file != nil {
		errs[1] = p.file.Close()
	} else if p.size > 0 {
		errs[1] = p.Release()
	}
	return errors.Join(errs[:]...)
}

// File returns the file that the memory is a mapping of, nil for none.
func (p *Pool) File() *File { return p.file }

// Limit returns how many bytes may be used.
func (p *Pool) Limit() int64 { return p.most.Load() }

// SetLimit changes the limit. What is used above it stays used.
func (p *Pool) SetLimit(n int64) { p.most.Store(n) }

// MaxLimit returns the largest limit that the addresses serve.
func (p *Pool) MaxLimit() int64 { return int64(p.Extents) / 5 * 4 }

// Used returns the bytes of segments, of pages of extents, and of what was
// charged.
func (p *Pool) Used() int64 { return p.used.Load() }

// Base returns the segment or extent that a location is in, given that an
// extent's users are interested in its first 512 bytes only.
func (p *Pool) Base(loc Loc) Loc {
	if loc < p.Extents {
		return loc &^ Loc(p.Seg-1)
	}
	return loc &^ (Quantum - 1)
}

// Fits reports whether n more bytes are within the limit.
func (p *Pool) Fits(n int64) bool { return p.used.Load()+n <= p.most.Load() }

// Skip leaves the memory below segments to the caller, and has the search for
// extents begin at extents. It is called before anything is taken.
func (p *Pool) Skip(segments, extents Loc) {
	p.next = uint32((int64(segments) + p.Seg - 1) / p.Seg)
	p.cursor = p.quantumOf(extents)
}

// Track keeps h up to date from now on.
func (p *Pool) Track(h *HighMark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.high = h
	atomic.StoreUint32(&h.Segments, p.next)
}

// RestoreSegments makes those of the first n segments used for which valid
// returns true, and the others free. It returns the used ones. It is called
// before anything is taken.
func (p *Pool) RestoreSegments(n uint32, valid func(Loc) bool) (used []Loc) {
	for ; p.next < n; p.next++ {
		if base := Loc(int64(p.next) * p.Seg); valid(base) {
			used = append(used, base)
			p.used.Add(p.Seg)
		} else {
			p.warm = append(p.warm, p.next)
		}
	}
	return used
}

// TakeSegment returns a free segment, or 0 if there is none within the limit.
// force ignores the limit: records are moved in order to free other segments.
func (p *Pool) TakeSegment(force bool) Loc {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !force && !p.Fits(p.Seg) {
		return 0
	}
	var slot uint32
	switch {
	case len(p.warm) > 0:
		slot, p.warm = p.warm[len(p.warm)-1], p.warm[:len(p.warm)-1]
	case len(p.cold) > 0:
		slot, p.cold = p.cold[len(p.cold)-1], p.cold[:len(p.cold)-1]
	case Loc(int64(p.next+1)*p.Seg) <= p.Extents:
		if p.file == nil && p.Commit(Loc(int64(p.next)*p.Seg), p.Seg) != nil {
			return 0
		}
		slot = p.next
		p.next++
		if p.high != nil {
			atomic.StoreUint32(&p.high.Segments, p.next)
		}
	default:
		return 0
	}
	p.used.Add(p.Seg)
	p.shed()
	return Loc(int64(slot) * p.Seg)
}

// GiveSegment frees a segment.
func (p *Pool) GiveSegment(base Loc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used.Add(-p.Seg)
	p.warm = append(p.warm, uint32(int64(base)/p.Seg))
	p.shed()
}

// Charge counts d bytes of memory that is not the pool's, or uncounts them if d
// is negative.
func (p *Pool) Charge(d int64) {
	if p.used.Add(d); d > 0 {
		p.Trim()
	}
}

// Trim returns free pages to the system until no more than the limit are
// resident.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shed()
}

// shed is Trim with p.mu held: pages of extents first, those freed longest ago
// before others.
func (p *Pool) shed() {
	for len(p.idles) > 0 && p.excess() {
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
				p.release(p.Extents+Loc(r.first*Page), n*Page)
			}
			r.first = end + 1
		}
	}
	for len(p.warm) > 0 && p.excess() {
		slot := p.warm[len(p.warm)-1]
		p.warm = p.warm[:len(p.warm)-1]
		p.release(Loc(int64(slot)*p.Seg), p.Seg)
		p.cold = append(p.cold, slot)
	}
}

// excess reports whether more than the limit is resident.
func (p *Pool) excess() bool {
	return p.used.Load()+int64(len(p.warm))*p.Seg+p.nidle*Page > p.most.Load()
}

// release returns pages to the system. They can be used again.
func (p *Pool) release(base Loc, n int64) {
	if p.file != nil {
		p.file.Punch(base, n)
		return
	}
	p.Decommit(base, n)
	_ = p.Commit(base, n) // the pages were just returned; where it can fail, TakeExtent reports it
}
