package servercli

import (
	"cmp"
	"crypto/tls"
	"strconv"
	"strings"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/memcached/listen"
)

// suboption is one option of -o.
type suboption struct {
	name  string
	arg   string // name of the value, for the help; empty: takes none
	loose bool   // the value is optional
	set   func(s *serverSettings, v string) error
	help  string // empty: not in the help
	inert bool   // accepted, without effect except in stats settings
}

func (o *suboption) usage() string {
	switch {
	case o.loose:
		return o.name + "[=<" + o.arg + ">]"
	case o.arg != "":
		return o.name + "=<" + o.arg + ">"
	}
	return o.name
}

// setExtended reads the value of -o.
func (s *serverSettings) setExtended(v string) error {
	for _, word := range strings.Split(v, ",") {
		if word == "" {
			continue
		}
		name, value, has := strings.Cut(word, "=")
		o := findSuboption(name)
		switch {
		case o == nil:
			return cli.Usagef("-o %s: unknown option%s, see -h", name, cli.DidYouMean(name, "", suboptionNames()))
		case o.arg == "" && has:
			return cli.Usagef("-o %s takes no value", name)
		case o.arg != "" && !o.loose && value == "":
			return cli.Usagef("-o %s needs a value: %s", name, o.usage())
		}
		if err := o.set(s, value); err != nil {
			return err
		}
	}
	return nil
}

// suboptionNames returns the names of all options of -o.
func suboptionNames() []string {
	names := make([]string, len(suboptions))
	for i := range suboptions {
		names[i] = suboptions[i].name
	}
	return names
}

func findSuboption(name string) *suboption {
	for i := range suboptions {
		if suboptions[i].name == name {
			return &suboptions[i]
		}
	}
	return nil
}

// subInt returns a setter of a whole number between low and high.
func subInt(name string, low, high int, set func(s *serverSettings, n int)) func(*serverSettings, string) error {
	return func(s *serverSettings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return cli.Usagef("-o %s=%s: expected a whole number, %d to %d", name, v, low, high)
		}
		set(s, n)
		return nil
	}
}

// subFloat returns a setter of a number greater than low, up to high.
func subFloat(name string, low, high float64, set func(s *serverSettings, f float64)) func(*serverSettings, string) error {
	return func(s *serverSettings, v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f > low && f <= high) {
			return cli.Usagef("-o %s=%s: expected a number greater than %g, up to %g", name, v, low, high)
		}
		set(s, f)
		return nil
	}
}

// subDo returns the setter of an option without a value.
func subDo(do func(*serverSettings)) func(*serverSettings, string) error {
	return func(s *serverSettings, _ string) error {
		do(s)
		return nil
	}
}

const (
	most              = 1<<31 - 1
	defaultTLSVersion = tls.VersionTLS12
)

var suboptions []suboption

