package flow

import "slices"

// logReader is the place of a queue in a log. The locks of the queue and of the
// log protect it, unless a field says otherwise.
type logReader struct {
	q      *Queue
	log    *Log     // nil: none
	seg    *segment // nil: the next one that the log begins
	at     int      // in seg.enc
	seen   uint64   // messages of the log that were taken or precede Follow
	listed bool     // in log.idle; protected by the log's lock
	owed   *segment // where it left a log, until what it took of it is written
}

// begin starts to read l where it ends now.
func (r *logReader) begin(l *Log) {
	r.log = l
	r.seg, r.at, r.seen = l.seg, 0, l.msgs
	if l.seg == nil {
		l.behind++
	} else {
		r.at = len(l.seg.enc)
		l.seg.todo.Add(1)
	}
	l.followers++
}

// end stops reading.
func (r *logReader) end() {
	l := r.log
	switch s := r.seg; {
	case s == nil || s.gone:
		l.behind--
	case s == r.owed:
		s.written(1)
	default:
		r.owed = s // what it owed before is left to the collector
	}
	l.followers--
	if r.listed {
		r.listed = false
		l.idle = slices.DeleteFunc(l.idle, func(o *Queue) bool { return o == r.q })
	}
	if l.followers == 0 {
		l.seg, l.first, l.behind, l.msgs = nil, nil, 0, 0
	}
	r.log, r.seg = nil, nil
}

// list notes that the consumer waits for something to take. When all consumers
// do, everything is written, and the log gives its memory back.
func (r *logReader) list() {
	l := r.log
	if !r.listed {
		r.listed = true
		l.idle = append(l.idle, r.q)
	}
	if s := l.seg; s != nil && len(l.idle) == l.followers {
		s.gone = true
		s.written(l.followers)
		l.seg, l.first, l.behind = nil, nil, l.followers
	}
}

// next takes what is left of the segment that is read, or of the next one.
// written says that what was taken before is written.
func (r *logReader) next(written bool) (b Batch, ok bool) {
	l := r.log
	if r.seg == nil || r.seg.gone {
		if l.first == nil {
			return b, false
		}
		r.seg, r.at = l.first, 0
		if l.behind--; l.behind == 0 {
			l.first = nil
		}
	}
	s := r.seg
	if r.at == len(s.enc) {
		if s.next == nil {
			return b, false
		}
		if written {
			s.written(1)
		}
		s, r.seg, r.at = s.next, s.next, 0
	}
	end, msgs := len(s.enc), l.msgs
	b = Batch{Enc: s.enc[r.at:end:end], shared: true}
	r.at = end
	if s.next != nil {
		msgs, b.seg = s.end, s
		r.seg, r.at = s.next, 0
	}
	b.Msgs, r.seen = int(msgs-r.seen), msgs
	return b, true
}

// take is next for a consumer that comes for the next batch when all before are
// written. Without one, the consumer is listed as idle.
func (r *logReader) take() (b Batch, ok bool) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if b, ok = r.next(true); !ok {
		r.list()
	}
	return b, ok
}

// settle tells the segment at which the queue left a log that all is written.
func (r *logReader) settle() {
	if r.owed != nil {
		r.owed.written(1)
		r.owed = nil
	}
}
