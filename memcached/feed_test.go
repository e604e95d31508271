package memcached

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/session"
)

// recorder is a Feed that notes every change. The tests use one goroutine.
type recorder struct {
	changes Changes
	got     []string
	stops   int
	err     error
}

func (r *recorder) Start(c Changes) error {
	r.changes = c
	c.Listen(true)
	return r.err
}

func (r *recorder) Stop() { r.stops++ }

var kindNames = [...]string{Changed: "changed", Deleted: "deleted", Touched: "touched", AllFlushed: "all", PrefixFlushed: "prefix"}

func (r *recorder) Change(_ int, _ uint64, kind ChangeKind, key []byte) {
	r.got = append(r.got, strings.TrimSuffix(kindNames[kind]+" "+string(key), " "))
}

func (r *recorder) AppendFence(dst []byte, nonce uint64) []byte {
	return fmt.Append(dst, "FENCE ", nonce, " ", len(r.changes.Numbers(nil)))
}

func (r *recorder) Stats() FeedStats { return FeedStats{Subscribers: 3, Published: 4, Lost: 5} }

// take returns the changes since the last call. Those of a flush come once for
// each lane and are returned once.
func (r *recorder) take(t *testing.T) []string {
	t.Helper()
	var all []string
	for i := 0; i < len(r.got); i++ {
		all = append(all, r.got[i])
		if kind, _, _ := strings.Cut(r.got[i], " "); kind == "all" || kind == "prefix" {
			lanes := r.changes.Lanes()
			if len(r.got)-i < lanes || slices.ContainsFunc(r.got[i:i+lanes], func(s string) bool { return s != r.got[i] }) {
				t.Errorf("flush with the changes %q, expected one in each of %d lanes", r.got[i:], lanes)
				break
			}
			i += lanes - 1
		}
	}
	r.got = nil
	return all
}

// feedCase is a command and the changes that it must announce. The items one and
// two, with the CAS values 11 and 12 and the values 1 and x, exist before it.
type feedCase struct {
	name  string // of the command: a verb, or an opcode in hexadecimal
	input string
	want  string // changes, separated by commas
}

