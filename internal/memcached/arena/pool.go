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
	most atomic.Int64 // limit of used, lower than asked while the file system is full
	full atomic.Uint64

	mu     sync.Mutex // guards what follows
	asked  int64
	high   *HighMark // in the file; nil for none
	warm   []uint32  // free segments whose pages are resident
	cold   []uint32  // free segments whose pages were returned
	next   uint32    // segments from this number on were never used
	bitmap []uint64  // quanta of the extents in use
	cursor int       // quantum where the search for a hole continues
	idled  []uint64  // pages of the extents that are free and resident
	idles  []run     // runs of such pages, the oldest first; some may be in use again
	nidle  int64     // pages in idled
	holes  [256]int  // where an extent was freed last, by its size
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
	p.asked = limit
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

// Limit returns how many bytes may be used. While the file system has no space it
// is what was in use when that was found.
func (p *Pool) Limit() int64 { return p.most.Load() }

// SetLimit changes the limit. What is used above it stays used.
func (p *Pool) SetLimit(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = n
	p.most.Store(n)
}

// Regrow restores a limit that was lowered because the file system was full. It
// is lowered again if that is still so.
func (p *Pool) Regrow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most.Store(p.asked)
}

// Full returns how often the file system had no space.
func (p *Pool) Full() uint64 { return p.full.Load() }

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
	data := int64(0) // segments that end before it are holes
	for ; p.next < n; p.next++ {
		base := Loc(int64(p.next) * p.Seg)
		if p.file != nil && int64(base) >= data {
			data = p.file.NextData(int64(base), int64(p.Extents))
		}
		switch {
		case int64(base)+p.Seg <= data:
			p.cold = append(p.cold, p.next)
		case valid(base):
			used = append(used, base)
			p.used.Add(p.Seg)
		default:
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
		slot = p.next
		p.next++
		if p.high != nil {
			atomic.StoreUint32(&p.high.Segments, p.next)
		}
	default:
		return 0
	}
	base := Loc(int64(slot) * p.Seg)
	if !p.ready(base, p.Seg) {
		p.cold = append(p.cold, slot)
		return 0
	}
	p.used.Add(p.Seg)
	p.shed(p.most.Load())
	return base
}

// ready makes n bytes at base usable. It returns false if the system has no
// memory or the file system no space. In that case it lowers the limit to what is
// in use, so that the next one that needs room frees some.
func (p *Pool) ready(base Loc, n int64) bool {
	if p.file == nil {
		return p.Commit(base, n) == nil
	}
	if p.file.Allocate(base, n) == nil {
		return true
	}
	p.shed(0) // return all free pages
	if p.file.Allocate(base, n) == nil {
		return true
	}
	p.full.Add(1)
	p.most.Store(min(p.most.Load(), p.used.Load()))
	return false
}

// GiveSegment frees a segment.
func (p *Pool) GiveSegment(base Loc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used.Add(-p.Seg)
	p.warm = append(p.warm, uint32(int64(base)/p.Seg))
	p.shed(p.most.Load())
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
	p.shed(p.most.Load())
}

// shed returns free pages to the system until no more than limit bytes are
// resident: pages of extents first, those freed longest ago before others. The
// caller holds p.mu.
func (p *Pool) shed(limit int64) {
	for len(p.idles) > 0 && p.excess(limit) {
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
	for len(p.warm) > 0 && p.excess(limit) {
		slot := p.warm[len(p.warm)-1]
		p.warm = p.warm[:len(p.warm)-1]
		p.release(Loc(int64(slot)*p.Seg), p.Seg)
		p.cold = append(p.cold, slot)
	}
}

// excess reports whether more than limit bytes are resident.
func (p *Pool) excess(limit int64) bool {
	return p.used.Load()+int64(len(p.warm))*p.Seg+p.nidle*Page > limit
}

// release returns pages to the system. They can be used again.
func (p *Pool) release(base Loc, n int64) {
	if p.file != nil {
		p.file.Punch(base, n)
		return
	}
	p.Decommit(base, n)
	_ = p.Commit(base, n) // the pages were just returned; where it can fail, ready reports it
}
