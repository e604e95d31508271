package memcached

import (
	"fmt"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/netloop"
)

// exchange is a request and its expected reply.
type exchange struct{ send, want string }

// talk runs steps on a connection of a new server with a paused clock.
func talk(t *testing.T, opts Options, steps []exchange) *Server {
	t.Helper()
	s := startServer(t, opts)
	s.engine.Clock.Pause()
	c := dial(t, s)
	for _, step := range steps {
		c.want(step.send, step.want)
	}
	return s
}

const badFormat = "CLIENT_ERROR bad command line format\r\n"

func TestStorageCommands(t *testing.T) {
	talk(t, Options{}, []exchange{
		{"add a 1 0 3\r\none\r\n", "STORED\r\n"},
		{"add a 1 0 3\r\ntwo\r\n", "NOT_STORED\r\n"},
		{"replace a 2 0 3\r\ntwo\r\n", "STORED\r\n"},
		{"replace b 2 0 3\r\ntwo\r\n", "NOT_STORED\r\n"},
		{"append a 9 99 2\r\n++\r\n", "STORED\r\n"},
		{"prepend a 9 99 2\r\n--\r\n", "STORED\r\n"},
		{"get a\r\n", "VALUE a 2 7\r\n--two++\r\nEND\r\n"},
		{"append b 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
		{"prepend b 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
		{"cas b 0 0 1 7\r\nx\r\n", "NOT_FOUND\r\n"},
		{"set a 0 0 1\nx\r\n", "STORED\r\n"}, // the line may end in LF alone
		{"set a 0 0 2\r\nabc\r\n", "CLIENT_ERROR bad data chunk\r\n" + badFormat},
		{"set a 0 x 1\r\ny\r\nget a\r\n", badFormat + "VALUE a 0 1\r\nx\r\nEND\r\n"},
		{"set a -1 0 1\r\ny\r\n", badFormat},
		{"set a 0x1 0 1\r\ny\r\n", badFormat},
		{"set a 4294967296 0 1\r\ny\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\ny\r\nEND\r\n"},
		{"set a 0 0\r\n", badFormat},
		{"cas a 0 0 1\r\nx\r\n", badFormat},
		{"set  a  0   0 1 \r\nz\r\n", "STORED\r\n"},
		{"delete a 0 noreply\r\nget a\r\n", "END\r\n"},
		{"delete noreply\r\nmn\r\n", "MN\r\n"},
		{"delete a 1 2\r\ndelete a 1 2 3\r\ndelete a 1 2 3 noreply\r\n", "NOT_FOUND\r\nNOT_FOUND\r\n"},
		{"delete a b c d e\r\ndelete a b c d e noreply\r\n", badFormat},
		{"bogus\r\n\"set foo\"\r\n", "ERROR\r\nERROR\r\n"},
	})
}

func TestCAS(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	c.want("set a 0 0 1\r\n1\r\n", "STORED\r\n")
	unique := func(key string) string {
		f := strings.Fields(c.send("gets " + key + "\r\n"))
		if len(f) < 5 {
			t.Fatalf("gets: %q", f)
		}
		return f[4]
	}
	u := unique("a")
	c.want("cas a 0 0 1 "+u+"\r\n2\r\n", "STORED\r\n")
	c.want("cas a 0 0 1 "+u+"\r\n3\r\n", "EXISTS\r\n")
	c.want("cas a 0 0 1 0\r\n3\r\n", "EXISTS\r\n")
	c.want("get a\r\n", "VALUE a 0 1\r\n2\r\nEND\r\n")
	// Every change of the value changes its CAS value.
	for _, change := range []string{"set a 0 0 1\r\n5\r\n", "append a 0 0 1\r\n5\r\n", "incr a 1\r\n"} {
		before := unique("a")
		c.send(change)
		if unique("a") == before {
			t.Errorf("%q kept the unique", change)
		}
	}
	before := unique("a")
	c.want("touch a 100\r\n", "TOUCHED\r\n")
	if unique("a") != before {
		t.Error("touch changed the unique")
	}
}

func TestNoReply(t *testing.T) {
	talk(t, Options{}, []exchange{
		{"set a 0 0 1 noreply\r\n1\r\n", ""},
		{"add a 0 0 1 noreply\r\n2\r\n", ""},
		{"replace b 0 0 1 noreply\r\n2\r\n", ""},
		{"append a 0 0 1 noreply\r\n2\r\n", ""},
		{"prepend a 0 0 1 noreply\r\n3\r\n", ""},
		{"cas a 0 0 1 99 noreply\r\n3\r\n", ""},
		{"incr a 1 noreply\r\n", ""},
		{"decr a 1 noreply\r\n", ""},
		{"touch a 0 noreply\r\n", ""},
		{"verbosity 0 noreply\r\n", ""},
		{"get a\r\n", "VALUE a 0 3\r\n312\r\nEND\r\n"},
		{"set a 0 0 1 foo noreply\r\n1\r\n", ""},
		{"set " + strings.Repeat("k", 251) + " 0 0 1 noreply\r\nx\r\n", ""},
		{"set a 0 0 2000000 noreply\r\n" + strings.Repeat("x", 2000000) + "\r\n", ""},
		{"delete a noreply\r\n", ""},
		{"flush_all 0 noreply\r\n", ""},
		{"mn\r\n", "MN\r\n"},
	})
}

func TestArithmetic(t *testing.T) {
	const nonNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	talk(t, Options{}, []exchange{
		{"set n 3 0 1\r\n1\r\n", "STORED\r\n"},
		{"incr n 1\r\n", "2\r\n"},
		{"incr n 8\r\n", "10\r\n"},
		{"decr n 1\r\n", "9\r\n"},
		{"get n\r\n", "VALUE n 3 2\r\n9 \r\nEND\r\n"},
		{"decr n 18446744073709551615\r\n", "0\r\n"},
		{"set n 0 0 19\r\n9999999999999999999\r\n", "STORED\r\n"},
		{"incr n 1\r\nget n\r\n", "10000000000000000000\r\nVALUE n 0 20\r\n10000000000000000000\r\nEND\r\n"},
		{"set n 0 0 20\r\n18446744073709551615\r\nincr n 1\r\n", "STORED\r\n0\r\n"},
		{"incr n x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"},
		{"incr n -1\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"},
		{"incr n +1\r\ndecr n 1\t\r\nincr n 00000000000000000000001\r\n", strings.Repeat("CLIENT_ERROR invalid numeric delta argument\r\n", 3)},
		{"incr n\r\n", badFormat},
		{"incr missing 1\r\n", "NOT_FOUND\r\n"},
		{"set w 0 0 4\r\ntext\r\nincr w 1\r\n", "STORED\r\n" + nonNumeric},
		{"set w 0 0 2\r\n-1\r\nincr w 1\r\n", "STORED\r\n" + nonNumeric},
		{"set w 0 0 2\r\n+1\r\nincr w 1\r\n", "STORED\r\n2\r\n"},
		{"set w 0 0 2\r\n 1\r\nincr w 1\r\n", "STORED\r\n2\r\n"},
		{"set w 0 0 40\r\n" + fmt.Sprintf("%-40s", "5") + "\r\nincr w 1\r\n", "STORED\r\n6\r\n"},
	})
}

func TestExpiry(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	c.want("set a 0 1 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	s.engine.Clock.Add(1)
	c.want("get a\r\n", "END\r\n")
	c.want("set a 0 -1 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n")
	now := s.engine.Clock.Now()
	c.want(fmt.Sprintf("set a 0 %d 1\r\nx\r\nmg a t\r\n", now+5), "STORED\r\nHD t5\r\n")
	c.want(fmt.Sprintf("set a 0 %d 1\r\nx\r\nget a\r\n", now-5), "STORED\r\nEND\r\n")
	c.want("set a 0 2592000 1\r\nx\r\nmg a t\r\n", "STORED\r\nHD t2592000\r\n")
	c.want("set a 0 2592001 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n") // January 1970
	// Times after 2038, where memcached's 32 bits end.
	for _, at := range []int64{1 << 31, 1 << 32, 1<<32 + 12345} {
		c.want(fmt.Sprintf("set a 0 %d 1\r\nx\r\nmg a t\r\n", at), fmt.Sprintf("STORED\r\nHD t%d\r\n", at-now))
		c.want(fmt.Sprintf("ms a 1 T%d\r\nx\r\nmg a t\r\n", at), fmt.Sprintf("HD\r\nHD t%d\r\n", at-now))
	}
	c.want("set a 0 99999999999999999999 1\r\nx\r\n", badFormat)
	c.want("set a 0 9223372036854775807 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	c.want("touch a 10\r\nmg a t\r\ntouch a 0\r\nmg a t\r\ntouch a -1\r\nget a\r\n",
		"TOUCHED\r\nHD t10\r\nTOUCHED\r\nHD t-1\r\nTOUCHED\r\nEND\r\n")
	c.want("add a 0 0 1\r\ny\r\ngat 20 a missing\r\nmg a t\r\n", "STORED\r\nVALUE a 0 1\r\ny\r\nEND\r\nHD t20\r\n")
	// No command finds an expired item.
	c.want("set a 0 2 1\r\n1\r\n", "STORED\r\n")
	s.engine.Clock.Add(2)
	c.want("incr a 1\r\nreplace a 0 0 1\r\nx\r\nappend a 0 0 1\r\nx\r\ntouch a 1\r\ndelete a\r\nadd a 0 0 1\r\nz\r\n",
		"NOT_FOUND\r\nNOT_STORED\r\nNOT_STORED\r\nNOT_FOUND\r\nNOT_FOUND\r\nSTORED\r\n")
}

func TestFlushAll(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	set := "set a 0 0 1\r\nx\r\n"
	hit, miss := "VALUE a 0 1\r\nx\r\nEND\r\n", "END\r\n"
	c.want(set+"flush_all\r\nget a\r\n", "STORED\r\nOK\r\n"+miss)
	c.want("add a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\n"+hit) // in the same second
	c.want("flush_all 2\r\nget a\r\n", "OK\r\n"+hit)
	s.engine.Clock.Add(1)
	c.want("get a\r\n", hit)
	s.engine.Clock.Add(1)
	c.want("get a\r\n", miss)
	c.want(set+"get a\r\n", "STORED\r\n"+hit) // set when the delay is over
	c.want(fmt.Sprintf("flush_all %d\r\n", s.engine.Clock.Now()+3), "OK\r\n")
	s.engine.Clock.Add(3)
	c.want("get a\r\n", miss)
	c.want(set+"flush_all 2\r\nflush_all 10\r\n", "STORED\r\nOK\r\nOK\r\n") // the later one counts
	s.engine.Clock.Add(3)
	c.want("get a\r\n", hit)
	c.want("flush_all -1\r\nget a\r\n", "OK\r\n"+miss)
	c.want("flush_all x\r\n", "CLIENT_ERROR invalid exptime argument\r\n")

	// Items used in this second are deleted at once. Older ones stay until a
	// command finds that they are flushed.
	c.want("stats reset\r\nset old 0 0 1\r\nx\r\n", "RESET\r\nSTORED\r\n")
	s.engine.Clock.Add(3)
	c.want("set new 0 0 1\r\nx\r\nflush_all\r\n", "STORED\r\nOK\r\n")
	if got := c.stat("", "curr_items"); got != "1" {
		t.Errorf("curr_items = %s after a flush, want that of the older item", got)
	}
	c.want("get old new\r\n", miss)
	if f, m := c.stat("", "get_flushed"), c.stat("", "get_misses"); f != "1" || m != "2" {
		t.Errorf("get_flushed = %s, get_misses = %s, want 1 and 2", f, m)
	}

	talk(t, Options{DisableFlush: true}, []exchange{
		{set + "flush_all\r\nget a\r\n", "STORED\r\nCLIENT_ERROR flush_all not allowed\r\n" + hit},
		{"flush_prefix a\r\nmp a\r\n", "CLIENT_ERROR flush_prefix not allowed\r\nCLIENT_ERROR flush_prefix not allowed\r\n"},
	})
}

// TestManyFlushPrefixes flushes more prefixes than a lookup considers. The command
// becomes a job, and other commands are served meanwhile.
func TestManyFlushPrefixes(t *testing.T) {
	s := startServer(t, Options{CrawlerSleep: -1})
	c, d := dial(t, s), dial(t, s)
	for i := range 20000 {
		c.send(fmt.Sprintf("set p%d:k 0 0 1 noreply\r\nx\r\n", i))
	}
	waits := 0
	for i := range 200 {
		w := netloop.NewWriter(1 << 10)
		_, step := c.s.Data(fmt.Appendf(nil, "flush_prefix p%d:\r\n", i), w)
		for ; step == netloop.Wait; waits++ {
			d.want("get p500:k\r\n", "VALUE p500:k 0 1\r\nx\r\nEND\r\n")
			<-c.conn.woken
			_, step = c.s.Data(nil, w)
		}
		if got := string(w.Drain(nil)); got != "OK\r\n" {
			t.Fatalf("flush %d: %q", i, got)
		}
		d.want(fmt.Sprintf("get p%d:k\r\n", i), "END\r\n")
	}
	if waits == 0 {
		t.Error("no flush has become a job")
	}
	c.want("mp p300: k\r\nmg p300:k v\r\nget p301:k\r\n", "HD kp300:\r\nEN\r\nVALUE p301:k 0 1\r\nx\r\nEND\r\n")
}

func TestFlushPrefix(t *testing.T) {
	s := talk(t, Options{}, []exchange{
		{"set user:1 0 0 1\r\na\r\nset user:2 0 0 1\r\nb\r\nset page:1 0 0 1\r\nc\r\n", "STORED\r\nSTORED\r\nSTORED\r\n"},
		{"flush_prefix user:\r\n", "OK\r\n"},
		{"get user:1 user:2 page:1\r\n", "VALUE page:1 0 1\r\nc\r\nEND\r\n"},
		{"set user:1 0 0 1\r\nn\r\nget user:1\r\n", "STORED\r\nVALUE user:1 0 1\r\nn\r\nEND\r\n"},
		{"flush_prefix cGFnZTo= b\r\nget page:1\r\n", "OK\r\nEND\r\n"},
		{"flush_prefix user: noreply\r\nget user:1\r\n", "END\r\n"},
		{"flush_prefix\r\n", badFormat},
		{"flush_prefix ! b\r\n", "CLIENT_ERROR error decoding key\r\n"},
		{"ms m:1 1\r\nx\r\nmp m: O5 k\r\nmg m:1\r\nmp bTo= b k q\r\nmp m: z\r\nmp\r\n", "HD\r\nHD O5 km:\r\nEN\r\nCLIENT_ERROR invalid flag\r\n" + badFormat},
		{"set x 0 0 1\r\na\r\n", "STORED\r\n"},
	})
	s.FlushPrefix("x")
	dial(t, s).want("get x\r\n", "END\r\n")
}

func TestLargestItem(t *testing.T) {
	for _, tc := range []struct {
		opts  Options
		flags int
		n     int // largest value that fits under the key a
	}{
		{Options{}, 0, 1048516},
		{Options{}, 1, 1048512},
		{Options{MaxItemSize: 1024}, 0, 1024 - 60},
		{Options{DisableCAS: true}, 0, 1048524},
	} {
		s := startServer(t, tc.opts)
		c := dial(t, s)
		set := func(n int) string {
			return c.send(fmt.Sprintf("set a %d 0 %d\r\n%s\r\n", tc.flags, n, strings.Repeat("v", n)))
		}
		if got := set(tc.n); got != "STORED\r\n" {
			t.Errorf("%+v: %d bytes: %q", tc.opts, tc.n, got)
		}
		if got := set(tc.n + 1); got != "SERVER_ERROR object too large for cache\r\n" {
			t.Errorf("%+v: %d bytes: %q", tc.opts, tc.n+1, got)
		}
		// A set that fails removes the old item, an add does not.
		c.want("get a\r\n", "END\r\n")
		c.want("set a 0 0 1\r\nx\r\n", "STORED\r\n")
		c.want(fmt.Sprintf("add a 0 0 %d\r\n%s\r\n", tc.n+100, strings.Repeat("v", tc.n+100)),
			"SERVER_ERROR object too large for cache\r\n")
		c.want("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n")
		c.want(fmt.Sprintf("append a 0 0 %d\r\n%s\r\n", tc.n-4, strings.Repeat("v", tc.n-4)), "STORED\r\n")
		c.want("append a 0 0 10\r\n0123456789\r\n", "NOT_STORED\r\n")
	}
}

func TestKeys(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	for n := 1; n <= 250; n++ {
		key := strings.Repeat("k", n)
		c.want("set "+key+" 0 0 1\r\nx\r\nget "+key+"\r\n", "STORED\r\nVALUE "+key+" 0 1\r\nx\r\nEND\r\n")
	}
	long := strings.Repeat("k", 251)
	c.want("set "+long+" 0 0 1\r\nx\r\n", badFormat)
	for _, line := range []string{"delete " + long, "incr " + long + " 1", "touch " + long + " 1", "mg " + long, "md " + long, "me " + long} {
		c.want(line+"\r\n", badFormat)
	}
	c.want("ma "+long+"\r\n", "CLIENT_ERROR invalid or duplicate flag\r\n")
	c.want("mn\r\n", "MN\r\n")
	c.want("get "+long+"\r\n", badFormat+"\r\n")
	c.want("get a "+long+" b\r\n", badFormat+"\r\n")
	c.want("foo\r\nfoo noreply\r\nlete c 0 noreply\r\nmn\r\n", "ERROR\r\nMN\r\n")
	c.want("version\r\nmn\r\nversion\r\nget "+long+"\r\n", "VERSION 1.6.45\r\nMN\r\n"+badFormat+"\r\n")
}

func TestLines(t *testing.T) {
	for _, tc := range []struct{ name, send, want string }{
		{"empty", "\r\n", badFormat},
		{"two letters", "a\r\n", badFormat},
		{"leading space", " get a\r\n", "ERROR\r\n"},
		{"capital", "GET a\r\n", "ERROR\r\n"},
		{"no key", "get \r\n", badFormat},
		{"spaces", "get    a   b  \r\n", "END\r\n"},
		{"incr alone", "incr\r\n", badFormat},
		{"touch alone", "touch a\r\n", badFormat},
		{"verbosity", "verbosity\r\nverbosity invalid\r\nverbosity 1\r\n", badFormat + badFormat + "OK\r\n"},
		{"maps", "stats maps\r\nstats malloc\r\n", "ERROR\r\nERROR\r\n"},
		{"no such command", "misbehave\r\ndebugitem lock a\r\ndebugtime 1\r\nconfig get cluster\r\nextstore x 1\r\n", strings.Repeat("ERROR\r\n", 5)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			talk(t, Options{}, []exchange{{tc.send, tc.want}, {"mn\r\n", "MN\r\n"}})
		})
	}
}

// TestLongGet sends a get that is longer than any buffer, in pieces that end in the
// middle of keys.
func TestLongGet(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	c.want("set hit 0 0 3\r\nval\r\n", "STORED\r\n")
	line := strings.Repeat(" "+strings.Repeat("m", 240), 500) + " hit" + strings.Repeat(" x", 5000) + " hit\r\n"
	for _, verb := range []string{"get", "gets"} {
		var got strings.Builder
		for rest := verb + line; rest != ""; {
			n := min(len(rest), 1999)
			got.WriteString(c.send(rest[:n]))
			rest = rest[n:]
			if len(c.in) > 2048 {
				t.Fatalf("%d bytes are left to the loop", len(c.in))
			}
		}
		if n := strings.Count(got.String(), "val\r\n"); n != 2 || !strings.HasSuffix(got.String(), "END\r\n") {
			t.Errorf("%s: %d hits, reply %q", verb, n, clip(got.String()))
		}
	}
	// A key that becomes too long, and a line that is no command.
	got := c.send("get hit" + strings.Repeat(" m", 1100))
	got += c.send(strings.Repeat("z", 300))
	got += c.send(" hit\r\nmn\r\n")
	if want := "VALUE hit 0 3\r\nval\r\n" + badFormat + "\r\nMN\r\n"; got != want && got != badFormat+"\r\nMN\r\n" {
		t.Errorf("overlong key: %q", got)
	}
	got = c.send(" get" + strings.Repeat(" m", 1100))
	got += c.send(" hit\r\nmn\r\n")
	if want := "ERROR\r\nMN\r\n"; got != want {
		t.Errorf("leading space: %q", got)
	}
}

func TestClosingLines(t *testing.T) {
	for name, send := range map[string]string{
		"get over http":     "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"post over http":    "POST /set%20a HTTP/1.0\r\n\r\nset a 0 0 1\r\nx\r\n",
		"endless line":      strings.Repeat("a", 2049),
		"endless spaces":    strings.Repeat(" ", 4096),
		"endless set":       "set " + strings.Repeat("a", 2048),
		"spaces before get": strings.Repeat(" ", 101) + "get " + strings.Repeat("a ", 1200),
		"quit":              "quit\r\nset a 0 0 1\r\nx\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, Options{})
			c := dial(t, s)
			if got := c.send(send); got != "" || !c.closed {
				t.Errorf("closed = %v, reply %q", c.closed, got)
			}
			dial(t, s).want("get a\r\n", "END\r\n")
		})
	}
}

