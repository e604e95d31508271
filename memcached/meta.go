package memcached

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

const replyFolded = "CLIENT_ERROR invalid or duplicate flag"

// metaKey reads the key and flags of a meta command other than ms into t.meta.
// key are the bytes that the client means, sent what it is told of them. Where
// something is wrong it answers and returns no key; fold, if not empty, is
// what is answered for any bad flag.
func (t *turn) metaKey(args []byte, fold string) (sent, key []byte) {
	t.count(cmdMeta)
	sent, rest := mcproto.Next(args)
	if len(sent) == 0 {
		t.reply(mcproto.ErrFormat)
		return nil, nil
	}
	if len(sent) > mcproto.MaxKey {
		t.reply(or(fold, mcproto.ErrFormat))
		return nil, nil
	}
	if problem := t.meta.Parse(sent, rest, 2); problem != "" {
		if fold != "" && problem != mcproto.ErrOpaque && !t.meta.Garbled {
			problem = fold
		}
		t.reply(problem)
		return nil, nil
	}
	return t.meta.Sent, t.meta.Key
}

// echo appends the flag tok where it only repeats what the client sent: the
// opaque, and the key with the mark of a base64 one.
func (t *turn) echo(b, tok, sent []byte) []byte {
	switch tok[0] {
	case 'O':
		b = append(append(b, ' '), tok...)
	case 'k':
		b = append(append(b, ' ', 'k'), sent...)
		if t.meta.Has('b') {
			b = append(b, ' ', 'b')
		}
	}
	return b
}

// echoes appends all of the flags that echo knows.
func (t *turn) echoes(b, sent []byte) []byte {
	for _, tok := range t.meta.Flags[:t.meta.N] {
		b = t.echo(b, tok, sent)
	}
	return b
}

func appendFlag(b []byte, flag byte, v uint64) []byte {
	return mcproto.AppendUint(append(b, ' ', flag), v)
}

// appendTTL appends the t flag: seconds left of an item, -1 for no end.
func appendTTL(b []byte, expiry, now int64) []byte {
	if expiry == 0 {
		return append(b, " t-1"...)
	}
	return appendFlag(b, 't', uint64(max(0, expiry-now)))
}

// metaGet is mg: args are the key and flags.
func (t *turn) metaGet(args []byte) {
	sent, key := t.metaKey(args, "")
	if key == nil {
		return
	}
	m := &t.meta
	now := t.srv.clock.Now()
	touch := m.Has('T')
	tx := t.begin(key)
	found, created := tx.Find(), false
	var missed store.Miss
	if !found && m.Has('N') {
		missed = tx.Missed()
		_, err := tx.Put(store.Record{Expiry: expiry(m.Vivify, now), CAS: m.NewCAS, Won: true})
		if err != nil {
			tx.End()
			t.count(storeNoMemory)
			t.reply(replyNoMemory)
			return
		}
		found, created = true, true
	}
	// One that touches counts as a touch where it finds something, and as a
	// get where it does not.
	if !touch || !found {
		t.count(cmdGet)
	}
	if !found {
		why := tx.Missed()
		tx.End()
		t.missed(key, why, false)
		if !m.Has('q') {
			t.w.B = append(t.echoes(append(t.w.B, 'E', 'N'), sent), '\r', '\n')
		}
		return
	}

	value, size := tx.Value(), tx.Size()
	wantValue := m.Has('v') && !(m.Has('C') && m.Compare == tx.CAS())
	won := false
	b := t.w.B
	if wantValue {
		b = mcproto.AppendUint(append(b, "VA "...), uint64(len(value)))
	} else {
		b = append(b, 'H', 'D')
	}
	// Flags take effect in the order they were given: t behind T shows the
	// new time to live, before it the old.
	expires := tx.Expiry()
	if created {
		expires = 0
	}
	for _, tok := range m.Flags[:m.N] {
		switch tok[0] {
		case 'T':
			expires = expiry(m.TTL, now)
		case 'N':
			if created {
				expires, won = expiry(m.Vivify, now), true
			}
		case 'R':
			if !tx.Won() && !created && expires != 0 && expires < expiry(m.Recache, now) {
				won = true
			}
		case 's':
			b = appendFlag(b, 's', uint64(len(value)))
		case 't':
			b = appendTTL(b, expires, now)
		case 'c':
			b = appendFlag(b, 'c', tx.CAS())
		case 'f':
			b = appendFlag(b, 'f', uint64(tx.Flags()))
		case 'l':
			b = appendFlag(b, 'l', uint64(max(0, now-tx.LastAccess())))
		case 'h':
			if tx.Fetched() {
				b = append(b, " h1"...)
			} else {
				b = append(b, " h0"...)
			}
		default:
			b = t.echo(b, tok, sent)
		}
	}
	stale, sentToken := tx.Stale(), tx.Won() && !created
	if sentToken {
		b = append(b, ' ', 'Z')
	}
	if stale {
		b = append(b, ' ', 'X')
		won = won || !sentToken
	}
	if won {
		b = append(b, ' ', 'W')
	}
	t.w.B = append(b, '\r', '\n')
	if wantValue {
		t.appendValue(&tx, value)
		t.w.B = append(t.w.B, '\r', '\n')
	}
	if won && !created {
		tx.SetMarks(stale, true)
	}
	if !m.Has('u') {
		tx.Bump()
	}
	if touch || created && expires != tx.Expiry() {
		tx.SetExpiry(expires)
	}
	tx.End()
	if touch {
		t.count(cmdTouch)
		t.countClass(classTouchHits, size)
	} else {
		t.countClass(classGetHits, size)
	}
	if created {
		t.vivified(key, missed)
	} else {
		t.found(key, size, len(value))
	}
}

// metaDebug is me: what is known of an item, without touching it.
func (t *turn) metaDebug(args []byte) {
	t.count(cmdMeta)
	sent, rest := mcproto.Next(args)
	if len(sent) == 0 || len(sent) > mcproto.MaxKey || t.meta.Parse(sent, rest, 2) != "" && t.meta.Garbled {
		t.reply(mcproto.ErrFormat)
		return
	}
	// Of the flags only b counts, and only in the first place. Alone, which
	// 1.6.45 does not look at, it may belong to a key that is no base64.
	key := sent
	if flag, rest := mcproto.Next(rest); string(flag) == "b" {
		decoded, exact, ok := mcproto.DecodeKey(t.key[:0], sent)
		switch {
		case ok:
			key = decoded
			if !exact {
				sent = mcproto.EncodeKey(nil, key)
			}
		case !mcproto.Blank(rest):
			t.reply(mcproto.ErrFormat)
			return
		}
	}
	tx := t.begin(key)
	if !tx.Find() {
		tx.End()
		t.reply("EN")
		return
	}
	now := t.srv.clock.Now()
	ttl := int64(-1)
	if e := tx.Expiry(); e != 0 {
		ttl = e - now
	}
	size := tx.Size()
	b := append(append(t.w.B, "ME "...), sent...)
	b = strconv.AppendInt(append(b, " exp="...), ttl, 10)
	b = strconv.AppendInt(append(b, " la="...), max(0, now-tx.LastAccess()), 10)
	b = strconv.AppendUint(append(b, " cas="...), tx.CAS(), 10)
	b = append(append(b, " fetch="...), yesNo(tx.Fetched())...)
	b = strconv.AppendInt(append(b, " cls="...), int64(store.ClassOf(size)), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(size), 10)
	t.w.B = append(b, '\r', '\n')
	tx.End()
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
