package flow

// FIFO is a queue of values in chunks: neither growth nor removal moves what is
// inside, so that no call takes long however many values there are.
type FIFO[T any] struct {
	chunks [][]T
	head   int // index of the first value in chunks[0]
	n      int
}

// fifoChunk is how many values share a chunk.
const fifoChunk = 256

// Len returns the number of values.
func (f *FIFO[T]) Len() int { return f.n }

// Push adds a value at the end.
func (f *FIFO[T]) Push(v T) {
	last := len(f.chunks) - 1
	if last < 0 || len(f.chunks[last]) == cap(f.chunks[last]) {
		size := fifoChunk
		if last < 0 {
			size = 8 // a queue that is often empty takes little
		}
		f.chunks = append(f.chunks, make([]T, 0, size))
		last++
	}
	f.chunks[last] = append(f.chunks[last], v)
	f.n++
}

// Pop removes the first value. There must be one.
func (f *FIFO[T]) Pop() T {
	var none T
	first := f.chunks[0]
	v := first[f.head]
	first[f.head] = none
	f.n--
	if f.head++; f.head == len(first) {
		f.head = 0
		if len(f.chunks) == 1 {
			f.chunks[0] = first[:0]
		} else {
			f.chunks[0] = nil
			f.chunks = f.chunks[1:]
		}
	}
	return v
}