// suboptions is set here: as a plain initialiser it would refer to itself,
// through the setter of -o.
func init() {
	// shown returns the setter of an option that only changes stats settings.
	shown := func(pairs ...string) func(*serverSettings, string) error {
		return subDo(func(s *serverSettings) { s.show(pairs...) })
	}
	shownInt := func(name, setting string, low, high, unit int) func(*serverSettings, string) error {
		return subInt(name, low, high, func(s *serverSettings, n int) { s.show(setting, strconv.Itoa(n*unit)) })
	}
	shownFloat := func(name string, high float64, digits int) func(*serverSettings, string) error {
		return subFloat(name, 0, high, func(s *serverSettings, f float64) { s.show(name, strconv.FormatFloat(f, 'f', digits, 64)) })
	}
	suboptions = []suboption{
		{"maxconns_fast", "", false, subDo(func(s *serverSettings) { s.options.WaitAtMaxConns = false }), "with -c connections open, refuse more with an error (default)", false},
		{"no_maxconns_fast", "", false, subDo(func(s *serverSettings) { s.options.WaitAtMaxConns = true }), "with -c connections open, let more wait", false},
		{"idle_timeout", "s", false, subInt("idle_timeout", 0, most, func(s *serverSettings, n int) {
			s.options.IdleTimeout = time.Duration(n) * time.Second
		}), "close connections that were idle for this long (default 0: never)", false},
		{"read_buf_mem_limit", "MB", false, subInt("read_buf_mem_limit", 0, 1<<20, func(s *serverSettings, n int) {
			s.options.ReadBufferLimit = int64(n) << 20
		}), "bound on the memory of values being received", false},
		{"watcher_logbuf_size", "KB", false, subInt("watcher_logbuf_size", 1, 1<<20, func(s *serverSettings, n int) {
			s.options.WatcherBuffer = n << 10
		}), "buffer of each watcher (default 256)", false},
		{"track_sizes", "", false, subDo(func(s *serverSettings) { s.options.TrackSizes = true }), "count item sizes for stats sizes", false},

		{"ssl_chain_cert", "file", false, text(func(s *serverSettings) *string { return &s.certs.Chain }), "certificate chain (PEM)", false},
		{"ssl_key", "file", false, text(func(s *serverSettings) *string { return &s.certs.Key }), "private key, unless it is in the chain's file", false},
		{"ssl_keyformat", "format", false, (*serverSettings).setKeyFormat, "format of the key: PEM or DER (default PEM)", false},
		{"ssl_verify_mode", "n", false, subInt("ssl_verify_mode", 0, 3, func(s *serverSettings, n int) {
			s.certs.Verify = listen.VerifyMode(n)
		}), "certificates of clients: 0 none, 1 and 3 verified if sent, 2 required (default 0)", false},
		{"ssl_ca_cert", "file", false, text(func(s *serverSettings) *string { return &s.certs.CA }), "authorities of client certificates (PEM)", false},
		{"ssl_ciphers", "list", false, text(func(s *serverSettings) *string { return &s.certs.Ciphers }), "cipher suites up to TLS 1.2: OpenSSL's names separated by colons", false},
		{"ssl_min_version", "n", false, subInt("ssl_min_version", 0, 3, func(s *serverSettings, n int) {
			s.certs.MinVersion = tls.VersionTLS10 + uint16(n)
		}), "lowest version, 0 to 3: TLS 1.0 to 1.3 (default 2)", false},

		{"ssl_session_cache", "", false, shown("ssl_session_cache", "yes"), "cache of TLS sessions: they are resumed by tickets", true},
		{"ssl_wbuf_size", "KB", false, shownInt("ssl_wbuf_size", "ssl_wbuf_size", 1, 1<<20, 1<<10), "TLS output buffer", true},
		{"ssl_kernel_tls", "", false, shown("ssl_kernel_tls", "yes"), "TLS in the kernel", true},
		{"worker_logbuf_size", "KB", false, shownInt("worker_logbuf_size", "worker_logbuf_size", 1, 1<<20, 1<<10), "log buffer of a thread", true},
		{"resp_obj_mem_limit", "MB", false, subInt("resp_obj_mem_limit", 0, 1<<20, func(*serverSettings, int) {}), "bound on response objects", true},
		{"inline_ascii_resp", "", false, subDo(func(*serverSettings) {}), "small values copied into replies", true},
		{"no_inline_ascii_resp", "", false, subDo(func(*serverSettings) {}), "", true},
		{"hashpower", "n", false, shownInt("hashpower", "hashpower_init", 12, 32, 1), "size of the hash table", true},
		{"no_hashexpand", "", false, subDo(func(*serverSettings) {}), "fixed size of the hash table", true},
		{"hash_algorithm", "name", false, (*serverSettings).setHash, "jenkins, murmur3 or xxh3", true},
		{"slab_reassign", "", false, shown("slab_reassign", "yes"), "moves pages between size classes", true},
		{"no_slab_reassign", "", false, shown("slab_reassign", "no"), "", true},
		{"slab_automove", "0-2", true, (*serverSettings).setAutomove, "moves them automatically", true},
		{"no_slab_automove", "", false, shown("slab_automove", "0"), "", true},
		{"slab_automove_ratio", "f", false, shownFloat("slab_automove_ratio", 1, 2), "ratio of ages that starts a move", true},
		{"slab_automove_window", "n", false, shownInt("slab_automove_window", "slab_automove_window", 3, 1800, 1), "samples that decide a move", true},
		{"slab_automove_freeratio", "f", false, shownFloat("slab_automove_freeratio", 1, 3), "share of memory kept free", true},
		{"slab_sizes", "a-b-c", false, (*serverSettings).setSlabSizes, "explicit size classes", true},
		{"slab_chunk_max", "KB", false, shownInt("slab_chunk_max", "slab_chunk_max", 1, 1<<20, 1<<10), "largest chunk of an item", true},
		{"no_chunked_items", "", false, shown("slab_chunk_max", "1048576"), "no items of several chunks", true},
		{"tail_repair_time", "s", false, shownInt("tail_repair_time", "tail_repair_time", 10, most, 1), "age at which leaked items are freed", true},
		{"lru_crawler", "", false, subDo(func(s *serverSettings) { s.options.DisableCrawler = false }), "remove expired items in the background (default)", false},
		{"no_lru_crawler", "", false, subDo(func(s *serverSettings) { s.options.DisableCrawler = true }), "remove expired items only on access or eviction", false},
		{"lru_crawler_sleep", "us", false, subInt("lru_crawler_sleep", 0, 1_000_000, func(s *serverSettings, n int) {
			s.options.CrawlerSleep = cmp.Or(time.Duration(n)*time.Microsecond, -1)
		}), "pause between the crawler's steps (default 100)", false},
		{"lru_crawler_tocrawl", "n", false, shownInt("lru_crawler_tocrawl", "lru_crawler_tocrawl", 0, most, 1), "items of one crawl", true},
		{"lru_maintainer", "", false, shown("lru_maintainer_thread", "yes", "lru_segmented", "yes"), "segmented LRU", true},
		{"no_lru_maintainer", "", false, shown("lru_maintainer_thread", "no", "lru_segmented", "no"), "", true},
		{"hot_lru_pct", "n", false, shownInt("hot_lru_pct", "hot_lru_pct", 1, 80, 1), "share of HOT in percent", true},
		{"warm_lru_pct", "n", false, shownInt("warm_lru_pct", "warm_lru_pct", 1, 80, 1), "share of WARM in percent", true},
		{"hot_max_factor", "f", false, shownFloat("hot_max_factor", 1e9, 2), "largest age in HOT, relative to COLD", true},
		{"warm_max_factor", "f", false, shownFloat("warm_max_factor", 1e9, 2), "largest age in WARM, relative to COLD", true},
		{"temporary_ttl", "s", false, subInt("temporary_ttl", 0, most, func(s *serverSettings, n int) {
			if n > 0 {
				s.show("temp_lru", "yes", "temporary_ttl", strconv.Itoa(n))
			}
		}), "keep items with a shorter TTL apart", true},
		{"modern", "", false, subDo(func(*serverSettings) {}), "memcached's modern defaults", true},
		{"no_modern", "", false, subDo(func(s *serverSettings) {
			s.options.DisableCrawler, s.options.WaitAtMaxConns = true, true
			s.show("lru_maintainer_thread", "no", "lru_segmented", "no", "slab_automove", "0", "slab_chunk_max", "1048576",
				"slab_reassign", "no", "hash_algorithm", "jenkins")
		}), "memcached's defaults before 1.5", true},
		{"relaxed_privileges", "", false, subDo(func(*serverSettings) {}), "more system calls with drop_privileges", true},
		{"sock_cookie_id", "n", false, subInt("sock_cookie_id", 0, most, func(*serverSettings, int) {}), "SO_USER_COOKIE of sockets", true},

		{"drop_privileges", "", false, subDo(func(*serverSettings) {}), "", true},
		{"no_drop_privileges", "", false, subDo(func(*serverSettings) {}), "", true},
		{"proxy_config", "file", true, noProxy, "", true},
		{"proxy_arg", "text", true, noProxy, "", true},
		{"proxy_uring", "", true, noProxy, "", true},
		{"proxy_memprofile", "", true, noProxy, "", true},
		{"ext_path", "file:size", false, func(s *serverSettings, v string) error {
			s.warnings = append(s.warnings, "-o ext_path="+v+": values are kept in memory only")
			return nil
		}, "", true},
	}
	for _, name := range []string{
		"ext_page_size", "ext_wbuf_size", "ext_threads", "ext_io_depth", "ext_item_size", "ext_item_age",
		"ext_low_ttl", "ext_recache_rate", "ext_compact_under", "ext_drop_under", "ext_max_sleep",
	} {
		suboptions = append(suboptions, suboption{name, "n", false, subInt(name, 0, most, func(*serverSettings, int) {}), "", true})
	}
	suboptions = append(suboptions,
		suboption{"ext_max_frag", "f", false, subFloat("ext_max_frag", 0, 1, func(*serverSettings, float64) {}), "", true},
		suboption{"ext_drop_unread", "", false, subDo(func(*serverSettings) {}), "", true})
}

