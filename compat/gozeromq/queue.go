package zmq4

// Queue is a queue of messages in memory. It is not safe for concurrent use.
type Queue struct {
	msgs []Msg
	head int
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return new(Queue) }

// Len returns the number of messages.
func (q *Queue) Len() int { return len(q.msgs) - q.head }

// Init removes all messages.
func (q *Queue) Init() { *q = Queue{} }

// Push adds a message at the end.
func (q *Queue) Push(val Msg) {
	if q.head > 0 && len(q.msgs) == cap(q.msgs) && q.head >= len(q.msgs)/2 {
		n := copy(q.msgs, q.msgs[q.head:])
		clear(q.msgs[n:])
		q.msgs, q.head = q.msgs[:n], 0
	}
	q.msgs = append(q.msgs, val)
}

// Peek returns the first message, and false if the queue is empty.
func (q *Queue) Peek() (Msg, bool) {
	if q.Len() == 0 {
		return Msg{}, false
	}
	return q.msgs[q.head], true
}

// Pop removes the first message. It panics if the queue is empty.
func (q *Queue) Pop() {
	if q.Len() == 0 {
		panic("zmq4: Pop of an empty Queue")
	}
	q.msgs[q.head] = Msg{}
	if q.head++; q.head == len(q.msgs) {
		q.msgs, q.head = q.msgs[:0], 0
	}
}