func textCases() []feedCase {
	const value = "2\r\n55\r\n"
	return []feedCase{
		{"set", "set new 0 0 " + value, "changed new"},
		{"set", "set one 0 0 " + value, "changed one"},
		{"set", "set one 0 0 " + value + "set one 0 0 " + value, "changed one,changed one"},
		{"set", "set one 0 0 2 noreply\r\n55\r\n", "changed one"},
		{"set", "set one 0 0 2\r\n5555\r\n", ""},
		{"set", "set one 0 -1 " + value, "changed one"},
		{"set", "set one 0 0 9999999\r\n" + strings.Repeat("x", 9999999) + "\r\n", "deleted one"},
		{"set", "set none 0 0 9999999\r\n" + strings.Repeat("x", 9999999) + "\r\n", ""},
		{"add", "add new 0 0 " + value, "changed new"},
		{"add", "add one 0 0 " + value, ""},
		{"replace", "replace one 0 0 " + value, "changed one"},
		{"replace", "replace new 0 0 " + value, ""},
		{"append", "append one 0 0 " + value, "changed one"},
		{"append", "append new 0 0 " + value, ""},
		{"prepend", "prepend one 0 0 " + value, "changed one"},
		{"prepend", "prepend new 0 0 " + value, ""},
		{"cas", "cas one 0 0 2 11\r\n55\r\n", "changed one"},
		{"cas", "cas one 0 0 2 12\r\n55\r\n", ""},
		{"cas", "cas new 0 0 2 12\r\n55\r\n", ""},
		{"incr", "incr one 1\r\n", "changed one"},
		{"incr", "incr one 100\r\n", "changed one"},
		{"incr", "incr two 1\r\n", ""},
		{"incr", "incr new 1\r\n", ""},
		{"decr", "decr one 1\r\n", "changed one"},
		{"decr", "decr new 1\r\n", ""},
		{"delete", "delete one\r\n", "deleted one"},
		{"delete", "delete one noreply\r\n", "deleted one"},
		{"delete", "delete new\r\n", ""},
		{"touch", "touch one 100\r\n", "touched one"},
		{"touch", "touch one 0\r\n", ""},
		{"touch", "touch one -1\r\n", "touched one"},
		{"touch", "touch new 100\r\n", ""},
		{"gat", "gat 100 one two new\r\n", "touched one,touched two"},
		{"gat", "gat 0 one\r\n", ""},
		{"gats", "gats 100 one new\r\n", "touched one"},
		{"get", "get one two new\r\n", ""},
		{"gets", "gets one two new\r\n", ""},
		{"flush_all", "flush_all\r\n", "all"},
		{"flush_all", "flush_all noreply\r\n", "all"},
		{"flush_all", "flush_all 10\r\n", ""},
		{"flush_all", "flush_all 10\r\ndebugtime 9\r\nget one\r\n", ""},
		{"flush_all", "flush_all 10\r\ndebugtime 10\r\nmf 1\r\n", "all"},
		{"flush_prefix", "flush_prefix on\r\n", "prefix on"},

		{"mg", "mg one v t f c h l k s q Oa\r\n", ""},
		{"mg", "mg one T100 v\r\n", "touched one"},
		{"mg", "mg one T0 v\r\n", ""},
		{"mg", "mg new T100 v\r\n", ""},
		{"mg", "mg new N100 v\r\n", "changed new"},
		{"mg", "mg new N100 E77 T50 v\r\n", "changed new"},
		{"mg", "mg one N100 E77 v\r\n", ""},
		{"mg", "mg one N100 R1000 v\r\n", ""},
		{"mg", "mg one C11 v\r\n", ""},
		{"mg", "md one I T30\r\nmg one v\r\nmg one v\r\n", "changed one"},
		{"ms", "ms new " + value, "changed new"},
		{"ms", "ms one 2 T100 I q\r\n55\r\n", "changed one"},
		{"ms", "ms new 2 MA\r\n55\r\n", ""},
		{"ms", "ms new 2 MA N100\r\n55\r\n", "changed new"},
		{"ms", "ms one 2 ME\r\n55\r\n", ""},
		{"ms", "ms one 2 MR\r\n55\r\n", "changed one"},
		{"ms", "ms one 2 MP\r\n55\r\n", "changed one"},
		{"ms", "ms one 2 C11 E99\r\n55\r\n", "changed one"},
		{"ms", "ms one 2 C10\r\n55\r\n", ""},
		{"ms", "ms one 2 C10 I\r\n55\r\n", "changed one"},
		{"ms", "ms b25l 2 b\r\n55\r\n", "changed one"},
		{"md", "md one\r\n", "deleted one"},
		{"md", "md one C11\r\n", "deleted one"},
		{"md", "md one C10\r\n", ""},
		{"md", "md new\r\n", ""},
		{"md", "md one I\r\n", "changed one"},
		{"md", "md one I T30 E99\r\n", "changed one"},
		{"md", "md one x\r\n", "changed one"},
		{"md", "md one x I T30\r\n", "changed one"},
		{"ma", "ma one\r\n", "changed one"},
		{"ma", "ma one MD D1 T100 v t\r\n", "changed one"},
		{"ma", "ma one C10\r\n", ""},
		{"ma", "ma one E99\r\n", "changed one"},
		{"ma", "ma two\r\n", ""},
		{"ma", "ma new\r\n", ""},
		{"ma", "ma new N0 J13 T100 v\r\n", "changed new"},
		{"me", "me one\r\n", ""},
		{"mn", "mn\r\n", ""},
		{"mp", "mp on\r\n", "prefix on"},
		{"mf", "mf 1\r\n", ""},

		{"stats", "stats\r\nstats items\r\nstats reset\r\n", ""},
		{"verbosity", "verbosity 0\r\n", ""},
		{"cache_memlimit", "cache_memlimit 64\r\n", ""},
		{"slabs", "slabs automove 0\r\n", ""},
		{"lru", "lru tune 10 25 0.1 2.0\r\n", ""},
		{"lru_crawler", "lru_crawler metadump all\r\n", ""},
		{"refresh_certs", "refresh_certs\r\n", ""},
		{"debugtime", "debugtime 1\r\n", ""},
		{"config", "config get cluster\r\n", ""},
		{"version", "version\r\n", ""},
		{"watch", "watch fetchers\r\n", ""},
		{"shutdown", "shutdown\r\n", ""},
		{"quit", "quit\r\n", ""},
	}
}

