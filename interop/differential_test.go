package interop_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel.dev/interop/peers"
)

// difference is a case in which memcached 1.6.45, the reference, replies
// differently from Debian's 1.6.18, which the test runs.
type difference struct {
	why string
	// command matches the whole command, including its data block.
	command *regexp.Regexp
	ours    *regexp.Regexp
	theirs  *regexp.Regexp
}

func differs(why, command, ours, theirs string) difference {
	whole := func(s string) *regexp.Regexp { return regexp.MustCompile(`(?s)\A(?:` + s + `)\z`) }
	return difference{why, whole(command), whole(ours), whole(theirs)}
}

const badLine = `CLIENT_ERROR bad command line format\r\n`

// differences are the allowed differences. Each must occur: the test fails if
// one is not needed.
var differences = []difference{
	differs("a command without all its arguments was an unknown one",
		`(get|gets|gat|gats|delete|incr|decr|touch|mg|ms|md|ma|set|verbosity|cache_memlimit|lru)( \S+)* ?\r\n`, badLine, `ERROR\r\n`),
	differs("a line of less than two characters was an unknown command", `\S?\r\n`, badLine, `ERROR\r\n`),
	differs("gat without a key found nothing", `gats? \S+\r\n`, badLine, `END\r\n`),
	differs("spaces before a command were skipped", ` .*`, `ERROR\r\n`, `(VALUE .*)?END\r\n`),
	differs("the hold time of delete had to be 0", `delete [^ ]+ 10( noreply)?\r\n`, `((DELETED|NOT_FOUND)\r\n|`+badLine+`)?`,
		`CLIENT_ERROR bad command line format\.  Usage: delete <key> \[noreply\]\r\n`),
	differs("the block of a store with bad flags was taken for commands",
		`(set|add|replace|append|prepend) [^ ]+ (x|-1) .*`, `(`+badLine+`)?`, `(`+badLine+`)?(ERROR\r\n)*`),
	differs("the block of a store with a bad key was taken for commands",
		`(set|add|replace|append|prepend|cas|ms) k{251} .*`, `(`+badLine+`)?`, `(`+badLine+`)?(ERROR\r\n)*`),
	differs("the reply to a key that is too long had no empty line after it", `(get|gets|gat|gats) .*k{251}.*`, badLine+`\r\n`, badLine),
	differs("what a quiet ma created was not hidden", `ma [^ ]+( .*)? q( .*)?\r\n`, ``, `(HD|VA).*`),
	differs("the E flag, a CAS to set, did not exist", `m[gsda] .* E.*`, `CLIENT_ERROR bad token in command line format\r\n`, `CLIENT_ERROR invalid flag\r\n`),
}

// TestDifferential sends the same random commands to Lintel and to Debian's
// memcached and compares every reply.
func TestDifferential(t *testing.T) {
	seen := make([]int, len(differences))
	for seed := range uint64(12) {
		compare(t, seed, 1500, seen)
	}
	for i, n := range seen {
		if n == 0 {
			t.Errorf("this difference did not occur: %s", differences[i].why)
		}
	}
}

func compare(t *testing.T, seed uint64, commands int, seen []int) {
	t.Helper()
	// memcached's background threads may hold an item for a moment. A counter
	// that is held is not changed in place and loses its padding.
	quiet := []string{"-t", "1", "-o", "no_lru_maintainer,no_lru_crawler,no_slab_reassign,no_hashexpand"}
	us, them := dialText(t, "tcp", embedded(t)), dialText(t, "unix", peers.MemcachedUnix(t, quiet...))
	g := &generator{r: rand.New(rand.NewPCG(seed, 1))}
	for _, c := range []*textConn{us, them} {
		c.do("set first 0 0 1\r\n1\r\n") // has the CAS 1, so no other item gets it
	}
	var history []string
	for range commands {
		cmd := g.command()
		ours, theirs := us.do(cmd), them.do(cmd)
		history = append(history, cmd)
		if a, b := normal(ours), normal(theirs); a != b && !known(cmd, a, b, seen) {
			t.Errorf("seed %d: %.300q\n   ours: %.300q\n theirs: %.300q\n before: %.100q", seed, cmd, ours, theirs, concerning(cmd, history))
			return
		} else if a != b {
			// The contents may differ now: start again with empty servers.
			for _, key := range g.keys() {
				us.do("delete " + key + "\r\n")
				them.do("delete " + key + "\r\n")
			}
		}
	}
}

