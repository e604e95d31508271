package netloop_test

import (
	"strconv"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

// TestReadAhead has connections of every kind become ready while the loop is
// busy, so that it reads some before it answers others. toy checks that what was
// announced to Prefetch is what Data gets.
func TestReadAhead(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{Threads: 1, SoftQueued: 4 << 10})
		holder := b.dial()
		long := strings.Repeat("x", 100)
		for first := true; first || !strings.HasPrefix(v.name, "net/") && b.prefetched.Load() < 3; first = false {
			var all [12]*peer
			for i := range all {
				all[i] = b.dial()
				all[i].send("echo ready\nech") // the rest of a line is kept
				all[i].want("ready\n")
			}
			holder.send("hold\n")
			<-b.held
			for i, p := range all {
				switch i {
				case 1:
					p.send("o 1\nflood 30000\n") // yields
				case 3:
					p.send("o 3\nyield 3\necho 3\n")
				case 4:
					p.send("o 4\nquit\n")
				case 6:
					p.send("o 6\npanic\n")
				case 7:
					p.Close() // the end of the stream
				case 9:
					p.send("o 9\nstream\n")
				case 10:
					// More than one read takes.
					go p.Write([]byte("o 10\n" + strings.Repeat("echo "+long+"\n", 2000)))
				default:
					p.send("o %d\necho %s\n", i, long)
				}
			}
			b.resume <- struct{}{}
			for i, p := range all {
				switch i {
				case 1:
					p.want("1\n" + string(pattern[:4<<10]))
				case 3:
					p.want("3\nturn\nturn\nturn\n3\n")
				case 4:
					p.want("4\nbye\n")
					p.wantEOF()
				case 6:
					p.wantEOF()
				case 7:
				case 9:
					p.want("9\nstreaming\n")
				case 10:
					p.want("10\n" + strings.Repeat(long+"\n", 2000))
				default:
					p.want(strconv.Itoa(i) + "\n" + long + "\n")
				}
			}
			for _, p := range all {
				p.Close()
			}
		}
	})
}
