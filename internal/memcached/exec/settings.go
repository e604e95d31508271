package exec

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"lintel.dev/internal/memcached/watch"
)

// Settings holds the lines of stats settings that are only reported: they belong
// to parts of memcached that this server does not have, or to the program that
// opened its sockets. Commands such as slabs automove change them. It is safe
// for concurrent use.
type Settings struct {
	mu     sync.Mutex        // guards values
	values map[string]string // by the names of stats settings
}

// init sets the defaults and then given.
func (s *Settings) init(given map[string]string) error {
	s.values = make(map[string]string)
	for _, l := range settingLines {
		if l.of == nil {
			s.values[l.name] = l.def
		}
	}
	for name, v := range given {
		if _, ok := s.values[name]; !ok {
			return fmt.Errorf("setting %q is not reported by stats settings, or has an option", name)
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("setting %s is %q, which has a control character", name, v)
		}
		s.values[name] = v
	}
	return nil
}

// Get returns a setting.
func (s *Settings) Get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[name]
}

// On reports whether a setting is yes.
func (s *Settings) On(name string) bool { return s.Get(name) == "yes" }

// Set changes pairs of a name and a value together.
func (s *Settings) Set(pairs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(pairs); i += 2 {
		s.values[pairs[i]] = pairs[i+1]
	}
}

// settingLine is a line of stats settings: of returns its value, or, if it is
// nil, Settings holds it and def is its default.
type settingLine struct {
	name string
	of   func(e *Engine) string
	def  string
}

func number[T ~int | ~int32 | ~int64](v T) string { return strconv.FormatInt(int64(v), 10) }

