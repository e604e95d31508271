package netloop

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A TLS connection is read and written by its event loop like any other. The loop
// gives what it received to a tls.Conn, whose reads do not block, and sends the
// records that the tls.Conn writes. Only the handshake has a goroutine, from the
// complete ClientHello on, since package tls cannot interrupt a handshake.

const (
	maxRecord = 16 << 10 // most plaintext of one record
	tlsRead   = 32 << 10 // most bytes of one read of a TLS connection
)

// tlsBuffers are the buffers of a loop for TLS connections.
type tlsBuffers struct {
	in     []byte // received
	out    []byte // records to be sent; empty between connections
	gather []byte // plaintext of one record
}

// secured is the TLS part of a connection, and the net.Conn below its tls.Conn.
// All of it belongs to the loop, except during the handshake.
type secured struct {
	c     *conn
	conn  *tls.Conn
	hs    *handshake  // nil after it
	ready atomic.Bool // the session has been made
	// pending says that conn or in may have input that the session has not seen,
	// or an error: no event reports it.
	pending bool
	in      []byte // received, not yet read by conn
	out     []byte // records that conn has written
	bounds  bounds
	// records is how many complete records conn has yet to read, if it is known that
	// nothing follows them, else 0.
	records int
}

// bounds finds the ends of records in what is received. A tls.Conn need not be
// read once more to learn that it has no complete record: 3 % of the cpu of a get.
type bounds struct {
	head [5]byte
	n    int // bytes of head
	left int // bytes of the record that follow
}

// scan returns how many records end in b, and whether b ends with one.
func (r *bounds) scan(b []byte) (records int, whole bool) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			r.left -= n
			b = b[n:]
			if r.left == 0 {
				records++
			}
			continue
		}
		n := copy(r.head[r.n:], b)
		r.n += n
		b = b[n:]
		if r.n == len(r.head) {
			r.n, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
	return records, r.left == 0 && r.n == 0
}

// handshake is a pending TLS handshake. An attacker may hold many.
type handshake struct {
	c      *conn
	timer  *time.Timer // closes the connection after Config.HandshakeTimeout
	asked  bool        // the loop has passed it to pacer.begin
	memory charged

	// mu guards what follows.
	mu      sync.Mutex
	more    sync.Cond // in or ended changed
	in      []byte    // received, not yet read
	ended   bool      // nothing will be received any more
	answers bool      // something has been sent
	err     error     // why the handshake failed: the first reason
}

// errWouldBlock is returned by Read for a tls.Conn that has no complete record.
// Being temporary it can be followed by further reads.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "netloop: no complete record yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// newSecured returns the TLS part of a new connection.
func newSecured(c *conn, config *tls.Config) *secured {
	t := c.t
	s := &secured{c: c, hs: &handshake{c: c}}
	s.conn = tls.Server(s, config)
	s.hs.more.L = &s.hs.mu
	s.hs.timer = time.AfterFunc(t.cfg.HandshakeTimeout, func() {
		s.hs.abort(fmt.Errorf("netloop: TLS handshake not finished after %v", t.cfg.HandshakeTimeout))
	})
	t.pacer.add(s.hs)
	return s
}

// readHandshake receives input of a handshake. The ClientHello of a peer that has
// closed the connection is not answered.
func (s *secured) readHandshake() {
	c, t, h := s.c, s.c.t, s.hs
	if c.flags&muted != 0 { // only an error is reported then
		t.hangUp(c, Failed)
		return
	}
	for {
		n, e := recv(int(c.fd), t.tls.input())
		switch {
		case e == unix.EINTR:
			continue
		case e == unix.EAGAIN:
			if !h.asked && h.hasHello() {
				h.asked = true
				t.pacer.begin(h)
			}
			return
		case e != 0:
			h.fail(e)
			t.hangUp(c, Failed)
			return
		case n == 0 && !h.end():
			h.fail(io.EOF)
			t.hangUp(c, Normal)
			return
		}
		s.bounds.scan(t.tls.in[:n])
		held := h.receive(t.tls.in[:n])
		t.pacer.input(h, held)
		if n == 0 || held >= readSize {
			c.flags |= muted
			if t.interest(c, unix.EPOLL_CTL_MOD, 0) != nil {
				t.hangUp(c, Failed)
			}
			return
		}
	}
}

// input returns the buffer for reads.
func (b *tlsBuffers) input() []byte {
	if b.in == nil {
		b.in = make([]byte, tlsRead)
	}
	return b.in
}

// receive queues b for the handshake and returns how much it has not yet read.
func (h *handshake) receive(b []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, b...)
	h.more.Signal()
	return len(h.in)
}