func known(cmd, ours, theirs string, seen []int) bool {
	for i, d := range differences {
		if d.command.MatchString(cmd) && d.ours.MatchString(ours) && d.theirs.MatchString(theirs) {
			seen[i]++
			return true
		}
	}
	return false
}

// concerning returns the last commands with a key of the given command.
func concerning(cmd string, history []string) (last []string) {
	words := strings.Fields(cmd)
	for _, h := range history {
		for _, w := range strings.Fields(h)[:min(4, len(strings.Fields(h)))] {
			if slices.Contains(words[min(1, len(words)):], w) || w == "flush_all" {
				last = append(last, h)
				break
			}
		}
	}
	return last[max(0, len(last)-8):]
}

// textConn sends text commands without parsing their replies: after each
// command it sends mn, and everything before its reply is the reply of the
// command.
type textConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	cas  map[string]string // the last CAS of each key
}

func dialText(t *testing.T, network, addr string) *textConn {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &textConn{t: t, conn: conn, r: bufio.NewReader(conn), cas: map[string]string{}}
}

var (
	shown     = regexp.MustCompile(`(?m)^VALUE (\S+) \d+ \d+ (\d+)\r$`)
	shownMeta = regexp.MustCompile(`(?m)^(?:HD|VA \d+).* c(\d+)`)
)