func binaryCases() []feedCase {
	var all []feedCase
	add := func(want, extras, key, value string, cas uint64, ops ...mcproto.Opcode) {
		for _, op := range ops {
			all = append(all, feedCase{fmt.Sprintf("%#02x", byte(op)), binReq(op, cas, extras, key, value), want})
		}
	}
	item, number, expiry := be32(0, 0), be64(1, 7)+be32(0), be32(100)
	add("changed new", item, "new", "v", 0, mcproto.OpSet, mcproto.OpSetQ, mcproto.OpAdd, mcproto.OpAddQ)
	add("changed one", item, "one", "v", 0, mcproto.OpSet, mcproto.OpSetQ, mcproto.OpReplace, mcproto.OpReplaceQ)
	add("changed one", item, "one", "v", 11, mcproto.OpSet, mcproto.OpReplace)
	add("", item, "one", "v", 10, mcproto.OpSet, mcproto.OpSetQ, mcproto.OpReplace)
	add("", item, "one", "v", 0, mcproto.OpAdd, mcproto.OpAddQ)
	add("", item, "new", "v", 0, mcproto.OpReplace, mcproto.OpReplaceQ)
	add("changed one", "", "one", "v", 0, mcproto.OpAppend, mcproto.OpAppendQ, mcproto.OpPrepend, mcproto.OpPrependQ)
	add("", "", "new", "v", 0, mcproto.OpAppend, mcproto.OpAppendQ, mcproto.OpPrepend, mcproto.OpPrependQ)
	add("deleted one", "", "one", "", 0, mcproto.OpDelete, mcproto.OpDeleteQ)
	add("", "", "new", "", 0, mcproto.OpDelete, mcproto.OpDeleteQ)
	add("", "", "one", "", 10, mcproto.OpDelete, mcproto.OpDeleteQ)
	add("changed one", number, "one", "", 0, mcproto.OpIncr, mcproto.OpIncrQ, mcproto.OpDecr, mcproto.OpDecrQ)
	add("changed new", number, "new", "", 0, mcproto.OpIncr, mcproto.OpIncrQ, mcproto.OpDecr, mcproto.OpDecrQ)
	add("", number, "two", "", 0, mcproto.OpIncr, mcproto.OpDecr)
	add("", be64(1, 7)+be32(1<<32-1), "new", "", 0, mcproto.OpIncr, mcproto.OpDecr)
	add("touched one", expiry, "one", "", 0, mcproto.OpTouch, mcproto.OpGAT, mcproto.OpGATQ, mcproto.OpGATK, mcproto.OpGATKQ)
	add("", be32(0), "one", "", 0, mcproto.OpTouch, mcproto.OpGAT)
	add("", expiry, "new", "", 0, mcproto.OpTouch, mcproto.OpGAT, mcproto.OpGATQ, mcproto.OpGATK, mcproto.OpGATKQ)
	add("", "", "one", "", 0, mcproto.OpGet, mcproto.OpGetQ, mcproto.OpGetK, mcproto.OpGetKQ)
	add("all", "", "", "", 0, mcproto.OpFlush, mcproto.OpFlushQ)
	add("", be32(10), "", "", 0, mcproto.OpFlush, mcproto.OpFlushQ)
	add("", be32(0), "", "", 0, mcproto.OpVerbosity)
	add("", "", "", "", 0, mcproto.OpNoop, mcproto.OpVersion, mcproto.OpStat, mcproto.OpSASLList, mcproto.OpSASLAuth, mcproto.OpSASLStep, mcproto.OpQuit, mcproto.OpQuitQ)
	return all
}

