package flow

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A run that a queue takes in part is, up to there, what was appended one by
// one to another, and the mark stays exact with room set aside.
func TestRunIsAppendedAsMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hwm := rapid.IntRange(0, 60).Draw(t, "hwm")
		q := NewQueue(hwm)
		if rapid.Bool().Draw(t, "blocks") {
			q.UseBlocks()
		}
		var inside []string
		unacked, next := 0, 0
		room := func() int {
			if hwm == 0 {
				return 1 << 20
			}
			return max(hwm-len(inside)-unacked, 0)
		}
		sizes := rapid.SampledFrom([]int{0, 1, 200, 300, 5000, LargeFrame, 3 * LargeFrame})
		t.Repeat(map[string]func(*rapid.T){
			"run": func(t *rapid.T) {
				var from Batch
				n := rapid.IntRange(1, 40).Draw(t, "n")
				var names []string
				for range n {
					m := Message{Parts: [][]byte{fmt.Append(nil, next)}}
					for range rapid.IntRange(0, 2).Draw(t, "parts") {
						m.Parts = append(m.Parts, bytes.Repeat([]byte{'x'}, sizes.Draw(t, "size")))
					}
					next++
					from.Message(&m)
					names = append(names, string(bytes.Join(m.Parts, []byte("|"))))
				}
				var r Run
				want, payloads := 0, 0
				for c := NewCursor(from); !c.Done(); {
					payloads += r.Add(&c)
				}
				for _, name := range names {
					want += len(name) - bytes.Count([]byte(name), []byte("|"))
				}
				if payloads != want || r.Len() != n || r.Size() != from.Size() {
					t.Fatalf("run of %d messages, %d bytes, %d of payloads; want %d, %d, %d", r.Len(), r.Size(), payloads, n, from.Size(), want)
				}
				reserved := 0
				if rapid.Bool().Draw(t, "reserve") {
					k := rapid.IntRange(1, 50).Draw(t, "room")
					if reserved = q.Reserve(k); reserved != min(k, room()) {
						t.Fatalf("reserved %d of %d with room for %d", reserved, k, room())
					}
					if reserved == room() && q.Append(one("beyond")) != Full {
						t.Fatal("room that was set aside was given away")
					}
				}
				took, res := q.AppendRun(&r, reserved)
				if took != min(n, room()) || (took == 0) != (res == Full) {
					t.Fatalf("took %d (%v) of %d with room for %d", took, res, n, room())
				}
				inside = append(inside, names[:took]...)
			},
			"take": func(t *rapid.T) {
				b, ok, _ := q.Take(false)
				if ok != (len(inside) > 0) {
					t.Fatalf("take with %d inside: %v", len(inside), ok)
				}
				all := frames(b)
				if len(all) != b.Msgs || !slices.Equal(all, inside[:b.Msgs]) {
					t.Fatalf("took %.80q, want %.80q", all, inside[:min(b.Msgs, len(inside))])
				}
				inside = inside[b.Msgs:]
				unacked += b.Msgs
			},
			"ack": func(t *rapid.T) {
				n := rapid.IntRange(0, unacked).Draw(t, "n")
				unacked -= n
				q.Ack(n)
			},
			"": func(t *rapid.T) {
				if got := q.Len(); got != len(inside)+unacked {
					t.Fatalf("%d inside, want %d", got, len(inside)+unacked)
				}
				in, out := q.Counters()
				if in.Msgs-out.Msgs != uint64(len(inside)) || len(inside) == 0 && in != out {
					t.Fatalf("counted %v in, %v out with %d inside", in, out, len(inside))
				}
			},
		})
	})
}

// frames are the messages of b, their frames joined by |.
func frames(b Batch) (all []string) {
	for c := NewCursor(b); !c.Done(); {
		var m [][]byte
		for {
			flags, p := c.Next()
			m = append(m, p)
			if flags&More == 0 {
				break
			}
		}
		all = append(all, string(bytes.Join(m, []byte("|"))))
	}
	return all
}

func TestRunToLatest(t *testing.T) {
	q := NewQueue(1)
	q.Conflate(false)
	var from Batch
	for _, s := range []string{"a", "b", "c"} {
		from.Message(one(s))
	}
	var r Run
	for c := NewCursor(from); !c.Done(); {
		r.Add(&c)
	}
	if n, _ := q.AppendRun(&r, q.Reserve(3)); n != 3 {
		t.Errorf("took %d of 3", n)
	}
	if got := drain(q); !slices.Equal(got, []string{"c"}) {
		t.Errorf("holds %q", got)
	}
	q.Close()
	if n := q.Reserve(1); n != 0 {
		t.Errorf("a closed queue has room for %d", n)
	}
	if n, res := q.AppendRun(&r, 0); n != 0 || res != Full {
		t.Errorf("a closed queue took %d: %v", n, res)
	}
}
