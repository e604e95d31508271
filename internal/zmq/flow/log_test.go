package flow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// follower is a queue of a publisher and what must be true of it.
type follower struct {
	q      *Queue
	hwm    int
	reads  bool // the log
	role   bool // its consumer was told, and has not found nothing since
	gone   bool // detached
	due    []uint32
	held   Batch // taken and not written out yet
	heldID []uint32
}

// numbered is a message that tells its number, of n bytes.
func numbered(id uint32, n int) *Message {
	b := make([]byte, max(n, 4))
	for i := 0; i+4 <= len(b); i += 4 {
		binary.LittleEndian.PutUint32(b[i:], id)
	}
	return &Message{One: b}
}

// numbers are those of the messages in b.
func numbers(b Batch) ([]uint32, error) {
	var ids []uint32
	for c := NewCursor(b); !c.Done(); {
		_, p := c.Next()
		id := binary.LittleEndian.Uint32(p)
		if !bytes.Equal(p, numbered(id, len(p)).One) {
			return nil, fmt.Errorf("message %d has something else in it", id)
		}
		ids = append(ids, id)
	}
	if len(ids) != b.Msgs {
		return nil, fmt.Errorf("%d messages, said to be %d", len(ids), b.Msgs)
	}
	return ids, nil
}

func same(a, b []uint32) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// failing is what a test and one of rapid have in common.
type failing interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// check checks that what is held was not overwritten.
func (f *follower) check(t failing) {
	ids, err := numbers(f.held)
	if err != nil || !same(ids, f.heldID) {
		t.Fatalf("held %v, %v, want %v", ids, err, f.heldID)
	}
}

// wrote is the end of a write.
func (f *follower) wrote(t failing) {
	if !f.held.Empty() {
		f.check(t)
		f.held.Written()
		f.held, f.heldID = Batch{}, nil
	}
}

func (f *follower) take(t failing) {
	f.wrote(t)
	b, ok, _ := f.q.TakeAll()
	if !ok {
		if len(f.due) > 0 {
			t.Fatalf("nothing to take of %v", f.due)
		}
		f.role = false
		return
	}
	ids, err := numbers(b)
	if err != nil || len(ids) > len(f.due) || !same(ids, f.due[:len(ids)]) {
		t.Fatalf("took %v, %v, of %v", ids, err, f.due)
	}
	f.held, f.heldID, f.due = b, ids, f.due[len(ids):]
}

// result is what appending id by itself came to.
func (f *follower) result(t failing, id uint32, r Result) {
	if full := f.hwm > 0 && len(f.due) >= f.hwm; full != (r == Full) {
		t.Fatalf("append of %d with %d of %d inside: %v", id, len(f.due), f.hwm, r)
	}
	if r != Full {
		f.due = append(f.due, id)
	}
	f.woken(t, r)
}

func (f *follower) woken(t failing, r Result) {
	if r == Wake {
		if f.role || f.gone {
			t.Fatal("told twice")
		}
		f.role = true
	}
}

