package binary

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// mechanism is the only SASL mechanism.
const mechanism = "PLAIN"

// The bounds of a login, in bytes.
const (
	maxMechanism = 32
	maxMessage   = 1024
)

// sasl is sasl auth and sasl step, whose header and key are in[:n]. The value is
// the message of the mechanism.
func (r *request) sasl(b *exec.Batch, in []byte, n int) (used int, step netloop.Step) {
	switch {
	case !b.SASL:
		r.fail(b, mcproto.StatusUnknownCommand)
	case r.value > maxMessage || r.KeyLen > maxMechanism:
		r.fail(b, mcproto.StatusInvalid)
	case len(in)-n < r.value:
		b.Await(in[:n], in[n:], r.value, finishSASL)
		return len(in), netloop.NeedMore
	default:
		r.logIn(b, in[n:n+r.value])
		return n + r.value, netloop.Next
	}
	r.skip(b)
	return n, netloop.Next
}

// finishSASL executes a login whose message has been collected.
func finishSASL(b *exec.Batch, head, message []byte) netloop.Step {
	parseHead(head).logIn(b, message)
	return netloop.Next
}

// logIn checks a login. A failed one also ends an earlier login of the connection.
// PLAIN has a single message: a step is always a failure.
func (r *request) logIn(b *exec.Batch, message []byte) {
	user, password, ok := plain(r.key, message)
	head := request{Header: r.Header}
	b.LogIn(exec.Login{User: user, Password: password, SASL: true, Invalid: !ok || r.Op != mcproto.OpSASLAuth}, func(b *exec.Batch, ok bool) {
		if ok {
			head.respond(b, mcproto.StatusOK, "Authenticated")
		} else {
			head.fail(b, mcproto.StatusAuthError)
		}
	})
}

// plain reads a PLAIN message (RFC 4616): an authorization identity, which must be
// empty or equal to the user, the user and the password, separated by NUL.
func plain(name, message []byte) (user, password []byte, ok bool) {
	if string(name) != mechanism {
		return nil, nil, false
	}
	identity, rest, ok := bytes.Cut(message, []byte{0})
	if !ok {
		return nil, nil, false
	}
	user, password, ok = bytes.Cut(rest, []byte{0})
	if !ok || len(user) == 0 || bytes.IndexByte(password, 0) >= 0 {
		return nil, nil, false
	}
	if len(identity) > 0 && !bytes.Equal(identity, user) {
		return nil, nil, false
	}
	return user, password, true
}
