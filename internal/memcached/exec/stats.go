package exec

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"lintel.dev/internal/memcached/netloop"
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

// NamedStats returns the statistics that the text and the binary protocol know
// by the same name: items and slabs.
func (e *Engine) NamedStats(sub string) ([]Stat, bool) {
	switch sub {
	case "items":
		return e.itemStats(), true
	case "slabs":
		return e.slabStats(), true
	}
	return nil, false
}

// ResetStats sets all counters to 0.
func (e *Engine) ResetStats() {
	e.resetCounters()
	e.Items.ResetStats()
	e.resetDetail()
	base := e.Network()
	e.baseline.Store(&base)
	e.Log.ResetStats()
	e.Crawler.resetStarts()
}

// Gets returns how many keys were looked up by retrievals.
func (e *Engine) Gets() uint64 { return e.Total(GetMisses) + e.ClassTotal(GetHits) }

// Uptime returns the time since New, in whole seconds of the clock.
func (e *Engine) Uptime() time.Duration {
	return time.Duration(e.Clock.Now()-e.started) * time.Second
}

// sinceReset returns the figures of the loops since the last stats reset.
func (e *Engine) sinceReset() netloop.Stats {
	st := e.Network()
	if b := e.baseline.Load(); b != nil {
		st.Accepted -= b.Accepted
		st.Rejected -= b.Rejected
		st.BytesRead -= b.BytesRead
		st.BytesWritten -= b.BytesWritten
		st.IdleKicks -= b.IdleKicks
		st.Pauses -= b.Pauses
		st.PausedFor -= b.PausedFor
		st.BadHandshakes -= b.BadHandshakes
	}
	return st
}

// listeners returns the number of stream listeners that memcached would have. Where one
// socket serves all IPv6 and IPv4 addresses, memcached has two.
func (e *Engine) listeners() (n int64) {
	for _, l := range e.Listening() {
		if l.Packet {
			continue
		}
		n++
		if tcp, ok := l.Addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() && tcp.IP.To4() == nil {
			n++
		}
	}
	return n
}

// hashPower returns hashpower_init, by default 16.
func (e *Engine) hashPower() int {
	if n, err := strconv.Atoi(e.Settings.Get("hashpower_init")); err == nil && n > 0 {
		return n
	}
	return 16
}

