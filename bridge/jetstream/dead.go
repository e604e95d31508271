package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// The headers that a dead letter has in addition to those of its message. The
// message's own Nats-Msg-Id is kept as Zmq-Dead-Id.
const (
	headerDeadID         = "Zmq-Dead-Id"
	headerDeadSubject    = "Zmq-Dead-Subject"
	headerDeadSeq        = "Zmq-Dead-Sequence"
	headerDeadDeliveries = "Zmq-Dead-Deliveries"
	headerDeadReason     = "Zmq-Dead-Reason"
	headerDeadTime       = "Zmq-Dead-Time"
)

// bury stores the message of j among the dead letters, if it is not there.
func (q *queue) bury(ctx context.Context, j *job, reason string) error {
	m := &nats.Msg{
		Subject: fmt.Sprintf("D.%s.%s.%d", q.name, q.life, j.seq),
		Data:    j.msg.Data,
		Header:  make(nats.Header),
	}
	maps.Copy(m.Header, j.msg.Header)
	// Those of the server are conditions of the first publish.
	maps.DeleteFunc(m.Header, func(k string, _ []string) bool { return strings.HasPrefix(k, "Nats-") })
	if id := j.msg.Header.Get(headerID); id != "" {
		m.Header.Set(headerDeadID, id)
	}
	m.Header.Set(headerID, fmt.Sprintf("%s.%s:%d", queueStream(q.name), q.life, j.seq))
	m.Header.Set(headerDeadSubject, j.msg.Subject)
	m.Header.Set(headerDeadSeq, strconv.FormatUint(j.seq, 10))
	m.Header.Set(headerDeadDeliveries, strconv.Itoa(j.deliveries))
	m.Header.Set(headerDeadReason, escape([]byte(reason[:min(len(reason), maxReason)])))
	m.Header.Set(headerDeadTime, time.Now().UTC().Format(time.RFC3339Nano))
	err := q.engine.request(ctx, func(ctx context.Context) error {
		_, err := q.engine.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
		return err
	})
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeWrongLast {
		return nil // stored before a crash or a lost answer
	}
	if err != nil {
		return fmt.Errorf("jetstream: dead letter %d of queue %s: %w", j.seq, q.name, err)
	}
	return nil
}

// Dead implements engine.Queue.
func (q *queue) Dead(ctx context.Context) iter.Seq2[engine.DeadLetter, error] {
	return func(yield func(engine.DeadLetter, error) bool) {
		if q.isClosed() {
			yield(engine.DeadLetter{}, engine.ErrClosed)
			return
		}
		stream, err := q.engine.js.Stream(ctx, deadStream(q.name))
		if err != nil {
			yield(engine.DeadLetter{}, fmt.Errorf("jetstream: dead letters of queue %s: %w", q.name, err))
			return
		}
		state := stream.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
			m, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject("D."+q.name+".>")) // the next one from seq on
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return
			}
			if err != nil {
				yield(engine.DeadLetter{}, fmt.Errorf("jetstream: dead letter %d of queue %s: %w", seq, q.name, err))
				return
			}
			seq = m.Sequence
			if seq > state.LastSeq || !yield(deadLetter(m), nil) {
				return
			}
		}
	}
}

// deadLetter decodes a stored dead letter. A message that is damaged has its body
// as single frame.
func deadLetter(m *jetstream.RawStreamMsg) engine.DeadLetter {
	d := engine.DeadLetter{Seq: m.Sequence, Reason: unescape(m.Header.Get(headerDeadReason)), Time: m.Time}
	// These headers were written by bury: a program that writes others gets zeros.
	d.Original, _ = strconv.ParseUint(m.Header.Get(headerDeadSeq), 10, 64)
	d.Deliveries, _ = strconv.Atoi(m.Header.Get(headerDeadDeliveries))
	var err error
	if d.Message, _, err = decode(m.Header, m.Data); err != nil {
		d.Message.Frames = [][]byte{m.Data}
	}
	d.Message.ID = unescape(m.Header.Get(headerDeadID))
	return d
}
