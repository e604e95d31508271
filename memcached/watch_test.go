package memcached

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/watch"
)

// lines returns what a watcher has received, without times and numbers.
func (c *client) lines() []string {
	c.srv.engine.Log.Flush()
	text := c.conn.sent.String()
	c.conn.sent.Reset()
	text = regexp.MustCompile(`ts=\d+\.\d{6} gid=\d+ `).ReplaceAllString(text, "")
	text = regexp.MustCompile(`cfd=\d+`).ReplaceAllString(text, "cfd=N")
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func watchOn(t *testing.T, s *Server, streams string) *client {
	w := dial(t, s)
	w.want("watch"+streams+"\r\n", "OK\r\n")
	if !w.stream {
		t.Fatal("the watcher's connection is not one-way")
	}
	return w
}

func TestWatchStreams(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	fetch, change := watchOn(t, s, ""), watchOn(t, s, " mutations")
	del, raw, conn := watchOn(t, s, " deletions"), watchOn(t, s, " rawcmds"), watchOn(t, s, " connevents")
	c := dial(t, s)
	c.send("get a#\r\nset a# 0 5 1\r\nx\r\nget a#\r\nmg a#\r\nadd a# 0 0 1\r\ny\r\n")
	c.send("cas no 0 0 1 7\r\ny\r\nset big 0 0 2000000\r\n" + strings.Repeat("x", 2000000) + "\r\n")
	c.send("incr no 1\r\ndelete a#\r\nms b 1\r\nz\r\nmd b\r\n\x01\xff\x00 odd\r\n")
	s.engine.Clock.Add(9)
	c.send("set e 0 1 1\r\nx\r\n")
	s.engine.Clock.Add(2)
	c.send("get e\r\nset f 0 0 1\r\nx\r\nflush_all\r\n")
	s.engine.Clock.Add(1)
	c.hangUp()

	check := func(name string, got []string, want ...string) {
		t.Helper()
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s:\n%s\nwant\n%s", name, g, w)
		}
	}
	get := func(key, status string) string {
		if status == "found" {
			return "type=item_get key=" + key + " status=found clsid=1 cfd=N size=1"
		}
		return "type=item_get key=" + key + " status=" + status + " clsid=0 cfd=N size=0"
	}
	// Commands that look up an item to change it are shown as well.
	check("fetchers", fetch.lines(),
		get("a%23", "not_found"), get("a%23", "not_found"), get("a%23", "found"), get("a%23", "found"), get("a%23", "found"),
		get("no", "not_found"), get("no", "not_found"), get("a%23", "found"), get("b", "not_found"), get("b", "found"),
		get("e", "not_found"), get("e", "expired"), get("f", "not_found"))
	check("mutations", change.lines(),
		"type=item_store key=a%23 status=stored cmd=set ttl=5 clsid=1 cfd=N size=1",
		"type=item_store key=a%23 status=not_stored cmd=add ttl=0 clsid=1 cfd=N size=1",
		"type=item_store key=no status=not_found cmd=cas ttl=0 clsid=1 cfd=N size=1",
		"type=item_store key=big status=too_large cmd=set ttl=0 clsid=39 cfd=N size=0",
		"type=item_store key=b status=stored cmd=set ttl=0 clsid=1 cfd=N size=1",
		"type=item_store key=e status=stored cmd=set ttl=1 clsid=1 cfd=N size=1",
		"type=item_store key=f status=stored cmd=set ttl=0 clsid=1 cfd=N size=1")
	check("deletions", del.lines(),
		"type=deleted key=a%23 cmd=delete clsid=1 size=1", "type=deleted key=b cmd=md clsid=1 size=1")
	id := c.conn.id
	check("connevents", conn.lines(),
		fmt.Sprintf("type=conn_new rip=127.0.0.1 rport=%d transport=tcp cfd=N", 40000+id),
		fmt.Sprintf("type=conn_close rip=127.0.0.1 rport=%d transport=tcp reason=normal cfd=N", 40000+id))
	if got := strings.Join(raw.lines(), "\n"); !strings.Contains(got, fmt.Sprintf("<%d set a# 0 5 1\n", id)) || !strings.Contains(got, `\x01\xff\x00 odd`) {
		t.Errorf("rawcmds:\n%s", got)
	}
}

// TestWatchChanges checks the lines of commands that change an item in other ways
// than by storing a value, and their sizes.
func TestWatchChanges(t *testing.T) {
	s := startServer(t, Options{})
	fetch, change, del := watchOn(t, s, ""), watchOn(t, s, " mutations"), watchOn(t, s, " deletions")
	c := dial(t, s)
	for _, tc := range []struct {
		in, out              string
		fetched, stored, del string // what each stream says, without the common words
	}{
		{in: "set n 0 0 1\r\n9\r\n", out: "STORED\r\n", fetched: "n not_found 0", stored: "n stored set 0 1"},
		{in: "incr n 1\r\n", out: "10\r\n", fetched: "n found 1"}, // neither of them is a mutation
		{in: "decr n 1\r\n", out: "9\r\n", fetched: "n found 2"},
		{in: "append n 7 9 2\r\n00\r\n", out: "STORED\r\n", fetched: "n found 2", stored: "n stored append 0 4"},
		{in: "prepend n 7 9 1\r\n1\r\n", out: "STORED\r\n", fetched: "n found 4", stored: "n stored prepend 0 5"},
		{in: "touch n 50\r\n", out: "TOUCHED\r\n", fetched: "n found 5"},
		{in: "ma m N0 J3\r\n", out: "HD\r\n", fetched: "m not_found 0", stored: "m stored add 0 1"},
		{in: "md m I\r\n", out: "HD\r\n", fetched: "m found 1"},
		{in: "md m x\r\n", out: "HD\r\n", fetched: "m found 1", stored: "m stored set 0 0", del: "m md 0"},
		{in: "mg v N30 v\r\n", out: "VA 0 W\r\n\r\n", fetched: "v not_found 0"},
		{in: "ms v 2 C1\r\nab\r\n", out: "EX\r\n", fetched: "v found 0", stored: "v exists cas 0 2"},
		{in: "delete n\r\n", out: "DELETED\r\n", fetched: "n found 5", del: "n delete 5"},
		{in: "delete n\r\n", out: "NOT_FOUND\r\n", fetched: "n not_found 0"},
	} {
		c.want(tc.in, tc.out)
		for _, stream := range []struct {
			name, want string
			w          *client
		}{{"fetchers", tc.fetched, fetch}, {"mutations", tc.stored, change}, {"deletions", tc.del, del}} {
			got := strings.Join(stream.w.lines(), "\n")
			got = regexp.MustCompile(`^type=\w+ key=| (clsid|cfd)=\w+|\w+=`).ReplaceAllString(got, "")
			if got != stream.want {
				t.Errorf("%q: %s: %q, want %q", tc.in, stream.name, got, stream.want)
			}
		}
	}
}

