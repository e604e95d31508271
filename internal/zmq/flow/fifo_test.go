package flow

import "testing"

// A FIFO gives back what it was given, in order, however it is filled and emptied.
func TestFIFO(t *testing.T) {
	var f FIFO[int]
	in, out := 0, 0
	for _, step := range []int{1, -1, 3, -2, 7, -8, 2000, -1500, 100, -600, 9, -9, 300, -300} {
		for ; step > 0; step-- {
			f.Push(in)
			in++
		}
		for ; step < 0; step++ {
			if got := f.Pop(); got != out {
				t.Fatalf("got %d, want %d", got, out)
			}
			out++
		}
		if f.Len() != in-out {
			t.Fatalf("%d inside, want %d", f.Len(), in-out)
		}
	}
}

// No push moves what is inside: a large queue grows by one chunk at a time.
func TestFIFOGrowsByChunks(t *testing.T) {
	var f FIFO[[64]byte]
	for range 100_000 {
		f.Push([64]byte{})
	}
	for i, c := range f.chunks {
		if cap(c) > fifoChunk {
			t.Fatalf("chunk %d has room for %d values, expected %d at most", i, cap(c), fifoChunk)
		}
	}
}
