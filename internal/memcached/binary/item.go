package binary

import (
	"encoding/binary"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// expiry converts an expiration field, 32 bits without a sign.
func expiry(b *exec.Batch, exptime uint32) int64 {
	return exec.Expiry(int64(exptime), b.Clock.Now())
}

// get is get, getk, touch, gat and gatk.
func (r *request) get(b *exec.Batch) {
	touch := r.op == mcproto.OpTouch || r.op == mcproto.OpGAT || r.op == mcproto.OpGATK
	withKey := r.op == mcproto.OpGetK || r.op == mcproto.OpGATK
	key := r.key
	var tx store.Txn
	if !b.Lookup(&tx, b.Keys.Of(key), touch) {
		switch {
		case r.quiet:
		case withKey:
			b.W.B = mcproto.AppendResponse(b.W.B, &r.Header, mcproto.StatusNotFound, 0, len(key), len(key), 0)
			b.W.B = append(b.W.B, key...)
		default:
			r.fail(b, mcproto.StatusNotFound)
		}
		return
	}
	value, size := tx.Value(), tx.Size()
	keyLen, body := 0, 4
	if withKey {
		keyLen = len(key)
		body += keyLen
	}
	if r.op != mcproto.OpTouch {
		body += len(value)
	}
	out := mcproto.AppendResponse(b.W.B, &r.Header, mcproto.StatusOK, 4, keyLen, body, tx.CAS())
	out = binary.BigEndian.AppendUint32(out, tx.Flags())
	if withKey {
		out = append(out, key...)
	}
	b.W.B = out
	if r.op != mcproto.OpTouch {
		b.AppendValue(&tx, value)
	}
	if touch {
		at := expiry(b, binary.BigEndian.Uint32(r.extras))
		b.HitAs(&tx, key, size, len(value), &exec.Access{Touch: true, SetExpiry: true, Expiry: at})
		return
	}
	b.Hit(&tx, key, size, len(value))
}

// delete is delete. A CAS value of the header must be that of the item.
func (r *request) delete(b *exec.Batch) {
	d := exec.Delete{Key: r.key, Compare: r.CAS, Checked: r.CAS != 0}
	switch b.Delete(&d) {
	case exec.Stored:
		r.ok(b, 0)
	case exec.Exists:
		r.fail(b, mcproto.StatusExists)
	default:
		r.fail(b, mcproto.StatusNotFound)
	}
}

// noCreate is the expiration of an incr or decr that must not create an item.
const noCreate = 0xffffffff

// arith is incr and decr. The extras are delta, initial value and expiration.
func (r *request) arith(b *exec.Batch) {
	exptime := binary.BigEndian.Uint32(r.extras[16:])
	a := exec.Arith{
		Key: r.key, Incr: r.op == mcproto.OpIncr,
		Delta: binary.BigEndian.Uint64(r.extras), Compare: r.CAS,
		Create: exptime != noCreate, Initial: binary.BigEndian.Uint64(r.extras[8:]),
		Exptime: int64(exptime), Expiry: expiry(b, exptime),
	}
	var tx store.Txn
	v, _, out := b.Arith(&tx, &a)
	switch out {
	case exec.Stored:
		cas := tx.CAS()
		tx.End()
		if !r.quiet {
			out := mcproto.AppendResponse(b.W.B, &r.Header, mcproto.StatusOK, 0, 0, 8, cas)
			b.W.B = binary.BigEndian.AppendUint64(out, v)
		}
	case exec.NotFound:
		r.fail(b, mcproto.StatusNotFound)
	case exec.Exists:
		r.fail(b, mcproto.StatusExists)
	case exec.NonNumeric:
		r.fail(b, mcproto.StatusNonNumeric)
	default:
		r.fail(b, mcproto.StatusNoMemory)
	}
}

// upload handles a storage request, whose header, extras and key are in[:n].
func (r *request) upload(b *exec.Batch, in []byte, n int) (used int, step netloop.Step) {
	c := r.change(b)
	if b.TooBig(&c, r.value) {
		b.Refuse(&c, c.Mode == exec.Set || c.Mode == exec.CAS && r.op == mcproto.OpSet, r.value)
		r.fail(b, mcproto.StatusTooLarge)
		r.skip(b)
		return n, netloop.Next
	}
	if len(in)-n < r.value {
		b.Await(in[:n], in[n:], r.value, finishUpload)
		return len(in), netloop.NeedMore
	}
	r.store(b, &c, in[n:n+r.value])
	return n + r.value, netloop.Next
}

// finishUpload executes a storage request whose value has been collected. head is
// its header, extras and key.
func finishUpload(b *exec.Batch, head, value []byte) netloop.Step {
	r := parseHead(head)
	c := r.change(b)
	r.store(b, &c, value)
	return netloop.Next
}

// parseHead reads the header, extras and key of a valid request.
func parseHead(head []byte) *request {
	r := &request{Header: mcproto.ParseHeader(head)}
	r.op, r.quiet = r.Op.Loud()
	r.extras = head[mcproto.HeaderLen : mcproto.HeaderLen+r.ExtLen]
	r.key = head[mcproto.HeaderLen+r.ExtLen:][:r.KeyLen]
	return r
}

// change converts a storage request.
func (r *request) change(b *exec.Batch) (c exec.Change) {
	c.Key = r.key
	switch r.op {
	case mcproto.OpAdd:
		c.Mode = exec.Add
	case mcproto.OpReplace:
		c.Mode = exec.Replace
	case mcproto.OpAppend:
		c.Mode = exec.Append
	case mcproto.OpPrepend:
		c.Mode = exec.Prepend
	}
	c.Checked, c.Compare = r.CAS != 0, r.CAS
	if len(r.extras) == 8 {
		c.Flags = binary.BigEndian.Uint32(r.extras)
		exptime := binary.BigEndian.Uint32(r.extras[4:])
		c.Exptime, c.Expiry = int64(exptime), expiry(b, exptime)
		if c.Checked {
			c.Mode = exec.CAS
		}
	}
	return c
}

// store executes a storage request.
func (r *request) store(b *exec.Batch, c *exec.Change, value []byte) {
	b.Kind = exec.KindSet
	out, cas, _ := b.Store(c, value)
	switch out {
	case exec.Stored:
		r.ok(b, cas)
	case exec.Exists:
		r.fail(b, mcproto.StatusExists)
	case exec.NotFound:
		r.fail(b, mcproto.StatusNotFound)
	case exec.NoMemory:
		r.fail(b, mcproto.StatusNoMemory)
	default:
		switch r.op {
		case mcproto.OpAdd:
			r.fail(b, mcproto.StatusExists)
		case mcproto.OpReplace:
			r.fail(b, mcproto.StatusNotFound)
		default:
			r.fail(b, mcproto.StatusNotStored)
		}
	}
}
