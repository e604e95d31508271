package memcached

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"lintel.dev/internal/memcached/store"
)

// Stat is one line of stats.
type Stat struct{ Name, Value string }

// statLines collects the lines of a stats reply.
type statLines []Stat

func (l *statLines) str(name, value string)   { *l = append(*l, Stat{name, value}) }
func (l *statLines) int(name string, v int64) { l.str(name, strconv.FormatInt(v, 10)) }
func (l *statLines) uint(name string, v uint64) {
	l.str(name, strconv.FormatUint(v, 10))
}
func (l *statLines) bool(name string, v bool) { l.str(name, yesNo(v)) }
func (l *statLines) fixed(name string, digits int, v float64) {
	l.str(name, strconv.FormatFloat(v, 'f', digits, 64))
}

// stats is stats [SUB...]. Some of the names may be cut short, as memcached
// compares no more of them than it was given.
func (t *turn) stats(words []string) {
	if len(words) == 0 {
		t.statLines(t.srv.generalStats())
		return
	}
	sub := words[0]
	switch {
	case short(sub, "reset"):
		t.srv.resetStats()
		t.reply("RESET")
	case short(sub, "detail"):
		t.statsDetail(words)
	case short(sub, "settings"):
		t.statLines(t.srv.settingsStats())
	case short(sub, "cachedump"):
		t.cacheDump(words)
	case short(sub, "conns"):
		t.statLines(t.srv.connStats(t.session))
	case sub == "sizes":
		t.sizes(func(t *turn, name, value string) {
			t.w.B = fmt.Appendf(t.w.B, "STAT %s %s\r\n", name, value)
		}, func(t *turn) { t.w.B = append(t.w.B, "END\r\n"...) })
	default:
		list, ok := t.srv.namedStats(sub)
		if !ok {
			t.reply(replyError)
			return
		}
		t.statLines(list)
	}
}

// statLines answers with list.
func (t *turn) statLines(list []Stat) {
	b := t.w.B
	for _, s := range list {
		b = append(append(append(append(b, "STAT "...), s.Name...), ' '), s.Value...)
		b = append(b, '\r', '\n')
	}
	t.w.B = append(b, "END\r\n"...)
}

// statsDetail is stats detail on|off|dump.
func (t *turn) statsDetail(words []string) {
	if t.srv.opts.DisableDump {
		t.reply("CLIENT_ERROR stats detail not allowed")
		return
	}
	switch {
	case len(words) > 1 && short(words[1], "on"):
		t.srv.setDetail(true)
		t.reply(replyOK)
	case len(words) > 1 && short(words[1], "off"):
		t.srv.setDetail(false)
		t.reply(replyOK)
	case len(words) > 1 && short(words[1], "dump"):
		t.w.B = append(t.w.B, t.srv.detailDump()...)
	default:
		t.reply("CLIENT_ERROR usage: stats detail on|off|dump")
	}
}

// namedStats are the statistics that both the text and the binary protocol
// know by the same name.
func (s *Server) namedStats(sub string) ([]Stat, bool) {
	switch sub {
	case "items":
		return s.itemStats(), true
	case "slabs":
		return s.slabStats(), true
	}
	return nil, false
}

// resetStats sets all counters to 0, as stats reset does.
func (s *Server) resetStats() {
	s.resetCounters()
	s.store.ResetStats()
	s.resetDetail()
	base := s.loopStats()
	s.baseline.Store(&base)
	s.watch.mu.Lock()
	s.watch.sent, s.watch.skipped, s.watch.written = 0, 0, 0
	s.watch.mu.Unlock()
}

// Stats is a snapshot of a server's figures. Counters count from New or the
// last stats reset.
type Stats struct {
	Uptime      time.Duration
	Items       int64 // held
	Bytes       int64 // of items, with memcached's overhead
	Limit       int64 // Options.MemoryLimit, or what cache_memlimit made of it
	Used        int64 // bytes that items and index occupy
	Connections int64 // open
	Accepted    uint64
	Rejected    uint64 // over Options.MaxConns
	Gets        uint64 // keys asked for
	Hits        uint64
	Misses      uint64
	Sets        uint64 // storage commands
	Evictions   uint64
	Expired     uint64 // items found, or found by the sweep, past their time
	Panics      uint64
}