func (c *textConn) do(cmd string) string {
	c.t.Helper()
	key := ""
	if words := strings.Fields(cmd); len(words) > 1 {
		key = words[1]
	}
	cas := c.cas[key]
	if cas == "" {
		cas = "1" // lower than any
	}
	cmd = strings.ReplaceAll(cmd, "$CAS", cas)
	if err := c.conn.SetDeadline(time.Now().Add(peers.Patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write([]byte(cmd + "mn\r\n")); err != nil {
		c.t.Fatalf("%q: %v", cmd, err)
	}
	var reply bytes.Buffer
	for {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			c.t.Fatalf("%q: %v after %q", cmd, err, reply.Bytes())
		}
		if string(line) == "MN\r\n" {
			break
		}
		reply.Write(line)
	}
	for _, m := range shown.FindAllStringSubmatch(reply.String(), -1) {
		c.cas[m[1]] = m[2]
	}
	if m := shownMeta.FindStringSubmatch(reply.String()); m != nil {
		c.cas[key] = m[1]
	}
	return reply.String()
}

var unlike = []struct{ from, to string }{
	{`(?m)^(VALUE \S+ \d+ \d+) \d+\r$`, "$1 CAS\r"}, // CAS values differ
	{`(?m)^((?:HD|VA \d+|EX|NF|NS)\b.*) c\d+`, "$1 cCAS"},
	{`(?m)^((?:HD|VA \d+)\b.*) t\d+`, "$1 tTTL"}, // the clocks differ
	{`(?m)^((?:HD|VA \d+)\b.*) l\d+`, "$1 lAGE"},
	{`VERSION \S+`, "VERSION"},
}

var unlikely = func() (res []*regexp.Regexp) {
	for _, u := range unlike {
		res = append(res, regexp.MustCompile(u.from))
	}
	return res
}()

// normal removes from a reply what differs between two servers by design.
func normal(reply string) string {
	for i, re := range unlikely {
		reply = re.ReplaceAllString(reply, unlike[i].to)
	}
	return reply
}

// generator makes commands, most of them well-formed, over few keys, so they
// interact.
type generator struct{ r *rand.Rand }

func (g *generator) one(of ...string) string { return of[g.r.IntN(len(of))] }

func (g *generator) maybe(percent int, s string) string {
	if g.r.IntN(100) < percent {
		return s
	}
	return ""
}

func (g *generator) keys() []string {
	return []string{"a", "b", "c", "num", "num2", "counter:1", strings.Repeat("k", 250), "\x01\x7f\xff", "a\tb"}
}

func (g *generator) key() string {
	keys := g.keys()
	if g.r.IntN(60) == 0 {
		return g.one(append(keys[6:], strings.Repeat("k", 251))...)
	}
	return g.one(keys[:6]...)
}

// ttl returns no time after 2038, where memcached's clock ends and Lintel's
// does not.
func (g *generator) ttl() string {
	return g.one("0", "0", "0", "0", "100000", "2592000", "-1", "2592001")
}

// chunk returns a data block. Its length is not always that of the command.
func (g *generator) chunk() (length int, block string) {
	if g.r.IntN(40) == 0 {
		return 10 + g.r.IntN(10), strings.Repeat("u", 25) + "\r\n"
	}
	// A number that consists of spaces only is left out: memcached reads on
	// into the bytes behind it.
	v := g.one("", "1", "10", "99", "18446744073709551615", "-5", "abc", "  7", "7  ", "x\r\n", "END\r\n",
		strings.Repeat("v", 1+g.r.IntN(300)), strings.Repeat("w", 5000))
	return len(v), v + "\r\n"
}

func (g *generator) command() string {
	noreply := g.maybe(10, " noreply")
	switch g.r.IntN(24) {
	case 0, 1, 2, 3:
		n, block := g.chunk()
		return fmt.Sprintf("%s %s %s %s %d%s\r\n%s", g.one("set", "set", "set", "add", "replace", "append", "prepend"),
			g.key(), g.one("0", "0", "7", "4294967295", "4294967296", "-1", "x"), g.ttl(), n, noreply, block)
	case 4:
		n, block := g.chunk()
		return fmt.Sprintf("cas %s 0 %s %d %s%s\r\n%s", g.key(), g.ttl(), n, g.one("$CAS", "$CAS", "$CAS", "0", "12345"), noreply, block)
	case 5, 6, 7:
		return fmt.Sprintf("%s %s%s%s\r\n", g.one("get", "gets"), g.key(), g.maybe(40, " "+g.key()), g.maybe(20, " "+g.key()))
	case 8:
		return fmt.Sprintf("%s %s %s%s\r\n", g.one("gat", "gats"), g.ttl(), g.key(), g.maybe(30, " "+g.key()))
	case 9:
		return fmt.Sprintf("delete %s%s\r\n", g.key(), g.one("", "", "", "", "", "", "", " 10", " 0", noreply, " 0"+noreply))
	case 10, 11:
		return fmt.Sprintf("%s %s %s%s\r\n", g.one("incr", "decr"), g.one("num", "num2"),
			g.one("1", "5", "100", "18446744073709551615", "18446744073709551616", "-1", "x"), noreply)
	case 12:
		return fmt.Sprintf("touch %s %s%s\r\n", g.key(), g.ttl(), noreply)
	case 13:
		if g.r.IntN(20) == 0 {
			return "flush_all" + g.one("", " 0", " -1", " x") + noreply + "\r\n"
		}
		return g.one("version\r\n", "verbosity 0\r\n", "verbosity\r\n")
	case 14, 15, 16:
		return "mg " + g.key() + g.flags("v", "v", "f", "c", "k", "s", "t", "l", "h", "q", "Oabc", "N30", "R30", "T100000", "E") + "\r\n"
	case 17, 18, 19:
		n, block := g.chunk()
		return fmt.Sprintf("ms %s %d%s\r\n%s", g.key(), n, g.flags("F7", "T100000", "T0", "T-1", "c", "k", "q", "Oabc", "I", "C$CAS", "C1",
			g.one("ME", "MA", "MP", "MR", "MS", "Ma", "MX")), block)
	case 20:
		return "md " + g.key() + g.flags("q", "k", "Oabc", "I", "T30", "C$CAS", "C1") + "\r\n"
	case 21:
		return "ma " + g.one("num", "num2") + g.flags("v", "t", "c", "k", "q", "Oabc", "N30", "J13", "D5", "D0", "MI", "MD", "M+", "M-", "T100000", "C$CAS", "Dx") + "\r\n"
	case 22:
		return g.one("foo", "GET a", "get", "get ", "gat", "gat 10", "gats", "delete", "incr num", "decr", "touch a", "set a 0 0", "mg", "md", "ma",
			"", "x", "gets a b c d e f", " get a", "mg "+strings.Repeat("k", 251), "cache_memlimit", "lru", "stats foo", "verbosity x y z") + "\r\n"
	default:
		return "get " + g.one("a", "b", "c") + "\r\n"
	}
}

// flags returns up to five of the given flags, no letter twice.
func (g *generator) flags(of ...string) string {
	out, used := "", ""
	for range g.r.IntN(6) {
		if f := g.one(of...); !strings.Contains(used, f[:1]) {
			used += f[:1]
			out += " " + f
		}
	}
	if strings.Contains(used, "I") {
		// With I the order of CAS values matters, and in Lintel a key that was
		// stored again may have a lower one than before.
		out = strings.ReplaceAll(out, "C$CAS", "C1")
	}
	return out
}
