package engine

// Direct read: a receiver reads the connection itself.
//
// A socket with one connection and one receiver spends most of a short exchange
// on the switch from the goroutine that reads to the one that receives. So the
// engine can lend its reading half: p99 of a round trip of 1 octet over tcp
// falls from 93-204 to 48 us. The price is this file and zmq/directread.go.
//
// Lend asks for it. The goroutine of Run then stops reading and offers it by
// Session.Borrow. The receiver calls Read instead of waiting, and gives the half
// back by Return. A read on either side is interrupted by a read deadline in the
// past. The side that is interrupted removes it.

import (
	"errors"
	"time"
)

// ErrNothing is returned by DirectReader.Read without wait when nothing has
// arrived.
var ErrNothing = errors.New("zmq: nothing to read")

// past is a deadline that interrupts a read.
var past = time.Unix(1, 0)

// Lender is an Engine that can lend its reading half.
type Lender interface {
	Engine
	// Lend makes the engine call Session.Borrow soon. It reports false if the
	// connection has no half to lend. It is called with the lock held that the
	// methods of DirectReader need.
	Lend() bool
}

// DirectReader is the reading half of a Stream, lent to a receiver.
//
// Its methods, except for Read, are called with a lock of the session held that
// is always the same.
type DirectReader struct {
	r           *reader
	back        chan error // receives the result when the half is returned
	interrupted bool       // a deadline in the past is set
}

// Lend interrupts the goroutine of Run, which then offers its reading half.
func (e *Stream) Lend() bool {
	if e.raw == nil {
		return false
	}
	e.conn.SetReadDeadline(past)
	return true
}

// Offered removes the deadline that Lend set. Session.Borrow calls it first.
func (d *DirectReader) Offered() { d.r.e.conn.SetReadDeadline(time.Time{}) }

// lend offers the reading half to the session. It returns when the half is back,
// or was not wanted, with the error that ended the connection.
func (d *DirectReader) lend() error {
	if d.back == nil {
		d.back = make(chan error, 1)
	}
	s := d.r.session
	cancelled, ok := s.Borrow(d)
	if !ok {
		return nil
	}
	dead := d.r.e.end.Done()
	for {
		select {
		case err := <-d.back:
			return err
		case <-dead:
			dead = nil // a Read under way finds that the connection is closed
		case <-cancelled:
			cancelled = nil
		}
		s.Recall(d)
	}
}

// Read reads until messages were pushed to the session, without its lock. With
// wait false it returns ErrNothing instead of waiting. After Interrupt the error
// is os.ErrDeadlineExceeded.
func (d *DirectReader) Read(wait bool) error {
	r := d.r
	r.noWait = !wait
	defer func() { r.noWait = false }()
	for {
		if err := r.read(); err != nil {
			return err
		}
		if err := r.decode(); err != nil {
			_, _, _ = r.handOver()
			return err
		}
		if some, _, err := r.handOver(); some || err != nil {
			return err
		}
	}
}

// Interrupt makes a Read under way return.
func (d *DirectReader) Interrupt() {
	d.interrupted = true
	d.r.e.conn.SetReadDeadline(past)
}

// Return gives the half back. err, if not nil, is the error of Read that ended
// the connection.
func (d *DirectReader) Return(err error) {
	if d.interrupted {
		d.interrupted = false
		d.r.e.conn.SetReadDeadline(time.Time{})
	}
	d.back <- err
}
