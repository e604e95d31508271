package memcached

import (
	"bytes"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// saslMechs are the mechanisms offered, and maxMechanism is the longest name
// a client may ask for.
const (
	saslMechs    = "PLAIN"
	maxMechanism = 32
)

// binSASL is sasl auth and sasl step: body begins with the mechanism's name,
// message is what the mechanism sends. A failed login costs the connection
// whatever rights an earlier one gave it.
func (t *turn) binSASL(h *mcproto.Header, body, message []byte) netloop.Step {
	t.authed = false
	t.count(authCmds)
	user, password, ok := plain(body[:h.KeyLen], message)
	// PLAIN is done in one message: there is nothing a step could follow on.
	if h.Op != mcproto.OpSASLAuth || !ok || !t.srv.saslAccounts().check(user, password) {
		t.count(authErrors)
		t.binError(h, mcproto.StatusAuthError)
		return netloop.NeedMore
	}
	t.authed = true
	const text = "Authenticated"
	t.w.B = append(mcproto.AppendResponse(t.w.B, h, mcproto.StatusOK, 0, 0, len(text), 0), text...)
	return netloop.NeedMore
}

// plain reads a PLAIN message (RFC 4616): an authorization identity, which
// must be empty or the user's, the user, the password, with NULs between.
func plain(mechanism, message []byte) (user, password []byte, ok bool) {
	if string(mechanism) != saslMechs {
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