// GeneralStats returns the lines of stats, in memcached's order.
func (e *Engine) GeneralStats() []Stat {
	now := e.Clock.Now()
	st, loops := e.Items.Stats(), e.sinceReset()
	user, system := CPUTime()
	listening := e.listeners()
	e.mu.Lock()
	peak := e.peak
	e.mu.Unlock()
	log := e.Log.Stats()
	maintained := e.Settings.On("lru_maintainer_thread")

	l := make(statLines, 0, 100)
	count := func(name string, c Counter) { l.uint(name, e.Total(c)) }
	class := func(name string, c ClassCounter) { l.uint(name, e.ClassTotal(c)) }
	zero := func(names ...string) {
		for _, n := range names {
			l.str(n, "0")
		}
	}
	l.int("pid", int64(os.Getpid()))
	l.int("uptime", now-e.started)
	l.int("time", now)
	l.str("version", e.Version)
	l.str("libevent", "none")
	l.int("pointer_size", strconv.IntSize)
	l.str("rusage_user", seconds(user))
	l.str("rusage_system", seconds(system))
	l.int("max_connections", int64(e.MaxConns))
	l.int("curr_connections", loops.Open+max(0, listening-1)) // as memcached counts
	l.uint("total_connections", loops.Accepted+uint64(listening))
	if !e.WaitAtMaxConns {
		l.uint("rejected_connections", loops.Rejected)
	}
	l.int("connection_structures", peak+listening)
	count("response_obj_oom", RespOOM)
	zero("response_obj_count", "response_obj_bytes")
	l.int("read_buf_count", int64(e.Threads))
	l.int("read_buf_bytes", e.reading.Load())
	l.int("read_buf_bytes_free", 0)
	count("read_buf_oom", ReadBufOOM)
	l.int("reserved_fds", int64(5*e.Threads))
	l.uint("cmd_get", e.Gets())
	class("cmd_set", Sets)
	count("cmd_flush", CmdFlush)
	l.uint("cmd_touch", e.Total(TouchMisses)+e.ClassTotal(TouchHits))
	count("cmd_meta", CmdMeta)
	class("get_hits", GetHits)
	count("get_misses", GetMisses)
	count("get_expired", GetExpired)
	count("get_flushed", GetFlushed)
	count("delete_misses", DeleteMisses)
	class("delete_hits", DeleteHits)
	count("incr_misses", IncrMisses)
	class("incr_hits", IncrHits)
	count("decr_misses", DecrMisses)
	class("decr_hits", DecrHits)
	count("cas_misses", CASMisses)
	class("cas_hits", CASHits)
	class("cas_badval", CASBad)
	class("touch_hits", TouchHits)
	count("touch_misses", TouchMisses)
	count("store_too_large", StoreTooLarge)
	count("store_no_memory", StoreNoMemory)
	count("auth_cmds", AuthCmds)
	count("auth_errors", AuthErrors)
	if e.IdleTimeout > 0 {
		l.uint("idle_kicks", loops.IdleKicks)
	}
	l.uint("bytes_read", loops.BytesRead)
	l.uint("bytes_written", loops.BytesWritten)
	l.int("limit_maxbytes", e.Limit())
	l.int("accepting_conns", boolInt(loops.Accepting))
	l.uint("listen_disabled_num", loops.Pauses)
	l.int("time_in_listen_disabled_us", loops.PausedFor.Microseconds())
	l.int("threads", int64(e.Threads))
	count("conn_yields", ConnYields)
	l.int("hash_power_level", int64(max(st.HashPower, e.hashPower())))
	l.int("hash_bytes", st.HashBytes)
	zero("hash_is_expanding")
	if e.Settings.On("slab_reassign") {
		zero("slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim",
			"slab_reassign_busy_items",
			"slab_reassign_busy_deletes", "slab_reassign_busy_nomem")
		l.str("slab_reassign_last_busy_status", "none")
		zero("slab_reassign_running", "slabs_moved")
	}
	if e.Crawler.Enabled() {
		l.int("lru_crawler_running", boolInt(e.Crawler.Running()))
		l.uint("lru_crawler_starts", e.Crawler.started())
	}
	if maintained {
		zero("lru_maintainer_juggles")
	}
	l.uint("malloc_fails", st.OutOfMemory)
	l.uint("log_worker_dropped", log.Dropped)
	l.uint("log_worker_written", log.Written)
	l.uint("log_watcher_skipped", log.Skipped)
	l.uint("log_watcher_sent", log.Sent)
	l.int("log_watchers", int64(log.Watchers))
	zero("unexpected_napi_ids", "round_robin_fallback")
	if e.Certs != nil {
		l.uint("ssl_handshake_errors", loops.BadHandshakes)
		zero("ssl_proto_errors")
		l.int("time_since_server_cert_refresh", max(0, now-e.Certs.Loaded().Unix()))
	}
	l.int("bytes", st.Bytes)
	l.int("curr_items", st.Items)
	l.uint("total_items", st.TotalItems)
	zero("slab_global_page_pool")
	l.uint("expired_unfetched", st.ExpiredUnfetched)
	l.uint("evicted_unfetched", st.EvictedUnfetched)
	if maintained {
		l.uint("evicted_active", st.EvictedActive)
	}
	l.uint("evictions", st.Evictions)
	l.uint("reclaimed", st.Reclaimed+st.CrawlerReclaimed)
	l.uint("crawler_reclaimed", st.CrawlerReclaimed)
	l.uint("crawler_items_checked", st.CrawlerChecked)
	zero("lrutail_reflocked")
	if maintained {
		zero("moves_to_cold")
		l.uint("moves_to_warm", st.Promoted)
		l.uint("moves_within_lru", st.Moved-min(st.Moved, st.Promoted))
		zero("direct_reclaims", "lru_bumps_dropped")
	}
	if e.MemoryFile != "" {
		// Lintel's own: memcached does not check its file.
		l.uint("memory_file_damaged_items", st.Damaged)
		l.uint("memory_file_no_space", st.FileSystemFull)
	}
	if e.Feed != nil {
		f := e.Feed.Stats()
		l.int("feed_lanes", int64(e.Items.Lanes()))
		l.int("feed_subscribers", int64(f.Subscribers))
		l.uint("feed_published", f.Published)
		l.uint("feed_lost", f.Lost)
	}
	return l
}

func boolInt(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// seconds formats a CPU time like memcached.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
}
