package memcached

import (
	"strconv"
)

func orNull(s string) string { return or(s, "NULL") }

// settingsStats are the lines of stats settings.
func (s *Server) settingsStats() []Stat {
	o, r := &s.opts, &s.opts.Report
	u := &s.tuning
	u.mu.Lock()
	defer u.mu.Unlock()
	l := make(statLines, 0, 80)
	num := func(name string, v int) { l.int(name, int64(v)) }

	l.int("maxbytes", s.limit.Load())
	num("maxconns", o.MaxConns)
	num("tcpport", r.TCPPort)
	num("udpport", r.UDPPort)
	l.str("inter", orNull(r.Interface))
	num("verbosity", int(s.verbosity.Load()))
	l.int("oldest", max(0, s.flushed.Load()-s.started))
	l.str("evictions", onOff(!o.DisableEvictions))
	l.str("domain_socket", orNull(r.UnixSocket))
	l.str("umask", strconv.FormatInt(int64(r.UnixMask), 8))
	l.bool("shutdown_command", o.EnableShutdown)
	l.fixed("growth_factor", 2, r.GrowthFactor)
	num("chunk_size", r.ChunkSize)
	num("num_threads", o.Threads)
	num("num_threads_per_udp", o.Threads)
	l.str("stat_key_prefix", string(rune(o.PrefixDelimiter)))
	l.bool("detail_enabled", s.detailOn.Load())
	num("reqs_per_event", o.Requests)
	l.bool("cas_enabled", !o.DisableCAS)
	num("tcp_backlog", o.Backlog)
	l.str("binding_protocol", string(o.Protocol))
	l.bool("auth_enabled_sasl", o.SASL)
	l.str("auth_enabled_ascii", or(o.AuthFile, "no"))
	num("item_size_max", o.MaxItemSize)
	l.bool("maxconns_fast", !r.NoMaxConnsFast)
	num("hashpower_init", r.HashPower)
	l.bool("slab_reassign", !r.NoSlabReassign)
	num("slab_automove", u.automove)
	l.fixed("slab_automove_ratio", 2, u.automoveRatio)
	l.uint("slab_automove_window", u.automoveWindow)
	num("slab_chunk_max", r.SlabChunkMax)
	l.bool("lru_crawler", u.crawler)
	l.uint("lru_crawler_sleep", u.crawlerSleep)
	l.uint("lru_crawler_tocrawl", u.crawlerToCrawl)
	num("tail_repair_time", r.TailRepair)
	l.bool("flush_enabled", !o.DisableFlush)
	l.bool("dump_enabled", !o.DisableDump)
	l.str("hash_algorithm", r.HashAlgorithm)
	l.bool("lru_maintainer_thread", !r.NoMaintainer)
	l.bool("lru_segmented", u.segmented)
	l.uint("hot_lru_pct", u.hot)
	l.uint("warm_lru_pct", u.warm)
	l.fixed("hot_max_factor", 2, u.hotFactor)
	l.fixed("warm_max_factor", 2, u.warmFactor)
	l.bool("temp_lru", u.tempTTL >= 0)
	l.int("temporary_ttl", tempShown(u.tempTTL))
	l.int("idle_timeout", int64(o.IdleTimeout.Seconds()))
	num("watcher_logbuf_size", o.WatcherBuffer)
	num("worker_logbuf_size", r.WorkerBuffer)
	l.int("read_buf_mem_limit", o.ReadBufferLimit)
	l.bool("track_sizes", o.TrackSizes)
	l.bool("inline_ascii_response", false)
	num("ext_item_size", 512)
	l.uint("ext_item_age", 1<<32-1)
	num("ext_low_ttl", 0)
	num("ext_recache_rate", 2000)
	num("ext_wbuf_size", 4<<20)
	num("ext_compact_under", 0)
	num("ext_drop_under", 0)
	num("ext_max_sleep", 1000000)
	l.fixed("ext_max_frag", 2, 0.8)
	l.fixed("slab_automove_freeratio", 3, u.freeRatio)
	l.bool("ext_drop_unread", false)
	l.bool("ssl_enabled", r.TLS)
	l.str("ssl_chain_cert", or(r.TLSChain, "(null)"))
	l.str("ssl_key", or(r.TLSKey, "(null)"))
	num("ssl_verify_mode", r.TLSVerify)
	num("ssl_keyformat", or(r.TLSKeyFormat, 1))
	l.str("ssl_ciphers", orNull(r.TLSCiphers))
	l.str("ssl_ca_cert", orNull(r.TLSCA))
	num("ssl_wbuf_size", r.TLSWriteBuffer)
	l.bool("ssl_session_cache", r.TLSSessionCache)
	l.bool("ssl_kernel_tls", r.TLSKernel)
	l.str("ssl_min_version", r.TLSMinVersion)
	l.int("num_napi_ids", int64(o.Report.NAPIIDs))
	l.str("memory_file", or(o.MemoryFile, "(null)"))
	num("client_flags_size", 4)
	return l
}

func onOff(v bool) string {
	if v {
		return "on"
	}
	return "off"
}

// tempShown is the temporary_ttl of stats settings, which is its default while
// it is off.
func tempShown(ttl int64) int64 {
	if ttl < 0 {
		return 61
	}
	return ttl
}

// Setting returns the value of one line of stats settings, empty if there is
// none of that name.
func (s *Server) Setting(name string) string {
	for _, l := range s.settingsStats() {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}
