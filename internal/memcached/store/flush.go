package store

import "strings"

// flush is a FlushPrefix whose segments have not all been swept yet. FlushAll is a
// flush with an empty prefix. It covers the records written before it: those in
// segments opened before next, except those behind mark.end in segments that were
// open at the time.
type flush struct {
	prefix string
	next   uint64
	open   [streams]mark
}

type mark struct {
	seq uint64
	end uint32
}

// maxFlushes bounds the flushes that a look-up checks. With more, the shard is
// swept at once.
const maxFlushes = 32

func (f *flush) covers(g *segment, off int64) bool {
	if g.seq >= f.next {
		return false
	}
	for _, m := range f.open {
		if m.seq == g.seq && off >= int64(m.end) {
			return false
		}
	}
	return true
}

func (sh *shard) flushed(r *record) bool {
	base := sh.pool.Base(r.loc)
	g := sh.pool.segment(base)
	if g.rules == sh.flushes {
		return false
	}
	for i := range sh.prefixes {
		f := &sh.prefixes[i]
		if strings.HasPrefix(string(r.keyBytes()), f.prefix) && f.covers(g, int64(r.loc-base)) {
			return true
		}
	}
	return false
}

// flushNow makes the items whose keys start with prefix invisible.
func (sh *shard) flushNow(prefix string) {
	f := flush{prefix: prefix, next: sh.seq + 1}
	for i, base := range sh.open {
		if base != 0 {
			g := sh.pool.segment(base)
			f.open[i] = mark{g.seq, g.end}
		}
	}
	if prefix == "" {
		sh.announce(AllFlushed, nil)
	} else {
		sh.announce(PrefixFlushed, []byte(prefix))
	}
	kept := sh.prefixes[:0]
	for _, o := range sh.prefixes {
		if !strings.HasPrefix(o.prefix, prefix) {
			kept = append(kept, o)
		}
	}
	sh.prefixes = append(kept, f)
	sh.flushes++
	sh.due.Store(1)
	loader{sh}.saveFlushes()
	if len(sh.prefixes) > maxFlushes {
		sweeper{sh}.sweep(sh.s.now(), nil)
	}
}

// flushLate executes a FlushAll whose time has come. It runs before anything else
// that is done at that time.
func (sh *shard) flushLate() {
	if sh.flushAt != 0 && sh.s.now() >= sh.flushAt {
		sh.flushAt = 0
		sh.flushNow("")
	}
}

// FlushAll removes every item that was stored before the unix second at, or every
// present item if that is not in the future. A later call replaces one whose time
// has not come. The items are invisible at once; their memory is freed later.
func (s *Store) FlushAll(at int64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		if at > s.now() {
			sh.flushAt = at
			loader{sh}.saveFlushes()
		} else {
			sh.flushAt = 0
			sh.flushNow("")
		}
		sh.mu.Unlock()
	}
}

// FlushPrefix makes the items whose keys start with prefix invisible. Their memory
// is freed later. It takes constant time unless many earlier prefixes have not been
// swept, see [Store.TryFlushPrefix].
func (s *Store) FlushPrefix(prefix []byte) {
	for !s.TryFlushPrefix(prefix) {
		s.SweepFlushed(nil)
	}
}

// TryFlushPrefix is FlushPrefix in constant time. It returns false if too many earlier
// prefixes have not been swept: call SweepFlushed and try again. Some of the items are
// invisible then.
func (s *Store) TryFlushPrefix(prefix []byte) bool {
	if len(prefix) > MaxKey {
		return true
	}
	p := string(prefix)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		full := len(sh.prefixes) >= maxFlushes
		if !full {
			sh.flushNow(p)
		}
		sh.mu.Unlock()
		if full {
			return false
		}
	}
	return true
}

// SweepFlushed frees the memory of what FlushPrefix made invisible, segment by
// segment. pause, if not nil, is called between two segments and ends the work by
// returning false.
func (s *Store) SweepFlushed(pause func() bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sweeper{sh}.crawl(nil, true, pause)
		if pause != nil && !pause() {
			return
		}
		sh.lock()
		sweeper{sh}.sweep(s.now(), nil) // what is left
		sh.mu.Unlock()
	}
}

// lock takes the shard's lock.
func (sh *shard) lock() {
	if !sh.mu.TryLock() {
		sh.wait()
	}
	if sh.flushAt != 0 {
		sh.flushLate()
	}
}