// Stats returns the figures of now.
func (s *Server) Stats() Stats {
	st, l := s.store.Stats(), s.loopStats()
	return Stats{
		Uptime:      time.Duration(s.clock.Now()-s.started) * time.Second,
		Items:       st.Items,
		Bytes:       st.Bytes,
		Limit:       s.limit.Load(),
		Used:        st.Used,
		Connections: l.Open,
		Accepted:    l.Accepted,
		Rejected:    l.Rejected,
		Gets:        s.total(cmdGet),
		Hits:        s.classTotal(classGetHits),
		Misses:      s.total(getMisses),
		Sets:        s.classTotal(classSets),
		Evictions:   st.Evictions,
		Expired:     s.total(getExpired) + st.CrawlerReclaimed + st.Reclaimed,
		Panics:      s.panics.Load(),
	}
}

// All returns every line of stats, stats settings excluded, in memcached's
// order: for exporters.
func (s *Server) All() []Stat { return s.generalStats() }

// generalStats are the lines of stats.
func (s *Server) generalStats() []Stat {
	now := s.clock.Now()
	st, loops := s.store.Stats(), s.sinceReset()
	o := &s.opts
	user, system := cpuTime()
	u := &s.tuning
	u.mu.Lock()
	crawler, crawling, crawls := u.crawler, u.crawling, u.crawled
	u.mu.Unlock()
	s.mu.Lock()
	listening, peak := int64(len(s.listeners)), s.peak
	s.mu.Unlock()
	listening += int64(o.Report.ExtraListeningConns)
	s.watch.mu.Lock()
	watchers, sent, skipped, written := len(s.watch.list), s.watch.sent, s.watch.skipped, s.watch.written
	s.watch.mu.Unlock()

	l := make(statLines, 0, 100)
	count := func(name string, i int) { l.uint(name, s.total(i)) }
	class := func(name string, kind int) { l.uint(name, s.classTotal(kind)) }
	zero := func(names ...string) {
		for _, n := range names {
			l.str(n, "0")
		}
	}
	l.int("pid", int64(os.Getpid()))
	l.int("uptime", now-s.started)
	l.int("time", now)
	l.str("version", o.Version)
	l.str("libevent", "none")
	l.int("pointer_size", strconv.IntSize)
	l.str("rusage_user", seconds(user))
	l.str("rusage_system", seconds(system))
	l.int("max_connections", int64(o.MaxConns))
	l.int("curr_connections", loops.Open+listening)
	l.uint("total_connections", loops.Accepted+uint64(listening))
	if !o.Report.NoMaxConnsFast {
		l.uint("rejected_connections", loops.Rejected)
	}
	l.int("connection_structures", peak+listening)
	count("response_obj_oom", respOOM)
	zero("response_obj_count", "response_obj_bytes")
	l.int("read_buf_count", int64(o.Threads))
	l.int("read_buf_bytes", s.reading.Load())
	l.int("read_buf_bytes_free", 0)
	count("read_buf_oom", readBufOOM)
	l.int("reserved_fds", int64(5*o.Threads))
	count("cmd_get", cmdGet)
	class("cmd_set", classSets)
	count("cmd_flush", cmdFlush)
	count("cmd_touch", cmdTouch)
	count("cmd_meta", cmdMeta)
	class("get_hits", classGetHits)
	count("get_misses", getMisses)
	count("get_expired", getExpired)
	count("get_flushed", getFlushed)
	count("delete_misses", deleteMisses)
	class("delete_hits", classDeleteHits)
	count("incr_misses", incrMisses)
	class("incr_hits", classIncrHits)
	count("decr_misses", decrMisses)
	class("decr_hits", classDecrHits)
	count("cas_misses", casMisses)
	class("cas_hits", classCASHits)
	class("cas_badval", classCASBad)
	class("touch_hits", classTouchHits)
	count("touch_misses", touchMisses)
	count("store_too_large", storeTooLarge)
	count("store_no_memory", storeNoMemory)
	count("auth_cmds", authCmds)
	count("auth_errors", authErrors)
	if o.IdleTimeout > 0 {
		l.uint("idle_kicks", loops.IdleKicks)
	}
	l.uint("bytes_read", loops.BytesRead)
	l.uint("bytes_written", loops.BytesWritten)
	l.int("limit_maxbytes", s.limit.Load())
	l.int("accepting_conns", boolInt(loops.Accepting))
	l.uint("listen_disabled_num", loops.Pauses)
	l.int("time_in_listen_disabled_us", loops.PausedFor.Microseconds())
	l.int("threads", int64(o.Threads))
	count("conn_yields", connYields)
	l.int("hash_power_level", int64(max(st.HashPower, or(o.Report.HashPower, 16))))
	l.int("hash_bytes", st.HashBytes)
	zero("hash_is_expanding")
	if !o.Report.NoSlabReassign {
		zero("slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim",
			"slab_reassign_busy_items",
			"slab_reassign_busy_deletes", "slab_reassign_busy_nomem")
		l.str("slab_reassign_last_busy_status", "none")
		zero("slab_reassign_running", "slabs_moved")
	}
	if crawler {
		l.int("lru_crawler_running", boolInt(crawling > 0))
		l.uint("lru_crawler_starts", crawls)
	}
	if !o.Report.NoMaintainer {
		zero("lru_maintainer_juggles")
	}
	l.uint("malloc_fails", st.OutOfMemory)
	zero("log_worker_dropped")
	l.uint("log_worker_written", written)
	l.uint("log_watcher_skipped", skipped)
	l.uint("log_watcher_sent", sent)
	l.int("log_watchers", int64(watchers))
	zero("unexpected_napi_ids", "round_robin_fallback")
	if o.Report.TLS {
		l.uint("ssl_handshake_errors", loops.BadHandshakes)
		zero("ssl_proto_errors")
		since := int64(0)
		if f := o.Report.CertsRefreshed; f != nil {
			since = max(0, now-f().Unix())
		}
		l.int("time_since_server_cert_refresh", since)
	}
	l.int("bytes", st.Bytes)
	l.int("curr_items", st.Items)
	l.uint("total_items", st.TotalItems)
	zero("slab_global_page_pool")
	l.uint("expired_unfetched", st.ExpiredUnfetched)
	l.uint("evicted_unfetched", st.EvictedUnfetched)
	if !o.Report.NoMaintainer {
		l.uint("evicted_active", st.EvictedActive)
	}
	l.uint("evictions", st.Evictions)
	l.uint("reclaimed", st.Reclaimed+st.CrawlerReclaimed)
	l.uint("crawler_reclaimed", st.CrawlerReclaimed)
	l.uint("crawler_items_checked", st.CrawlerChecked)
	zero("lrutail_reflocked")
	if !o.Report.NoMaintainer {
		zero("moves_to_cold")
		l.uint("moves_to_warm", st.Promoted)
		l.uint("moves_within_lru", st.Moved-min(st.Moved, st.Promoted))
		zero("direct_reclaims", "lru_bumps_dropped")
	}
	return l
}