// TestFeedOfEveryCommand runs every command of all protocols, over a connection and
// as a datagram, and compares the changes that it announces.
func TestFeedOfEveryCommand(t *testing.T) {
	tested := make(map[string]bool)
	for _, udp := range []bool{false, true} {
		for _, tc := range append(textCases(), binaryCases()...) {
			tested[tc.name] = true
			if udp && tc.name == "watch" {
				continue // not over UDP
			}
			feed := &recorder{}
			s := startServer(t, Options{Feed: feed, Debug: true, MemoryLimit: 16 * mib, Threads: 2})
			c := dial(t, s)
			c.want("debugtime p\r\nms one 1 E11\r\n1\r\nms two 1 E12\r\nx\r\n", "OK\r\nHD\r\nHD\r\n")
			if got := feed.take(t); !slices.Equal(got, []string{"changed one", "changed two"}) {
				t.Fatalf("preparation announced %q", got)
			}
			numbers := sum(feed.changes.Numbers(nil))
			c = dial(t, s) // of the protocol of the command
			if udp {
				c.s.Closed(0)
				c.s = session.New(s.engine, c.conn, true)
			}
			reply := c.send(tc.input)
			moved := sum(feed.changes.Numbers(nil)) - numbers
			if moved != uint64(len(feed.got)) {
				t.Errorf("%.60q (datagram: %t) gave %d numbers, announced %d", tc.input, udp, moved, len(feed.got))
			}
			if got := strings.Join(feed.take(t), ","); got != tc.want {
				t.Errorf("%.60q (datagram: %t) announced %q, expected %q; reply %.60q", tc.input, udp, got, tc.want, reply)
			}
		}
	}
	for op := mcproto.OpGet; op <= mcproto.OpGATKQ; op++ {
		if name := fmt.Sprintf("%#02x", byte(op)); !tested[name] && op != mcproto.OpGATQ+1 {
			t.Errorf("no case for the opcode %s", name)
		}
	}
	for _, file := range []string{"text.go", "admin.go"} {
		src, err := os.ReadFile("../internal/memcached/text/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^\tcase "(.*)":$`).FindAllStringSubmatch(string(src), -1) {
			for _, verb := range strings.Split(line[1], `", "`) {
				if !tested[verb] && len(verb) > 1 {
					t.Errorf("no case for the command %s", verb)
				}
			}
		}
	}
}

func sum(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}

// TestFence checks mf with a feed and without.
func TestFence(t *testing.T) {
	plain := dial(t, startServer(t, Options{}))
	plain.want("mf 1\r\nmf\r\nmf 1 noreply\r\n", "ERROR\r\nERROR\r\n")
	if s := plain.send("stats\r\n"); strings.Contains(s, "feed_") {
		t.Errorf("stats without a feed has lines of it: %q", s)
	}

	feed := &recorder{}
	s := startServer(t, Options{Feed: feed, Threads: 1})
	c := dial(t, s)
	lanes := feed.changes.Lanes()
	c.want("mf 17\r\nmf 18446744073709551615\r\n", fmt.Sprintf("FENCE 17 %d\r\nFENCE 18446744073709551615 %d\r\n", lanes, lanes))
	for _, bad := range []string{"mf\r\n", "mf \r\n", "mf x\r\n", "mf 1 2\r\n", "mf -1\r\n", "mf 18446744073709551616\r\n"} {
		c.want(bad, mcproto.ErrFormat+"\r\n")
	}
	for _, line := range []string{fmt.Sprintf("feed_lanes %d", lanes), "feed_subscribers 3", "feed_published 4", "feed_lost 5"} {
		if got := c.send("stats\r\n"); !strings.Contains(got, "STAT "+line+"\r\n") {
			t.Errorf("stats without %q: %q", line, got)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil || feed.stops != 1 {
		t.Errorf("Shutdown: %v, Stop was called %d times", err, feed.stops)
	}
}

// TestFeedRefuses checks that New returns the error of Start and leaves nothing behind.
func TestFeedRefuses(t *testing.T) {
	feed := &recorder{err: errors.New("refused")}
	if s, err := New(Options{Feed: feed}); s != nil || !errors.Is(err, feed.err) || feed.stops != 0 {
		t.Errorf("New: %v, %v, %d stops", s, err, feed.stops)
	}
}
