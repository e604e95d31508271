package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func one(s string) *Message { return &Message{One: []byte(s)} }

// drain takes everything and returns the messages, frames joined by |.
func drain(q *Queue) (all []string) {
	for {
		b, ok, _ := q.Take(false)
		if !ok {
			return all
		}
		for c := NewCursor(b); !c.Done(); {
			m := ""
			for {
				flags, p := c.Next()
				m += string(p)
				if flags&More == 0 {
					break
				}
				m += "|"
			}
			all = append(all, m)
		}
		q.Ack(b.Msgs)
	}
}

func TestMarkIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hwm := rapid.IntRange(1, 40).Draw(t, "hwm")
		q := NewQueue(hwm)
		var inside []string // appended, not acknowledged
		unacked, next := 0, 0
		var bell atomic.Bool
		took := func(t *rapid.T, b Batch) {
			for c := NewCursor(b); !c.Done(); {
				_, p := c.Next()
				if string(p) != inside[0] {
					t.Fatalf("took %q, want %q", p, inside[0])
				}
				inside = inside[1:]
				unacked++
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				s := fmt.Sprint(next)
				got := q.Append(one(s))
				if full := len(inside)+unacked >= hwm; full != (got == Full) {
					t.Fatalf("append with %d of %d inside: %v", len(inside)+unacked, hwm, got)
				}
				if got != Full {
					next++
					inside = append(inside, s)
				}
			},
			"take": func(t *rapid.T) {
				b, ok, _ := q.Take(false)
				if ok != (len(inside) > 0) {
					t.Fatalf("take with %d inside: %v", len(inside), ok)
				}
				took(t, b)
			},
			"ack": func(t *rapid.T) {
				n := rapid.IntRange(0, unacked).Draw(t, "n")
				unacked -= n
				q.Ack(n)
			},
			"take more": func(t *rapid.T) {
				want := rapid.IntRange(1, 40).Draw(t, "want")
				n := unacked
				unacked = 0
				b, ok, waits, _ := q.TakeMore(n, want, false, &bell)
				enough := len(inside) >= min(want, (hwm+3)/4)
				if ok != enough || waits == enough {
					t.Fatalf("%d of %d inside, wanted %d: taken %v, waits %v", len(inside), hwm, want, ok, waits)
				}
				for more := rapid.IntRange(0, hwm).Draw(t, "more"); waits && more > 0; more-- {
					rang := bell.Load()
					s := fmt.Sprint(next)
					if got := q.Append(one(s)); (got == Full) != (len(inside) >= hwm) || got == Wake {
						t.Fatalf("append with %d of %d inside: %v", len(inside), hwm, got)
					} else if got == Queued {
						next++
						inside = append(inside, s)
					}
					if bell.Load() != (rang || len(inside) >= min(want, (hwm+3)/4)) {
						t.Fatalf("%d inside, wanted %d: bell %v", len(inside), want, bell.Load())
					}
				}
				if waits {
					q.CancelWait()
				}
				took(t, b)
			},
			"": func(t *rapid.T) {
				if q.Len() != len(inside)+unacked {
					t.Fatalf("Len %d, want %d", q.Len(), len(inside)+unacked)
				}
			},
		})
	})
}

func TestRefusedProducerIsTold(t *testing.T) {
	q := NewQueue(2)
	q.Append(one("a"))
	q.Append(one("b"))
	if q.Append(one("c")) != Full {
		t.Fatal("third message accepted, the mark is 2")
	}
	q.Take(false)
	if !q.Ack(1) {
		t.Error("no word that there is room")
	}
	if q.Ack(1) {
		t.Error("told twice")
	}
}

func TestConsumerIsWoken(t *testing.T) {
	q := NewQueue(0)
	if r := q.Append(one("a")); r != Queued {
		t.Fatal(r, "before the consumer looked")
	}
	if got := drain(q); len(got) != 1 {
		t.Fatal(got)
	}
	if r := q.Append(one("b")); r != Wake {
		t.Fatal(r, "with an idle consumer")
	}
	if r := q.Append(one("c")); r != Queued {
		t.Fatal(r, "after the consumer was told")
	}
}

// TestBell checks that a consumer that waits for the bell is woken by it only.
func TestBell(t *testing.T) {
	q := NewQueue(0)
	var bell atomic.Bool
	wait := func() {
		t.Helper()
		if _, ok, waits, _ := q.TakeMore(0, 2, false, &bell); ok || !waits || bell.Load() {
			t.Fatal("took", ok, "waits", waits, "rang", bell.Load())
		}
	}
	add := func(want Result) {
		t.Helper()
		if r := q.Append(one("a")); r != want {
			t.Fatal(r)
		}
	}
	wait()
	add(Queued)
	if q.CancelWait(); bell.Load() {
		t.Error("one message rang, two were asked for")
	}
	add(Queued) // it is known that there is something
	if got := drain(q); len(got) != 2 {
		t.Error(got)
	}
	add(Wake)
	drain(q)

	wait()
	q.CancelWait()
	add(Wake)
	drain(q)

	wait()
	if r := q.Close(); r == Wake || !bell.Load() {
		t.Error("closed:", r, "rang", bell.Load())
	}
	if _, ok, waits, _ := q.TakeMore(0, 2, false, &bell); ok || waits {
		t.Error("something is expected from a closed queue")
	}
	if _, ok, done := q.Take(false); ok || !done {
		t.Error("a closed queue is not at its end")
	}
}

