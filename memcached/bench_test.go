package memcached

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/netloop"
)

// drive calls s with in until all of it is consumed, and discards the replies.
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
	s := startServer(tb, Options{})
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

// BenchmarkSpread reads keys of a cache that is much larger than the processor's
// caches.
func BenchmarkSpread(b *testing.B) {
	const keys, each = 400_000, 50
	value := strings.Repeat("x", 100)
	name := func(n uint64) string { return fmt.Sprintf("key:%012d", n%keys) }
	s := startServer(b, Options{MemoryLimit: 256 * mib})
	c, w := dial(b, s), netloop.NewWriter(1<<18)
	var out []byte
	for n := range uint64(keys) {
		out = drive(b, c.s, w, []byte("set "+name(n)+" 0 0 100\r\n"+value+"\r\n"), out)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, load := range []string{"get", "get16", "set16", "multiget"} {
		b.Run(load, func(b *testing.B) {
			var in [4096][]byte
			per := 16
			for i := range in {
				var text strings.Builder
				switch load {
				case "get":
					per = 1
					text.WriteString("get " + name(r.Uint64()) + "\r\n")
				case "get16":
					for range 16 {
						text.WriteString("get " + name(r.Uint64()) + "\r\n")
					}
				case "set16":
					for range 16 {
						text.WriteString("set " + name(r.Uint64()) + " 0 0 100\r\n" + value + "\r\n")
					}
				case "multiget":
					per = each
					text.WriteString("get")
					for range each {
						text.WriteString(" " + name(r.Uint64()))
					}
					text.WriteString("\r\n")
				}
				in[i] = []byte(text.String())
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				out = drive(b, c.s, w, in[i%len(in)], out)
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(per), "ns/key")
		})
	}
}

// BenchmarkThreads measures how commands scale with event loops, without network.
// With -cpu 1,2 as many goroutines, each with a connection and the counters of a
// loop of its own, read or replace random keys.
func BenchmarkThreads(b *testing.B) {
	const keys, depth = 300_000, 16
	value := strings.Repeat("x", 100)
	threads := runtime.GOMAXPROCS(0)
	s := startServer(b, Options{MemoryLimit: 64 * mib, Threads: threads})
	clients := make([]*client, threads)
	for i := range clients {
		clients[i] = dial(b, s)
		clients[i].conn.loop = i
	}
	w := netloop.NewWriter(1 << 18)
	var out []byte
	for n := range keys {
		out = drive(b, clients[0].s, w, fmt.Appendf(nil, "set key:%012d 0 0 100\r\n%s\r\n", n, value), out)
	}
	for _, load := range []string{"get", "set"} {
		line, tail := "get key:000000000000\r\n", 2
		if load == "set" {
			line = "set key:000000000000 0 0 100\r\n" + value + "\r\n"
			tail = len(line) - 20
		}
		b.Run(load, func(b *testing.B) {
			var wg sync.WaitGroup
			user, system := exec.CPUTime()
			for i, c := range clients {
				wg.Go(func() {
					w := netloop.NewWriter(1 << 18)
					in := []byte(strings.Repeat(line, depth))
					random := uint64(i + 1) // a generator on the heap could share a cache line with the other's
					var out []byte
					for n := 0; n < b.N/threads; n += depth {
						for end := len(line) - tail; end < len(in); end += len(line) {
							random ^= random << 13
							random ^= random >> 7
							random ^= random << 17
							for at, key := end, random%keys; key > 0; key /= 10 {
								at--
								in[at] = '0' + byte(key%10)
							}
						}
						out = drive(b, c.s, w, in, out)
					}
				})
			}
			wg.Wait()
			u, sys := exec.CPUTime()
			b.ReportMetric(float64(u+sys-user-system)/float64(b.N), "cpu-ns/op")
		})
	}
}
