package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/protocol"
	"lintel.dev/zmq"
)

// intake puts the messages of producers into an engine and answers them.
type intake struct {
	put         func(ctx context.Context, id []byte, frames [][]byte, done func(engine.Receipt, error)) error
	outstanding sync.WaitGroup // puts without a result

	stored, duplicates, refused, unavailable, lost, unsent, malformed counter
}

// serve answers the producers of one ROUTER until ctx is done.
func (in *intake) serve(ctx context.Context, p producerSocket) {
	for {
		frames, err := p.router.Recv(ctx)
		if err != nil {
			return // ctx is done
		}
		m, err := protocol.Split(frames)
		if err != nil {
			in.malformed.Add(1) // without an envelope there is no way to answer
			continue
		}
		if !m.Gone {
			in.message(ctx, p, m)
		}
	}
}

// message puts one message. It waits while too many puts are outstanding.
func (in *intake) message(ctx context.Context, p producerSocket, m protocol.Message) {
	put, err := p.parse(m.Content)
	done := func(r engine.Receipt, err error) {
		in.reply(p, m, put.ID, r, err)
		in.outstanding.Done()
	}
	in.outstanding.Add(1)
	if err == nil {
		err = in.put(ctx, put.ID, put.Frames, done)
	}
	if err != nil {
		done(engine.Receipt{}, err)
	}
}

// reply answers one put. It does not block: a producer that does not read its
// replies loses them.
func (in *intake) reply(p producerSocket, m protocol.Message, id []byte, r engine.Receipt, err error) {
	word, detail := protocol.OK, protocol.Number(r.Seq)
	switch {
	case err != nil:
		word, detail = protocol.No, []byte(in.reason(err))
	case r.Duplicate:
		word = protocol.Dup
		in.duplicates.Add(1)
	default:
		in.stored.Add(1)
	}
	content := [][]byte{[]byte(word), id, detail}
	if !p.named {
		content = [][]byte{[]byte(word), detail}
	}
	if p.router.TrySend(m.Reply(content...)) != nil {
		in.unsent.Add(1)
	}
}

// reason returns what a NO says, and counts it.
func (in *intake) reason(err error) string {
	if permanent(err) {
		in.refused.Add(1)
	} else {
		in.unavailable.Add(1)
	}
	switch {
	case errors.Is(err, engine.ErrTooLarge):
		return "too large: " + err.Error()
	case errors.Is(err, engine.ErrFull):
		return "full: " + err.Error()
	case errors.Is(err, engine.ErrMessage):
		return "invalid: " + err.Error()
	case errors.Is(err, protocol.ErrInvalid):
		return err.Error() // begins with the word
	case errors.Is(err, context.Canceled):
		return "unavailable: the bridge is stopping"
	}
	return "unavailable: " + err.Error()
}

// permanent reports whether the same put would fail again.
func permanent(err error) bool {
	return errors.Is(err, engine.ErrTooLarge) || errors.Is(err, engine.ErrMessage) || errors.Is(err, protocol.ErrInvalid)
}

// serveUnacknowledged puts what a socket of PUSH or PUB producers receives until ctx
// is done, with at most outstanding messages without a result. A message that the
// engine did not take is put again, with the same id, while the others wait: the
// producers reach their high-water marks.
func (in *intake) serveUnacknowledged(ctx context.Context, socket zmq.Receiver, outstanding int) {
	type message struct {
		id     []byte
		frames [][]byte
	}
	room := make(chan struct{}, outstanding)
	again := make(chan message, outstanding) // each message in it has a place in room
	put := func(m message) {
		done := func(r engine.Receipt, err error) {
			defer in.outstanding.Done()
			switch {
			case err == nil:
				in.stored.Add(1)
			case permanent(err):
				in.lost.Add(1)
			case ctx.Err() != nil:
				in.lost.Add(1)
			default:
				in.unavailable.Add(1)
				again <- m
				return
			}
			<-room
		}
		in.outstanding.Add(1)
		if err := in.put(ctx, m.id, m.frames, done); err != nil {
			done(engine.Receipt{}, err)
		}
	}
	var retries sync.WaitGroup
	defer func() {
		retries.Wait()
		in.lost.Add(uint64(len(again)))
	}()
	retries.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-again:
				select {
				case <-ctx.Done():
					in.lost.Add(1)
					return
				case <-time.After(retryEngine):
					put(m)
				}
			}
		}
	})
	life := rand.Text()[:16]
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case room <- struct{}{}:
		}
		frames, err := socket.Recv(ctx)
		if err != nil {
			return // ctx is done
		}
		put(message{fmt.Appendf(nil, "%s-%d", life, n), frames})
	}
}