// end tells the handshake that no more input follows. It returns false if the
// server has sent nothing yet: the handshake cannot succeed then.
func (h *handshake) end() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.more.Signal()
	return h.answers
}

// hasHello reports whether the first record is complete, or is not one of a
// handshake, so that package tls can refuse it.
func (h *handshake) hasHello() bool {
	const head, handshakeType = 5, 22
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) > 0 && h.in[0] != handshakeType {
		return true
	}
	if len(h.in) < head {
		return false
	}
	size := int(h.in[3])<<8 | int(h.in[4])
	return size > maxRecord || len(h.in) >= head+size
}

// start runs the handshake in a goroutine. It returns false if the connection has
// ended.
func (h *handshake) start() bool {
	if h.c.dead.Load() {
		return false
	}
	h.c.t.loop.running.Add(1)
	go h.run()
	return true
}

func (h *handshake) run() {
	t := h.c.t
	defer t.loop.running.Done()
	h.fail(h.c.tls.conn.Handshake())
	t.pacer.release()
	t.post(message{kind: msgSecured, conn: h.c})
}

// fail records why the handshake ends, if err is not nil and the first reason.
func (h *handshake) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
}

func (h *handshake) charge() *charged { return &h.memory }

// abort ends the connection. Any goroutine may call it.
func (h *handshake) abort(err error) {
	h.fail(err)
	h.c.Close(Failed)
}

// result returns why the handshake failed.
func (h *handshake) result() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// read is secured.Read during the handshake. It waits for input, without a slot.
func (h *handshake) read(b []byte) (int, error) {
	if !h.hasInput(false) {
		h.c.t.pacer.release()
		h.hasInput(true)
		h.c.t.pacer.resume()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.in)
	h.in = h.in[n:]
	return n, nil
}

// hasInput reports whether read has something to return. With wait it waits until
// it has.
func (h *handshake) hasInput(wait bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for wait && len(h.in) == 0 && !h.ended {
		h.more.Wait()
	}
	return len(h.in) > 0 || h.ended
}

// handshaken handles msgSecured: the handshake has ended.
func (s *secured) handshaken() {
	c, t, h := s.c, s.c.t, s.hs
	err := h.result()
	switch {
	case c.dead.Load():
		return
	case err != nil:
		t.hangUp(c, Failed)
		return
	}
	h.timer.Stop()
	t.pacer.remove(h)
	t.handshakes.Add(1)
	acknowledge(int(c.fd))
	if t.cfg.IdleTimeout > 0 {
		c.seen = t.millis()
	}
	s.hs, s.in, s.pending = nil, h.in, true
	c.session = t.cfg.NewSession(c)
	s.ready.Store(true)
	if t.unmute(c) && c.out == nil {
		s.readable()
	}
}

// readable is thread.readable for a TLS connection.
func (s *secured) readable() {
	if s.hs != nil {
		s.readHandshake()
		return
	}
	c, t := s.c, s.c.t
	if s.pending && !s.decrypt() {
		return
	}
	for range rereads {
		n := t.receive(c, t.tls.input())
		if n == 0 {
			return
		}
		t.read -= uint64(n) // unseal counts the plaintext
		s.in = t.tls.in[:n]
		records, whole := s.bounds.scan(s.in)
		if whole {
			s.records = records
		}
		if !s.decrypt() || n < len(t.tls.in) {
			return
		}
	}
}

// decrypt passes received input to the session. It reports whether the connection
// may be read again at once.
func (s *secured) decrypt() bool {
	c, t := s.c, s.c.t
	for {
		kept := copy(t.in, c.in)
		in, err := s.unseal(t.in[:kept])
		if c.flags&streams == 0 && len(in) > kept && !t.feed(c, in, nil) {
			s.in = slices.Clone(s.in)
			return false
		}
		switch {
		case err == nil:
		case err == errWouldBlock:
			if len(s.out) > 0 { // the answer to a KeyUpdate
				return t.flush(c) && c.out == nil
			}
			return true
		case err == io.EOF:
			t.hangUp(c, Normal)
			return false
		default:
			t.hangUp(c, Failed)
			return false
		}
	}
}

// unseal decrypts records and appends the plaintext to dst, until no record is
// complete, an error, or dst has no room for another.
func (s *secured) unseal(dst []byte) ([]byte, error) {
	var err error
	for err == nil && cap(dst)-len(dst) >= maxRecord {
		var n int
		n, err = s.conn.Read(dst[len(dst):cap(dst)])
		s.c.t.read += uint64(n)
		dst = dst[:len(dst)+n]
		if s.records > 0 {
			if s.records--; s.records == 0 && err == nil {
				err = errWouldBlock
			}
		}
	}
	if err != nil {
		s.records = 0
	}
	s.pending = err != errWouldBlock
	return dst, err
}

