package zmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"lintel.dev/internal/zmq/transport"
	"lintel.dev/zmq/event"
)

func (e *Endpoint) transportOptions() transport.Options {
	o := &e.o
	dial := o.Dial
	if dial != nil {
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return inTime(ctx, func() (net.Conn, error) { return o.Dial(ctx, network, address) }, func(c net.Conn) { c.Close() })
		}
	}
	return transport.Options{
		IPv6: o.IPv6, Backlog: o.Backlog, SendBuffer: o.SendBuffer, RecvBuffer: o.RecvBuffer,
		TOS: o.TOS, Priority: o.Priority, BindToDevice: o.BindToDevice,
		KeepAlive: o.KeepAlive, KeepIdle: o.KeepIdle, KeepInterval: o.KeepInterval, KeepCount: o.KeepCount,
		MaxRT: o.MaxRT, ConnectTimeout: o.ConnectTimeout, Dial: dial, WS: e.webSocket(),
	}
}

// lookupTimeout bounds the lookup of a name by Bind, and by Connect for udp.
const lookupTimeout = 5 * time.Second

// bindContext bounds a lookup of names. It also ends when the socket is closed.
func (s *core) bindContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.binding, lookupTimeout)
}

func (s *core) bindNet(e *Endpoint) (*Endpoint, error) {
	if e.at.Group() {
		return s.joinGroup(e)
	}
	if e.o.UseFD >= 0 && (e.at.Scheme == "tcp" || e.at.Scheme == "ipc") {
		return s.adopt(e)
	}
	ctx, stop := s.bindContext()
	defer stop()
	ln, at, err := transport.Listen(ctx, e.at, e.transportOptions())
	if err != nil {
		s.emit(event.Event{Type: event.BindFailed, Endpoint: e.addr, Err: err})
		if transport.InUse(err) {
			return nil, fmt.Errorf("%w: %w", ErrAddressInUse, err)
		}
		return nil, fmt.Errorf("zmq: bind: %w", err)
	}
	e.at, e.addr = at, at.String()
	return s.listen(e, ln)
}

// adopt makes the descriptor of the option UseFD the listener of e. It belongs
// to the socket from then on.
func (s *core) adopt(e *Endpoint) (*Endpoint, error) {
	f := os.NewFile(uintptr(e.o.UseFD), "use_fd")
	if f == nil {
		return nil, fmt.Errorf("zmq: bind: descriptor %d is none", e.o.UseFD)
	}
	ln, err := net.FileListener(f) // a copy
	f.Close()
	if err != nil {
		s.emit(event.Event{Type: event.BindFailed, Endpoint: e.addr, Err: err})
		return nil, fmt.Errorf("zmq: bind: descriptor %d: %w", e.o.UseFD, err)
	}
	e.at.Address = ln.Addr().String()
	e.addr = e.at.String()
	return s.listen(e, transport.Streams(ln))
}

// BindListener is Bind for a listener that the socket closes.
func (s common) BindListener(ln net.Listener) (*Endpoint, error) {
	if err := s.c.alive(); err != nil {
		return nil, err
	}
	a := ln.Addr()
	scheme := "tcp"
	switch a.Network() {
	case "unix":
		scheme = "ipc"
	case "vsock":
		scheme = "vsock"
	}
	at := transport.Endpoint{Scheme: scheme, Address: a.String()}
	return s.c.listen(s.c.newEndpoint(at.String(), at, true), transport.Streams(ln))
}

// listen makes ln the listener of e.
func (s *core) listen(e *Endpoint, ln transport.Listener) (*Endpoint, error) {
	filters, err := parseFilters(e.o.AcceptFilters)
	if err != nil {
		ln.Close()
		return nil, err
	}
	e.ln, e.filters = ln, filters
	if err := s.endpoints.add(e, &s.wg); err != nil {
		ln.Close()
		return nil, err
	}
	defer s.wg.Done()
	s.emit(event.Event{Type: event.Listening, Endpoint: e.addr})
	context.AfterFunc(e.live, e.closeListener)
	s.wg.Go(e.acceptAll)
	return e, nil
}

