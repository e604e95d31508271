package memcached

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// commands returns n commands of all kinds. Many use the same few keys, some are
// invalid, and some have data that looks like commands.
func commands(r *rand.Rand, n int) (all []string) {
	key := func() string { return fmt.Sprintf("key%d", r.IntN(30)) }
	data := func() string {
		return []string{"", "1", "12345", "get key1\r\n", "set key1 0 0 1000\r\n", strings.Repeat("x", r.IntN(3000))}[r.IntN(6)]
	}
	block := func(format string, args ...any) string {
		d := data()
		return fmt.Sprintf(format, append(args, len(d))...) + d + "\r\n"
	}
	for len(all) < n {
		var c string
		switch r.IntN(24) {
		case 0, 1, 2, 3:
			c = block("set %s %d 0 %d\r\n", key(), r.IntN(300))
		case 4:
			c = block("add %s 0 0 %d\r\n", key())
		case 5:
			c = block("append  %s 0  0 %d\r\n", key())
		case 6:
			c = block("ms %s %d T0\r\n", key())
		case 7:
			d := data()
			c = fmt.Sprintf("ms a2V5MQ== %d b\r\n%s\r\n", len(d), d)
		case 8, 9, 10:
			c = "get " + key() + "\r\n"
		case 11:
			c = "get " + key() + " " + key() + "  " + key() + "\n"
		case 12:
			c = "mg " + key() + " v f k\r\n"
		case 13:
			c = "mg a2V5MQ== b v\r\n"
		case 14:
			c = "delete " + key() + "\r\n"
		case 15:
			c = "incr " + key() + " 7\r\n"
		case 16:
			c = "touch " + key() + " 100\r\n"
		case 17:
			c = "gat 100 " + key() + " " + key() + "\r\n"
		case 18:
			c = "md " + key() + " q\r\nmn\r\n"
		case 19:
			c = "version\r\n"
		case 20:
			c = "get " + strings.Repeat("k", 245+r.IntN(6)) + "\r\n"
		case 21:
			c = fmt.Sprintf("set %s 0 0 5\r\ntoo long\r\n", key())
		case 22:
			c = "set " + key() + " x y 0\r\n\r\n"
		case 23:
			c = []string{"\r\n", " \r\n", "get\r\n", "get \r\n", "set\r\n", "nonsense\r\n", "set  0 0\r\n"}[r.IntN(7)]
		}
		all = append(all, c)
	}
	return all
}

// TestInFlight compares the replies to commands that arrive together with the
// replies to the same commands one by one.
func TestInFlight(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		one, many := dial(t, startServer(t, Options{})), dial(t, startServer(t, Options{}))
		all := commands(r, 400)
		var want, got strings.Builder
		for _, c := range all {
			want.WriteString(one.send(c))
		}
		for text := strings.Join(all, ""); len(text) > 0; {
			n := min(len(text), 1+r.IntN(6000))
			got.WriteString(many.send(text[:n]))
			text = text[n:]
		}
		if got.String() != want.String() {
			t.Fatalf("of %d commands: together %q, one by one %q", len(all), clip(got.String()), clip(want.String()))
		}
	}
}
