package main

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
)

// bare is the minimum that a client does whose callers share a connection:
// requests are queued and written together, replies are counted by their length
// and not parsed, and nothing is allocated. Its rate is the ceiling of the rate
// rows.
type bare struct {
	conn  net.Conn
	calls sync.Pool
	wake  chan struct{}
	quit  chan struct{} // closed when read has ended

	mu      sync.Mutex // protects what follows
	pending []byte
	spare   []byte
	waiting []*bareCall
	writing bool
	err     error
}

type bareCall struct {
	done chan struct{}
	err  error
}

var errBare = errors.New("the bare loop has only get")

func newBare(fleet []string, _ int) (client, error) {
	conn, err := net.Dial("tcp", fleet[0])
	if err != nil {
		return nil, err
	}
	b := &bare{conn: conn, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	b.calls.New = func() any { return &bareCall{done: make(chan struct{}, 1)} }
	go b.write()
	go b.read()
	return b, nil
}

func (b *bare) get(key string) (int, error) {
	call := b.calls.Get().(*bareCall)
	b.mu.Lock()
	if b.err != nil {
		b.mu.Unlock()
		return 0, b.err
	}
	b.pending = append(b.pending, "mg "...)
	b.pending = append(b.pending, key...)
	b.pending = append(b.pending, " v\r\n"...)
	b.waiting = append(b.waiting, call)
	first := !b.writing
	b.writing = true
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	<-call.done
	err := call.err
	b.calls.Put(call)
	return valueSize, err
}

// write yields before it writes, so that callers woken together queue first.
func (b *bare) write() {
	for {
		select {
		case <-b.wake:
		case <-b.quit:
			return
		}
		runtime.Gosched()
		b.mu.Lock()
		for len(b.pending) > 0 {
			out := b.pending
			b.pending = b.spare[:0]
			b.mu.Unlock()
			_, _ = b.conn.Write(out) // read returns the same error
			b.mu.Lock()
			b.spare = out
		}
		b.writing = false
		b.mu.Unlock()
	}
}

func (b *bare) read() {
	const reply = len("VA 100\r\n") + valueSize + len("\r\n")
	buf := make([]byte, 32<<10)
	var ready []*bareCall
	for left := 0; ; {
		n, err := b.conn.Read(buf)
		left += n
		b.mu.Lock()
		k := left / reply
		if err != nil || k > len(b.waiting) {
			b.err = errors.Join(err, io.ErrUnexpectedEOF)
			k = len(b.waiting)
		}
		ready = append(ready[:0], b.waiting[:k]...)
		b.waiting = b.waiting[:copy(b.waiting, b.waiting[k:])]
		err = b.err
		b.mu.Unlock()
		for _, call := range ready {
			call.err = err
			call.done <- struct{}{}
		}
		if err != nil {
			close(b.quit)
			return
		}
		left %= reply
	}
}

// set does nothing: the other side of a row stores the same values.
func (b *bare) set(string, []byte) error { return nil }

func (b *bare) getMulti([]string) (int, error) { return 0, errBare }

func (b *bare) close() error { return b.conn.Close() }