func TestLatestOnly(t *testing.T) {
	q := NewQueue(1)
	q.Conflate(false)
	for i := range 10 {
		if q.Append(one(fmt.Sprint(i))) == Full {
			t.Fatal("conflating queue is full")
		}
	}
	if got := fmt.Sprint(drain(q)); got != "[9]" {
		t.Error(got)
	}
	var b Batch
	b.Message(one("x"))
	b.Message(one("y"))
	q.Push(b)
	if got := fmt.Sprint(drain(q)); got != "[y]" {
		t.Error(got)
	}
}

// A consumer that found nothing, and asks only then, is not at the end when
// another one has got to work since.
func TestFinished(t *testing.T) {
	q := NewQueue(0)
	q.Attach()
	finished := func(want bool) {
		t.Helper()
		if q.Finished() != want {
			t.Errorf("finished: %v", !want)
		}
	}
	if _, ok, _ := q.TakeAll(); ok {
		t.Error("there is something to take")
	}
	finished(false)
	if r := q.Append(one("a")); r != Wake {
		t.Error(r)
	}
	q.Close()
	finished(false)
	b, _, _ := q.TakeAll()
	finished(false)
	q.Unread(b)
	q.TakeAll()
	finished(false)
	q.TakeAll()
	finished(true)
}

func TestUnread(t *testing.T) {
	q := NewQueue(0)
	q.Attach()
	q.Append(one("a"))
	q.Append(&Message{Parts: [][]byte{[]byte("b"), []byte("bb")}})
	b, _, _ := q.TakeAll()
	q.Append(one("c"))
	c := NewCursor(b)
	c.Next()
	q.Unread(c.Rest(1))
	if got := fmt.Sprint(drain(q)); got != "[b|bb c]" {
		t.Error(got)
	}
}

func TestLargeFramesByReference(t *testing.T) {
	big := make([]byte, LargeFrame)
	for _, owned := range []bool{true, false} {
		var b Batch
		b.Message(&Message{Parts: [][]byte{[]byte("x"), big, nil, big, []byte("y")}, Owned: owned})
		if len(b.Refs) != 2 || b.Size() != len(b.Enc)+2*LargeFrame {
			t.Fatalf("%d references, size %d", len(b.Refs), b.Size())
		}
		c := NewCursor(b)
		for i, n := range []int{1, LargeFrame, 0, LargeFrame, 1} {
			_, p := c.Next()
			if len(p) != n {
				t.Errorf("frame %d has %d bytes, want %d", i, len(p), n)
			}
			if n == LargeFrame && (&p[0] == &big[0]) != owned {
				t.Errorf("owned %v, frame %d shares memory: %v", owned, i, !owned)
			}
		}
	}
}

// TestRoundRobinIsFair checks that among members that stay active, none gets a
// second turn before all others had one.
func TestRoundRobinIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r RoundRobin[int]
		members := map[int]*Member[int]{}
		active := map[int]bool{}
		since := map[int]map[int]bool{} // who had a turn since i had its last
		next := 0
		changed := func() { clear(since) }
		pick := func(t *rapid.T) (int, bool) {
			if next == 0 {
				return 0, false
			}
			i := rapid.IntRange(0, next-1).Draw(t, "member")
			return i, members[i] != nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := &Member[int]{V: next}
				members[next], active[next] = s, true
				next++
				r.Add(s)
				changed()
			},
			"remove": func(t *rapid.T) {
				if i, ok := pick(t); ok {
					members[i].Remove()
					delete(members, i)
					delete(active, i)
					changed()
				}
			},
			"deactivate": func(t *rapid.T) {
				if i, ok := pick(t); ok {
					members[i].Deactivate()
					delete(active, i)
					changed()
				}
			},
			"activate": func(t *rapid.T) {
				if i, ok := pick(t); ok {
					members[i].Activate()
					active[i] = true
					changed()
				}
			},
			"turn": func(t *rapid.T) {
				s, ok := r.Current()
				if ok != (len(active) > 0) {
					t.Fatalf("turn %v with %d active", ok, len(active))
				}
				if !ok {
					return
				}
				if !active[s.V] {
					t.Fatalf("%d has a turn and is put aside", s.V)
				}
				if had := since[s.V]; had != nil && len(had) != len(active)-1 {
					t.Fatalf("%d has its second turn, only %d others had one", s.V, len(had))
				}
				for _, had := range since {
					had[s.V] = true
				}
				since[s.V] = map[int]bool{}
				r.Next()
			},
			"": func(t *rapid.T) {
				if r.Active() != len(active) || r.Len() != len(members) {
					t.Fatalf("%d of %d active, want %d of %d", r.Active(), r.Len(), len(active), len(members))
				}
			},
		})
	})
}

func TestPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Prefixes[int]
		model := map[string]int{}
		word := rapid.StringMatching(`[ab]{0,5}`)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := word.Draw(t, "k"), rapid.Int().Draw(t, "v")
				p.Put(k, v)
				model[k] = v
			},
			"delete": func(t *rapid.T) {
				k := word.Draw(t, "k")
				p.Delete([]byte(k))
				delete(model, k)
			},
			"match": func(t *rapid.T) {
				key := word.Draw(t, "key")
				var got, want []int
				p.Matches([]byte(key), func(v int) bool { got = append(got, v); return true })
				for n := range len(key) + 1 {
					if v, ok := model[key[:n]]; ok {
						want = append(want, v)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || p.Any([]byte(key)) != (len(want) > 0) {
					t.Fatalf("%q matches %v, want %v", key, got, want)
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for k, v := range p.All {
					n++
					if model[k] != v {
						t.Fatalf("%q is %d, want %d", k, v, model[k])
					}
				}
				if n != len(model) || p.Len() != n {
					t.Fatalf("%d topics, Len %d, want %d", n, p.Len(), len(model))
				}
			},
		})
	})
}

// park waits as the owners of a Waiters do. mu is held.
func park(ctx context.Context, mu *sync.Mutex, w *Waiters, d time.Duration) error {
	x := w.Add()
	mu.Unlock()
	err := x.Wait(ctx, d)
	mu.Lock()
	if err != nil {
		w.Remove(x)
	} else {
		w.Free(x)
	}
	return err
}

func TestWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var w Waiters
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 4)
		wait := func(name string, ctx context.Context, d time.Duration) {
			go func() {
				mu.Lock()
				err := park(ctx, &mu, &w, d)
				mu.Unlock()
				got <- fmt.Sprint(name, " ", err)
			}()
			synctest.Wait()
		}
		wait("first", ctx, -1)
		wait("second", t.Context(), -1)
		wait("third", t.Context(), time.Minute)
		cancel()
		if s := <-got; s != "first context canceled" {
			t.Error(s)
		}
		mu.Lock()
		w.Wake()
		mu.Unlock()
		if s := <-got; s != "second <nil>" {
			t.Error(s)
		}
		if s := <-got; s != "third context deadline exceeded" {
			t.Error(s)
		}
	})
}

// TestWakeIsNotLost wakes a waiter at the moment its context ends: either it
// goes on, or the next one does.
func TestWakeIsNotLost(t *testing.T) {
	for range 200 {
		var mu sync.Mutex
		var w Waiters
		ctx, cancel := context.WithCancel(context.Background())
		results := make(chan error, 2)
		for _, c := range []context.Context{ctx, context.Background()} {
			mu.Lock()
			ready := make(chan struct{})
			go func() {
				mu.Lock()
				close(ready)
				err := park(c, &mu, &w, -1)
				mu.Unlock()
				results <- err
			}()
			mu.Unlock()
			<-ready
			mu.Lock()   // park has released it: the goroutine is queued
			mu.Unlock() //lint:ignore SA2001 having had the lock is what counts
		}
		go cancel()
		mu.Lock()
		w.Wake()
		mu.Unlock()
		first := <-results
		cancel()
		if first != nil { // cancelled: the wake must reach the second
			if err := <-results; err != nil {
				t.Fatal(err)
			}
			continue
		}
		mu.Lock()
		w.WakeAll()
		mu.Unlock()
		if err := <-results; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestBuffersAreReused(t *testing.T) {
	for _, n := range []int{1, 8192, 8193, 1 << 22, 1<<22 + 1} {
		b := GetBuffer(n)
		if len(b) != n {
			t.Errorf("GetBuffer(%d) has %d bytes", n, len(b))
		}
		PutBuffer(b)
	}
	PutBuffer(make([]byte, 100)) // not one of ours: ignored
}

// TestLimitBytes: a queue is full from its limit on, and its producer goes on
// when half of that is taken.
func TestLimitBytes(t *testing.T) {
	q := NewQueue(0)
	q.LimitBytes(100 << 10)
	batch := func() (b Batch) {
		b.Message(&Message{One: make([]byte, 30<<10)})
		return b
	}
	for i := range 4 {
		if _, full := q.Push(batch()); full != (i == 3) {
			t.Fatalf("full %v with %d messages", full, i+1)
		}
	}
	if q.Ready() {
		t.Error("ready over the limit")
	}
	for i := range 4 {
		b, ok, _ := q.Take(false)
		if !ok {
			t.Fatalf("nothing to take after %d", i)
		}
		if reopened := q.Ack(b.Msgs); reopened != (i == 2) {
			t.Errorf("reopened %v with %d taken", reopened, i+1)
		}
	}
	if !q.Ready() {
		t.Error("not ready though empty")
	}
}
