package meta

import (
	"strconv"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/store"
)

const (
	replyFolded   = "CLIENT_ERROR invalid or duplicate flag"
	replyNoMemory = "SERVER_ERROR out of memory"
)

// Delete is md KEY FLAGS.
func Delete(b *exec.Batch, args []byte) {
	sent, key := parse(b, args, "")
	if key == nil {
		return
	}
	m := &b.Meta
	d := exec.Delete{
		Key: key, Meta: true,
		Compare: m.Compare, Checked: m.Has('C'),
		Drop: m.Has('x'), Flags: m.ClientFlags, Mark: m.Has('I'), NewCAS: m.NewCAS,
		SetExpiry: m.Has('T'), Exptime: m.TTL,
	}
	if d.SetExpiry {
		d.Expiry = exec.Expiry(m.TTL, b.Clock.Now())
	}
	switch b.Delete(&d) {
	case exec.Stored:
		if !m.Has('q') {
			status(b, "HD", sent)
		}
	case exec.NotFound:
		status(b, "NF", sent)
	case exec.Exists:
		status(b, "EX", sent)
	default:
		b.Reply(replyNoMemory)
	}
}

// Arith is ma KEY FLAGS.
func Arith(b *exec.Batch, args []byte) {
	sent, key := parse(b, args, replyFolded)
	if key == nil {
		return
	}
	m := &b.Meta
	now := b.Clock.Now()
	a := exec.Arith{
		Key: key, Incr: true, Delta: m.Delta, Compare: m.Compare, NewCAS: m.NewCAS,
		Create: m.Has('N'), Initial: m.Initial, Exptime: m.Vivify, Expiry: exec.Expiry(m.Vivify, now),
	}
	switch m.Mode {
	case 0, 'I', '+':
	case 'D', '-':
		a.Incr = false
	default:
		b.Reply("CLIENT_ERROR invalid mode for ma M token")
		return
	}
	var tx store.Txn
	v, created, out := b.Arith(&tx, &a)
	switch out {
	case exec.Stored:
		encodeArith(b, &tx, v, created, sent, now)
	case exec.NotFound:
		status(b, "NF", sent)
	case exec.Exists:
		status(b, "EX", sent)
	case exec.NonNumeric:
		b.Reply("CLIENT_ERROR cannot increment or decrement non-numeric value")
	default:
		b.Reply(replyNoMemory)
	}
}

// encodeArith answers an ma that has changed the item of tx to v, sets its expiry
// time if the flags say so, and ends tx.
func encodeArith(b *exec.Batch, tx *store.Txn, v uint64, created bool, sent []byte, now int64) {
	m := &b.Meta
	digits := strconv.AppendUint(b.Number[:0], v, 10)
	out := b.W.B
	if m.Has('v') {
		out = strconv.AppendUint(append(out, "VA "...), uint64(len(digits)), 10)
	} else {
		out = append(out, 'H', 'D')
	}
	expires := tx.Expiry()
	if created {
		expires = 0
	}
	for _, tok := range m.Flags[:m.N] {
		switch tok[0] {
		case 'T':
			expires = exec.Expiry(m.TTL, now)
		case 'N':
			if created {
				expires = exec.Expiry(m.Vivify, now)
			}
		case 't':
			out = appendTTL(out, expires, now)
		case 'c':
			out = appendFlag(out, 'c', tx.CAS())
		default:
			out = appendEcho(out, m, tok, sent)
		}
	}
	out = append(out, '\r', '\n')
	if m.Has('v') {
		out = append(append(out, digits...), '\r', '\n')
	}
	if expires != tx.Expiry() {
		tx.SetExpiry(expires)
	}
	tx.End()
	if !m.Has('q') {
		b.W.B = out
	}
}

// FlushPrefix is mp PREFIX FLAGS, the meta form of flush_prefix. It answers HD. The
// flags b, k, O and q have their usual meaning. memcached has no such command.
func FlushPrefix(b *exec.Batch, args []byte) {
	sent, prefix := parse(b, args, "")
	if prefix == nil {
		return
	}
	if b.DisableFlush {
		b.Reply("CLIENT_ERROR flush_prefix not allowed")
		return
	}
	var reply []byte
	if !b.Meta.Has('q') {
		reply = append(appendEchoes([]byte("HD"), &b.Meta, sent), '\r', '\n')
	}
	if !b.FlushPrefix(prefix, string(reply)) {
		b.Reply("SERVER_ERROR not available over UDP")
	}
}