// Queues that follow a log now and then, beside a model that has a list for
// each: order, marks, wake-ups and memory are as if each had its own copies.
func TestLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Log
		var fs []*follower
		for range rapid.IntRange(1, 4).Draw(t, "queues") {
			f := &follower{hwm: rapid.SampledFrom([]int{0, 5, 40}).Draw(t, "hwm")}
			f.q = NewQueue(f.hwm)
			f.q.Owner = f
			f.q.UseBlocks()
			f.role = f.q.Attach()
			fs = append(fs, f)
		}
		next := uint32(0)
		size := rapid.SampledFrom([]int{4, 60, 300, 3000, LargeFrame - 1})
		pick := rapid.SampledFrom(fs)
		leave := func(f *follower) {
			f.q.Leave()
			f.reads = false
		}
		look := func() {
			room := math.MaxInt
			for _, f := range fs {
				if !f.reads {
					continue
				}
				n := f.q.Room(&l)
				if f.hwm > 0 && n != f.hwm-len(f.due) {
					t.Fatalf("room %d with %d of %d inside", n, len(f.due), f.hwm)
				}
				if n < 1 {
					leave(f)
				} else {
					room = min(room, n)
				}
			}
			l.SetRoom(room)
		}
		publish := func(m *Message) {
			n, ok := m.Loggable()
			if !ok {
				t.Fatal("not loggable")
			}
			rouse, ok := l.Append(m, n)
			if !ok {
				look()
				rouse, ok = l.Append(m, n)
			}
			for _, f := range fs {
				if f.reads {
					if !ok || f.hwm > 0 && len(f.due) >= f.hwm {
						t.Fatalf("%v with %d of %d inside", ok, len(f.due), f.hwm)
					}
					f.due = append(f.due, next)
				}
			}
			if rapid.Bool().Draw(t, "look between") {
				for _, f := range fs {
					if n := f.q.Len(); n != len(f.due) || f.q.Pending() != (n > 0) {
						t.Fatalf("Len %d, %d are due", n, len(f.due))
					}
				}
			}
			for _, q := range rouse {
				q.Owner.(*follower).woken(t, q.WakeIdle())
			}
			for _, f := range fs {
				if !f.reads {
					f.result(t, next, f.q.Append(m))
				}
			}
			next++
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { publish(numbered(next, size.Draw(t, "size"))) },
			"publish many": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					publish(numbered(next, size.Draw(t, "size")))
				}
			},
			"append": func(t *rapid.T) {
				f := pick.Draw(t, "queue")
				f.result(t, next, f.q.AppendOne(numbered(next, size.Draw(t, "size")).One))
				next++
			},
			"follow": func(t *rapid.T) {
				if f := pick.Draw(t, "queue"); !f.reads {
					room := rapid.IntRange(1, 10).Draw(t, "room")
					f.reads = f.q.Follow(&l, room)
					if f.reads != (f.hwm == 0 || f.hwm-len(f.due) >= room) {
						t.Fatalf("follow: %v with %d of %d inside", f.reads, len(f.due), f.hwm)
					}
				}
			},
			"leave": func(t *rapid.T) { leave(pick.Draw(t, "queue")) },
			"take": func(t *rapid.T) {
				if f := pick.Draw(t, "queue"); f.role {
					f.take(t)
				}
			},
			"take all": func(t *rapid.T) {
				for _, f := range fs {
					for f.role {
						f.take(t)
					}
				}
			},
			"mark": func(t *rapid.T) {
				f := pick.Draw(t, "queue")
				f.hwm = rapid.SampledFrom([]int{0, 5, 40, 100}).Draw(t, "hwm")
				f.q.SetHWM(f.hwm)
			},
			"break": func(t *rapid.T) {
				f := pick.Draw(t, "queue")
				if f.gone {
					f.gone = false
					f.role = f.q.Attach()
					return
				}
				if !f.held.Empty() && rapid.Bool().Draw(t, "failed") {
					f.check(t)
					c := NewCursor(f.held)
					written := rapid.IntRange(0, f.held.Msgs-1).Draw(t, "written")
					for range written {
						c.Next()
					}
					f.due = append(append([]uint32(nil), f.heldID[written:]...), f.due...)
					f.q.Unread(c.Rest(f.held.Msgs - written))
					f.held, f.heldID = Batch{}, nil
				}
				f.wrote(t)
				f.q.Detach()
				f.gone, f.role = true, false
			},
			"": func(t *rapid.T) {
				for _, f := range fs {
					f.check(t)
					if len(f.due) > 0 && !f.role && !f.gone {
						t.Fatalf("%d wait and no consumer was woken", len(f.due))
					}
				}
			},
		})
		for _, f := range fs {
			if f.gone {
				f.gone = false
				f.role = f.q.Attach()
			}
			if r := f.q.Close(); r == Wake && (len(f.due) > 0 || f.role) {
				t.Fatalf("an idle consumer, told %v, has %d to take", f.role, len(f.due))
			} else if r == Wake {
				f.role = true
			}
			for f.role {
				f.take(t)
			}
			if len(f.due) > 0 {
				t.Fatalf("%d were never taken", len(f.due))
			}
			if !f.q.closed || f.q.Append(numbered(0, 4)) != Full || f.q.Follow(&l, 1) {
				t.Fatal("a closed queue accepts messages")
			}
		}
	})
}

