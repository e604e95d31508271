package arena

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// RestoreExtent makes the extent of size bytes at base used. It is called before
// anything is taken.
func (p *Pool) RestoreExtent(base Loc, size int64) {
	at, n := p.quantumOf(base), int(size/Quantum)
	first, end := p.empty(at, n)
	p.set(at, n, true)
	p.used.Add((end - first) * Page)
}

func (p *Pool) quantumOf(base Loc) int { return int((base - p.Extents) / Quantum) }

// TakeExtent returns n bytes in one piece, or 0 if there is no room within the
// limit, which force ignores. n is a multiple of Quantum.
func (p *Pool) TakeExtent(n int64, force bool) Loc {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !force && !p.Fits(n) {
		return 0
	}
	want := int(n / Quantum)
	// A hole of this size leaves no pages half used. Often the one freed last is.
	at := p.holes[want%len(p.holes)]
	if p.free(at, at+want, want) != at {
		// The search goes round in twice the limit, which bounds the page tables.
		all := len(p.bitmap) * 64
		window := min(all, int(p.most.Load()/Quantum)*2)
		if at = p.free(min(p.cursor, window), window, want); at < 0 {
			at = p.free(0, all, want)
		}
		if at < 0 {
			return 0
		}
		p.cursor = at + want
	}
	base := p.Extents + Loc(at)*Quantum
	first, end := p.empty(at, want)
	if end > first && !p.ready(p.Extents+Loc(first*Page), (end-first)*Page) {
		return 0
	}
	p.set(at, want, true)
	p.used.Add((end - first) * Page)
	for i := first; i < end; i++ {
		if m := uint64(1) << (i % 64); p.idled[i/64]&m != 0 {
			p.idled[i/64] &^= m
			p.nidle--
		}
	}
	if p.high != nil {
		atomic.StoreInt64(&p.high.Extents, max(p.high.Extents, int64(at+want)*Quantum))
	}
	p.shed(p.most.Load())
	return base
}

// GiveExtent frees the extent of n bytes at base.
func (p *Pool) GiveExtent(base Loc, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, want := p.quantumOf(base), int(n/Quantum)
	p.set(at, want, false)
	p.holes[want%len(p.holes)] = at
	if first, end := p.empty(at, want); end > first {
		p.used.Add(-(end - first) * Page)
		for i := first; i < end; i++ {
			p.idled[i/64] |= 1 << (i % 64)
		}
		p.nidle += end - first
		// A run may be listed twice. Its pages are counted once.
		if p.idles = append(p.idles, run{first, end}); len(p.idles) > maxIdles {
			p.forgetIdles()
		}
		p.shed(p.most.Load())
	}
}

// maxIdles bounds the list of idle runs, which also has those used again.
const maxIdles = 1024

// forgetIdles drops the runs without idle pages. If too many are left, it
// returns the pages of the older ones to the system.
func (p *Pool) forgetIdles() {
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
				p.release(p.Extents+Loc(i*Page), Page)
			}
		}
	}
	p.idles = append([]run(nil), p.idles[max(0, len(p.idles)-maxIdles/2):]...)
}

// empty returns the range of pages, of those that want quanta from at on lie in,
// that contain nothing else in use.
func (p *Pool) empty(at, want int) (first, end int64) {
	first, end = int64(at/quanta), int64((at+want+quanta-1)/quanta)
	if first < end && p.inUse(first) {
		first++
	}
	if first < end && p.inUse(end-1) {
		end--
	}
	return first, end
}

// inUse reports whether a page of the extents contains anything.
func (p *Pool) inUse(page int64) bool {
	return p.bitmap[page*quanta/64]>>(page*quanta%64)&(1<<quanta-1) != 0
}

// free finds want free quanta in a row within [from, to). It returns -1 if there
// are none.
func (p *Pool) free(from, to, want int) int {
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

// set marks n quanta from at on as used or free.
func (p *Pool) set(at, n int, used bool) {
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

// Audit recounts what is resident and returns the bytes of the pages of extents
// in use. An error is a fault of the accounts. The pool must not be in use.
func (p *Pool) Audit() (extents int64, err error) {
	for i, w := range p.bitmap {
		if w == 0 {
			continue
		}
		for k := range int64(64 / quanta) {
			if p.inUse(int64(i)*64/quanta + k) {
				extents += Page
			}
		}
	}
	idle := int64(0)
	for i, w := range p.idled {
		for ; w != 0; w &= w - 1 {
			idle++
			if page := int64(i)*64 + int64(bits.TrailingZeros64(w)); p.inUse(page) {
				return 0, fmt.Errorf("arena: page %d is idle and in use", page)
			}
		}
	}
	if idle != p.nidle {
		return 0, fmt.Errorf("arena: %d pages are idle, counted %d", idle, p.nidle)
	}
	if used := p.used.Load(); p.excess(p.most.Load()) && used+idle*Page+int64(len(p.warm))*p.Seg > used {
		return 0, fmt.Errorf("arena: %d idle pages and %d free segments resident, with %d of %d bytes used", idle, len(p.warm), used, p.most.Load())
	}
	return extents, nil
}
