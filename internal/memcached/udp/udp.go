// Package udp drives sessions of a cache server with the datagrams of one socket.
//
// A request is one datagram; others are dropped, as are malformed ones. A reply is
// at most 16 datagrams of 1400 bytes. A longer one is replaced by an error: the
// sender's address may be forged, so what a request makes the server send stays
// small. A command that takes long or needs more input than the datagram has is
// refused or dropped. A command that waits is given a goroutine of its own, at most
// 64 at a time and for at most 10 s, so that other requests are answered meanwhile.
//
// The goroutine of Run owns the socket's session; a goroutine that waits owns the
// session of its request. There are no locks.
package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// The frame before every datagram of memcached's protocol over UDP: number of the
// request, number of this datagram, count of datagrams, 0; each two bytes, the most
// significant first.
const (
	header       = 8
	datagramSize = 1400 // of a datagram that is sent
	payload      = datagramSize - header
	maxDatagrams = 16 // of a reply
	maxReply     = maxDatagrams * payload
)

const (
	maxWaiting = 64 // requests that wait at a time
	maxWait    = 10 * time.Second
)

const tooLarge = "SERVER_ERROR response too large for UDP\r\n"

// Session is a session that can be used for one request after the other.
type Session interface {
	netloop.Session
	// Idle reports whether the session is between two commands.
	Idle() bool
	// Reset lets the next request choose its protocol.
	Reset()
}

// Config of a Loop. All fields are required.
type Config struct {
	NewSession func(netloop.Conn) Session
	Now        func() int64 // unix seconds
	OnPanic    func(v any, stack []byte)
}

// Loop serves one socket.
type Loop struct {
	cfg     Config
	packets net.PacketConn
	id      int // file descriptor
	closing atomic.Bool
	stop    chan struct{} // closed by Shutdown
	done    chan struct{} // closed at the end of Run
	waiting sync.WaitGroup
	waiters atomic.Int32

	active              atomic.Int64
	opened              atomic.Uint64
	bytesRead, bytesOut atomic.Uint64
}

// New returns a Loop for p, which it owns.
func New(p net.PacketConn, cfg Config) *Loop {
	l := &Loop{cfg: cfg, packets: p, id: -1, stop: make(chan struct{}), done: make(chan struct{})}
	if sc, ok := p.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = rc.Control(func(fd uintptr) { l.id = int(fd) })
		}
	}
	return l
}

// Run answers requests until Shutdown, and then returns netloop.ErrClosed.
func (l *Loop) Run() error {
	defer close(l.done)
	defer l.waiting.Wait()
	defer l.packets.Close()
	var r *request
	defer func() {
		if r != nil {
			r.sess.Closed(netloop.Shutdown)
		}
	}()
	in := make([]byte, 64<<10)
	for {
		n, from, err := l.packets.ReadFrom(in)
		switch {
		case l.closing.Load():
			return netloop.ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			continue // an error caused by a peer, such as a refused reply
		}
		l.bytesRead.Add(uint64(n))
		if n <= header || binary.BigEndian.Uint16(in[2:]) != 0 || binary.BigEndian.Uint16(in[4:]) != 1 {
			continue
		}
		l.active.Store(l.cfg.Now())
		if r == nil {
			r = l.newRequest()
		}
		r.start(from, in[:header], in[header:n])
		if !r.serve() {
			r = nil
		}
	}
}

