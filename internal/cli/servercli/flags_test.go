package servercli

import (
	"crypto/tls"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/memcached/listen"
	"lintel.dev/memcached"
)

func noEnv(string) string { return "" }

func TestServerFlags(t *testing.T) {
	for _, c := range []struct {
		line string
		want func(*serverSettings) (got, expected any)
	}{
		{"", func(s *serverSettings) (any, any) {
			return []any{s.port, s.udpPort, s.instances, s.options.MemoryLimit}, []any{11211, 0, 1, int64(0)}
		}},
		{"-p11212 -U 0", func(s *serverSettings) (any, any) { return []int{s.port, s.udpPort}, []int{11212, 0} }},
		{"-U 5000", func(s *serverSettings) (any, any) { return []int{s.port, s.udpPort}, []int{5000, 5000} }},
		{"-U 5000 -p 6000", func(s *serverSettings) (any, any) { return []int{s.port, s.udpPort}, []int{6000, 5000} }},
		{"-p -1", func(s *serverSettings) (any, any) { return s.port, -1 }},
		{"-vv", func(s *serverSettings) (any, any) { return s.options.Verbosity, 2 }},
		{"-v -v --verbose", func(s *serverSettings) (any, any) { return s.options.Verbosity, 3 }},
		{"-Mvvm 100 -CFX", func(s *serverSettings) (any, any) {
			o := s.options
			return []any{o.DisableEvictions, o.Verbosity, o.MemoryLimit, o.DisableCAS, o.DisableFlush, o.DisableDump}, []any{true, 2, int64(100 << 20), true, true, true}
		}},
		{"--memory-limit=32 --threads 2 --port 1234", func(s *serverSettings) (any, any) {
			return []any{s.options.MemoryLimit, s.options.Threads, s.port}, []any{int64(32 << 20), 2, 1234}
		}},
		{"--memory-l 32", func(s *serverSettings) (any, any) { return s.options.MemoryLimit, int64(32 << 20) }},
		{"-l a,b:1 -l [::1]:2,", func(s *serverSettings) (any, any) { return s.listen, []string{"a", "b:1", "[::1]:2"} }},
		{"-l a -l a,b -l b,a:1", func(s *serverSettings) (any, any) { return s.listen, []string{"a", "b", "a:1"} }},
		{"-l a;b,c", func(s *serverSettings) (any, any) { return s.listen, []string{"a", "b", "c"} }},
		{"-I 2m", func(s *serverSettings) (any, any) { return s.options.MaxItemSize, 2 << 20 }},
		{"-I 512K", func(s *serverSettings) (any, any) { return s.options.MaxItemSize, 512 << 10 }},
		{"-I 1024", func(s *serverSettings) (any, any) { return s.options.MaxItemSize, 1024 }},
		{"-I 1024m -m 2048", func(s *serverSettings) (any, any) { return s.options.MaxItemSize, 1 << 30 }},
		{"-s /tmp/s -a 777", func(s *serverSettings) (any, any) {
			return []any{s.socket, int(s.mask)}, []any{"/tmp/s", 0o777}
		}},
		{"-B binary", func(s *serverSettings) (any, any) { return s.options.Protocol, memcached.Binary }},
		{"-B auto", func(s *serverSettings) (any, any) { return s.options.Protocol, memcached.Auto }},
		{"-Y f -U 100", func(s *serverSettings) (any, any) { return []any{s.options.AuthFile, s.udpPort}, []any{"f", 0} }},
		{"-D /", func(s *serverSettings) (any, any) {
			return []any{s.options.PrefixDelimiter, s.options.Detail}, []any{byte('/'), true}
		}},
		{"-o idle_timeout=3,no_maxconns_fast -o modern,,track_sizes", func(s *serverSettings) (any, any) {
			return []any{s.options.IdleTimeout, s.options.WaitAtMaxConns, s.options.TrackSizes}, []any{3 * time.Second, true, true}
		}},
		{"-o no_modern,relaxed_privileges,slab_automove=2,slab_sizes=100-200-300", func(s *serverSettings) (any, any) {
			o := s.options
			return []any{o.DisableCrawler, o.Settings["slab_automove"], o.Settings["slab_reassign"], o.WaitAtMaxConns, o.Settings["hash_algorithm"]},
				[]any{true, "2", "no", true, "jenkins"}
		}},
		{"-Z -o ssl_chain_cert=c,ssl_key=k,ssl_verify_mode=2,ssl_min_version=3,ssl_session_cache", func(s *serverSettings) (any, any) {
			return s.certs, listen.TLSOptions{Chain: "c", Key: "k", Verify: listen.VerifyRequired, MinVersion: tls.VersionTLS13}
		}},
		{"-d -P /x -u root -rk -c 2000 -R 5 -b 10 -t 8 -f 1.1 -n 64 -L -N 2 -A -W -e /m", func(s *serverSettings) (any, any) {
			return []any{s.daemon, s.pidFile, s.user, s.coreDumps, s.lockAll, s.options.MaxConns, s.options.Requests, s.backlog, s.options.EnableShutdown, s.options.DisableWatch, s.options.MemoryFile},
				[]any{true, "/x", "root", true, true, 2000, 5, 10, true, true, "/m"}
		}},
		{"--napi-ids=2 -o no_chunked_items", func(s *serverSettings) (any, any) { return s.options.Settings["slab_chunk_max"], "1048576" }},
		{"-o ext_path=/x:1G,ext_threads=2", func(s *serverSettings) (any, any) { return len(s.warnings), 1 }},
		{"-h -c 0x", func(s *serverSettings) (any, any) { return nil, nil }},
	} {
		s, err := parseServer(strings.Fields(c.line), noEnv)
		if strings.HasPrefix(c.line, "-h -c") {
			if err == nil {
				t.Errorf("%s: no error for the bad value behind -h", c.line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		got, want := c.want(s)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.line, d)
		}
	}
}

// TestEverySuboptionIsTaken gives every option of -o a plausible value.
func TestEverySuboptionIsTaken(t *testing.T) {
	values := map[string]string{
		"hashpower": "16", "hash_algorithm": "xxh3", "slab_sizes": "100-1000", "tail_repair_time": "20", "ssl_keyformat": "PEM",
		"slab_automove_window": "30", "hot_lru_pct": "10", "warm_lru_pct": "10", "ext_path": "/x:1m",
	}
	taken := 0
	for _, o := range suboptions {
		if strings.HasPrefix(o.name, "proxy_") {
			continue
		}
		word := o.name
		if o.arg != "" {
			v := values[o.name]
			if v == "" {
				v = "1"
			}
			word += "=" + v
		}
		if _, err := parseServer([]string{"-o", word}, noEnv); err != nil {
			t.Errorf("-o %s: %v", word, err)
		}
		taken++
	}
	if taken < 65 {
		t.Errorf("%d suboptions, memcached has more", taken)
	}
}

func TestServerFlagErrors(t *testing.T) {
	for line, want := range map[string]string{
		"-c 0":                           `-c 0: expected a whole number of at least 1`,
		"-c -1":                          `at least 1`,
		"-t 0":                           `at least 1`,
		"-t 999999999999":                `-t 999999999999: expected 1 to 1024`,
		"-f NaN":                         `-f NaN: expected a number`,
		"-I 1000":                        `expected a size of 1k to 1024m`,
		"-I 2048m -m 9999":               `expected a size of 1k to 1024m`,
		"-I 256m":                        `more than half`,
		"-I 9999999999999999999m":        `expected a size`,
		"-B http":                        `expected ascii, binary or auto`,
		"-m 0":                           `at least 1`,
		"-m 99999999999":                 `-m 99999999999`,
		"-p 70000":                       `expected a port`,
		"-p x":                           `expected a port`,
		"-l ,":                           `-l ",": no address`,
		"--listen=":                      `-l "": no address`,
		"-a 999":                         `octal`,
		"-x":                             `unknown flag -x`,
		"--nonsense":                     `unknown flag --nonsense, see -h`,
		"--prot":                         `--protocol needs a value`,
		"--thread=":                      `whole number`,
		"--thraeds=2":                    `unknown flag --thraeds, did you mean --threads?`,
		"--help=no":                      `-h takes no value`,
		"-vvx":                           `unknown flag -x`,
		"-v=3":                           `-v takes no value`,
		"-":                              `unexpected argument "-"`,
		"-p 1 -vm":                       `-m needs a value`,
		"--":                             ``,
		"-- x":                           `unexpected argument "x"`,
		"stray":                          `unexpected argument "stray"`,
		"-m":                             `-m needs a value`,
		"--threads":                      `--threads needs a value`,
		"--daemon=1":                     `takes no value`,
		"--memory":                       `--memory is ambiguous: --memory-file, --memory-limit`,
		"-o nonsense":                    `-o nonsense: unknown option`,
		"-o hashpower":                   `needs a value`,
		"-o hashpower=99":                `12 to 32`,
		"-o modern=1":                    `takes no value`,
		"-o slab_automove=3":             `expected 0, 1 or 2`,
		"-o slab_sizes=5":                `ascending`,
		"-o hot_lru_pct=50":              `90 together`,
		"-o tail_repair_time=5":          `10 to`,
		"-o ssl_verify_mode=4":           `0 to 3`,
		"-o ssl_keyformat=ENGINE":        `PEM or DER`,
		"-o slab_automove_ratio=NaN":     `greater than 0`,
		"-o proxy_config=x":              `not part of this server`,
		"-S":                             `MEMCACHED_SASL_PWDB`,
		"-S -B ascii":                    `-S needs the binary protocol`,
		"-S -B auto":                     `-S needs the binary protocol`,
		"-Y f -B binary":                 `-Y needs the ascii protocol`,
		"-Z":                             `ssl_chain_cert`,
		"-Z -o ssl_chain_cert=x -p 0":    `needs a TCP port`,
		"-D ab":                          `one character`,
		"-f 1":                           `greater than 1`,
		"-n 0":                           `at least 1`,
		"-R 0":                           `at least 1`,
		"-b x":                           `at least 0`,
		"-m 1":                           `more than half`,
		"--instances 0":                  `at least 1`,
		"--instances 2 -s x":             `leave out -s`,
		"--instances 2 -e x":             `memory file`,
		"--instances 2 --cluster a:1":    `exclude each other`,
		"--instances 9 -p 65530":         `ports 65530-65538 exceed 65535`,
		"-o watcher_logbuf_size=0":       `1 to`,
		"-o slab_automove_freeratio=2":   `up to 1`,
		"-o ext_max_frag=x":              `greater than`,
		"-o lru_crawler_sleep=1000001":   `0 to 1000000`,
		"-o slab_automove_window=2":      `3 to 1800`,
		"-o read_buf_mem_limit=-1":       `0 to`,
		"-N x":                           `whole number`,
		"-o idle_timeout=4294967296":     `0 to`,
		"-o slab_chunk_max=0":            `1 to`,
		"-o ssl_min_version=9":           `0 to 3`,
		"-o temporary_ttl=99999999999":   `0 to`,
		"-o hash_algorithm=md5":          `jenkins, murmur3 or xxh3`,
		"-o warm_max_factor=0":           `greater than 0`,
		"-S -Y f -o modern --license=no": `takes no value`,
	} {
		_, err := parseServer(strings.Fields(line), noEnv)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", line, err, want)
			continue
		}
		if !cli.IsUsage(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q is not a usage error of one line", line, err)
		}
	}
}

