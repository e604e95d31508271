package binary

import (
	"encoding/binary"
	"fmt"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// beforeLogin reports whether op may be used before logging in by SASL.
func beforeLogin(op mcproto.Opcode) bool {
	switch op {
	case mcproto.OpSASLList, mcproto.OpSASLAuth, mcproto.OpSASLStep, mcproto.OpVersion:
		return true
	}
	return false
}

// valid reports whether the request has the extras, key and value that its
// command takes.
func (r *request) valid() bool {
	switch r.op {
	case mcproto.OpGet, mcproto.OpGetK, mcproto.OpDelete:
		return r.ExtLen == 0 && r.KeyLen > 0 && r.value == 0
	case mcproto.OpSet, mcproto.OpAdd, mcproto.OpReplace:
		return r.ExtLen == 8 && r.KeyLen > 0
	case mcproto.OpAppend, mcproto.OpPrepend, mcproto.OpSASLAuth, mcproto.OpSASLStep:
		return r.ExtLen == 0 && r.KeyLen > 0
	case mcproto.OpIncr, mcproto.OpDecr:
		return r.ExtLen == 20 && r.KeyLen > 0 && r.value == 0
	case mcproto.OpTouch, mcproto.OpGAT, mcproto.OpGATK:
		return r.ExtLen == 4 && r.KeyLen > 0 && r.value == 0
	case mcproto.OpFlush:
		return (r.ExtLen == 0 || r.ExtLen == 4) && r.KeyLen == 0 && r.value == 0
	case mcproto.OpStat:
		return r.ExtLen == 0 && r.value == 0
	case mcproto.OpQuit, mcproto.OpNoop, mcproto.OpVersion, mcproto.OpSASLList:
		return r.BodyLen == 0
	}
	return true
}

// dispatch executes a valid request whose header, extras and key are in[:n].
func (r *request) dispatch(b *exec.Batch, in []byte, n int) (used int, step netloop.Step) {
	switch r.op {
	case mcproto.OpGet, mcproto.OpGetK:
		b.Kind = exec.KindGet
		r.get(b)
	case mcproto.OpGAT, mcproto.OpGATK, mcproto.OpTouch:
		b.Kind = exec.KindTouch
		r.get(b)
	case mcproto.OpSet, mcproto.OpAdd, mcproto.OpReplace, mcproto.OpAppend, mcproto.OpPrepend:
		return r.upload(b, in, n)
	case mcproto.OpSASLAuth, mcproto.OpSASLStep:
		return r.sasl(b, in, n)
	case mcproto.OpSASLList:
		if b.SASL {
			r.respond(b, mcproto.StatusOK, mechanism)
		} else {
			r.fail(b, mcproto.StatusUnknownCommand)
		}
	case mcproto.OpDelete:
		b.Kind = exec.KindDelete
		r.delete(b)
	case mcproto.OpIncr, mcproto.OpDecr:
		b.Kind = exec.KindArith
		r.arith(b)
	case mcproto.OpFlush:
		r.flush(b)
	case mcproto.OpStat:
		r.stat(b)
	case mcproto.OpNoop:
		r.ok(b, 0)
	case mcproto.OpVersion:
		r.respond(b, mcproto.StatusOK, b.Version)
	case mcproto.OpQuit:
		r.ok(b, 0)
		return n, netloop.Close
	default:
		r.unknown(b)
	}
	return n, netloop.Next
}

// flush is flush with an optional expiry time.
func (r *request) flush(b *exec.Batch) {
	if b.DisableFlush {
		r.fail(b, mcproto.StatusAuthError)
		return
	}
	at := uint32(0)
	if len(r.extras) == 4 {
		at = binary.BigEndian.Uint32(r.extras)
	}
	b.FlushAll(int64(at))
	r.ok(b, 0)
}

// unknown handles opcodes without a command here: those of Config.Calls, and the
// others, whose whole body is skipped.
func (r *request) unknown(b *exec.Batch) {
	if len(b.Calls) > 0 {
		if start := b.Calls[fmt.Sprintf("0x%02x", byte(r.op))]; start != nil && r.KeyLen > 0 && r.value == 0 {
			r.call(b, start)
			return
		}
	}
	r.fail(b, mcproto.StatusUnknownCommand)
	r.skip(b)
}

// statusInternal reports that a command failed for a reason that the protocol does
// not know.
const statusInternal mcproto.Status = 0x84

// call starts a command whose answer comes later. The response is that of a get.
func (r *request) call(b *exec.Batch, start func(*exec.Call)) {
	later := request{Header: r.Header}
	b.StartCall(start, r.key, func(b *exec.Batch, _ []byte, res *exec.Result) {
		switch {
		case res.Err != nil:
			later.respond(b, statusInternal, res.Err.Error())
		case !res.Found:
			later.fail(b, mcproto.StatusNotFound)
		default:
			out := mcproto.AppendResponse(b.W.B, &later.Header, mcproto.StatusOK, 4, 0, 4+len(res.Value), res.CAS)
			out = binary.BigEndian.AppendUint32(out, res.Flags)
			b.W.B = append(out, res.Value...)
		}
	})
}
