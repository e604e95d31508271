package meta

import (
	"strconv"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// Get is mg KEY FLAGS. With the flag T it counts as a touch if it finds an item,
// and as a get if not.
func Get(b *exec.Batch, args []byte) {
	sent, key := parse(b, args, "")
	if key == nil {
		return
	}
	m := &b.Meta
	now := b.Clock.Now()
	a := exec.Access{NoBump: m.Has('u'), Touch: m.Has('T')}
	var tx store.Txn
	switch {
	case !m.Has('N'):
		if !b.Lookup(&tx, b.Keys.Of(key), false) {
			if !m.Has('q') {
				status(b, "EN", sent)
			}
			return
		}
	case !b.Open(&tx, key):
		a.Created, a.Missed = true, tx.Missed()
		if !b.Vivify(&tx, exec.Expiry(m.Vivify, now), m.NewCAS) {
			b.Reply(exec.ReplyNoMemory)
			return
		}
	}
	value, size := tx.Value(), tx.Size()
	won, wantValue := encodeGet(b, &tx, &a, sent, now)
	if wantValue {
		b.AppendValue(&tx, value)
		b.W.B = append(b.W.B, '\r', '\n')
	}
	if won && !a.Created {
		tx.SetMarks(tx.Stale(), true)
	}
	b.HitAs(&tx, key, size, len(value), &a)
}

// encodeGet appends the first line of the reply to an mg for the item of tx, and
// completes a. won is set if the client has won the right to recache the item.
func encodeGet(b *exec.Batch, tx *store.Txn, a *exec.Access, sent []byte, now int64) (won, wantValue bool) {
	m, value, created := &b.Meta, tx.Value(), a.Created
	wantValue = m.Has('v') && !(m.Has('C') && m.Compare == tx.CAS())
	out := b.W.B
	if wantValue {
		out = mcproto.AppendUint(append(out, "VA "...), uint64(len(value)))
	} else {
		out = append(out, 'H', 'D')
	}
	// Flags take effect in the order in which they were sent: t after T shows
	// the new time to live, before it the old one.
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
				expires, won = exec.Expiry(m.Vivify, now), true
			}
		case 'R':
			if !tx.Won() && !created && expires != 0 && expires < exec.Expiry(m.Recache, now) {
				won = true
			}
		case 's':
			out = appendFlag(out, 's', uint64(len(value)))
		case 't':
			out = appendTTL(out, expires, now)
		case 'c':
			out = appendFlag(out, 'c', tx.CAS())
		case 'f':
			out = appendFlag(out, 'f', uint64(tx.Flags()))
		case 'l':
			out = appendFlag(out, 'l', uint64(max(0, now-tx.LastAccess())))
		case 'h':
			if tx.Fetched() {
				out = append(out, " h1"...)
			} else {
				out = append(out, " h0"...)
			}
		default:
			out = appendEcho(out, m, tok, sent)
		}
	}
	stale, sentToken := tx.Stale(), tx.Won() && !created
	if sentToken {
		out = append(out, ' ', 'Z')
	}
	if stale {
		out = append(out, ' ', 'X')
		won = won || !sentToken
	}
	if won {
		out = append(out, ' ', 'W')
	}
	b.W.B = append(out, '\r', '\n')
	if a.Touch || created && expires != tx.Expiry() {
		a.SetExpiry, a.Expiry = true, expires
	}
	return won, wantValue
}

// Debug is me KEY: it describes an item without accessing it.
func Debug(b *exec.Batch, args []byte) {
	b.Count(exec.CmdMeta)
	sent, rest := mcproto.Next(args)
	if len(sent) == 0 || len(sent) > mcproto.MaxKey || b.Meta.Parse(sent, rest, 2) != "" && b.Meta.Garbled {
		b.Reply(mcproto.ErrFormat)
		return
	}
	// Of the flags only b has a meaning, and only as the first. memcached 1.6.45
	// does not decode the key if it is the only one and the key is no base64.
	key := sent
	if flag, rest := mcproto.Next(rest); string(flag) == "b" {
		decoded, exact, ok := mcproto.DecodeKey(b.Key[:0], sent)
		switch {
		case ok:
			key = decoded
			if !exact {
				sent = mcproto.EncodeKey(nil, key)
			}
		case !mcproto.Blank(rest):
			b.Reply(mcproto.ErrFormat)
			return
		}
	}
	var tx store.Txn
	if !b.Peek(&tx, key) {
		b.Reply("EN")
		return
	}
	now := b.Clock.Now()
	ttl := int64(-1)
	if e := tx.Expiry(); e != 0 {
		ttl = e - now
	}
	size := tx.Size()
	out := append(append(b.W.B, "ME "...), sent...)
	out = strconv.AppendInt(append(out, " exp="...), ttl, 10)
	out = strconv.AppendInt(append(out, " la="...), max(0, now-tx.LastAccess()), 10)
	out = strconv.AppendUint(append(out, " cas="...), tx.CAS(), 10)
	out = append(append(out, " fetch="...), exec.YesNo(tx.Fetched())...)
	out = strconv.AppendInt(append(out, " cls="...), int64(store.ClassOf(size)), 10)
	out = strconv.AppendInt(append(out, " size="...), int64(size), 10)
	b.W.B = append(out, '\r', '\n')
	tx.End()
}
