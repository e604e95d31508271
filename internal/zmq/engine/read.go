package engine

import (
	"errors"
	"os"
	"runtime"

	"lintel.dev/internal/zmq/flow"
)

const (
	maxShortReads = 16 // reads in a row that leave the buffer mostly empty before it shrinks

	minRead = 512      // size of the buffer of an idle connection
	maxRead = 64 << 10 // of one under load
	// smallRead replaces maxRead when the receive high-water mark is at most
	// smallHWM: reading ahead would make such a mark ineffective.
	smallRead = 8 << 10
	smallHWM  = 100
)

// reader reads a Stream and decodes its frames. All messages that one read
// completed are handed over together.
//
// One goroutine at a time uses it: that of Stream.Run, or a receiver to which
// it is lent, see DirectReader.
type reader struct {
	Input
	e      *Stream
	buf    []byte // buf[start:filled] is read and not decoded
	start  int
	filled int
	total  uint64 // octets received
	limit  int    // of the size of buf
	need   int    // octets of the next frame, if only a part of it is in buf
	short  int    // reads in a row that left buf mostly empty
	streak int    // octets read since the reader last waited or gave way
	block  bool   // buf is a pooled block
	large  largeFrame
	direct DirectReader

	rawRead
}

// plug prepares the reader for the octets after the handshake. rest are those
// that the handshake read.
func (r *reader) plug(s Session, rest []byte) {
	r.Init(s, r.e.cfg.Limits, &r.e.beat, r.e.end.Done())
	r.Share(r.e.cfg.Unfinished, r.e.Close)
	r.buf, r.filled, r.limit = rest, len(rest), maxRead
	if hwm := r.e.cfg.RecvHWM; r.e.cfg.Raw || hwm > 0 && hwm <= smallHWM {
		r.limit = smallRead
	}
	r.direct.r = r
}

// run reads until the connection ends.
func (r *reader) run() error {
	defer r.release()
	defer r.Release()
	defer func() { flow.PutBuffer(r.large.p) }()
	for {
		if err := r.decode(); err != nil {
			_, _, _ = r.handOver() // the messages before the error
			return err
		}
		if err := r.Deliver(); err != nil {
			return err
		}
		err := r.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = r.direct.lend()
		}
		if err != nil {
			return err
		}
		r.giveWay()
	}
}

// burst is how many octets are read before other goroutines may run. A peer that
// sends as fast as it is read would else keep a P for the 10 ms of a time slice.
// With 50 such peers the longest wait of a good one is 40 ms, and 132 ms without
// (make abuse, "unfinished messages", medians of 4).
const burst = 64 << 10

// giveWay lets other goroutines run after a burst.
func (r *reader) giveWay() {
	if r.streak >= burst {
		r.streak = 0
		runtime.Gosched()
	}
}

// read waits for octets and reads what there is. With a raw connection it holds
// no buffer while it waits.
func (r *reader) read() error {
	var n int
	var err error
	switch {
	case r.large.n > 0:
		return r.readLarge()
	case r.e.raw != nil:
		n, err = r.readRaw(nil, false)
	default:
		r.resize(max(r.nextSize(), r.filled-r.start+minRead, r.need))
		n, err = r.e.conn.Read(r.buf[r.filled:])
	}
	if n == 0 && err != nil {
		return err
	}
	r.filled += n
	r.got(n)
	return nil
}

// nextSize returns the size that the buffer should have for the next read.
func (r *reader) nextSize() int {
	size := len(r.buf)
	switch {
	case size == 0:
		return minRead
	case r.filled == size && size < r.limit:
		return min(size*8, r.limit)
	case r.filled < size/16 && size > minRead:
		if r.short++; r.short > maxShortReads {
			return minRead
		}
	default:
		r.short = 0
	}
	return size
}

// resize changes the size of the buffer and moves its contents to the front.
func (r *reader) resize(size int) {
	left := r.filled - r.start
	if size != len(r.buf) {
		buf := make([]byte, size)
		copy(buf, r.buf[r.start:r.filled])
		r.buf = buf
	} else if left > 0 && r.start > 0 {
		copy(r.buf, r.buf[r.start:r.filled])
	}
	r.start, r.filled = 0, left
}

// got notes that n octets arrived.
func (r *reader) got(n int) {
	r.total += uint64(n)
	r.streak += n
	r.e.heard.Store(true)
	r.e.beat.Alive()
}
