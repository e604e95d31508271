package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache"
)

// stampedeServer is the environment variable that makes the test binary one of
// the processes of TestStampede; it holds the server's address.
const stampedeServer = "LINTEL_STAMPEDE_SERVER"

func init() { children[stampedeServer] = stampede }

const (
	stampedeKey       = "stampede"
	stampedeProcesses = 4
	stampedeCallers   = 250 // in each process
)

func stampedeOptions() memcache.FetchOptions {
	return memcache.FetchOptions{TTL: time.Hour, Stale: time.Hour, Lease: 10 * time.Minute}
}

// stampede runs such a process. At the first line of stdin its callers fetch
// the key; a load lasts until the second line.
func stampede() error {
	c, err := memcache.New(patient(nil), os.Getenv(stampedeServer))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), peers.Patience)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		return err
	}
	orders := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	orders.Scan()

	var loads atomic.Int64
	finish := make(chan struct{})
	answers := make(chan string, stampedeCallers)
	var calling sync.WaitGroup
	for range stampedeCallers {
		calling.Add(1)
		go func() {
			calling.Done()
			v, err := c.Fetch(ctx, stampedeKey, stampedeOptions(), func(context.Context) ([]byte, error) {
				loads.Add(1)
				<-finish
				return []byte("new"), nil
			})
			if err != nil {
				v = []byte(err.Error())
			}
			answers <- string(v)
		}()
	}
	calling.Wait()
	fmt.Println("calling")
	orders.Scan()
	close(finish)
	seen := map[string]int{}
	for range stampedeCallers {
		seen[<-answers]++
	}
	old, fresh := seen["old"], seen["new"]
	delete(seen, "old")
	delete(seen, "new")
	fmt.Println("done", loads.Load(), old, fresh, len(seen))
	for other := range seen {
		fmt.Fprintln(os.Stderr, other)
	}
	return nil
}

// TestStampede has a thousand callers in four processes fetch one key. One of
// them loads it, once.
func TestStampede(t *testing.T) {
	for _, server := range []struct {
		name  string
		start func(t *testing.T) string
	}{
		{"lintel", embedded},
		{"debian", func(t *testing.T) string { return peers.Memcached(t) }},
	} {
		for _, state := range []string{"missing", "expired", "stale"} {
			t.Run(server.name+"/"+state, func(t *testing.T) {
				addr := server.start(t)
				c, err := memcache.New(patient(nil), addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx := guard(t)
				it := &memcache.Item{Key: stampedeKey, Value: []byte("old"), TTL: 2 * time.Hour}
				switch state {
				case "expired":
					it.TTL = -time.Second
					if err := c.Set(ctx, it); err != nil {
						t.Fatal(err)
					}
				case "stale":
					if err := c.Set(ctx, it); err != nil {
						t.Fatal(err)
					}
					if err := c.Invalidate(ctx, stampedeKey, time.Hour); err != nil {
						t.Fatal(err)
					}
				}

				procs := make([]*peers.Proc, stampedeProcesses)
				for i := range procs {
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), stampedeServer+"="+addr)
					procs[i] = peers.Start(t, cmd)
				}
				for _, p := range procs {
					p.Expect("^ready$")
				}
				for _, p := range procs {
					p.Send("go")
				}
				for _, p := range procs {
					p.Expect("^calling$")
				}
				for _, p := range procs {
					p.Send("finish")
				}
				var loads, old, fresh int
				for _, p := range procs {
					n := numbers(t, p.Expect("^done (.*)$")[1])
					loads, old, fresh = loads+n[0], old+n[1], fresh+n[2]
					if n[3] != 0 {
						t.Errorf("callers were answered otherwise:\n%s", p.Log())
					}
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				}
				if loads != 1 {
					t.Errorf("%d loads", loads)
				}
				if old+fresh != stampedeProcesses*stampedeCallers || fresh == 0 || old > 0 && state != "stale" {
					t.Errorf("%d callers have the old value and %d the new one", old, fresh)
				}
				if got, err := c.Get(ctx, stampedeKey); err != nil || string(got.Value) != "new" {
					t.Errorf("the server has %v, %v", got, err)
				}
			})
		}
	}
}

func numbers(t *testing.T, line string) []int {
	t.Helper()
	var out []int
	for _, f := range strings.Fields(line) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}