// Shutdown stops Run and waits for its end, or for ctx.
func (l *Loop) Shutdown(ctx context.Context) error {
	if !l.closing.Swap(true) {
		close(l.stop)
	}
	l.packets.Close()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats returns the figures of the loop.
func (l *Loop) Stats() netloop.Stats {
	return netloop.Stats{
		Accepted: l.opened.Load(), BytesRead: l.bytesRead.Load(), BytesWritten: l.bytesOut.Load(), Accepting: true,
	}
}

// Active returns the unix second of the last request.
func (l *Loop) Active() int64 { return l.active.Load() }

// LocalAddr returns the address of the socket.
func (l *Loop) LocalAddr() net.Addr { return l.packets.LocalAddr() }

// ID returns the file descriptor of the socket, -1 if it is not known.
func (l *Loop) ID() int { return l.id }

// request is a request and the connection of its session. It is used again for
// the next request if its session is idle.
type request struct {
	loop *Loop
	sess Session
	peer atomic.Pointer[net.Addr]
	wake chan struct{} // holds one wake-up
	id   [2]byte
	text bool
	in   []byte // what has not been consumed
	w    *netloop.Writer
	out  []byte
}

var _ netloop.Conn = (*request)(nil)

func (l *Loop) newRequest() *request {
	l.opened.Add(1)
	r := &request{loop: l, wake: make(chan struct{}, 1)}
	// Full is true only for what is too large.
	r.w = netloop.NewWriter(maxReply + 1)
	r.sess = l.cfg.NewSession(r)
	return r
}

// start makes r the request in from an address, with its frame header.
func (r *request) start(from net.Addr, head, in []byte) {
	r.peer.Store(&from)
	r.id = [2]byte{head[0], head[1]}
	r.in, r.text = in, in[0] != mcproto.MagicRequest
	r.sess.Reset()
}

// serve answers r. It returns false if r cannot be used again.
func (r *request) serve() (reusable bool) {
	if r.answer() {
		return r.park()
	}
	reusable = r.sess.Idle()
	r.reply()
	if !reusable {
		r.sess.Closed(netloop.Normal)
	}
	return reusable
}

// answer executes r until it is done, or parked. The reply is in r.out. A session
// that cannot take another request is not idle afterwards.
func (r *request) answer() (parked bool) {
	r.out = r.out[:0]
	ended := false
	defer func() {
		if v := recover(); v != nil {
			r.w.Drain(nil)
			r.loop.cfg.OnPanic(v, nil)
			ended = true
		}
		if ended {
			r.sess = closed{r.sess}
		}
	}()
	for {
		n, step := r.sess.Data(r.in, r.w)
		r.in = r.in[n:]
		switch {
		case r.w.Len() > maxReply:
			r.w.Drain(nil)
			if r.text {
				r.out = append(r.out, tooLarge...)
			}
			ended = true
			return false
		case step == netloop.Wait:
			return true
		case step == netloop.Next || step == netloop.Yield && (len(r.in) > 0 || !r.sess.Idle()):
			continue
		}
		r.out = r.w.Drain(r.out)
		ended = step == netloop.Close || step == netloop.Stream
		return false
	}
}

// closed is a session that takes no further request.
type closed struct{ Session }

func (closed) Idle() bool { return false }

// park answers r in a goroutine of its own, if not too many wait. r cannot be used
// again by the caller.
func (r *request) park() bool {
	l := r.loop
	if l.waiters.Add(1) > maxWaiting {
		l.waiters.Add(-1)
		r.sess.Closed(netloop.Failed)
		return false
	}
	r.in = append([]byte(nil), r.in...) // the buffer is for the next datagram
	l.waiting.Go(func() {
		defer l.waiters.Add(-1)
		r.sess.Closed(r.wait())
	})
	return false
}

// wait answers r, which is parked, and returns why its session ends.
func (r *request) wait() netloop.Reason {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
			if r.answer() {
				continue
			}
			r.reply()
			return netloop.Normal
		case <-r.loop.stop:
			return netloop.Shutdown
		case <-timer.C:
			return netloop.Failed
		}
	}
}

// reply sends r.out.
func (r *request) reply() {
	to := r.RemoteAddr()
	var frame [datagramSize]byte
	total := (len(r.out) + payload - 1) / payload
	for i := range total {
		piece := r.out[i*payload:]
		piece = piece[:min(len(piece), payload)]
		b := append(frame[:0], r.id[0], r.id[1])
		b = binary.BigEndian.AppendUint16(b, uint16(i))
		b = binary.BigEndian.AppendUint16(b, uint16(total))
		b = append(append(b, 0, 0), piece...)
		if n, err := r.loop.packets.WriteTo(b, to); err == nil {
			r.loop.bytesOut.Add(uint64(n))
		}
	}
}

// ID implements netloop.Conn.
func (r *request) ID() int { return r.loop.ID() }

// Loop implements netloop.Conn.
func (r *request) Loop() int { return 0 }

// LocalAddr implements netloop.Conn.
func (r *request) LocalAddr() net.Addr { return r.loop.LocalAddr() }

// RemoteAddr implements netloop.Conn.
func (r *request) RemoteAddr() net.Addr {
	if p := r.peer.Load(); p != nil {
		return *p
	}
	return &net.UDPAddr{}
}

// Active implements netloop.Conn.
func (r *request) Active() int64 { return r.loop.Active() }

// Send implements netloop.Conn. Nothing can be sent without a request.
func (r *request) Send([]byte) bool { return false }

// Close implements netloop.Conn. There is nothing to close.
func (r *request) Close(netloop.Reason) {}

// Wake implements netloop.Conn.
func (r *request) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
