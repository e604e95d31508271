package netloop

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// conn is a connection of an epoll thread. There may be very many that do
// nothing, so it is small, and what only busy ones need hangs off it.
type conn struct {
	t       *thread
	session Session
	fd      int32
	slot    int32 // in t.conns, and the epoll event's datum
	peer    netip.AddrPort
	active  atomic.Int64 // unix seconds
	why     atomic.Uint32
	dead    atomic.Bool
	waking  atomic.Bool // a msgWake for it is in the thread's inbox
	mail    atomic.Pointer[mailbox]

	// What follows belongs to the thread.
	flags connFlags
	seen  int64 // when input last arrived, by core.millis; 0 without an idle timeout
	in    []byte
	out   *outbox // replies the peer did not take yet: nothing is read meanwhile
}

type connFlags uint8

const (
	turnWaits connFlags = 1 << iota // in t.turns
	resumes                         // has a turn to come once out is empty
	closes                          // ends once out is empty
	streams                         // input is discarded
	parked                          // its session waits for Wake
	woken                           // Wake came while it was not parked
	muted                           // epoll reports no input: it came while parked
)

// outbox is what the kernel did not take of a connection's replies.
type outbox struct {
	w       Writer
	written int
	since   int64 // of the last progress, by core.millis
	turn    turn  // with flag resumes
}

// mailbox is what other goroutines queued by Send.
type mailbox struct {
	mu      sync.Mutex
	b       []byte
	posted  bool // the thread has been told, or will look once out is empty
	refused bool // something did not fit since the session was last told that it would
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

// address is sa as the net package has it.
func address(sa unix.Sockaddr) net.Addr {
	if u, ok := sa.(*unix.SockaddrUnix); ok {
		return &net.UnixAddr{Name: u.Name, Net: "unix"}
	}
	if p := addrPort(sa); p.IsValid() {
		return net.TCPAddrFromAddrPort(p)
	}
	return nil
}

// addrPort is sa's address, invalid if it is not of the internet. An IPv4
// address in IPv6's clothes is undressed, as the net package does.
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

func (c *conn) Send(b []byte) bool {
	if c.dead.Load() {
		return false
	}
	m := c.mail.Load()
	if m == nil {
		c.mail.CompareAndSwap(nil, new(mailbox))
		m = c.mail.Load()
	}
	m.mu.Lock()
	if m.closed || len(m.b)+len(b) > c.t.cfg.SendBudget {
		m.refused = true
		m.mu.Unlock()
		return false
	}
	m.b = append(m.b, b...)
	tell := !m.posted
	m.posted = true
	m.mu.Unlock()
	if tell {
		c.t.post(message{kind: msgMail, conn: c})
	}
	return true
}