func boolInt(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// seconds is how memcached prints a CPU time.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
}

// page is the size of memcached's slab pages.
const page = 1 << 20

// pagesFor is how many pages memcached would need for n items of a class.
func pagesFor(class int, n int64) int64 {
	perPage := int64(max(1, page/store.ChunkSize(class)))
	return (n + perPage - 1) / perPage
}

// pagesOf is how many pages the items of a class would fill.
func (s *Server) pagesOf(class int) int64 {
	st := s.store.Stats()
	return pagesFor(class, st.Class[class-1].Items)
}

// classToSpare is the class that memcached would take a page from for dst, -1
// where none has one to spare.
func (s *Server) classToSpare(dst int64) int64 {
	st := s.store.Stats()
	for class := int64(1); class <= int64(store.Classes); class++ {
		if class != dst && pagesFor(int(class), st.Class[class-1].Items) > 1 {
			return class
		}
	}
	return -1
}

// slabStats are the lines of stats slabs: what memcached would have had to lay
// out in pages for the items there are.
func (s *Server) slabStats() []Stat {
	st := s.store.Stats()
	var l statLines
	active, malloced := int64(0), s.opts.Report.TotalMalloced
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
			put(k.name, int64(s.total(classCounter(k.kind, class))))
		}
	}
	l.int("active_slabs", active)
	l.int("total_malloced", malloced)
	return l
}

var classKindNames = []struct {
	name string
	kind int
}{
	{"get_hits", classGetHits},
	{"cmd_set", classSets},
	{"delete_hits", classDeleteHits},
	{"incr_hits", classIncrHits},
	{"decr_hits", classDecrHits},
	{"cas_hits", classCASHits},
	{"cas_badval", classCASBad},
	{"touch_hits", classTouchHits},
}

// itemStats are the lines of stats items. The queue of newcomers is shown as
// the hot items and the main queue as the warm ones: nothing here is cold.
func (s *Server) itemStats() []Stat {
	st := s.store.Stats()
	var l statLines
	segmented := !s.opts.Report.NoMaintainer
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
			put("number_hot", c.Probation)
			put("number_warm", c.Items-c.Probation)
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
		// The sweep's work counts as well: its memory is for the next set.
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
		count("hits_to_warm", s.total(classCounter(classGetHits, class)))
		put("hits_to_cold", 0)
		put("hits_to_temp", 0)
	}
	return l
}