// Consumers take while the publisher appends: every one gets every message,
// whole and in order, and memory is not used again too soon.
func TestLogAtOnce(t *testing.T) {
	const queues, messages = 8, 20000
	var l Log
	var wg sync.WaitGroup
	consume := func(q *Queue, told <-chan struct{}) {
		want := uint32(0)
		for want < messages {
			b, ok, _ := q.TakeAll()
			if !ok {
				<-told
				continue
			}
			ids, err := numbers(b)
			if err != nil {
				t.Error(err)
			}
			for _, id := range ids {
				if id != want {
					t.Errorf("message %d, want %d", id, want)
					return
				}
				want++
			}
			b.Written()
		}
	}
	qs := make([]*Queue, queues)
	for i := range qs {
		told := make(chan struct{}, 1)
		q := NewQueue(0)
		q.Owner = told
		q.UseBlocks()
		q.Attach()
		if !q.Follow(&l, 1) {
			t.Fatal("a new queue cannot follow a log")
		}
		qs[i] = q
		wg.Go(func() { consume(q, told) })
	}
	l.SetRoom(math.MaxInt)
	for id := range uint32(messages) {
		m := numbered(id, int(id%500))
		n, _ := m.Loggable()
		rouse, ok := l.Append(m, n)
		if !ok {
			t.Fatal("refused")
		}
		for _, q := range rouse {
			if q.WakeIdle() == Wake {
				q.Owner.(chan struct{}) <- struct{}{}
			}
		}
		if id%97 == 0 {
			q := qs[id%queues]
			q.Leave()
			q.Follow(&l, 1)
		}
	}
	wg.Wait()
	if l.seg == nil {
		return
	}
	for _, q := range qs {
		q.Leave()
	}
	if l.followers != 0 || l.seg != nil || l.first != nil || l.behind != 0 {
		t.Errorf("%d follow, %d behind, segments %v %v", l.followers, l.behind, l.seg != nil, l.first != nil)
	}
}

func TestLoggable(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want bool
	}{
		{Message{One: nil}, true},
		{Message{One: make([]byte, LargeFrame-1)}, true},
		{Message{One: make([]byte, LargeFrame)}, false},
		{Message{Parts: [][]byte{{1}, make([]byte, LargeFrame)}}, false},
		{Message{Parts: [][]byte{{1}, make([]byte, LargeFrame-1)}}, true},
		{Message{Parts: [][]byte{make([]byte, 8000), make([]byte, 8000), make([]byte, 8000)}}, false},
	} {
		n, ok := c.m.Loggable()
		var b Batch
		b.Message(&c.m)
		if ok != c.want || ok && n < len(b.Enc) {
			t.Errorf("%d bytes in %d frames: %v, at most %d, want %v", b.Size(), len(c.m.Parts), ok, n, c.want)
		}
	}
}

// A queue that left a log while a part of it was on its way to the peer, or
// waits for the next connection, keeps that memory from being used again.
func TestLogLeftInTheMiddle(t *testing.T) {
	const size = 4000
	for _, failed := range []bool{false, true} {
		var l Log
		fs := make([]*follower, 2)
		for i := range fs {
			f := &follower{q: NewQueue(0)}
			f.q.Owner = f
			f.q.UseBlocks()
			f.role = f.q.Attach()
			fs[i] = f
		}
		leaves, stays := fs[0], fs[1]
		next := uint32(0)
		publish := func(n int, to ...*follower) {
			for range n {
				m := numbered(next, size)
				n, _ := m.Loggable()
				rouse, ok := l.Append(m, n)
				if !ok {
					t.Fatal("refused")
				}
				for _, f := range to {
					f.due = append(f.due, next)
				}
				for _, q := range rouse {
					q.Owner.(*follower).woken(t, q.WakeIdle())
				}
				next++
			}
		}
		for _, f := range fs {
			f.reads = f.q.Follow(&l, 1)
		}
		l.SetRoom(math.MaxInt)
		publish(10, fs...)
		leaves.take(t)
		if failed { // the next connection will send it
			leaves.due = leaves.heldID
			c := NewCursor(leaves.held)
			leaves.q.Unread(c.Rest(leaves.held.Msgs))
			leaves.held, leaves.heldID = Batch{}, nil
			leaves.q.Detach()
			leaves.role = leaves.q.Attach()
		}
		leaves.q.Leave()
		l.SetRoom(math.MaxInt)
		for range 3 {
			for stays.role {
				stays.take(t)
			}
			publish(100, stays)
			leaves.check(t)
		}
		for leaves.role {
			leaves.take(t)
			publish(100, stays) // in all memory that is free
			for stays.role {
				stays.take(t)
			}
		}
		if len(leaves.due)+len(stays.due) > 0 {
			t.Fatalf("%d and %d were never taken", len(leaves.due), len(stays.due))
		}
	}
}
