package perfcli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

func TestParseSizes(t *testing.T) {
	for text, want := range map[string][2]int{ // smallest and largest seen
		"100":         {100, 100},
		"0":           {0, 0},
		"10-20":       {10, 20},
		"5:1,500:3":   {5, 500},
		"64:1":        {64, 64},
		"7:5,8:5,9:1": {7, 9},
	} {
		s, err := parseSizes(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		low, high := math.MaxInt, 0
		for i := range 10_000 {
			n := s.of(mixBits(uint64(i)))
			low, high = min(low, n), max(high, n)
		}
		if low != want[0] || high != want[1] || s.max() != want[1] {
			t.Errorf("%s: sizes %d to %d, max %d, want %v", text, low, high, s.max(), want)
		}
	}
	for _, text := range []string{"", "x", "-1", "5-1", "5:0", "5:1,", "5:x", "99999999999", "1-2-3"} {
		if _, err := parseSizes(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestValuesFollowFromKeys(t *testing.T) {
	s, _ := parseSizes("0-200000")
	v, again := newValues(s), newValues(s)
	differ := 0
	for n := range uint64(1000) {
		if !bytes.Equal(v.of(n), again.of(n)) {
			t.Fatalf("two values of key %d", n)
		}
		if !bytes.Equal(v.of(n), v.of(n+1)) {
			differ++
		}
	}
	if differ < 990 {
		t.Errorf("only %d of 1000 values differ from the next", differ)
	}
}

func TestZipf(t *testing.T) {
	const n, draws = 1000, 400_000
	z := newZipf(n, 0.99)
	var count [n]int
	for i := range draws {
		count[z.rank(float64(mixBits(uint64(i)+7)>>11)/(1<<53))]++
	}
	for _, r := range []int{0, 1, 4, 9, 99} {
		want := draws * math.Pow(float64(r+1), -0.99) / z.zetaN
		if got := float64(count[r]); math.Abs(got-want) > 0.25*want {
			t.Errorf("rank %d drawn %.0f times, want about %.0f", r, got, want)
		}
	}
	if newZipf(1, 0.5).rank(0.999) != 0 {
		t.Error("one key, and another was drawn")
	}
}

func TestAppendKey(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range []uint64{0, 1, 35, 36, 1 << 31, 1<<41 + 5} {
		k := string(appendKey(nil, n, 16))
		if len(k) != 16 || seen[k] {
			t.Errorf("key %q of %d", k, n)
		}
		seen[k] = true
	}
	if k := string(appendKey(nil, 1<<31, minKey)); len(k) != minKey {
		t.Errorf("key %q is not %d bytes", k, minKey)
	}
}

// recorder is a connection that keeps what is sent.
type recorder struct {
	netloop.Conn
	sent []byte
}

func (r *recorder) Loop() int { return 0 }

func (r *recorder) Send(b []byte) bool {
	r.sent = append(r.sent, b...)
	return true
}

// TestFillKeepsOrder lets the pacer send between the fill of a missed key and
// the loop's next write: replies come in the order of flight, so must commands.
func TestFillKeepsOrder(t *testing.T) {
	set := testLoad()
	set.fill, set.rate = true, 1000
	l := &load{set: set, values: newValues(set.values), tally: make([]loadTally, 1), failed: make(chan error, 1), paced: true}
	l.pacing.Store(true)
	next := uint64(0)
	l.source = func(*loadConn) (request, bool) {
		next++
		return request{key: next}, true
	}
	wire := &recorder{}
	c := &loadConn{load: l, conn: wire}

	c.send(0) // get 1
	w := netloop.NewWriter(1 << 20)
	c.Data([]byte("END\r\n"), w) // a miss: set 1
	c.send(0)                    // get 2
	wire.Send(w.Drain(nil))      // the loop writes what Data has left

	var sent []string
	for line := range strings.Lines(string(wire.sent)) {
		if verb, rest, _ := strings.Cut(line, " "); verb == "get" || verb == "set" {
			sent = append(sent, verb+" "+strings.TrimLeft(strings.Fields(rest)[0], "-"))
		}
	}
	var flight []string
	for _, r := range c.flight[c.head:] {
		verb := "get"
		if r.set {
			verb = "set"
		}
		flight = append(flight, verb+" "+strings.TrimLeft(string(appendKey(nil, r.key, 16)), "-"))
	}
	if got, want := strings.Join(sent, ", "), "get 1, set 1, get 2"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if got, want := strings.Join(flight, ", "), "set 1, get 2"; got != want {
		t.Errorf("in flight %s, want %s", got, want)
	}
}

// TestPerfCacheNotices checks that every kind of wrong reply is an error.
func TestPerfCacheNotices(t *testing.T) {
	for name, answer := range map[string]func(key, value string) string{
		"wrong value": func(k, v string) string {
			return "VALUE " + k + " 0 100\r\n" + strings.Repeat("x", 100) + "\r\nEND\r\n"
		},
		"wrong length": func(k, v string) string { return "VALUE " + k + " 0 99\r\n" + v[:99] + "\r\nEND\r\n" },
		"wrong key":    func(k, v string) string { return "VALUE " + k + "x 0 100\r\n" + v + "\r\nEND\r\n" },
		"wrong flags":  func(k, v string) string { return "VALUE " + k + " 1 100\r\n" + v + "\r\nEND\r\n" },
		"no line end":  func(k, v string) string { return "VALUE " + k + " 0 100\r\n" + v + "xxEND\r\n" },
		"twice":        func(k, v string) string { return strings.Repeat("VALUE "+k+" 0 100\r\n"+v+"\r\n", 2) + "END\r\n" },
		"error":        func(k, v string) string { return "ERROR\r\n" },
		"stored":       func(k, v string) string { return "STORED\r\n" },
		"too much":     func(k, v string) string { return "END\r\nEND\r\n" },
		"hung up":      func(k, v string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := testLoad()
			s.server = fakeCache(t, answer)
			s.ratio, s.preload = mix{gets: 1}, false
			if _, err := s.measure(context.Background(), nil); err == nil {
				t.Error("the run succeeded")
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than a line", err)
			}
		})
	}
	t.Run("all well", func(t *testing.T) {
		s := testLoad()
		s.server = fakeCache(t, func(k, v string) string { return "VALUE " + k + " 0 100\r\n" + v + "\r\nEND\r\n" })
		r, err := s.measure(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests != 100 || r.Hits != 100 || r.Misses != 0 || r.HitRatio != 1 || r.Latency.Max <= 0 {
			t.Errorf("%+v", r)
		}
	})
}

func testLoad() *loadSettings {
	return &loadSettings{
		conns: 1, pipeline: 1, threads: 1, keys: 10, keySize: 16, values: sizes{low: 100, high: 100},
		ratio: mix{gets: 1}, multi: 1, passes: 1, requests: 100, seed: 1,
	}
}

// fakeCache answers gets of 100-byte values; value is the right one.
func fakeCache(t *testing.T, answer func(key, value string) string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	byKey := map[string]string{}
	vals := newValues(sizes{low: 100, high: 100})
	for n := range uint64(10) {
		byKey[string(appendKey(nil, n, 16))] = string(vals.of(n))
	}
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			key := strings.TrimSuffix(strings.TrimPrefix(line, "get "), "\r\n")
			reply := answer(key, byKey[key])
			if reply == "" {
				return
			}
			fmt.Fprint(c, reply)
		}
	}()
	return ln.Addr().String()
}
