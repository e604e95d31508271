package servercli

import (
	"crypto/tls"
	"strconv"
	"strings"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
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
	report := func(set func(r *memcached.Report)) func(*serverSettings, string) error {
		return func(s *serverSettings, _ string) error {
			set(&s.options.Report)
			return nil
		}
	}
	suboptions = []suboption{
		{"maxconns_fast", "", false, report(func(r *memcached.Report) { r.NoMaxConnsFast = false }), "with -c connections open, refuse more with an error (default)", false},
		{"no_maxconns_fast", "", false, report(func(r *memcached.Report) { r.NoMaxConnsFast = true }), "with -c connections open, let more wait", false},
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
			s.certs.Verify = memcached.VerifyMode(n)
		}), "certificates of clients: 0 none, 1 and 3 verified if sent, 2 required (default 0)", false},
		{"ssl_ca_cert", "file", false, text(func(s *serverSettings) *string { return &s.certs.CA }), "authorities of client certificates (PEM)", false},
		{"ssl_ciphers", "list", false, text(func(s *serverSettings) *string { return &s.certs.Ciphers }), "cipher suites up to TLS 1.2: OpenSSL's names separated by colons", false},
		{"ssl_min_version", "n", false, subInt("ssl_min_version", 0, 3, func(s *serverSettings, n int) {
			s.certs.MinVersion = tls.VersionTLS10 + uint16(n)
		}), "lowest version, 0 to 3: TLS 1.0 to 1.3 (default 2)", false},
		{"ssl_session_cache", "", false, subDo(func(s *serverSettings) { s.certs.SessionCache = true }), "let clients resume sessions", false},

		{"ssl_wbuf_size", "KB", false, subInt("ssl_wbuf_size", 1, 1<<20, func(s *serverSettings, n int) { s.options.Report.TLSWriteBuffer = n << 10 }), "TLS output buffer", true},
		{"ssl_kernel_tls", "", false, report(func(r *memcached.Report) { r.TLSKernel = true }), "TLS in the kernel", true},
		{"worker_logbuf_size", "KB", false, subInt("worker_logbuf_size", 1, 1<<20, func(s *serverSettings, n int) { s.options.Report.WorkerBuffer = n << 10 }), "log buffer of a thread", true},
		{"resp_obj_mem_limit", "MB", false, subInt("resp_obj_mem_limit", 0, 1<<20, func(*serverSettings, int) {}), "bound on response objects", true},
		{"inline_ascii_resp", "", false, subDo(func(*serverSettings) {}), "small values copied into replies", true},
		{"no_inline_ascii_resp", "", false, subDo(func(*serverSettings) {}), "", true},
		{"hashpower", "n", false, subInt("hashpower", 12, 32, func(s *serverSettings, n int) { s.options.Report.HashPower = n }), "size of the hash table", true},
		{"no_hashexpand", "", false, subDo(func(*serverSettings) {}), "fixed size of the hash table", true},
		{"hash_algorithm", "name", false, (*serverSettings).setHash, "jenkins, murmur3 or xxh3", true},
		{"slab_reassign", "", false, report(func(r *memcached.Report) { r.NoSlabReassign = false }), "moves pages between size classes", true},
		{"no_slab_reassign", "", false, report(func(r *memcached.Report) { r.NoSlabReassign = true }), "", true},
		{"slab_automove", "0-2", true, (*serverSettings).setAutomove, "moves them automatically", true},
		{"no_slab_automove", "", false, report(func(r *memcached.Report) { r.SlabAutomove = -1 }), "", true},
		{"slab_automove_ratio", "f", false, subFloat("slab_automove_ratio", 0, 1, func(s *serverSettings, f float64) { s.options.Report.SlabAutomoveRatio = f }), "ratio of ages that starts a move", true},
		{"slab_automove_window", "n", false, subInt("slab_automove_window", 3, 1800, func(s *serverSettings, n int) { s.options.Report.SlabAutomoveWindow = n }), "samples that decide a move", true},
		{"slab_automove_freeratio", "f", false, subFloat("slab_automove_freeratio", 0, 1, func(s *serverSettings, f float64) { s.options.Report.SlabFreeRatio = f }), "share of memory kept free", true},
		{"slab_sizes", "a-b-c", false, (*serverSettings).setSlabSizes, "explicit size classes", true},
		{"slab_chunk_max", "KB", false, subInt("slab_chunk_max", 1, 1<<20, func(s *serverSettings, n int) { s.options.Report.SlabChunkMax = n << 10 }), "largest chunk of an item", true},
		{"no_chunked_items", "", false, subDo(func(s *serverSettings) { s.options.Report.SlabChunkMax = 1 << 20 }), "no items of several chunks", true},
		{"tail_repair_time", "s", false, subInt("tail_repair_time", 10, most, func(s *serverSettings, n int) { s.options.Report.TailRepair = n }), "age at which leaked items are freed", true},
		{"lru_crawler", "", false, report(func(r *memcached.Report) { r.NoCrawler = false }), "remove expired items in the background (default)", false},
		{"no_lru_crawler", "", false, report(func(r *memcached.Report) { r.NoCrawler = true }), "remove expired items only on access or eviction", false},
		{"lru_crawler_sleep", "us", false, subInt("lru_crawler_sleep", 0, 1_000_000, func(s *serverSettings, n int) { s.options.Report.CrawlerSleep = n }), "pause between the crawler's steps", true},
		{"lru_crawler_tocrawl", "n", false, subInt("lru_crawler_tocrawl", 0, most, func(s *serverSettings, n int) { s.options.Report.CrawlerToCrawl = n }), "items of one crawl", true},
		{"lru_maintainer", "", false, report(func(r *memcached.Report) { r.NoMaintainer, r.FlatLRU = false, false }), "segmented LRU", true},
		{"no_lru_maintainer", "", false, report(func(r *memcached.Report) { r.NoMaintainer, r.FlatLRU = true, true }), "", true},
		{"hot_lru_pct", "n", false, subInt("hot_lru_pct", 1, 80, func(s *serverSettings, n int) { s.options.Report.HotPct = n }), "share of HOT in percent", true},
		{"warm_lru_pct", "n", false, subInt("warm_lru_pct", 1, 80, func(s *serverSettings, n int) { s.options.Report.WarmPct = n }), "share of WARM in percent", true},
		{"hot_max_factor", "f", false, subFloat("hot_max_factor", 0, 1e9, func(s *serverSettings, f float64) { s.options.Report.HotFactor = f }), "largest age in HOT, relative to COLD", true},
		{"warm_max_factor", "f", false, subFloat("warm_max_factor", 0, 1e9, func(s *serverSettings, f float64) { s.options.Report.WarmFactor = f }), "largest age in WARM, relative to COLD", true},
		{"temporary_ttl", "s", false, subInt("temporary_ttl", 0, most, func(s *serverSettings, n int) { s.options.Report.TempTTL = n }), "keep items with a shorter TTL apart", true},
		{"modern", "", false, subDo(func(*serverSettings) {}), "memcached's modern defaults", true},
		{"no_modern", "", false, report(func(r *memcached.Report) {
			r.NoMaintainer, r.FlatLRU, r.NoCrawler, r.SlabAutomove, r.SlabChunkMax = true, true, true, -1, 1<<20
			r.NoSlabReassign, r.NoMaxConnsFast, r.HashAlgorithm = true, true, "jenkins"
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
		s.options.Report.TLSKeyFormat = 2 // OpenSSL's SSL_FILETYPE_ASN1
	default:
		return cli.Usagef("-o ssl_keyformat=%s: expected PEM or DER", v)
	}
	return nil
}

func (s *serverSettings) setHash(v string) error {
	switch v {
	case "jenkins", "murmur3", "xxh3":
		s.options.Report.HashAlgorithm = v
		return nil
	}
	return cli.Usagef("-o hash_algorithm=%s: expected jenkins, murmur3 or xxh3", v)
}

func (s *serverSettings) setAutomove(v string) error {
	switch v {
	case "", "1":
		s.options.Report.SlabAutomove = 1
	case "0":
		s.options.Report.SlabAutomove = -1
	case "2":
		s.options.Report.SlabAutomove = 2
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
