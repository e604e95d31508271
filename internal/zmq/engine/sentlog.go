package engine

// sentLog knows how many messages were in the last octets that were written to a
// connection. When a connection breaks, the kernel tells how many octets the peer
// did not acknowledge. A write costs two additions and a store.
type sentLog struct {
	octets, msgs uint64 // written so far
	writes       []sentMark
}

// sentMark is the state after one write, or after several merged ones.
type sentMark struct{ octets, msgs uint64 }

// sentMarks bounds the writes that are distinguished. When there are more, each two
// neighbours become one: within a mark all messages count as equally long.
const sentMarks = 64

// add notes a write.
func (l *sentLog) add(msgs, octets int) {
	l.octets += uint64(octets)
	l.msgs += uint64(msgs)
	if len(l.writes) == sentMarks {
		for i := range sentMarks / 2 {
			l.writes[i] = l.writes[2*i+1]
		}
		l.writes = l.writes[:sentMarks/2]
	}
	l.writes = append(l.writes, sentMark{l.octets, l.msgs})
}

// last returns how many messages end in the last n octets that were written, rounded
// up.
func (l *sentLog) last(n int) int {
	if n <= 0 {
		return 0
	}
	from := l.octets - min(l.octets, uint64(n)) // acknowledged
	var before sentMark
	for _, m := range l.writes {
		if m.octets > from {
			size, unacknowledged := m.octets-before.octets, m.octets-from
			part := (m.msgs-before.msgs)*min(unacknowledged, size) + size - 1
			return int(l.msgs - m.msgs + part/size)
		}
		before = m
	}
	return 0
}
