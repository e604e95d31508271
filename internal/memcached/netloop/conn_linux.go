package netloop

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// conn is a connection of an epoll loop. Most connections are idle, so it is
// small: what only busy ones need is allocated when it is needed.
type conn struct {
	t       *thread
	session Session  // nil before the end of a TLS handshake
	tls     *secured // nil without TLS
	fd      int32
	slot    int32 // index in t.conns, and the data of its epoll events
	peer    netip.AddrPort
	active  atomic.Int64 // unix seconds
	why     atomic.Uint32
	dead    atomic.Bool
	waking  atomic.Bool // a msgWake for it is in the thread's inbox
	sends   atomic.Pointer[sendQueue]

	// What follows belongs to the loop's goroutine.
	flags connFlags
	seen  int64 // when input last arrived, by core.millis; 0 without IdleTimeout
	in    []byte
	out   *outbox // replies that the kernel did not take; nothing is read meanwhile
}

type connFlags uint8

const (
	queued  connFlags = 1 << iota // in t.yieldQueue
	resumes                       // is to be resumed once out is empty
	closes                        // is to be closed once out is empty
	streams                       // input is discarded
	parked                        // its session waits for Wake
	woken                         // Wake came while it was not parked
	muted                         // epoll reports no input: it came while parked
)

// outbox holds the replies of a connection that the kernel did not take.
type outbox struct {
	w       Writer
	written int
	since   int64 // when something was last written, by core.millis
	rest    rest  // with flag resumes
}

// sendQueue holds what Send queued.
type sendQueue struct {
	mu      sync.Mutex
	b       []byte
	posted  bool // the loop has a message, or will look once out is empty
	refused bool // Send returned false since Drained was last called
	closed  bool
}

var _ Conn = (*conn)(nil)

func (c *conn) ID() int       { return int(c.fd) }
func (c *conn) Loop() int     { return c.t.index }
func (c *conn) Active() int64 { return c.active.Load() }

func (c *conn) LocalAddr() net.Addr {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if c.t.conns[c.slot] != c {
		return nil
	}
	sa, err := unix.Getsockname(int(c.fd))
	if err != nil {
		return nil
	}
	return address(sa)
}

func (c *conn) RemoteAddr() net.Addr {
	if c.peer.IsValid() {
		return net.TCPAddrFromAddrPort(c.peer)
	}
	return &net.UnixAddr{Net: "unix"}
}

// address returns sa as a net.Addr.
func address(sa unix.Sockaddr) net.Addr {
	if u, ok := sa.(*unix.SockaddrUnix); ok {
		return &net.UnixAddr{Name: u.Name, Net: "unix"}
	}
	if p := addrPort(sa); p.IsValid() {
		return net.TCPAddrFromAddrPort(p)
	}
	return nil
}

// addrPort returns the address of sa, or an invalid one if it is not an IP
// address. IPv4-mapped IPv6 addresses are unmapped.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (c *conn) Close(why Reason) {
	if c.why.CompareAndSwap(0, uint32(why)+1) && !c.dead.Load() {
		c.t.post(message{kind: msgClose, conn: c})
	}
}

func (c *conn) Wake() {
	if !c.dead.Load() && c.waking.CompareAndSwap(false, true) {
		c.t.post(message{kind: msgWake, conn: c})
	}
}

func (c *conn) Send(b []byte) bool { return c.enqueue(b, c.t.cfg.SendBudget) }

// enqueue is Send with a budget for the bytes that wait.
func (c *conn) enqueue(b []byte, budget int) bool {
	if c.dead.Load() {
		return false
	}
	m := c.sends.Load()
	if m == nil {
		c.sends.CompareAndSwap(nil, new(sendQueue))
		m = c.sends.Load()
	}
	m.mu.Lock()
	if m.closed || len(m.b)+len(b) > budget {
		m.refused = true
		m.mu.Unlock()
		return false
	}
	m.b = append(m.b, b...)
	notify := !m.posted
	m.posted = true
	m.mu.Unlock()
	if notify {
		c.t.post(message{kind: msgSend, conn: c})
	}
	return true
}
