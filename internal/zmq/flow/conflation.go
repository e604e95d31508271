package flow

import (
	"bytes"
	"slices"
)

// conflation keeps the newest message of a queue, or of each topic in it; a
// topic is the first frame. A newer message takes the place of the one that
// waits.
type conflation struct {
	byTopic  bool
	newest   map[string]*Batch
	order    []topicMessage // of newest, oldest topic first
	replaced uint64
}

type topicMessage struct {
	topic string
	b     *Batch
}

func newConflation(byTopic bool) *conflation {
	return &conflation{byTopic: byTopic, newest: make(map[string]*Batch)}
}

func (c *conflation) empty() bool { return len(c.order) == 0 }

// topic returns the topic of a message that begins with frame.
func (c *conflation) topic(frame []byte) []byte {
	if c.byTopic {
		return frame
	}
	return nil
}

// adds reports whether put would add a message, instead of replacing one.
func (c *conflation) adds(topic []byte) bool { return c.newest[string(topic)] == nil }

// slot returns the batch, empty, for the newest message of a topic. added is
// false if it replaces another message.
func (c *conflation) slot(topic []byte) (b *Batch, added bool) {
	if b = c.newest[string(topic)]; b != nil {
		b.Reset()
		c.replaced++
		return b, false
	}
	e := topicMessage{string(topic), new(Batch)}
	c.newest[e.topic] = e.b
	c.order = append(c.order, e)
	return e.b, true
}

// putAll puts the messages of a batch one by one and returns how many were
// added. It copies small frames: a message keeps no other one's memory alive.
func (c *conflation) putAll(b Batch) (added int) {
	for k := NewCursor(b); !k.Done(); {
		start, refs := k.pos, k.refs
		flags, frame := k.Next()
		k.SkipMessage(flags)
		to, isNew := c.slot(c.topic(frame))
		to.Enc = append(to.Enc, k.enc[start:k.pos]...)
		to.Msgs = 1
		for _, r := range refs[:len(refs)-len(k.refs)] {
			to.Refs = append(to.Refs, Ref{At: r.At - start, B: r.B, Ours: r.Ours})
			to.Held += len(r.B)
		}
		if isNew {
			added++
		}
	}
	return added
}

// restore puts a message that was taken back, unless there is a newer one. It
// reports whether it did.
func (c *conflation) restore(b Batch) bool {
	k := NewCursor(b)
	_, frame := k.Next()
	topic := c.topic(frame)
	if !c.adds(topic) {
		c.replaced++
		return false
	}
	e := topicMessage{string(topic), &Batch{
		Enc: bytes.Clone(b.Enc), Refs: slices.Clone(b.Refs), Held: b.Held, Msgs: b.Msgs,
	}}
	c.newest[e.topic] = e.b
	c.order = slices.Insert(c.order, 0, e)
	return true
}

// take removes the message of the topic that has waited longest.
func (c *conflation) take() (b Batch, ok bool) {
	if c.empty() {
		return b, false
	}
	e := c.order[0]
	c.order[0] = topicMessage{}
	c.order = c.order[1:]
	delete(c.newest, e.topic)
	return *e.b, true
}

// clear drops all messages and returns how many there were.
func (c *conflation) clear() (msgs int) {
	msgs = len(c.order)
	c.order = nil
	clear(c.newest)
	return msgs
}

// accept returns the batch, empty, for the newest message of the topic that
// begins with frame. It reports false when q is closed or has too many topics.
// The lock of q is held.
func (c *conflation) accept(q *Queue, frame []byte) (b *Batch, ok bool) {
	topic := c.topic(frame)
	if q.closed || c.byTopic && c.adds(topic) && q.full() {
		q.refused = true
		return nil, false
	}
	b, added := c.slot(topic)
	if added {
		q.count++
	}
	return b, true
}

// acceptEncoded adds an encoded message to q, whose lock is held.
func (c *conflation) acceptEncoded(q *Queue, enc []byte, refs []Ref) bool {
	k := NewCursor(Batch{Enc: enc, Refs: refs})
	_, frame := k.Next()
	b, ok := c.accept(q, frame)
	if ok {
		b.Encoded(enc, refs, 1)
		q.in.add(1, b.Size())
	}
	return ok
}
