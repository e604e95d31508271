package flow

import (
	"bytes"
	"testing"
)

// batchOf is one message of n octets and its header.
func batchOf(n int) (b Batch) {
	b.Message(&Message{One: make([]byte, n)})
	return b
}

// While the share is used up, a queue with 1 MiB or more is full until it has half
// of that, and one with less is not.
func TestShare(t *testing.T) {
	const mib = 1 << 20
	var s Share
	s.SetLimit(4 * mib)
	large, other, small := NewQueue(0), NewQueue(0), NewQueue(0)
	for _, q := range []*Queue{large, other, small} {
		q.ShareBytes(&s)
	}
	push := func(q *Queue, n int) (full bool) {
		t.Helper()
		_, full = q.Push(batchOf(n))
		return full
	}
	take := func(q *Queue) (reopened bool) {
		t.Helper()
		b, ok, _ := q.Take(false)
		if !ok {
			t.Fatal("nothing to take")
		}
		return q.Ack(b.Msgs)
	}
	if push(large, 3*mib) {
		t.Fatal("full below the limit")
	}
	if !push(other, mib) {
		t.Fatal("not full at the limit")
	}
	if push(small, 1000) || !small.Ready() {
		t.Fatal("a queue with little is full")
	}
	if !push(large, 400_000) || !push(large, 200_000) {
		t.Fatal("not full beyond the limit")
	}
	if !take(large) { // 0.6 MB are left, and all hold less than 4 MiB
		t.Fatal("not reopened below the limit")
	}
	if !other.Ready() {
		t.Fatal("full below the limit")
	}
	if !push(small, 3*mib) || !push(large, mib) {
		t.Fatal("not full at the limit")
	}
	if take(large) { // 0.2 MB and 1 MiB
		t.Fatal("reopened with more than half of its own part")
	}
	if take(large) {
		t.Fatal("reopened with more than half of its own part")
	}
	if !take(large) {
		t.Fatal("not reopened when it is empty")
	}
	// What is dropped does not count any more.
	small.Clear()
	other.Clear()
	if push(large, 3*mib) {
		t.Fatal("full below the limit")
	}
	s.SetLimit(0)
	if push(large, 9*mib) {
		t.Fatal("full without a limit")
	}
}

// Frames counts what is left of a message, whatever its frames are.
func TestFrames(t *testing.T) {
	var b Batch
	b.Message(&Message{Parts: [][]byte{nil, []byte("a"), bytes.Repeat([]byte("b"), 300), make([]byte, LargeFrame), nil}})
	b.Message(&Message{Parts: [][]byte{nil, nil}})
	c := NewCursor(b)
	for _, want := range []int{4, 3, 2, 1, -1, 1, -1} {
		flags, _ := c.Next()
		got := -1
		if flags&More != 0 {
			got = c.Frames()
		}
		if got != want {
			t.Fatalf("%d frames left, want %d", got, want)
		}
	}
	if !c.Done() {
		t.Error("frames are left")
	}
}
