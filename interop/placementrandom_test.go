package interop_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache/placement"
)

// member is a server in the input of testdata/place.*: host, port and weight;
// port 0 is a Unix socket.
type member [3]any

// randomFleets draws fleets and keys that no recorded vector has: host names
// and IPs, default and other ports, Unix sockets, weights, non-ASCII text.
func randomFleets(t *testing.T) (fleets [][]placement.Server, keys []string) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, n := range []int{1, 2, 3, 4, 5, 8, 13, 21, 40} {
		for _, weights := range [][]int{{1}, {1, 1, 2, 3, 5, 10, 100}, {1000, 999, 1}} {
			var fleet []placement.Server
			for i := range n {
				s := placement.Server{Weight: weights[r.IntN(len(weights))], Port: placement.DefaultPort}
				switch r.IntN(8) {
				case 5:
					s.Host = fmt.Sprintf("Cache-%d_%d.EXAMPLE.com.", r.IntN(1000), i)
				case 6:
					s.Host, s.Port = "localhost", 20000+i
				case 7:
					s.Host, s.Port = "127.0.0.1", 11211+10*i
				case 0:
					s.Path, s.Port = fmt.Sprintf("/run/cache-%d-%d.sock", i, r.IntN(1000)), 0
				case 1, 2:
					s.Host = fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), i)
				default:
					s.Host = fmt.Sprintf("cache-%d-%d.example", r.IntN(1000), i)
				}
				if s.Port != 0 && r.IntN(2) == 0 {
					s.Port = 1024 + r.IntN(60000)
				}
				fleet = append(fleet, s)
			}
			fleets = append(fleets, fleet)
		}
	}
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("user:%d:%x", i, r.Uint64()), fmt.Sprintf("clé-%d", r.IntN(1e6)), fmt.Sprintf("日本%d語", r.IntN(1e6)))
	}
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("{%x}:%d", r.Uint64(), i), fmt.Sprintf("a{b%d}c{d}", i), fmt.Sprintf("%%%d#$&\\\"'`~", r.IntN(1e6)), fmt.Sprintf("\u00ff\u0100\U0001F600%d", i), fmt.Sprintf("%d", r.Uint64()), "-", ":", "0", fmt.Sprintf("{}%d", i), fmt.Sprintf("{%d", i))
	}
	for n := 1; n < 250; n += 1 + r.IntN(20) {
		keys = append(keys, strings.Repeat("x", n))
	}
	return fleets, keys
}

// TestPlacementRandom compares the placements of all clients for keys of random
// fleets.
func TestPlacementRandom(t *testing.T) {
	for _, p := range []struct {
		name string
		cmd  func(t *testing.T) *exec.Cmd
		more int // placements times fleets, at least
	}{
		{"php", func(t *testing.T) *exec.Cmd {
			interpreter := peers.Program(t, "php")
			peers.Works(t, interpreter, "-r", "exit(extension_loaded('memcached') ? 0 : 1);")
			return exec.Command(interpreter, "testdata/place.php")
		}, 17 * 18},
		{"python", func(t *testing.T) *exec.Cmd {
			return exec.Command(peers.Python(t, "memcache", "pymemcache"), "testdata/place.py")
		}, 2 * 18},
		{"dalli", func(t *testing.T) *exec.Cmd {
			interpreter := peers.Program(t, "ruby")
			peers.Works(t, interpreter, "-rdalli", "-e", "1")
			return exec.Command(interpreter, "testdata/place.rb")
		}, 18},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			cmd := p.cmd(t)
			fleets, keys := randomFleets(t)
			members := make([][]member, len(fleets))
			for i, fleet := range fleets {
				for _, s := range fleet {
					members[i] = append(members[i], member{s.Host + s.Path, s.Port, s.Weight})
				}
			}
			var answers []struct {
				Placement   string
				Fleet, Dead int
				Owners      []int
			}
			peers.Start(t, cmd).Call(map[string]any{"fleets": members, "keys": keys}, &answers)
			if len(answers) < p.more {
				t.Errorf("%d answers, at least %d wanted", len(answers), p.more)
			}
			for _, a := range answers {
				selector, err := placement.New(a.Placement)
				if err != nil {
					t.Fatal(err)
				}
				picker, err := selector.Place(fleets[a.Fleet])
				if err != nil {
					t.Fatal(err)
				}
				var dead func(int) bool
				if a.Dead > 0 {
					dead = func(i int) bool { return i < a.Dead }
				}
				wrong := 0
				for i, key := range keys {
					if got := picker.Pick(key, dead); got != a.Owners[i] {
						if wrong++; wrong == 1 {
							t.Errorf("%s, fleet %v, %d dead: %q is on %d, they say %d", a.Placement, fleets[a.Fleet], a.Dead, key, got, a.Owners[i])
						}
					}
				}
				if wrong > 1 {
					t.Errorf("and %d more of %d keys", wrong-1, len(keys))
				}
			}
		})
	}
}
