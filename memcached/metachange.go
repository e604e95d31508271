package memcached

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// parseMetaSet reads what follows ms into r.
func (t *turn) parseMetaSet(r *request, args []byte) {
	r.meta = true
	t.count(cmdMeta)
	sent, rest := mcproto.Next(args)
	length, rest := mcproto.Next(rest)
	var ok bool
	if r.n, ok = mcproto.ParseLength(length); !ok {
		r.fatal, r.problem = true, mcproto.ErrFormat
		return
	}
	if len(sent) > mcproto.MaxKey {
		r.problem = mcproto.ErrFormat
		return
	}
	m := &t.meta
	if r.problem = m.Parse(sent, rest, 3); r.problem != "" {
		r.fatal = m.Garbled
		return
	}
	r.sent, r.key = m.Sent, m.Key
	switch m.Mode {
	case 0, 'S':
		r.mode = modeSet
	case 'E':
		r.mode = modeAdd
	case 'A':
		r.mode = modeAppend
	case 'P':
		r.mode = modePrepend
	case 'R':
		r.mode = modeReplace
	default:
		r.problem = "CLIENT_ERROR invalid mode for ms M token"
		return
	}
	r.flags, r.exptime = m.ClientFlags, m.TTL
	r.checked, r.compare, r.newCAS = m.Has('C'), m.Compare, m.NewCAS
	if m.Has('N') && (r.mode == modeAppend || r.mode == modePrepend) {
		r.vivify, r.exptime = true, m.Vivify
	}
	r.expiry = expiry(r.exptime, t.srv.clock.Now())
	if r.checked && (r.mode == modeSet || r.mode == modeReplace) {
		r.mode, r.lower = modeCAS, m.Has('I')
	}
}

// metaSet is ms, with its flags in t.meta and in r, and its data in value.
func (t *turn) metaSet(r *request, value []byte) {
	m := &t.meta
	out, cas, n := t.apply(&r.change, value)
	b := t.w.B
	switch out {
	case stored:
		if m.Has('q') {
			return
		}
		b = append(b, 'H', 'D')
	case notStored:
		b = append(b, 'N', 'S')
	case exists:
		b = append(b, 'E', 'X')
	case notFound:
		b = append(b, 'N', 'F')
	default:
		t.reply(replyNoMemory)
		return
	}
	if out != stored {
		n = len(value)
	}
	for _, tok := range m.Flags[:m.N] {
		switch tok[0] {
		case 'c':
			b = appendFlag(b, 'c', cas)
		case 's':
			b = appendFlag(b, 's', uint64(n))
		default:
			b = t.echo(b, tok, r.sent)
		}
	}
	t.w.B = append(b, '\r', '\n')
}

// metaDelete is md: args are the key and flags.
func (t *turn) metaDelete(args []byte) {
	sent, key := t.metaKey(args, "")
	if key == nil {
		return
	}
	m := &t.meta
	now := t.srv.clock.Now()
	done := func(status string) {
		if status == "HD" && m.Has('q') {
			return
		}
		t.w.B = append(t.echoes(append(t.w.B, status...), sent), '\r', '\n')
	}
	tx := t.begin(key)
	found := tx.Find()
	t.looked(&tx, key, found)
	if !found {
		tx.End()
		t.count(deleteMisses)
		done("NF")
		return
	}
	if m.Has('C') && m.Compare != tx.CAS() {
		tx.End()
		t.count(deleteMisses)
		done("EX")
		return
	}
	size, n := tx.Size(), len(tx.Value())
	switch {
	case m.Has('x'):
		// The item stays, without its value: a tombstone.
		r := store.Record{Flags: m.ClientFlags, CAS: or(m.NewCAS, tx.CAS())}
		if m.Has('T') {
			r.Expiry = expiry(m.TTL, now)
		}
		if m.Has('I') {
			r.Stale, r.CAS = true, m.NewCAS
		}
		if _, err := tx.Put(r); err != nil {
			tx.End()
			t.reply("SERVER_ERROR out of memory")
			return
		}
		if t.srv.noting.Load() != 0 {
			t.logStore(key, stored, modeNames[modeSet], m.TTL, tx.Size(), 0)
		}
		n = 0
	case m.Has('I'):
		if m.Has('T') {
			tx.SetExpiry(expiry(m.TTL, now))
		}
		tx.SetMarks(true, false)
		tx.SetCAS(m.NewCAS)
	default:
		tx.Delete()
	}
	tx.End()
	if !m.Has('I') {
		t.countClass(classDeleteHits, size)
	}
	if t.srv.noting.Load() != 0 {
		t.srv.noteDelete(key)
		if !m.Has('I') {
			t.logDelete(key, "md", size, n)
		}
	}
	done("HD")
}

// metaArith is ma: args are the key and flags.
func (t *turn) metaArith(args []byte) {
	sent, key := t.metaKey(args, replyFolded)
	if key == nil {
		return
	}
	m := &t.meta
	incr := true
	switch m.Mode {
	case 0, 'I', '+':
	case 'D', '-':
		incr = false
	default:
		t.reply("CLIENT_ERROR invalid mode for ma M token")
		return
	}
	now := t.srv.clock.Now()
	tx := t.begin(key)
	v, out := t.arith(&tx, key, incr, m.Delta, m.Compare, m.NewCAS)
	created := false
	if out == notFound && m.Has('N') {
		v = m.Initial
		var digits [20]byte
		_, err := tx.Put(store.Record{
			Expiry: expiry(m.Vivify, now), CAS: m.NewCAS,
			Parts: [2][]byte{strconv.AppendUint(digits[:0], v, 10)},
		})
		out, created = stored, true
		if err != nil {
			out = noMemory
		} else if t.srv.noting.Load() != 0 {
			t.logStore(key, stored, modeNames[modeAdd], m.Vivify, tx.Size(), len(tx.Value()))
		}
	}
	b := t.w.B
	switch out {
	case stored:
	case notFound, exists:
		tx.End()
		status := "EX"
		if out == notFound {
			status = "NF"
			t.countArithMiss(incr)
		}
		t.w.B = append(t.echoes(append(b, status...), sent), '\r', '\n')
		return
	case nonNumeric:
		tx.End()
		t.reply("CLIENT_ERROR cannot increment or decrement non-numeric value")
		return
	default:
		tx.End()
		t.reply("SERVER_ERROR out of memory")
		return
	}
	digits := strconv.AppendUint(t.num[:0], v, 10)
	if m.Has('v') {
		b = strconv.AppendUint(append(b, "VA "...), uint64(len(digits)), 10)
	} else {
		b = append(b, 'H', 'D')
	}
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
				expires = expiry(m.Vivify, now)
			}
		case 't':
			b = appendTTL(b, expires, now)
		case 'c':
			b = appendFlag(b, 'c', tx.CAS())
		default:
			b = t.echo(b, tok, sent)
		}
	}
	b = append(b, '\r', '\n')
	if m.Has('v') {
		b = append(append(b, digits...), '\r', '\n')
	}
	if expires != tx.Expiry() {
		tx.SetExpiry(expires)
	}
	tx.End()
	if !m.Has('q') {
		t.w.B = b
	}
}
