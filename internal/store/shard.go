package store

import (
	"strings"
	"sync"
)

// entryCost is what the bookkeeping of an entry is taken to cost beyond its key and value.
const entryCost = 128

type entry struct {
	key          string
	value        []byte
	cas          uint64
	seq          uint64
	expiry       int64
	access       int64
	flags        uint32
	hits         uint8
	stale, won   bool
	newer, older *entry
}

type prefixFlush struct {
	prefix string
	seq    uint64
}

type shard struct {
	mu       sync.Mutex
	s        *Store
	m        map[string]*entry
	queue    entry // ring: queue.older is the newest, queue.newer the oldest
	used     int64
	seq      uint64
	flushSeq uint64
	flushAt  int64
	prefixes []prefixFlush
	stats    Stats
}

func (sh *shard) init(s *Store) {
	sh.s = s
	sh.m = make(map[string]*entry)
	sh.queue.newer, sh.queue.older = &sh.queue, &sh.queue
}

func (sh *shard) size(e *entry) int {
	return ItemSize(len(e.key), len(e.value), e.flags, !sh.s.opts.DisableCAS)
}

func (sh *shard) cost(e *entry) int64 { return int64(entryCost + len(e.key) + len(e.value)) }

func (sh *shard) limit() int64 { return sh.s.limit.Load() / int64(len(sh.s.shards)) }

func (sh *shard) nextCAS(want uint64) uint64 {
	if sh.s.opts.DisableCAS {
		return 0
	}
	if want != 0 {
		return want
	}
	return sh.s.cas.Add(1)
}

func (sh *shard) class(e *entry) *ClassStats { return &sh.stats.Class[ClassOf(sh.size(e))-1] }

// dead tells whether e is no longer visible, and why.
func (sh *shard) dead(e *entry, now int64) Miss {
	if sh.flushAt != 0 && now >= sh.flushAt {
		sh.flushAt, sh.flushSeq = 0, sh.seq
	}
	if e.seq <= sh.flushSeq {
		return Flushed
	}
	for _, p := range sh.prefixes {
		if e.seq <= p.seq && strings.HasPrefix(e.key, p.prefix) {
			return Flushed
		}
	}
	if e.expiry != 0 && e.expiry <= now {
		return Expired
	}
	return Absent
}

func (sh *shard) find(key []byte) (*entry, Miss) {
	e := sh.m[string(key)]
	if e == nil {
		return nil, Absent
	}
	if m := sh.dead(e, sh.s.now()); m != Absent {
		sh.remove(e)
		return nil, m
	}
	return e, Absent
}

func (sh *shard) remove(e *entry) {
	delete(sh.m, e.key)
	e.newer.older, e.older.newer = e.older, e.newer
	sh.used -= sh.cost(e)
	c := sh.class(e)
	c.Items--
	c.Bytes -= int64(sh.size(e))
}

func (sh *shard) put(key []byte, r *Record) (*entry, error) {
	now := sh.s.now()
	e := &entry{
		key: string(key), flags: r.Flags, expiry: r.Expiry, stale: r.Stale, won: r.Won, access: now,
		value: append(append(make([]byte, 0, len(r.Parts[0])+len(r.Parts[1])), r.Parts[0]...), r.Parts[1]...),
	}
	old := sh.m[string(key)]
	need := sh.cost(e)
	if old != nil {
		need -= sh.cost(old)
	}
	if !sh.makeRoom(need) {
		sh.class(e).OutOfMemory++
		return nil, ErrNoMemory
	}
	if old = sh.m[string(key)]; old != nil {
		sh.remove(old)
	}
	sh.dead(e, now) // lets a flush whose time has come happen before this item
	sh.seq++
	e.seq = sh.seq
	e.cas = sh.nextCAS(r.CAS)
	sh.m[e.key] = e
	sh.link(e)
	sh.used += sh.cost(e)
	c := sh.class(e)
	c.Items++
	c.TotalItems++
	c.Bytes += int64(sh.size(e))
	return e, nil
}

func (sh *shard) link(e *entry) {
	e.newer, e.older = &sh.queue, sh.queue.older
	e.newer.older, e.older.newer = e, e
}

