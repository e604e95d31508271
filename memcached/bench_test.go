package memcached

import (
	"fmt"
	"strings"
	"testing"

	"lintel.dev/internal/netloop"
)

// drive gives s all of in, as often as it takes, and throws the replies away.
func drive(tb testing.TB, s netloop.Session, w *netloop.Writer, in []byte, out []byte) []byte {
	for len(in) > 0 {
		n, next := s.Data(in, w)
		in = in[n:]
		out = w.Drain(out[:0])
		if n == 0 && next != netloop.Yield {
			tb.Fatalf("stuck at %q", in)
		}
	}
	return out
}

var loads = []struct {
	name string
	in   string
	n    int // commands, or keys
}{
	{"get", "get key:0000000001\r\n", 1},
	{"get16", strings.Repeat("get key:0000000001\r\n", 16), 16},
	{"get50keys", "get" + strings.Repeat(" key:0000000001", 50) + "\r\n", 50},
	{"set", "set key:0000000001 0 0 100\r\n" + strings.Repeat("x", 100) + "\r\n", 1},
	{"set16", strings.Repeat("set key:0000000001 0 0 100\r\n"+strings.Repeat("x", 100)+"\r\n", 16), 16},
	{"mg16", strings.Repeat("mg key:0000000001 v t f\r\n", 16), 16},
	{"ms16", strings.Repeat("ms key:0000000001 100 T0\r\n"+strings.Repeat("x", 100)+"\r\n", 16), 16},
	{"binaryget16", strings.Repeat("\x80\x00\x00\x0e\x00\x00\x00\x00\x00\x00\x00\x0e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00key:0000000001", 16), 16},
	{"touch", "touch key:0000000001 0\r\n", 1},
	{"incr", "incr n 1\r\n", 1},
}

func prepared(tb testing.TB) *Server {
	s := newServer(tb, Options{})
	c := dial(tb, s)
	c.want(fmt.Sprintf("set key:0000000001 0 0 100\r\n%s\r\n", strings.Repeat("x", 100)), "STORED\r\n")
	c.want("set n 0 0 10\r\n1000000000\r\n", "STORED\r\n")
	return s
}

func BenchmarkSession(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			s := prepared(b)
			c, w := dial(b, s), netloop.NewWriter(1<<18)
			in, out := []byte(l.in), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				out = drive(b, c.s, w, in, out)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.n), "ns/cmd")
		})
	}
}
