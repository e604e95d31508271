package exec

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// Login is a user who logs in. After failed logins from its address the password is
// not checked at once, see auth.Brake: the command waits.
type Login struct {
	User, Password []byte
	SASL           bool
	Invalid        bool // the message is not valid: the login fails

	reply func(b *Batch, ok bool)
	at    time.Time // when the password is checked
	timer *time.Timer
}

// LogIn checks l, counts it, and calls reply, now or later.
func (b *Batch) LogIn(l Login, reply func(b *Batch, ok bool)) {
	wait, ok := b.Brake.Wait(address(b.Conn.Net))
	switch {
	case !ok:
		b.Conn.Authed = false
		b.Count(AuthCmds)
		b.Count(AuthErrors)
		reply(b, false)
	case wait == 0:
		reply(b, b.check(&l))
	default:
		l.User, l.Password = bytes.Clone(l.User), bytes.Clone(l.Password)
		l.reply, l.at = reply, time.Now().Add(wait)
		l.timer = time.AfterFunc(wait, b.Conn.Net.Wake)
		b.Conn.Pending = &l
	}
}

// Step implements Pending.
func (l *Login) Step(b *Batch, _ []byte) (n int, step netloop.Step) {
	if time.Now().Before(l.at) {
		return 0, netloop.Wait
	}
	l.reply(b, b.check(l))
	return 0, netloop.Next
}

// Stop implements Pending.
func (l *Login) Stop(*Engine) { l.timer.Stop() }

// check checks the password of l. A failed login ends an earlier one.
func (b *Batch) check(l *Login) bool {
	b.Count(AuthCmds)
	users := b.users.Load()
	if l.SASL {
		// As in memcached, a changed file counts from the next login on.
		old := b.saslUsers.Load()
		if users = old.Refresh(); users != old {
			b.saslUsers.CompareAndSwap(old, users)
		}
	}
	ok := !l.Invalid && users.Check(l.User, l.Password)
	b.Brake.Done(address(b.Conn.Net), ok)
	b.Conn.Authed = ok
	if !ok {
		b.Count(AuthErrors)
	}
	return ok
}

// address returns the IP address of a client, the zero Addr on unix sockets.
func address(c netloop.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
