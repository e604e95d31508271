package exec

import (
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// Batch executes the commands that one call of a session handles. It is reused for
// later batches of any connection.
type Batch struct {
	*Engine
	Conn *Conn
	Counts
	Replies
	Keys Prefetch

	// Left is how much work the batch may still do, in units of a key or 128 bytes.
	// The session ends the batch when it is used up.
	Left int

	Kind  Kind // of the command at hand, for the latency histograms
	began time.Time

	sampled     bool // the keys of the command at hand are sampled
	untilSample int  // commands before the next one that is sampled

	Meta   mcproto.Meta             // the flags of the meta command at hand
	Key    [mcproto.MaxKey + 3]byte // for a decoded key
	Number [24]byte                 // for a formatted number
	loop   *loopCounters            // of the connection's event loop
}

// NewBatch returns a Batch for use with Begin and End.
func NewBatch() *Batch {
	b := &Batch{}
	b.touched = make([]uint16, 0, 64)
	b.untilSample = nextSample()
	b.Keys.ahead = make([]Key, 0, Lookahead)
	return b
}

// batchWork is the work of a batch: about 50 us of a processor's time, so that a
// hundred connections with the longest commands delay another by about 5 ms.
const batchWork = 512

// Spend subtracts the work for n bytes of input and output from Left.
func (b *Batch) Spend(n int) { b.Left -= 1 + n>>7 }

// Begin starts a batch of commands of c, whose replies go to w.
func (b *Batch) Begin(e *Engine, c *Conn, w *netloop.Writer) {
	b.Engine, b.Conn = e, c
	b.Replies.start(w, e.replies)
	b.Keys.start(e.Items)
	b.Left = batchWork
	b.loop = &e.loops[c.Net.Loop()%len(e.loops)]
}

// Publish adds the counts of the batch so far to those of its loop.
func (b *Batch) Publish() { b.publish(b.loop) }

// End publishes the counts of the batch and releases what Begin took.
func (b *Batch) End() {
	b.publish(b.loop)
	b.sampled = false
	b.Engine, b.Conn, b.W, b.loop = nil, nil, nil, nil
}
