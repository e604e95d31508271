package memcached

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"

	"lintel.dev/internal/memcached/netloop"
)

// The frame that stands before every datagram of memcached's protocol over
// UDP: request number, number of this datagram, how many there are, 0; each
// two bytes, the most significant first.
const (
	udpHeader = 8
	udpSize   = 1400 // of a datagram that we send
	// udpDatagrams bounds a reply. The sender's address of a request may be
	// forged, so what it makes us send must stay small.
	udpDatagrams = 16
	udpReply     = udpDatagrams * (udpSize - udpHeader)
)

const udpTooLarge = "SERVER_ERROR response too large for UDP\r\n"

// ServePacket answers requests that arrive in datagrams, until Shutdown, and
// then returns ErrServerClosed. It owns p and closes it.
//
// A request is one datagram; others are dropped, as malformed ones are. A
// reply takes at most 16 datagrams of 1400 bytes; instead of a longer one
// there is an error. Servers with users (AuthFile, SASL) refuse.
func (s *Server) ServePacket(p net.PacketConn) error {
	if s.opts.AuthFile != "" || s.opts.SASL {
		p.Close()
		return fmt.Errorf("%w: there is no logging in over UDP", ErrOptions)
	}
	u := &udpLoop{server: s, packets: p, done: make(chan struct{}), wakeup: make(chan struct{}, 1)}
	if err := s.addLoop(u); err != nil {
		p.Close()
		return err
	}
	defer close(u.done)
	defer p.Close()
	err := u.run()
	if u.closing.Load() {
		return ErrServerClosed
	}
	return fmt.Errorf("memcached: %w", err)
}

// udpLoop is the driver of one UDP socket. It is a connection, too: the one
// that all requests come from.
type udpLoop struct {
	server  *Server
	packets net.PacketConn
	peer    atomic.Pointer[net.Addr] // of the request at hand
	closing atomic.Bool
	done    chan struct{}
	wakeup  chan struct{} // holds a token from Wake to the end of the next wait

	active              atomic.Int64
	opened              atomic.Uint64
	bytesRead, bytesOut atomic.Uint64
}

var (
	_ netloop.Loop = (*udpLoop)(nil)
	_ netloop.Conn = (*udpLoop)(nil)
)

func (u *udpLoop) run() error {
	var sess *session
	defer func() {
		if sess != nil {
			sess.Closed(netloop.Shutdown)
		}
	}()
	in := make([]byte, 64<<10)
	w := netloop.NewWriter(udpReply)
	var out, frame []byte
	for {
		n, from, err := u.packets.ReadFrom(in)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || u.closing.Load() {
				return err
			}
			continue // an error that a peer caused is not the socket's
		}
		u.bytesRead.Add(uint64(n))
		if n <= udpHeader || binary.BigEndian.Uint16(in[2:]) != 0 || binary.BigEndian.Uint16(in[4:]) != 1 {
			continue
		}
		u.peer.Store(&from)
		u.active.Store(u.server.clock.Now())
		if sess == nil {
			u.opened.Add(1)
			sess = u.server.newSession(u).(*session)
		}
		sess.proto = u.server.opts.Protocol
		var ok bool
		out, ok = u.answer(sess, in[udpHeader:n], w, out[:0])
		if !ok {
			sess.Closed(netloop.Normal)
			sess = nil
		}
		for i, total := 0, (len(out)+udpSize-udpHeader-1)/(udpSize-udpHeader); i < total; i++ {
			piece := out[i*(udpSize-udpHeader):]
			piece = piece[:min(len(piece), udpSize-udpHeader)]
			frame = append(frame[:0], in[0], in[1])
			frame = binary.BigEndian.AppendUint16(frame, uint16(i))
			frame = binary.BigEndian.AppendUint16(frame, uint16(total))
			frame = append(append(frame, 0, 0), piece...)
			if n, err := u.packets.WriteTo(frame, from); err == nil {
				u.bytesOut.Add(uint64(n))
			}
		}
	}
}

// answer appends the reply to the request in to out. ok is false when the
// session cannot take another request: its command was not whole, or asked for
// more than a request can have.
func (u *udpLoop) answer(sess *session, in []byte, w *netloop.Writer, out []byte) (reply []byte, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			w.Drain(nil)
			reply, ok = out, false
			u.server.panicked(v, nil)
		}
	}()
	text := in[0] != 0x80
	for {
		n, next := sess.Data(in, w)
		in = in[n:]
		switch {
		case w.Len() > udpReply:
			w.Drain(nil)
			if text {
				out = append(out, udpTooLarge...)
			}
			return out, false
		case next == netloop.Wait:
			<-u.wakeup
			if u.closing.Load() {
				w.Drain(nil)
				return out, false
			}
			continue
		case next == netloop.Yield && (len(in) > 0 || sess.job != nil || sess.keys != nil):
			continue
		case next == netloop.Close || next == netloop.Stream || sess.body != nil || sess.swallow > 0 || sess.keys != nil || sess.job != nil:
			return w.Drain(out), false
		}
		return w.Drain(out), true
	}
}

// The connection of the session.

func (u *udpLoop) ID() int {
	id := -1
	if sc, ok := u.packets.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = rc.Control(func(fd uintptr) { id = int(fd) })
		}
	}
	return id
}

func (u *udpLoop) Loop() int           { return 0 }
func (u *udpLoop) LocalAddr() net.Addr { return u.packets.LocalAddr() }

func (u *udpLoop) RemoteAddr() net.Addr {
	if p := u.peer.Load(); p != nil {
		return *p
	}
	return &net.UDPAddr{}
}

func (u *udpLoop) Active() int64        { return u.active.Load() }
func (u *udpLoop) Send([]byte) bool     { return false } // nobody watches over UDP
func (u *udpLoop) Close(netloop.Reason) {}

func (u *udpLoop) Wake() {
	select {
	case u.wakeup <- struct{}{}:
	default:
	}
}

// The loop of the server.

func (u *udpLoop) Serve(l net.Listener) error {
	l.Close()
	return errors.ErrUnsupported
}

func (u *udpLoop) Adopt(c net.Conn) error {
	c.Close()
	return errors.ErrUnsupported
}

func (u *udpLoop) Shutdown(ctx context.Context) error {
	u.closing.Store(true)
	u.packets.Close()
	u.Wake()
	select {
	case <-u.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *udpLoop) Conns() iter.Seq[netloop.Conn] {
	return func(yield func(netloop.Conn) bool) { yield(u) }
}

func (u *udpLoop) Stats() netloop.Stats {
	return netloop.Stats{
		Accepted: u.opened.Load(), BytesRead: u.bytesRead.Load(), BytesWritten: u.bytesOut.Load(), Accepting: true,
	}
}

// ListenPacket opens a UDP socket for every address that e's host has, as long
// as at least one can be had.
func (e Endpoint) ListenPacket(ctx context.Context) ([]net.PacketConn, error) {
	hosts, err := e.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var all []net.PacketConn
	var errs []error
	for _, host := range hosts {
		port := e.Port
		if port == 0 && len(all) > 0 {
			port = all[0].LocalAddr().(*net.UDPAddr).Port
		}
		p, err := net.ListenPacket(family("udp", host), net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("memcached: %w", errors.Join(errs...))
	}
	return all, nil
}