// makeRoom evicts, oldest first with a second chance for those read since, until need more bytes fit.
func (sh *shard) makeRoom(need int64) bool {
	if need > sh.limit() {
		return false
	}
	now := sh.s.now()
	for sh.used+need > sh.limit() {
		e := sh.queue.newer
		if e == &sh.queue {
			return false
		}
		c := sh.class(e)
		if m := sh.dead(e, now); m != Absent {
			c.Reclaimed++
			if m == Expired && e.hits == 0 {
				c.ExpiredUnfetched++
			}
			sh.remove(e)
			continue
		}
		if sh.s.opts.NoEvict {
			if _, reclaimed := sh.crawlLocked(nil); reclaimed == 0 {
				return false
			}
			continue
		}
		if e.hits > 1 {
			e.hits--
			e.newer.older, e.older.newer = e.older, e.newer
			sh.link(e)
			continue
		}
		c.Evictions++
		c.EvictedTime = now - e.access
		if e.expiry != 0 {
			c.EvictedNonzero++
		}
		if e.hits == 0 {
			c.EvictedUnfetched++
		}
		if f := sh.s.opts.Hooks.Evict; f != nil {
			f(sh.item(e))
		}
		sh.remove(e)
	}
	return true
}

func (sh *shard) item(e *entry) Item {
	size := sh.size(e)
	return Item{
		Key: []byte(e.key), Flags: e.flags, CAS: e.cas, Expiry: e.expiry, LastAccess: e.access, Fetched: e.hits > 0,
		Size: size, Class: ClassOf(size),
	}
}

func (sh *shard) list(items []Item) []Item {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := sh.s.now()
	for e := sh.queue.newer; e != &sh.queue; e = e.newer {
		if sh.dead(e, now) == Absent {
			items = append(items, sh.item(e))
		}
	}
	return items
}

func (sh *shard) crawl(want func(class int) bool) (checked, reclaimed int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.crawlLocked(want)
}

func (sh *shard) crawlLocked(want func(class int) bool) (checked, reclaimed int) {
	now := sh.s.now()
	for e := sh.queue.newer; e != &sh.queue; {
		next := e.newer
		if want == nil || want(ClassOf(sh.size(e))) {
			c := sh.class(e)
			checked++
			c.CrawlerChecked++
			if m := sh.dead(e, now); m != Absent {
				reclaimed++
				c.CrawlerReclaimed++
				if m == Expired && e.hits == 0 {
					c.ExpiredUnfetched++
				}
				sh.remove(e)
			}
		}
		e = next
	}
	return checked, reclaimed
}

func (sh *shard) flushAll(at int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if at > sh.s.now() {
		sh.flushAt = at
		return
	}
	sh.flushAt, sh.flushSeq, sh.prefixes = 0, sh.seq, nil
}

func (sh *shard) flushPrefix(prefix string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range sh.prefixes {
		if sh.prefixes[i].prefix == prefix {
			sh.prefixes[i].seq = sh.seq
			return
		}
	}
	sh.prefixes = append(sh.prefixes, prefixFlush{prefix, sh.seq})
}

func (sh *shard) addStats(st *Stats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.Used += sh.used
	for i := range sh.stats.Class {
		c, sum := &sh.stats.Class[i], &st.Class[i]
		sum.Items += c.Items
		sum.Bytes += c.Bytes
		sum.TotalItems += c.TotalItems
		sum.Evictions += c.Evictions
		sum.EvictedNonzero += c.EvictedNonzero
		sum.EvictedUnfetched += c.EvictedUnfetched
		sum.EvictedTime = max(sum.EvictedTime, c.EvictedTime)
		sum.OutOfMemory += c.OutOfMemory
		sum.Reclaimed += c.Reclaimed
		sum.ExpiredUnfetched += c.ExpiredUnfetched
		sum.CrawlerReclaimed += c.CrawlerReclaimed
		sum.CrawlerChecked += c.CrawlerChecked
		st.Items += c.Items
		st.Bytes += c.Bytes
		st.TotalItems += c.TotalItems
		st.Evictions += c.Evictions
		st.EvictedUnfetched += c.EvictedUnfetched
		st.Reclaimed += c.Reclaimed
		st.ExpiredUnfetched += c.ExpiredUnfetched
		st.CrawlerReclaimed += c.CrawlerReclaimed
		st.CrawlerChecked += c.CrawlerChecked
		st.OutOfMemory += c.OutOfMemory
	}
}

func (sh *shard) resetStats() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range sh.stats.Class {
		c := &sh.stats.Class[i]
		*c = ClassStats{Items: c.Items, Bytes: c.Bytes}
	}
}