// readParked reads input of a parked session, to notice the end of the peer. open
// is false if the connection ended, ended is true if the peer sends no more, and
// full is true if Config.MaxInput bytes are held.
func (s *secured) readParked() (open, ended, full bool) {
	c, t := s.c, s.c.t
	if len(c.in) >= t.cfg.MaxInput { // t.in has room for all of c.in
		return true, false, true
	}
	n, e := recv(int(c.fd), t.tls.input())
	switch {
	case e == unix.EAGAIN || e == unix.EINTR:
		return true, false, false
	case e != 0:
		t.hangUp(c, Failed)
		return false, false, false
	case n == 0:
		return true, true, false
	}
	c.active.Store(t.seconds())
	s.bounds.scan(t.tls.in[:n])
	s.in = append(s.in, t.tls.in[:n]...)
	in, err := s.unseal(t.in[:0])
	s.in = slices.Clone(s.in)
	c.in = append(c.in, in...)
	if err != nil && err != errWouldBlock && err != io.EOF {
		t.hangUp(c, Failed)
		return false, false, false
	}
	if len(s.out) > 0 && !t.flush(c) {
		return false, false, false
	}
	return true, err == io.EOF, len(c.in) >= t.cfg.MaxInput
}

// seal replaces the content of thread.w by records of it. It returns false if the
// connection cannot be written to.
func (s *secured) seal() bool {
	t := s.c.t
	plain := t.w.Len()
	if s.hs != nil { // these are records
		t.written -= uint64(plain)
		return true
	}
	if plain == 0 && len(s.out) == 0 {
		return true
	}
	s.out = append(t.tls.out[:0], s.out...)
	err := s.encrypt()
	t.w.reset()
	t.tls.out, t.w.B, s.out = t.w.B, s.out, nil
	if cap(t.tls.out) > keepWriter {
		t.tls.out = nil
	}
	t.written -= uint64(len(t.w.B) - plain) // statistics count plaintext
	return err == nil
}

// encrypt writes thread.w to the tls.Conn, in full records.
func (s *secured) encrypt() error {
	t := s.c.t
	if len(t.w.refs) == 0 {
		_, err := s.conn.Write(t.w.B)
		return err
	}
	record := t.tls.gather[:0]
	for _, p := range t.w.pieces(nil, 0, 2*len(t.w.refs)+1) {
		for len(p) > 0 {
			n := min(len(p), maxRecord-len(record))
			record = append(record, p[:n]...)
			p = p[n:]
			if len(record) < maxRecord {
				break
			}
			if _, err := s.conn.Write(record); err != nil {
				return err
			}
			record = record[:0]
		}
	}
	t.tls.gather = record
	_, err := s.conn.Write(record)
	return err
}

// hangUp ends the TLS part of a connection. It sends close_notify, unless the
// connection failed or an earlier record could not be sent whole.
func (s *secured) hangUp(why Reason) {
	c, t := s.c, s.c.t
	if h := s.hs; h != nil {
		h.timer.Stop()
		t.pacer.remove(h)
		h.end()
		t.badHandshakes.Add(1)
		if err := h.result(); err != nil && t.cfg.OnHandshakeError != nil {
			t.cfg.OnHandshakeError(c.RemoteAddr(), err)
		}
		return
	}
	if why != Failed {
		_ = s.conn.CloseWrite()
	}
	if c.out == nil && len(s.out) > 0 {
		send(int(c.fd), s.out)
	}
	s.in, s.out = nil, nil
}

// Read returns what has been received. It is called by the tls.Conn.
func (s *secured) Read(b []byte) (int, error) {
	if s.hs != nil {
		return s.hs.read(b)
	}
	if len(s.in) == 0 {
		return 0, errWouldBlock
	}
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}

// Write queues records. It is called by the tls.Conn.
func (s *secured) Write(b []byte) (int, error) {
	if h := s.hs; h != nil {
		h.mu.Lock()
		h.answers = true
		h.mu.Unlock()
		if !s.c.enqueue(b, maxInt) {
			return 0, net.ErrClosed
		}
		return len(b), nil
	}
	s.out = append(s.out, b...)
	return len(b), nil
}

const maxInt = int(^uint(0) >> 1)

// Close does nothing: the loop closes the socket.
func (s *secured) Close() error { return nil }

func (s *secured) LocalAddr() net.Addr              { return s.c.LocalAddr() }
func (s *secured) RemoteAddr() net.Addr             { return s.c.RemoteAddr() }
func (s *secured) SetDeadline(time.Time) error      { return nil }
func (s *secured) SetReadDeadline(time.Time) error  { return nil }
func (s *secured) SetWriteDeadline(time.Time) error { return nil }
