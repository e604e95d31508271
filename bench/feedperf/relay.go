package main

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// losses remembers when a message was dropped.
type losses struct {
	mu sync.Mutex
	at map[uint64]time.Time
}

func (l *losses) put(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at[seq] = time.Now()
}

func (l *losses) take(seq uint64) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.at[seq]
	delete(l.at, seq)
	return at, ok
}

// lossyRelay passes live messages on and drops one in lossEvery. It ends with
// ctx.
func lossyRelay(ctx context.Context, live string) (endpoint string, lost *losses, err error) {
	front, err := zmq.NewSub(zmq.WithHWM(0), zmq.WithSubscribe(""))
	if err != nil {
		return "", nil, err
	}
	back, err := zmq.NewPub(zmq.WithHWM(0))
	if err != nil {
		front.Close()
		return "", nil, err
	}
	context.AfterFunc(ctx, func() {
		front.Close()
		back.Close()
	})
	if _, err := front.Connect(live); err != nil {
		return "", nil, err
	}
	at, err := back.Bind("tcp://127.0.0.1:*")
	if err != nil {
		return "", nil, err
	}
	lost = &losses{at: make(map[uint64]time.Time)}
	go func() {
		for m, err := range front.Messages(ctx) {
			if err != nil {
				return
			}
			// The number is where package feed documents it: [topic, header, payload].
			if seq := binary.BigEndian.Uint64(m[1][24:]); len(m) > 2 && seq%lossEvery == 0 {
				lost.put(seq)
				continue
			}
			if back.Send(ctx, m) != nil {
				return
			}
		}
	}()
	return at.Addr(), lost, nil
}
