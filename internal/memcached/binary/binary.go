// Package binary is the front end of memcached's binary protocol. It parses
// requests, lets package exec execute them, and encodes the responses. [Command]
// is the entry.
//
// request.go checks the shape of a request and dispatches it; item.go has the
// commands about one item, stats.go stat, sasl.go logging in. Responses are those
// of memcached 1.6.45, byte for byte.
//
// The package has no state: what outlives a call is in exec.Conn.
package binary

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// maxBody is the largest body of a request: no item is larger.
const maxBody = 1 << 30

// request is a request whose header, extras and key have arrived.
type request struct {
	mcproto.Header
	op     mcproto.Opcode // without its quiet form
	quiet  bool
	extras []byte
	key    []byte
	value  int // length of the value that follows the key
}

// Command handles the request that in begins with. n is how much of in it
// consumed. The step is NeedMore if the request is not complete.
func Command(b *exec.Batch, in []byte) (n int, step netloop.Step) {
	if in[0] != mcproto.MagicRequest {
		b.Count(exec.Malformed)
		return 0, netloop.Close
	}
	if len(in) < mcproto.HeaderLen {
		return 0, netloop.NeedMore
	}
	r := request{Header: mcproto.ParseHeader(in)}
	// memcached looks at the extras and the key before the rest of the body.
	n = mcproto.HeaderLen + r.ExtLen + r.KeyLen
	if r.KeyLen > mcproto.MaxKey {
		n = min(n, len(in)) // it is refused in any case
	}
	if len(in) < n {
		return 0, netloop.NeedMore
	}
	switch {
	case int64(r.ExtLen+r.KeyLen) > r.BodyLen:
		r.fail(b, mcproto.StatusUnknownCommand)
		return n, netloop.Close
	case r.BodyLen > maxBody:
		return n, r.invalid(b)
	case b.SASL && !b.Conn.Authed && !beforeLogin(r.Op):
		r.fail(b, mcproto.StatusAuthError)
		return n, netloop.Close
	case r.KeyLen > mcproto.MaxKey:
		return n, r.invalid(b)
	}
	r.extras = in[mcproto.HeaderLen : mcproto.HeaderLen+r.ExtLen]
	r.key = in[mcproto.HeaderLen+r.ExtLen : n]
	r.value = int(r.BodyLen) - r.ExtLen - r.KeyLen
	r.op, r.quiet = r.Op.Loud()
	if b.Traced() {
		trace(b, byte(r.Op), r.key)
	}
	if !r.valid() {
		return n, r.invalid(b)
	}
	return r.dispatch(b, in, n)
}

// trace reports a request without its extras and value.
func trace(b *exec.Batch, op byte, key []byte) {
	const digits = "0123456789abcdef"
	b.Trace('<', append(append([]byte("binary 0x"), digits[op>>4], digits[op&15], ' '), key...))
}

// invalid answers a request of the wrong shape and closes the connection.
func (r *request) invalid(b *exec.Batch) netloop.Step {
	b.Count(exec.Malformed)
	r.fail(b, mcproto.StatusInvalid)
	return netloop.Close
}

// fail appends an error response with the text of its status.
func (r *request) fail(b *exec.Batch, status mcproto.Status) {
	r.respond(b, status, status.Text())
}

// ok appends an empty response unless the request is quiet.
func (r *request) ok(b *exec.Batch, cas uint64) {
	if !r.quiet {
		b.W.B = mcproto.AppendResponse(b.W.B, &r.Header, mcproto.StatusOK, 0, 0, 0, cas)
	}
}

// respond appends a response with a text for its body.
func (r *request) respond(b *exec.Batch, status mcproto.Status, text string) {
	b.W.B = append(mcproto.AppendResponse(b.W.B, &r.Header, status, 0, 0, len(text), 0), text...)
}

// skip discards the value of the request.
func (r *request) skip(b *exec.Batch) {
	if r.value > 0 {
		b.Discard(int64(r.value), "")
	}
}
