package exec

import (
	"fmt"

	"lintel.dev/internal/memcached/store"
)

// page is the size of memcached's slab pages.
const page = 1 << 20

// pagesFor returns how many pages memcached needs for n items of a class.
func pagesFor(class int, n int64) int64 {
	perPage := int64(max(1, page/store.ChunkSize(class)))
	return (n + perPage - 1) / perPage
}

// PagesOf returns how many pages memcached needs for the items of a class.
func (e *Engine) PagesOf(class int) int64 {
	st := e.Items.Stats()
	return pagesFor(class, st.Class[class-1].Items)
}

// ItemsOf returns the number of items of a class.
func (e *Engine) ItemsOf(class int) int64 {
	if class < 1 || class > store.Classes {
		return 0
	}
	return e.Items.Stats().Class[class-1].Items
}

// ClassToSpare returns the class from which memcached would take a page for dst,
// -1 if no class can spare one.
func (e *Engine) ClassToSpare(dst int64) int64 {
	st := e.Items.Stats()
	for class := int64(1); class <= int64(store.Classes); class++ {
		if class != dst && pagesFor(int(class), st.Class[class-1].Items) > 1 {
			return class
		}
	}
	return -1
}

// slabStats returns the lines of stats slabs: the pages that memcached would have
// allocated for the items.
func (e *Engine) slabStats() []Stat {
	st := e.Items.Stats()
	var l statLines
	active, malloced := int64(0), e.InitialMalloc
	for i := range st.Class {
		c := &st.Class[i]
		if c.Items == 0 && c.TotalItems == 0 {
			continue
		}
		class := i + 1
		size := store.ChunkSize(class)
		perPage := int64(max(1, page/size))
		pages := max(1, pagesFor(class, c.Items))
		active++
		malloced += pages * page
		put := func(name string, v int64) { l.int(fmt.Sprintf("%d:%s", class, name), v) }
		put("chunk_size", int64(size))
		put("chunks_per_page", perPage)
		put("total_pages", pages)
		put("total_chunks", pages*perPage)
		put("used_chunks", c.Items)
		put("free_chunks", pages*perPage-c.Items)
		put("free_chunks_end", 0)
		for _, k := range classKindNames {
			put(k.name, int64(e.sum(classIndex(k.kind, class))))
		}
	}
	l.int("active_slabs", active)
	l.int("total_malloced", malloced)
	return l
}

var classKindNames = []struct {
	name string
	kind ClassCounter
}{
	{"get_hits", GetHits},
	{"cmd_set", Sets},
	{"delete_hits", DeleteHits},
	{"incr_hits", IncrHits},
	{"decr_hits", DecrHits},
	{"cas_hits", CASHits},
	{"cas_badval", CASBad},
	{"touch_hits", TouchHits},
}

// itemStats returns the lines of stats items. The items of the small queue of
// S3-FIFO are shown as hot, those of the main queue as warm. None are cold.
func (e *Engine) itemStats() []Stat {
	st := e.Items.Stats()
	var l statLines
	segmented := e.Settings.On("lru_maintainer_thread")
	for i := range st.Class {
		c := &st.Class[i]
		if c.Items == 0 {
			continue
		}
		class := i + 1
		put := func(name string, v int64) { l.int(fmt.Sprintf("items:%d:%s", class, name), v) }
		count := func(name string, v uint64) { put(name, int64(v)) }
		put("number", c.Items)
		if segmented {
			put("number_hot", c.Small)
			put("number_warm", c.Items-c.Small)
			put("number_cold", 0)
			put("age_hot", c.Age)
			put("age_warm", c.Age)
		}
		put("age", c.Age)
		put("mem_requested", c.Bytes)
		count("evicted", c.Evictions)
		count("evicted_nonzero", c.EvictedNonzero)
		put("evicted_time", c.EvictedTime)
		count("outofmemory", c.OutOfMemory)
		put("tailrepairs", 0)
		// Includes what the crawler has reclaimed: the next set uses its memory.
		count("reclaimed", c.Reclaimed+c.CrawlerReclaimed)
		count("expired_unfetched", c.ExpiredUnfetched)
		count("evicted_unfetched", c.EvictedUnfetched)
		if segmented {
			count("evicted_active", c.EvictedActive)
		}
		count("crawler_reclaimed", c.CrawlerReclaimed)
		count("crawler_items_checked", c.CrawlerChecked)
		put("lrutail_reflocked", 0)
		if segmented {
			put("moves_to_cold", 0)
			put("moves_to_warm", 0)
			put("moves_within_lru", 0)
			put("direct_reclaims", 0)
		}
		put("hits_to_hot", 0)
		count("hits_to_warm", e.sum(classIndex(GetHits, class)))
		put("hits_to_cold", 0)
		put("hits_to_temp", 0)
	}
	return l
}