// Fixed formats a fraction with memcached's number of digits.
func Fixed(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// YesNo returns yes or no.
func YesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func onOff(v bool) string {
	if v {
		return "on"
	}
	return "off"
}

// settingLines are the lines of stats settings in memcached's order.
var settingLines = []settingLine{
	{"maxbytes", func(e *Engine) string { return number(e.Limit()) }, ""},
	{"maxconns", func(e *Engine) string { return number(e.MaxConns) }, ""},
	{"tcpport", nil, "0"},
	{"udpport", nil, "0"},
	{"inter", nil, "NULL"},
	{"verbosity", func(e *Engine) string { return number(e.verbosity.Load()) }, ""},
	{"oldest", func(e *Engine) string { return number(max(0, e.flushed.Load()-e.started)) }, ""},
	{"evictions", func(e *Engine) string { return onOff(!e.DisableEvictions) }, ""},
	{"domain_socket", nil, "NULL"},
	{"umask", nil, "700"},
	{"shutdown_command", func(e *Engine) string { return YesNo(e.EnableShutdown) }, ""},
	{"growth_factor", nil, "1.25"},
	{"chunk_size", nil, "48"},
	{"num_threads", func(e *Engine) string { return number(e.Threads) }, ""},
	{"num_threads_per_udp", func(e *Engine) string { return number(e.Threads) }, ""},
	{"stat_key_prefix", func(e *Engine) string { return string(rune(e.PrefixDelimiter)) }, ""},
	{"detail_enabled", func(e *Engine) string { return YesNo(e.Log.Wants(watch.Detail)) }, ""},
	{"reqs_per_event", func(e *Engine) string { return number(e.Requests) }, ""},
	{"cas_enabled", func(e *Engine) string { return YesNo(!e.DisableCAS) }, ""},
	{"tcp_backlog", func(e *Engine) string { return number(e.Backlog) }, ""},
	{"binding_protocol", func(e *Engine) string { return e.Protocol }, ""},
	{"auth_enabled_sasl", func(e *Engine) string { return YesNo(e.SASL) }, ""},
	{"auth_enabled_ascii", func(e *Engine) string { return cmp.Or(e.AuthFile, "no") }, ""},
	{"item_size_max", func(e *Engine) string { return number(e.MaxItemSize) }, ""},
	{"maxconns_fast", func(e *Engine) string { return YesNo(!e.WaitAtMaxConns) }, ""},
	{"hashpower_init", nil, "0"},
	{"slab_reassign", nil, "yes"},
	{"slab_automove", nil, "1"},
	{"slab_automove_ratio", nil, "0.80"},
	{"slab_automove_window", nil, "10"},
	{"slab_chunk_max", nil, "524288"},
	{"lru_crawler", func(e *Engine) string { return YesNo(e.Crawler.Enabled()) }, ""},
	{"lru_crawler_sleep", func(e *Engine) string { return number(e.Crawler.Sleep().Microseconds()) }, ""},
	{"lru_crawler_tocrawl", nil, "0"},
	{"tail_repair_time", nil, "0"},
	{"flush_enabled", func(e *Engine) string { return YesNo(!e.DisableFlush) }, ""},
	{"dump_enabled", func(e *Engine) string { return YesNo(!e.DisableDump) }, ""},
	{"hash_algorithm", nil, "murmur3"},
	{"lru_maintainer_thread", nil, "yes"},
	{"lru_segmented", nil, "yes"},
	{"hot_lru_pct", nil, "20"},
	{"warm_lru_pct", nil, "40"},
	{"hot_max_factor", nil, "0.20"},
	{"warm_max_factor", nil, "2.00"},
	{"temp_lru", nil, "no"},
	{"temporary_ttl", nil, "61"},
	{"idle_timeout", func(e *Engine) string { return number(int64(e.IdleTimeout.Seconds())) }, ""},
	{"watcher_logbuf_size", func(e *Engine) string { return number(e.WatcherBuffer) }, ""},
	{"worker_logbuf_size", nil, "65536"},
	{"read_buf_mem_limit", func(e *Engine) string { return number(e.ReadBufferLimit) }, ""},
	{"track_sizes", func(e *Engine) string { return YesNo(e.TrackSizes) }, ""},
	{"inline_ascii_response", nil, "no"},
	{"ext_item_size", nil, "512"},
	{"ext_item_age", nil, "4294967295"},
	{"ext_low_ttl", nil, "0"},
	{"ext_recache_rate", nil, "2000"},
	{"ext_wbuf_size", nil, "4194304"},
	{"ext_compact_under", nil, "0"},
	{"ext_drop_under", nil, "0"},
	{"ext_max_sleep", nil, "1000000"},
	{"ext_max_frag", nil, "0.80"},
	{"slab_automove_freeratio", nil, "0.010"},
	{"ext_drop_unread", nil, "no"},
	{"ssl_enabled", func(e *Engine) string { return YesNo(e.Certs != nil) }, ""},
	{"ssl_chain_cert", nil, "(null)"},
	{"ssl_key", nil, "(null)"},
	{"ssl_verify_mode", nil, "0"},
	{"ssl_keyformat", nil, "1"},
	{"ssl_ciphers", nil, "NULL"},
	{"ssl_ca_cert", nil, "NULL"},
	{"ssl_wbuf_size", nil, "16384"},
	{"ssl_session_cache", nil, "no"},
	{"ssl_kernel_tls", nil, "no"},
	{"ssl_min_version", nil, "tlsv1.2"},
	{"num_napi_ids", nil, "0"},
	{"memory_file", func(e *Engine) string { return cmp.Or(e.MemoryFile, "(null)") }, ""},
	{"client_flags_size", nil, "4"},
}

// SettingsStats returns the lines of stats settings.
func (e *Engine) SettingsStats() []Stat {
	e.Settings.mu.Lock()
	defer e.Settings.mu.Unlock()
	lines := make([]Stat, len(settingLines))
	for i, l := range settingLines {
		lines[i].Name = l.name
		if l.of != nil {
			lines[i].Value = l.of(e)
		} else {
			lines[i].Value = e.Settings.values[l.name]
		}
	}
	return lines
}
