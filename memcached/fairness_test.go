package memcached

import (
	"fmt"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

// TestBatchWork sends commands that cost more than their number says. A batch ends
// when its work is used up, whatever the command finds.
func TestBatchWork(t *testing.T) {
	s := startServer(t, Options{})
	dial(t, s).send("set a 0 0 1\r\nx\r\nstats detail on\r\n")
	for name, c := range map[string]struct {
		input   string
		batches int // at least
	}{
		"misses":        {"get" + strings.Repeat(" no", 60000) + "\r\n", 58},
		"hits":          {"get" + strings.Repeat(" a", 5000) + "\r\n", 4},
		"gat":           {"gat 0" + strings.Repeat(" no", 600) + "\r\n", 1},
		"pipeline":      {strings.Repeat("get"+strings.Repeat(" no", 600)+"\r\n", 20), 11},
		"large values":  {strings.Repeat("set big 0 0 500000\r\n"+strings.Repeat("x", 500000)+"\r\n", 10), 10},
		"large replies": {strings.Repeat("stats settings\r\n", 200), 4},
	} {
		d := dial(t, s)
		w := netloop.NewWriter(1 << 20)
		in, batches := []byte(c.input), 0
		for step := netloop.Yield; step == netloop.Yield; batches++ {
			var n int
			n, step = d.s.Data(in, w)
			in = in[n:]
			w.Drain(nil)
		}
		if len(in) > 0 || batches < c.batches {
			t.Errorf("%s: %d batches, want at least %d; %d bytes left", name, batches, c.batches, len(in))
		}
	}
}

// TestStatsCountEarlierCommands sends stats in one packet with the commands that
// they count, in each protocol.
func TestStatsCountEarlierCommands(t *testing.T) {
	s := startServer(t, Options{})
	out := dial(t, s).send("set k 0 0 1\r\nx\r\nget k k no\r\nincr no 1\r\ndelete no\r\nstats\r\nstats slabs\r\n")
	for _, line := range []string{"cmd_get 3", "get_hits 2", "get_misses 1", "cmd_set 1", "incr_misses 1", "delete_misses 1", "1:get_hits 2", "1:cmd_set 1"} {
		if !strings.Contains(out, "STAT "+line+"\r\n") {
			t.Errorf("stats lack %q", line)
		}
	}
	b := dial(t, s).ask(binReq(0, 0, "", "k", ""), binReq(0x10, 0, "", "", ""))
	found := false
	for _, r := range b {
		found = found || r.key == "get_hits" && r.value == "3"
	}
	if !found {
		t.Errorf("binary stat does not count the get before it: %v", b)
	}
	if out := dial(t, s).send("get k\r\nstats reset\r\nstats\r\n"); !strings.Contains(out, "STAT get_hits 0\r\n") {
		t.Error("stats reset leaves the get before it")
	}
}

// TestDetailDumpRuns has many clients dump a large table of prefixes at a time.
func TestDetailDumpRuns(t *testing.T) {
	s := startServer(t, Options{Detail: true})
	c := dial(t, s)
	const prefixes = 1000 // whose dump fits into the output of a job that is not read
	for i := range prefixes {
		c.send(fmt.Sprintf("get p%d:k\r\n", i))
	}
	type dump struct {
		*client
		reply string // so far
	}
	var dumps []dump
	for range 40 {
		d, w := dial(t, s), netloop.NewWriter(1<<16)
		_, step := d.s.Data([]byte("stats detail dump\r\n"), w)
		reply := string(w.Drain(nil))
		if ended := strings.HasSuffix(reply, "END\r\n"); ended != (step == netloop.NeedMore) || !ended && step != netloop.Wait {
			t.Fatalf("step %d, reply complete %v", step, ended)
		}
		dumps = append(dumps, dump{d, reply})
	}
	c.want("get p1:k\r\n", "END\r\n")
	// Clients that have not read their replies leave, and others get theirs.
	for _, d := range dumps[:20] {
		d.hangUp()
	}
	for _, d := range dumps[20:] {
		if got := d.reply + d.send(""); strings.Count(got, "PREFIX ") != prefixes || !strings.HasSuffix(got, "END\r\n") {
			t.Fatalf("%d prefixes", strings.Count(got, "PREFIX "))
		}
	}
}