// TestManyKeys reads more keys in a line than are prefetched at a time, some of them
// missing, repeated or after several spaces, and more than one batch answers.
func TestManyKeys(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	line, want := "get", ""
	value := strings.Repeat("v", 3000)
	for i := range 5*exec.Lookahead + 3 {
		key := fmt.Sprint("key", i%(2*exec.Lookahead))
		line += strings.Repeat(" ", 1+i%3) + key
		if i%(2*exec.Lookahead)%4 == 3 {
			continue
		}
		if i < 2*exec.Lookahead {
			c.want(fmt.Sprintf("set %s 7 0 %d\r\n%s\r\n", key, len(value), value), "STORED\r\n")
		}
		want += fmt.Sprintf("VALUE %s 7 %d\r\n%s\r\n", key, len(value), value)
	}
	c.want(line+"\r\n", want+"END\r\n")
	c.want(line+"  \r\n", want+"END\r\n")
	c.want(line+" "+strings.Repeat("k", 251)+"\r\n", "CLIENT_ERROR bad command line format\r\n\r\n")
	c.want(line+" "+strings.Repeat("k", 250)+" key0\r\n", want+fmt.Sprintf("VALUE key0 7 %d\r\n%s\r\nEND\r\n", len(value), value))
}

// TestCASUnique checks that no two items have the same CAS value, in any shard.
func TestCASUnique(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	seen := map[string]int{}
	for i := range 500 {
		got := c.send(fmt.Sprintf("ms key%d 1 c\r\nx\r\n", i))
		if other, ok := seen[got]; ok {
			t.Fatalf("key%d and key%d: both %q", i, other, got)
		}
		seen[got] = i
	}
}