// TestWatchCloseReasons checks the reasons of conn_close.
func TestWatchCloseReasons(t *testing.T) {
	s := startServer(t, Options{})
	w := watchOn(t, s, " connevents")
	for in, reason := range map[string]string{
		"":                          "normal",
		"quit\r\n":                  "normal",
		"GET / HTTP/1.1\r\n":        "error",
		strings.Repeat("x", 3000):   "error",
		binReq(0x07, 0, "", "", ""): "normal",
	} {
		c := dial(t, s)
		c.send(in)
		c.hangUp()
		if got := w.lines(); len(got) != 2 || !strings.Contains(got[1], "type=conn_close") || !strings.Contains(got[1], "reason="+reason+" ") {
			t.Errorf("%.20q: %q, want the reason %s", in, got, reason)
		}
	}
}

func TestWatchRefused(t *testing.T) {
	talk(t, Options{DisableWatch: true}, []exchange{{"watch\r\n", "CLIENT_ERROR watch commands not allowed\r\n"}, {"mn\r\n", "MN\r\n"}})
	talk(t, Options{}, []exchange{{"watch fetchers nosuch\r\n", "ERROR\r\n"}, {"mn\r\n", "MN\r\n"}})
	s := startServer(t, Options{})
	var first *client
	for i := range watch.MaxWatchers {
		w := watchOn(t, s, " sysevents")
		if i == 0 {
			first = w
		}
	}
	c := dial(t, s)
	c.want("watch\r\n", "WATCHER_TOO_MANY log watcher limit reached\r\n")
	first.hangUp()
	c.want("watch\r\n", "OK\r\n")
}

func TestWatchEvictions(t *testing.T) {
	s := startServer(t, Options{MemoryLimit: 2 << 20})
	w := watchOn(t, s, " evictions")
	c := dial(t, s)
	value := strings.Repeat("v", 10000)
	for i := range 400 {
		c.want(fmt.Sprintf("set key%d 0 100 10000\r\n%s\r\n", i, value), "STORED\r\n")
	}
	got := w.lines()
	if len(got) < 100 || uint64(len(got)) != s.Stats().Evictions {
		t.Fatalf("%d lines, %d evictions", len(got), s.Stats().Evictions)
	}
	if !regexp.MustCompile(`^type=eviction key=key\d+ fetch=no ttl=\d+ la=\d+ clsid=22 size=10000$`).MatchString(got[0]) {
		t.Errorf("line %q", got[0])
	}
}

// TestWatchSlow lets a watcher fall behind. Lines are dropped and counted, and no
// command waits.
func TestWatchSlow(t *testing.T) {
	s := startServer(t, Options{})
	w, c := watchOn(t, s, ""), dial(t, s)
	c.send("get a\r\n")
	s.engine.Log.Flush()
	w.conn.full = true
	for range 5 {
		c.want("get b\r\n", "END\r\n")
	}
	s.engine.Log.Flush()
	c.want("get b\r\n", "END\r\n") // is not even formatted
	w.conn.full = false
	w.s.(interface{ Drained() }).Drained()
	c.send("get c\r\nget d\r\n")
	got := strings.Join(w.lines(), "\n")
	miss := func(key string) string {
		return "type=item_get key=" + key + " status=not_found clsid=0 cfd=N size=0"
	}
	if want := strings.Join([]string{miss("a"), "skipped=6", miss("c"), miss("d")}, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The count of skipped lines is sent when there is room, not with the next line.
	w.conn.full = true
	c.send("get b\r\n")
	s.engine.Log.Flush()
	w.s.(interface{ Drained() }).Drained()
	w.conn.full = false
	w.s.(interface{ Drained() }).Drained()
	w.s.(interface{ Drained() }).Drained()
	if got := w.lines(); len(got) != 1 || got[0] != "skipped=1" {
		t.Errorf("with room again it got %q", got)
	}
	stats := dial(t, s).send("stats\r\n")
	for _, line := range []string{"log_watcher_skipped 7", "log_watcher_sent 3", "log_watchers 1"} {
		if !strings.Contains(stats, "STAT "+line+"\r\n") {
			t.Errorf("stats lacks %q", line)
		}
	}
	// A binary set that fails while mutations are watched.
	m := watchOn(t, s, " mutations")
	dial(t, s).ask(binReq(1, 0, be32(0, 0), "k", strings.Repeat("x", 2<<20)))
	if got := m.lines(); len(got) != 1 || !strings.Contains(got[0], "status=too_large cmd=set") {
		t.Errorf("mutations: %q", got)
	}
}
