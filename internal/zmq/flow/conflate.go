package flow

import "bytes"

// topicEntry is the latest message of a topic.
type topicEntry struct {
	topic string
	b     *Batch
}

// ConflateTopics makes the queue keep one message for each topic, which is the
// first frame: a newer one takes the place of the one that waits. The mark
// bounds the topics.
func (q *Queue) ConflateTopics() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.topics == nil {
		q.topics = make(map[string]*Batch)
		q.relimit()
	}
}

// Replaced is how many messages gave way to a newer one of their topic.
func (q *Queue) Replaced() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.replaced
}

// appendTopic is Append of a queue that conflates; it ends like wake.
func (q *Queue) appendTopic(b Batch) Result {
	c := NewCursor(b)
	_, topic := c.Next()
	if q.closed || q.topics[string(topic)] == nil && q.full() {
		q.refused = true
		q.mu.Unlock()
		return Full
	}
	q.in.Msgs++
	q.in.Bytes += uint64(b.Size())
	q.latestOf(topic, b)
	return q.wake()
}

func (q *Queue) latestOf(topic []byte, b Batch) {
	if old := q.topics[string(topic)]; old != nil {
		*old = b
		q.replaced++
		return
	}
	e := topicEntry{string(topic), &b}
	q.topics[e.topic] = e.b
	q.order = append(q.order, e)
	q.count++
}

// pushTopics files the messages of a batch one by one. It copies the small
// frames: a message that waits keeps no other one's memory.
func (q *Queue) pushTopics(b Batch) {
	for c := NewCursor(b); !c.Done(); {
		start, refs := c.pos, c.refs
		flags, topic := c.Next()
		c.SkipMessage(flags)
		one := Batch{Enc: bytes.Clone(c.enc[start:c.pos]), Msgs: 1}
		for _, r := range refs[:len(refs)-len(c.refs)] {
			one.Refs = append(one.Refs, Ref{At: r.At - start, B: r.B, Ours: r.Ours})
			one.Held += len(r.B)
		}
		q.latestOf(topic, one)
	}
}

// takeTopic removes the message of the topic that has waited longest.
func (q *Queue) takeTopic() Batch {
	e := q.order[0]
	q.order[0] = topicEntry{}
	q.order = q.order[1:]
	delete(q.topics, e.topic)
	return *e.b
}