func TestSASLNeedsItsFile(t *testing.T) {
	s, err := parseServer([]string{"-S"}, func(name string) string {
		if name == "MEMCACHED_SASL_PWDB" {
			return "users"
		}
		return ""
	})
	if err != nil || s.options.SASLFile != "users" {
		t.Errorf("%v, %v", s, err)
	}
}

// TestServerHelp checks the words that memcached's test suite searches in the
// help to find out what the binary supports.
func TestServerHelp(t *testing.T) {
	h := serverHelp("memcached", "v1")
	if !strings.HasPrefix(h, "memcached "+memcached.DefaultVersion+"\n") {
		t.Errorf("the help begins with %.30q", h)
	}
	for _, want := range []string{"(?i)unix-socket", "(?i)sasl", "(?i)enable-ssl", "-p, --port=<num>", "without effect"} {
		if !regexp.MustCompile(want).MatchString(h) {
			t.Errorf("no %q in the help", want)
		}
	}
	for _, never := range []string{"(?i)ext_path", "(?i)proxy_config", "(?i)no_drop_privileges"} {
		if regexp.MustCompile(never).MatchString(h) {
			t.Errorf("%q in the help", never)
		}
	}
	for _, c := range "pUsaAldrumMckvhiVPfnLtRCbBISFXWYeZNoD" {
		if !strings.Contains(h, "\n-"+string(c)) {
			t.Errorf("no line for -%c", c)
		}
	}
	for _, line := range strings.Split(h, "\n") {
		if len(line) > 80 || strings.HasSuffix(line, " ") {
			t.Errorf("untidy line %q", line)
		}
	}
}

func TestPortLines(t *testing.T) {
	for ip, want := range map[string]string{
		"0.0.0.0": "TCP INET: 5\n", "127.0.0.1": "TCP INET: 5\n", "::1": "TCP INET6: 5\n", "::": "TCP INET: 5\nTCP INET6: 5\n",
	} {
		var b strings.Builder
		if writePorts(&b, "TCP", net.ParseIP(ip), 5); b.String() != want {
			t.Errorf("%s: %q", ip, b.String())
		}
	}
}
