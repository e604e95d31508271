package memcached

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/netloop"
)

func TestAdmin(t *testing.T) {
	talk(t, Options{}, []exchange{
		{"cache_memlimit\r\ncache_memlimit x\r\n", "ERROR\r\nERROR\r\n"},
		{"cache_memlimit 7\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"},
		{"cache_memlimit 8\r\ncache_memlimit 16 noreply\r\n", "OK\r\n"},
		{"cache_memlimit 1000000001\r\n", "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"},
		{"slabs\r\nslabs x\r\nslabs reassign 1\r\nslabs automove\r\n", strings.Repeat("ERROR\r\n", 4)},
		{"slabs reassign 1 1\r\n", "SAME src and dst class are identical\r\n"},
		{"slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"},
		{"slabs reassign -1 2\r\n", "BADCLASS invalid src or dst class id\r\n"}, // no class has a page to spare
		{"slabs r 1 2\r\nslabs a 1\r\nslabs a ra 0.8\r\nslabs a w 10\r\n", "NOSPARE source class has no spare pages\r\nOK\r\nOK\r\nOK\r\n"},
		{"slabs reassign 99 1\r\nslabs reassign 1 4000000000\r\nslabs reassign -2 1\r\n", strings.Repeat("BADCLASS invalid src or dst class id\r\n", 3)},
		{"slabs reassign x 1\r\nslabs automove invalid\r\n", badFormat + badFormat},
		{"slabs automove 0\r\nslabs automove 1\r\nslabs automove 2\r\nslabs automove 3\r\n", "OK\r\nOK\r\nOK\r\nERROR\r\n"},
		{"slabs automove ratio 0.5\r\nslabs automove freeratio .02\r\nslabs automove ratio x\r\nslabs automove ratio nan\r\n", "OK\r\nOK\r\nERROR\r\nERROR\r\n"},
		{
			"slabs automove window 3\r\nslabs automove window 0\r\nslabs automove window 99999999999\r\nslabs automove window\r\n",
			"OK\r\nCLIENT_ERROR automove window too low or too high\r\n" + badFormat + badFormat,
		},
		{"lru\r\nlru mode\r\nlru temp_ttl\r\nlru tune 1 2 3\r\nlru mode x\r\n", strings.Repeat("ERROR\r\n", 5)},
		{"lru mode flat\r\nlru mode segmented\r\nlru temp_ttl 30\r\nlru temp_ttl -1\r\nlru tune 10 20 0.1 2.0\r\n", strings.Repeat("OK\r\n", 5)},
		{"lru tune 50 40 0.1 2.0\r\nlru tune 4294967295 2 .1 2\r\n", strings.Repeat("ERROR hot and warm pcts must not exceed 80\r\n", 2)},
		{"lru tune 18446744073709551615 2 .1 2\r\nlru tune +1 2 .1 2\r\nlru tune 1 2 .1 0\r\n", "ERROR\r\nERROR\r\nERROR hot/warm age factors must be greater than 0\r\n"},
		{"lru m flat x\r\nlru mode s\r\nlru te 30 x\r\nlru tu 10 20 0.1 2.0 x\r\n", strings.Repeat("OK\r\n", 4)},
		{"lru_crawler\r\nlru_crawler x\r\nlru_crawler crawl\r\nlru_crawler metadump\r\n", strings.Repeat("ERROR\r\n", 4)},
		{"lru_crawler sleep 1000000\r\nlru_crawler sleep 1000001\r\nlru_crawler sleep x\r\n", "OK\r\nCLIENT_ERROR sleep must be one second or less\r\n" + badFormat},
		{"lru_crawler tocrawl 10\r\nlru_crawler tocrawl x\r\n", "OK\r\n" + badFormat},
		{"lru_crawler enable\r\n", "ERROR failed to start lru crawler thread\r\n"},
		{"lru_crawler disable\r\nlru_crawler crawl all\r\nlru_crawler crawl x\r\n", "OK\r\n" + strings.Repeat("CLIENT_ERROR lru crawler disabled\r\n", 2)},
		{"lru_crawler metadump all\r\nlru_crawler mgdump all\r\nlru_crawler enable\r\n", strings.Repeat("CLIENT_ERROR lru crawler disabled\r\n", 2) + "OK\r\n"},
		{"slabs reassign 0 1\r\n", "NOSPARE source class has no spare pages\r\n"},
		{"lru_crawler crawl 1,2,39\r\nlru_crawler crawl 1,64\r\nlru_crawler crawl 0\r\nlru_crawler crawl x\r\n", "OK\r\n" + strings.Repeat("BADCLASS invalid class id"+"\r\n", 3)},
		{"lru_crawler sleep\r\nlru_crawler tocrawl\r\nlru_crawler enable x\r\nlru_crawler c\r\n", strings.Repeat("ERROR\r\n", 4)},
		{"lru_crawler s 100\r\nlru_crawler t 0\r\nlru_crawler d\r\nlru_crawler e\r\n", strings.Repeat("OK\r\n", 4)},
		{"lru_crawler crawl 63\r\nstats cachedump 63 0\r\nstats cachedump 64 0\r\n", "OK\r\nEND\r\nCLIENT_ERROR Illegal slab id\r\n"},
		{"stats detail of\r\nstats detail o\r\nstats detail d\r\nstats detail off\r\n", "OK\r\nOK\r\nEND\r\nOK\r\n"},
		{"version\r\nwatch\r\n", "VERSION 1.6.45\r\nERROR cannot pipeline other commands before watch\r\n"},
		{"refresh_certs\r\n", "Error TLS not enabled\r\n"},
		{"stats r\r\nstats detail\r\nstats deta x\r\n", "RESET\r\n" + strings.Repeat("CLIENT_ERROR usage: stats detail on|off|dump\r\n", 2)},
		{"version foo bar\r\n", "VERSION 1.6.45\r\n"},
	})
}