// closeListener may be called more than once.
func (e *Endpoint) closeListener() {
	if err := e.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		e.s.emit(event.Event{Type: event.CloseFailed, Endpoint: e.addr, Err: err})
	}
}

// acceptAll accepts connections until the listener is closed. After a temporary
// failure, such as too many open files, it pauses and tries again.
func (e *Endpoint) acceptAll() {
	wait := time.Duration(0)
	for {
		conn, err := e.ln.Accept()
		if err != nil {
			if e.live.Err() != nil || errors.Is(err, net.ErrClosed) {
				e.s.emit(event.Event{Type: event.Closed, Endpoint: e.addr})
				return
			}
			e.s.emit(event.Event{Type: event.AcceptFailed, Endpoint: e.addr, Err: err})
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			if !e.sleep(wait) {
				return
			}
			continue
		}
		wait = 0
		if err := e.allowed(conn); err != nil {
			conn.Close()
			e.s.emit(event.Event{Type: event.AcceptFailed, Endpoint: e.addr, Err: err})
			continue
		}
		e.s.counter.accepted.Add(1)
		e.s.emit(event.Event{
			Type: event.Accepted, Endpoint: e.addr,
			Local: conn.LocalAddr().String(), Remote: conn.RemoteAddr().String(),
		})
		e.s.wg.Go(func() { e.serve(conn) })
	}
}

func (s *core) connectNet(e *Endpoint) (*Endpoint, error) {
	if e.at.Group() {
		return s.joinGroup(e)
	}
	return s.dialOut(e)
}

// dialOut starts to connect to e and to keep the connection.
func (s *core) dialOut(e *Endpoint) (*Endpoint, error) {
	if err := s.endpoints.add(e, &s.wg); err != nil {
		return nil, err
	}
	defer s.wg.Done()
	var p *pipe
	if !e.o.Immediate {
		p = e.newNetPipe()
		if err := e.attach(p); err != nil {
			s.endpoints.remove(e)
			return nil, err
		}
	}
	s.wg.Go(func() { e.reconnect(p) })
	return e, nil
}

// dial makes one connection.
func (e *Endpoint) dial() (*session, error) {
	ctx := e.live
	if d := e.o.HandshakeTimeout; d > 0 { // of a proxy, TLS and the upgrade to WebSocket
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d+e.o.ConnectTimeout)
		defer stop()
	}
	if e.at.Group() {
		return e.openGroup(ctx)
	}
	var conn transport.Conn
	var err error
	o := e.transportOptions()
	if e.o.SocksProxy != "" && e.at.Scheme == "tcp" {
		conn, err = transport.DialSOCKS(ctx, e.at, o, e.socksProxy())
	} else {
		conn, err = transport.Dial(ctx, e.at, o)
	}
	if err != nil {
		return nil, err
	}
	return newSession(e, conn), nil
}

var errFiltered = errors.New("zmq: connection refused by an accept filter")

// allowed checks the accept filters.
func (e *Endpoint) allowed(conn transport.Conn) error {
	switch e.at.Scheme {
	case "tcp", "ws", "wss":
		if len(e.filters) == 0 {
			return nil
		}
		at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil {
			return errFiltered
		}
		for _, f := range e.filters {
			if f.Contains(at.Addr().Unmap().WithZone("")) {
				return nil
			}
		}
		return errFiltered
	case "ipc":
		o := &e.o
		if len(o.IPCFilterUID)+len(o.IPCFilterGID)+len(o.IPCFilterPID) == 0 {
			return nil
		}
		return transport.CheckPeer(conn.(net.Conn), o.IPCFilterUID, o.IPCFilterGID, o.IPCFilterPID)
	}
	return nil
}

func parseFilters(filters []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, f := range filters {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			a, err2 := netip.ParseAddr(f)
			if err2 != nil {
				return nil, fmt.Errorf("zmq: accept filter %q, expected an address or a network such as 10.0.0.0/8", f)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