// noProxy refuses the proxy's options: without the proxy the server would be a
// plain cache.
func noProxy(*serverSettings, string) error {
	return cli.Usagef("-o proxy_*: memcached's proxy is not part of this server")
}

func (s *serverSettings) setKeyFormat(v string) error {
	switch strings.ToUpper(v) {
	case "PEM":
		s.certs.KeyDER = false
	case "DER":
		s.certs.KeyDER = true
		s.show("ssl_keyformat", "2") // OpenSSL's SSL_FILETYPE_ASN1
	default:
		return cli.Usagef("-o ssl_keyformat=%s: expected PEM or DER", v)
	}
	return nil
}

func (s *serverSettings) setHash(v string) error {
	switch v {
	case "jenkins", "murmur3", "xxh3":
		s.show("hash_algorithm", v)
		return nil
	}
	return cli.Usagef("-o hash_algorithm=%s: expected jenkins, murmur3 or xxh3", v)
}

func (s *serverSettings) setAutomove(v string) error {
	switch v {
	case "":
		s.show("slab_automove", "1")
	case "0", "1", "2":
		s.show("slab_automove", v)
	default:
		return cli.Usagef("-o slab_automove=%s: expected 0, 1 or 2", v)
	}
	return nil
}

// setSlabSizes checks ascending sizes, as memcached requires them.
func (s *serverSettings) setSlabSizes(v string) error {
	last := 0
	for _, word := range strings.Split(v, "-") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 48 || n <= last {
			return cli.Usagef("-o slab_sizes=%s: expected ascending sizes of at least 48, such as 100-1000-10000", v)
		}
		last = n
	}
	return nil
}

func tlsVersionName(v uint16) string {
	return "tlsv1." + strconv.Itoa(int(v)-tls.VersionTLS10)
}
