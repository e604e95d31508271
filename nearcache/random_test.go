package nearcache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/memcache"
)

// registers of a random run, with increasing values. 0 is a missing key.
type model struct {
	*rig
	rng     *rand.Rand
	last    int
	value   map[string]int
	left    map[string]map[int]time.Time // when a value was replaced
	own     map[string]int               // newest value that the process wrote
	visited map[string]int
}

func (m *model) set(key string, v int) {
	if m.left[key] == nil {
		m.left[key] = make(map[int]time.Time)
	}
	m.left[key][m.value[key]] = time.Now()
	m.value[key] = v
}

// read reads key and returns what is wrong.
func (m *model) read(key string) error {
	began, own := time.Now(), m.own[key]
	it, err := m.Get(context.Background(), key)
	v := 0
	switch {
	case err == nil:
		if v, err = strconv.Atoi(string(it.Value)); err != nil {
			return err
		}
	case err != memcache.ErrCacheMiss:
		return nil // a server that was disconnected
	}
	m.visited["read"]++
	if v == m.value[key] {
		return nil
	}
	if until, ok := m.left[key][v]; !ok || until.Before(began.Add(-m.o.MaxStale)) {
		return fmt.Errorf("%s is %d, which the server last held %v before the read", key, v, began.Sub(until))
	}
	if v > 0 && v < own {
		return fmt.Errorf("%s is %d after the process wrote %d", key, v, own)
	}
	return nil
}

// run does one random run.
func (m *model) run(steps int) error {
	ctx := context.Background()
	for range steps {
		key := fmt.Sprint("key", m.rng.IntN(4))
		o := m.origins[m.client.ServerFor(key)]
		what := []string{"read", "read", "read", "own", "other", "delete", "hold", "drop", "deaf", "restart", "pass", "pass", "flush"}[m.rng.IntN(13)]
		m.visited[what]++
		switch what {
		case "read":
			if err := m.read(key); err != nil {
				return err
			}
		case "own":
			m.last++
			err := m.Set(ctx, &memcache.Item{Key: key, Value: []byte(strconv.Itoa(m.last))})
			if _, _, ok := o.Server.Get(key); err == nil && ok {
				m.set(key, m.last)
				m.own[key] = m.last
				o.publish(key, 1)
			}
		case "other":
			m.last++
			m.set(key, m.last)
			o.change(key, strconv.Itoa(m.last))
		case "delete":
			if err := m.client.Delete(ctx, key); err == nil {
				m.set(key, 0)
				o.publish(key, 2)
			}
		case "hold":
			o.with(func() { o.held = !o.held })
		case "drop":
			o.with(func() { o.dropped = !o.dropped })
		case "deaf":
			o.with(func() { o.deaf = !o.deaf })
		case "restart":
			if m.rng.IntN(4) == 0 {
				o.restart()
			}
		case "flush":
			if m.rng.IntN(4) > 0 {
				break
			}
			if m.FlushAll(ctx) == nil {
				for k := range m.value {
					m.set(k, 0)
					m.origins[m.client.ServerFor(k)].publish(k, 2)
				}
			}
		case "pass":
			pass(time.Duration(m.rng.IntN(600)) * time.Millisecond)
		}
		synctest.Wait()
	}
	return nil
}

func randomRun(t *testing.T, seed uint64, mutants state.Mutants, visited map[string]int) (err error) {
	synctest.Test(t, func(t *testing.T) {
		runRig(t, 2, &Options{Negative: time.Hour, mutants: mutants}, func(r *rig) {
			m := &model{rig: r, rng: rand.New(rand.NewPCG(seed, 1)), value: make(map[string]int), left: make(map[string]map[int]time.Time), own: make(map[string]int), visited: visited}
			err = m.run(200)
			for what, n := range map[string]uint64{"hit": r.Stats().Hits, "found unchanged": r.Stats().Revalidated} {
				visited[what] += int(n)
			}
		})
	})
	return err
}

// TestRandomRuns drives the cache with two origins through random events in fake
// time.
func TestRandomRuns(t *testing.T) {
	visited := make(map[string]int)
	for seed := range uint64(300) {
		if err := randomRun(t, seed, state.Mutants{}, visited); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Log(visited)
	if visited["hit"] == 0 || visited["found unchanged"] == 0 {
		t.Errorf("nothing was tried: %v", visited)
	}
}

// TestRandomRunsFindMutants: with freshness by arrival time, a run finds a value that
// is too old.
func TestRandomRunsFindMutants(t *testing.T) {
	for seed := range uint64(300) {
		if err := randomRun(t, seed, state.Mutants{ArrivalFresh: true}, make(map[string]int)); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Error("not found")
}