func TestSettingsFollowCommands(t *testing.T) {
	level := 0
	s := startServer(t, Options{DisableCrawler: true, Version: "1.6.99", OnVerbosity: func(n int) { level = n }})
	c := dial(t, s)
	c.send("cache_memlimit 128\r\nverbosity 2\r\nslabs automove 0\r\nslabs automove window 60\r\nlru mode flat\r\nlru temp_ttl 20\r\nlru_crawler sleep 500\r\nlru_crawler enable\r\n")
	for name, want := range map[string]string{
		"maxbytes": "134217728", "verbosity": "2", "slab_automove": "0", "slab_automove_window": "60", "lru_segmented": "no",
		"temp_lru": "yes", "temporary_ttl": "20", "lru_crawler_sleep": "500", "lru_crawler": "yes", "no such thing": "",
	} {
		if got := setting(s, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if level != 2 {
		t.Errorf("OnVerbosity was told %d", level)
	}
	c.want("version\r\n", "VERSION 1.6.99\r\n")
}

func TestShutdownCommand(t *testing.T) {
	told := make(chan bool, 1)
	s := startServer(t, Options{EnableShutdown: true, OnShutdown: func(graceful bool) { told <- graceful }})
	c := dial(t, s)
	c.want("shutdown now\r\nshutdown graceful now\r\n", strings.Repeat("CLIENT_ERROR invalid shutdown mode\r\n", 2))
	c.want("shutdown graceful\r\n", "")
	if !c.closed || !<-told {
		t.Error("no graceful shutdown")
	}
	d := dial(t, s)
	d.want("shutdown\r\n", "")
	if !d.closed || <-told {
		t.Error("no plain shutdown")
	}
}

func TestDebugTime(t *testing.T) {
	s := startServer(t, Options{Debug: true})
	c := dial(t, s)
	c.want("debugtime p\r\nset a 0 3 1\r\nx\r\nmg a t\r\n", "OK\r\nSTORED\r\nHD t3\r\n")
	s.engine.Clock.Tick(time.Now().Add(time.Hour)) // stands still
	c.want("mg a t\r\ndebugtime 2\r\nmg a t\r\ndebugtime 1\r\nmg a t\r\n", "HD t3\r\nOK\r\nHD t1\r\nOK\r\nEN\r\n")
	before := time.Now().Unix()
	c.want("debugtime\r\ndebugtime x\r\ndebugtime 999999999999\r\ndebugtime r\r\n", "ERROR\r\nERROR\r\nERROR\r\nOK\r\n")
	if now, after := s.engine.Clock.Now(), time.Now().Unix(); now < before-1 || now > after+1 {
		t.Errorf("it is %d after debugtime r, expected %d to %d", now, before, after)
	}
}

func TestCrawl(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	for i := range 30 {
		c.want(fmt.Sprintf("set i%d 0 0 2\r\nok\r\nset l%d 0 3600 2\r\nok\r\nset s%d 0 1 2\r\nok\r\n", i, i, i), "STORED\r\nSTORED\r\nSTORED\r\n")
	}
	if got := c.stat("slabs", "1:used_chunks"); got != "90" {
		t.Errorf("used_chunks = %s, want 90", got)
	}
	s.engine.Clock.Add(2)
	c.want("lru_crawler crawl 2\r\nlru_crawler crawl 1\r\n", "OK\r\nOK\r\n")
	for c.stat("", "lru_crawler_running") != "0" {
	}
	if got := c.stat("slabs", "1:used_chunks"); got != "60" {
		t.Errorf("used_chunks = %s, want 60", got)
	}
	if got := c.stat("items", "items:1:crawler_reclaimed"); got != "30" {
		t.Errorf("crawler_reclaimed = %s, want 30", got)
	}
	if got := c.stat("", "lru_crawler_starts"); got != "2" {
		t.Errorf("lru_crawler_starts = %s, want 2", got)
	}
	c.want("stats reset\r\n", "RESET\r\n")
	if got := c.stat("", "lru_crawler_starts"); got != "0" {
		t.Errorf("lru_crawler_starts = %s after stats reset, want 0", got)
	}
}

// stat returns one line of stats sub.
func (c *client) stat(sub, name string) string {
	c.t.Helper()
	for line := range strings.Lines(c.send(strings.TrimSpace("stats "+sub) + "\r\n")) {
		if v, ok := strings.CutPrefix(line, "STAT "+name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestMetaDump(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	const n = 5000
	for i := range n {
		c.send(fmt.Sprintf("set key%d 0 0 1 noreply\r\nx\r\n", i))
	}
	big := strings.Repeat("b", 1000)
	c.send("set big 7 100 1000\r\n" + big + "\r\n")
	got := c.send("lru_crawler metadump all\r\n")
	if strings.Count(got, "key=") != n+1 || !strings.HasPrefix(got, "OK\r\nkey=") || !strings.HasSuffix(got, " \nEND\r\n") {
		t.Errorf("metadump: %d keys, %q", strings.Count(got, "key="), clip(got))
	}
	if want := fmt.Sprintf("key=big exp=%d la=%d cas=# fetch=no cls=12 size=1066 flags=7 \n", s.engine.Clock.Now()+100, s.engine.Clock.Now()); !strings.Contains(casField.ReplaceAllString(got, "cas=#"), want) {
		t.Errorf("metadump lacks %q", want)
	}
	got = c.send("lru_crawler metadump 12\r\n")
	if strings.Count(got, "key=") != 1 {
		t.Errorf("metadump 12: %q", clip(got))
	}
	got = c.send("lru_crawler mgdump hash\r\n")
	if strings.Count(got, "mg key") != n || !strings.HasPrefix(got, "OK\r\nmg ") || !strings.HasSuffix(got, "\r\nEN\r\n") {
		t.Errorf("mgdump: %q", clip(got))
	}
	c.want("mn\r\nlru_crawler mgdump all\r\n", "MN\r\nERROR cannot pipeline other commands before mgdump\r\n")
	c.want("lru_crawler metadump 1,99\r\nlru_crawler mgdump x\r\n", "BADCLASS invalid class id"+"\r\nERROR cannot pipeline other commands before mgdump\r\n")
	got = c.send("lru_crawler metadump 12\r\nmn\r\n")
	if strings.Count(got, "key=") != 1 || !strings.HasSuffix(got, " \nEND\r\nMN\r\n") {
		t.Errorf("metadump 12 with mn behind it: %q", clip(got))
	}
	c.want("lru_crawler metadump 1,99\r\n", "BADCLASS invalid class id"+"\r\n")

	// A client that leaves in the middle of a dump, which does not fit into what
	// waits to be sent.
	for i := range 5000 {
		c.send(fmt.Sprintf("set %0200d 0 0 1 noreply\r\nx\r\n", i))
	}
	d := dial(t, s)
	if _, step := d.s.Data([]byte("lru_crawler metadump all\r\n"), newSmallWriter()); step != netloop.Wait {
		t.Fatalf("a dump returned step %d, want Wait", step)
	}
	d.hangUp()
	for s.engine.Crawler.Running() {
		runtime.Gosched()
	}
	// One dump at a time.
	d = dial(t, s)
	d.s.Data([]byte("lru_crawler metadump all\r\n"), newSmallWriter())
	c.want("lru_crawler metadump all\r\n", "BUSY currently processing crawler request\r\n")
	c.want("lru_crawler crawl all\r\n", "BUSY currently processing crawler request\r\n")

	talk(t, Options{DisableDump: true}, []exchange{
		{"lru_crawler metadump all\r\n", "ERROR metadump not allowed\r\n"},
		{"lru_crawler mgdump all\r\n", "ERROR key dump not allowed\r\n"},
		{"stats cachedump 1 1\r\n", "CLIENT_ERROR stats cachedump not allowed\r\n"},
		{"stats detail on\r\n", "CLIENT_ERROR stats detail not allowed\r\n"},
	})
}

func TestCacheDumpAndSizes(t *testing.T) {
	s := startServer(t, Options{TrackSizes: true})
	c := dial(t, s)
	c.send("set a 0 0 6\r\nfooval\r\nset b 0 0 100\r\n" + strings.Repeat("x", 100) + "\r\n")
	c.want("stats cachedump 1 0\r\n", "ITEM a [6 b; 0 s]\r\nEND\r\n")
	c.want("stats cachedump 4 10\r\n", "ITEM b [100 b; 0 s]\r\nEND\r\n")
	c.want("stats cachedump 2 10\r\nstats cachedump 1\r\nstats cachedump 64 1\r\nstats cachedump 1 x\r\n",
		"END\r\nCLIENT_ERROR bad command line\r\nCLIENT_ERROR Illegal slab id\r\n"+badFormat)
	c.want("stats sizes\r\n", "STAT 96 1\r\nSTAT 160 1\r\nEND\r\n")
	for i := range 50 {
		c.send(fmt.Sprintf("set k%d 0 0 1\r\nx\r\n", i))
	}
	if got := strings.Count(c.send("stats cachedump 1 7\r\n"), "ITEM "); got != 7 {
		t.Errorf("%d items, want 7", got)
	}
}

func TestStatsDetail(t *testing.T) {
	s := talk(t, Options{}, []exchange{
		{"stats detail dump\r\nstats detail on\r\n", "END\r\nOK\r\n"},
		{
			"set foo:123 0 0 6\r\nfooval\r\nget foo:123 foo:124\r\ndelete foo:125\r\nget bar:x noprefix\r\nmg foo:123\r\n",
			"STORED\r\nVALUE foo:123 0 6\r\nfooval\r\nEND\r\nNOT_FOUND\r\nEND\r\nHD\r\n",
		},
		{"stats detail dump\r\n", "PREFIX bar get 1 hit 0 set 0 del 0\r\nPREFIX foo get 3 hit 2 set 1 del 1\r\nEND\r\n"},
		{
			"stats detail off\r\nget foo:123\r\nstats detail dump\r\n",
			"OK\r\nVALUE foo:123 0 6\r\nfooval\r\nEND\r\nPREFIX bar get 1 hit 0 set 0 del 0\r\nPREFIX foo get 3 hit 2 set 1 del 1\r\nEND\r\n",
		},
		{"stats reset\r\nstats detail dump\r\n", "RESET\r\nEND\r\n"},
	})
	if setting(s, "detail_enabled") != "no" {
		t.Error("detail_enabled after stats detail off")
	}
	// The table is bounded.
	c := dial(t, s)
	c.send("stats detail on\r\n")
	for i := range exec.MaxPrefixes + 100 {
		c.send(fmt.Sprintf("get p%d:k\r\n", i))
	}
	if got := strings.Count(c.send("stats detail dump\r\n"), "PREFIX "); got != exec.MaxPrefixes {
		t.Errorf("%d prefixes, want %d", got, exec.MaxPrefixes)
	}
	talk(t, Options{Detail: true, PrefixDelimiter: '/'}, []exchange{
		{"get a/b a:c\r\nstats detail dump\r\n", "END\r\nPREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n"},
	})
}

// TestTouchCounts checks which commands count as gets and which as touches, and
// that a store with a bad data block is counted.
func TestTouchCounts(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	last := map[string]string{}
	for _, tc := range []struct{ in, want string }{
		{"set a 0 0 1\r\nx\r\n", "cmd_set"},
		{"get a\r\n", "cmd_get get_hits"},
		{"gat 9 a\r\n", "cmd_touch touch_hits"},
		{"gat 9 no\r\n", "cmd_touch touch_misses"},
		{"mg a T9\r\n", "cmd_touch touch_hits"},
		{"mg no T9\r\n", "cmd_get get_misses"},
		{"mg no N9\r\n", "cmd_get get_hits"},
		{"set a 0 0 1\r\nxyz\r\n", "cmd_set"},
		{"set a 0 0 2000000\r\n" + strings.Repeat("x", 2000000) + "\r\n", "store_too_large"},
	} {
		c.send(tc.in)
		var changed []string
		for _, name := range []string{"cmd_get", "cmd_set", "cmd_touch", "touch_hits", "touch_misses", "get_hits", "get_misses", "store_too_large"} {
			if v := c.stat("", name); v != last[name] && !(v == "0" && last[name] == "") {
				last[name], changed = v, append(changed, name)
			}
		}
		if got := strings.Join(changed, " "); got != tc.want {
			t.Errorf("%.20q counts as %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestStatCounts(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	c.send("set a 0 0 1\r\n1\r\nget a b\r\ngat 0 a b\r\ntouch a 0\r\ntouch b 0\r\nincr a 1\r\nincr b 1\r\ndecr a 1\r\ndecr b 1\r\n")
	c.send("cas a 0 0 1 99\r\nx\r\ncas b 0 0 1 99\r\nx\r\ndelete b\r\nmg a\r\nmg b\r\nset e 0 1 1\r\nx\r\nset big 0 0 2000000\r\n" + strings.Repeat("x", 2000000) + "\r\n")
	s.engine.Clock.Add(1)
	c.send("get e\r\ndelete a\r\nflush_all\r\n")
	for name, want := range map[string]string{
		"cmd_get": "5", "cmd_set": "4", "cmd_touch": "4", "cmd_flush": "1", "cmd_meta": "2", "get_hits": "2", "get_misses": "3",
		"get_expired": "1", "touch_hits": "2", "touch_misses": "2", "incr_hits": "1", "incr_misses": "1", "decr_hits": "1",
		"decr_misses": "1", "cas_badval": "1", "cas_misses": "1", "cas_hits": "0", "delete_hits": "1", "delete_misses": "1",
		"store_too_large": "1", "curr_items": "0", "total_items": "2", "bytes": "0", "version": DefaultVersion,
		"limit_maxbytes": "67108864", "threads": "4", "max_connections": "1024",
	} {
		if got := c.stat("", name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	st := s.Stats()
	if st.Gets != 5 || st.Hits != 2 || st.Misses != 3 || st.Sets != 4 {
		t.Errorf("Stats() = %+v", st)
	}
	c.want("stats reset\r\n", "RESET\r\n")
	for _, name := range []string{"cmd_get", "cmd_set", "get_hits", "total_items", "touch_hits"} {
		if got := c.stat("", name); got != "0" {
			t.Errorf("%s = %q after a reset", name, got)
		}
	}
}

// TestStatVariants counts the lines that options remove or add.
func TestStatVariants(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts Options
		want int
	}{
		{"default", Options{}, 93},
		{"no crawler, no maintainer", Options{DisableCrawler: true, Settings: map[string]string{"lru_maintainer_thread": "no"}}, 84},
		{"the same with TLS", Options{DisableCrawler: true, Settings: map[string]string{"lru_maintainer_thread": "no"}, Certs: certs{}}, 87},
		{"idle timeout", Options{IdleTimeout: time.Minute}, 94},
		{"no slab reassign", Options{Settings: map[string]string{"slab_reassign": "no"}}, 84},
	} {
		if got := len(startServer(t, tc.opts).All("")); got != tc.want {
			t.Errorf("%s: %d lines, want %d", tc.name, got, tc.want)
		}
	}
}

// certs are certificates that are never loaded.
type certs struct{}

func (certs) Reload() error     { return nil }
func (certs) Loaded() time.Time { return time.Now() }

func TestConfigGetCluster(t *testing.T) {
	top := &Topology{}
	s := startServer(t, Options{Topology: top})
	c := dial(t, s)
	c.want("config get cluster\r\n", "CONFIG cluster 0 3\r\n0\n\n\r\nEND\r\n")
	nodes, err := ParseNodes("# fleet\na.example:11211, b.example|10.0.0.2|11212\n[::1]:11213")
	if err != nil {
		t.Fatal(err)
	}
	top.Set(nodes)
	const list = "a.example||11211 b.example|10.0.0.2|11212 ::1||11213"
	reply := func(version string) string {
		body := version + "\n" + list + "\n"
		return fmt.Sprintf("CONFIG cluster 0 %d\r\n%s\r\nEND\r\n", len(body), body)
	}
	c.want("config get cluster\r\n", reply("1"))
	top.Set(nodes) // nothing new
	c.want("config get cluster\r\n", reply("1"))
	top.Set(append(nodes[1:], nodes[0]))
	if _, v := top.Nodes(); v != 2 {
		t.Errorf("version %d, want 2", v)
	}
	c.want("config set cluster\r\nconfig get other\r\n", "ERROR\r\nERROR\r\n")
	for _, bad := range []string{"", "host", "host:0", "host:x", "host:65536", ":1", "a|b|c", "# only"} {
		if _, err := ParseNodes(bad); err == nil {
			t.Errorf("ParseNodes(%q) succeeded", bad)
		}
	}
}

func TestCluster(t *testing.T) {
	if _, err := NewCluster(Options{}, 0); err == nil {
		t.Error("a cluster of none")
	}
	c, err := NewCluster(Options{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var ls []net.Listener
	var want []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, l)
		want = append(want, fmt.Sprintf("127.0.0.1|127.0.0.1|%d", l.Addr().(*net.TCPAddr).Port))
	}
	done := make(chan error, 1)
	go func() { done <- c.Serve(ls) }()
	for i, l := range ls {
		p := connect(t, "tcp", l.Addr().String())
		p.want(fmt.Sprintf("set which 0 0 1\r\n%d\r\n", i), "STORED\r\n")
		body := "1\n" + strings.Join(want, " ") + "\n"
		p.want("config get cluster\r\n", fmt.Sprintf("CONFIG cluster 0 %d\r\n%s\r\nEND\r\n", len(body), body))
	}
	for i, s := range c.Servers() {
		// Each has its own items.
		dial(t, s).want("get which\r\n", fmt.Sprintf("VALUE which 0 1\r\n%d\r\nEND\r\n", i))
	}
	if err := c.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != ErrServerClosed {
		t.Errorf("Serve returned %v", err)
	}
}

// setting returns the value of a line of stats settings.
func setting(s *Server, name string) string {
	for _, l := range s.All("settings") {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// TestHottest uses one key for half of many commands, in all protocols and kinds.
func TestHottest(t *testing.T) {
	s := startServer(t, Options{TrackKeys: true})
	c := dial(t, s)
	c.want("set app:hot 0 0 1\r\nv\r\n", "STORED\r\n")
	for i := range 2000 {
		c.want(fmt.Sprintf("get app:hot\r\nmg app:hot v\r\ntouch app:hot 0\r\nget cold:%d x\r\ndelete y%d\r\n", i, i),
			"VALUE app:hot 0 1\r\nv\r\nEND\r\nVA 1\r\nv\r\nTOUCHED\r\nEND\r\nNOT_FOUND\r\n")
	}
	// 3 of 6 keys are app:hot. Of 12000 keys about 375 are sampled.
	keys, prefixes := s.Hottest(5)
	if len(keys) != 5 || keys[0].Name != "app:hot" || keys[0].Share < 0.2 || keys[0].Share > 0.8 || keys[1].Share > keys[0].Share {
		t.Errorf("keys: %v", keys)
	}
	if len(prefixes) != 2 || prefixes[0].Name != "app:" || prefixes[1].Name != "cold:" || prefixes[0].Share < 0.2 {
		t.Errorf("prefixes: %v", prefixes)
	}
	if keys, prefixes := startServer(t, Options{}).Hottest(5); keys != nil || prefixes != nil {
		t.Errorf("without TrackKeys: %v, %v", keys, prefixes)
	}
}
