package memcached

import (
	"encoding/binary"
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// maxBody is the largest body of a binary request: no item could be larger.
const maxBody = 1 << 30

// frame handles one binary request.
func (t *turn) frame(in []byte) (n int, ok bool, next netloop.Step) {
	if in[0] != mcproto.MagicRequest {
		t.count(malformed)
		return 0, false, netloop.Close
	}
	if len(in) < mcproto.HeaderLen {
		return 0, false, netloop.NeedMore
	}
	h := mcproto.ParseHeader(in)
	// The extras and the key are looked at together, before the rest of the
	// body has arrived.
	n = mcproto.HeaderLen + h.ExtLen + h.KeyLen
	if h.KeyLen > mcproto.MaxKey {
		// No need to wait for a key that is refused.
		n = min(n, len(in))
	}
	if len(in) < n {
		return 0, false, netloop.NeedMore
	}
	if int64(h.ExtLen+h.KeyLen) > h.BodyLen {
		t.binError(&h, mcproto.StatusUnknownCommand)
		return n, true, netloop.Close
	}
	if h.BodyLen > maxBody {
		t.count(malformed)
		t.binError(&h, mcproto.StatusInvalid)
		return n, true, netloop.Close
	}
	if t.srv.opts.SASL && !t.authed {
		switch h.Op {
		case mcproto.OpSASLList, mcproto.OpSASLAuth, mcproto.OpSASLStep, mcproto.OpVersion:
		default:
			t.binError(&h, mcproto.StatusAuthError)
			return n, true, netloop.Close
		}
	}
	invalid := func() (int, bool, netloop.Step) {
		t.count(malformed)
		t.binError(&h, mcproto.StatusInvalid)
		return n, true, netloop.Close
	}
	if h.KeyLen > mcproto.MaxKey {
		return invalid()
	}
	extras := in[mcproto.HeaderLen : mcproto.HeaderLen+h.ExtLen]
	key := in[mcproto.HeaderLen+h.ExtLen : n]
	if t.srv.traced() {
		t.traceFrame(byte(h.Op), key)
	}
	value := int(h.BodyLen) - h.ExtLen - h.KeyLen
	bare := h.BodyLen == 0
	op, quiet := h.Op.Loud()
	valid := true
	switch op {
	case mcproto.OpGet, mcproto.OpGetK, mcproto.OpDelete:
		valid = h.ExtLen == 0 && h.KeyLen > 0 && value == 0
	case mcproto.OpSet, mcproto.OpAdd, mcproto.OpReplace:
		valid = h.ExtLen == 8 && h.KeyLen > 0
	case mcproto.OpAppend, mcproto.OpPrepend, mcproto.OpSASLAuth, mcproto.OpSASLStep:
		valid = h.ExtLen == 0 && h.KeyLen > 0
	case mcproto.OpIncr, mcproto.OpDecr:
		valid = h.ExtLen == 20 && h.KeyLen > 0 && value == 0
	case mcproto.OpTouch, mcproto.OpGAT, mcproto.OpGATK:
		valid = h.ExtLen == 4 && h.KeyLen > 0 && value == 0
	case mcproto.OpFlush:
		valid = (h.ExtLen == 0 || h.ExtLen == 4) && h.KeyLen == 0 && value == 0
	case mcproto.OpStat:
		valid = h.ExtLen == 0 && value == 0
	case mcproto.OpQuit, mcproto.OpNoop, mcproto.OpVersion, mcproto.OpSASLList:
		valid = bare
	}
	if !valid {
		return invalid()
	}
	switch op {
	case mcproto.OpGet, mcproto.OpGetK:
		t.kind = kindGet
		t.binGet(&h, op, quiet, key, 0)
	case mcproto.OpGAT, mcproto.OpGATK, mcproto.OpTouch:
		t.kind = kindTouch
		t.binGet(&h, op, quiet, key, binary.BigEndian.Uint32(extras))
	case mcproto.OpSet, mcproto.OpAdd, mcproto.OpReplace, mcproto.OpAppend, mcproto.OpPrepend,
		mcproto.OpSASLAuth, mcproto.OpSASLStep:
		return t.binStorage(&h, in, n, value)
	case mcproto.OpDelete:
		t.kind = kindDelete
		t.binDelete(&h, quiet, key)
	case mcproto.OpIncr, mcproto.OpDecr:
		t.kind = kindArith
		t.binArith(&h, op == mcproto.OpIncr, quiet, key, extras)
	case mcproto.OpFlush:
		at := uint32(0)
		if h.ExtLen == 4 {
			at = binary.BigEndian.Uint32(extras)
		}
		if t.srv.opts.DisableFlush {
			t.binError(&h, mcproto.StatusAuthError)
			break
		}
		t.flushAll(int64(at))
		t.binOK(&h, quiet, 0)
	case mcproto.OpStat:
		t.binStat(&h, key)
	case mcproto.OpNoop:
		t.binOK(&h, false, 0)
	case mcproto.OpVersion:
		v := t.srv.opts.Version
		t.w.B = append(mcproto.AppendResponse(t.w.B, &h, mcproto.StatusOK, 0, 0, len(v), 0), v...)
	case mcproto.OpQuit:
		t.binOK(&h, quiet, 0)
		return n, true, netloop.Close
	case mcproto.OpSASLList:
		if !t.srv.opts.SASL {
			t.binError(&h, mcproto.StatusUnknownCommand)
			break
		}
		t.w.B = append(mcproto.AppendResponse(t.w.B, &h, mcproto.StatusOK, 0, 0, len(saslMechs), 0), saslMechs...)
	default:
		// The whole body is skipped, extras and key included.
		t.binError(&h, mcproto.StatusUnknownCommand)
		if value > 0 {
			t.discard(int64(value), "")
		}
	}
	return n, true, netloop.NeedMore
}

// binError appends an error response with its text.
func (t *turn) binError(h *mcproto.Header, status mcproto.Status) {
	text := status.Text()
	t.w.B = append(mcproto.AppendResponse(t.w.B, h, status, 0, 0, len(text), 0), text...)
}

// binOK appends an empty response unless quiet is set.
func (t *turn) binOK(h *mcproto.Header, quiet bool, cas uint64) {
	if !quiet {
		t.w.B = mcproto.AppendResponse(t.w.B, h, mcproto.StatusOK, 0, 0, 0, cas)
	}
}

// binExpiry is the time of an expiration field: 32 bits without a sign.
func (t *turn) binExpiry(exptime uint32) int64 {
	return expiry(int64(exptime), t.srv.clock.Now())
}

// binGet is get, getk, touch, gat and gatk.
func (t *turn) binGet(h *mcproto.Header, op mcproto.Opcode, quiet bool, key []byte, exptime uint32) {
	touch := op == mcproto.OpTouch || op == mcproto.OpGAT || op == mcproto.OpGATK
	withKey := op == mcproto.OpGetK || op == mcproto.OpGATK
	if !touch {
		t.count(cmdGet)
	}
	tx := t.srv.store.Begin(key)
	if !tx.Find() {
		why := tx.Missed()
		tx.End()
		t.missed(key, why, touch)
		switch {
		case quiet:
		case withKey:
			t.w.B = mcproto.AppendResponse(t.w.B, h, mcproto.StatusNotFound, 0, len(key), len(key), 0)
			t.w.B = append(t.w.B, key...)
		default:
			t.binError(h, mcproto.StatusNotFound)
		}
		return
	}
	value, size := tx.Value(), tx.Size()
	keyLen, body := 0, 4
	if withKey {
		keyLen = len(key)
		body += keyLen
	}
	if op != mcproto.OpTouch {
		body += len(value)
	}
	b := mcproto.AppendResponse(t.w.B, h, mcproto.StatusOK, 4, keyLen, body, tx.CAS())
	b = binary.BigEndian.AppendUint32(b, tx.Flags())
	if withKey {
		b = append(b, key...)
	}
	t.w.B = b
	if op != mcproto.OpTouch {
		t.appendValue(&tx, value)
	}
	tx.Bump()
	if touch {
		tx.SetExpiry(t.binExpiry(exptime))
	}
	tx.End()
	if touch {
		t.count(cmdTouch)
		t.countClass(classTouchHits, size)
	} else {
		t.countClass(classGetHits, size)
	}
	t.found(key, size, len(value))
}

// binDelete is delete, with the CAS value the item must have if that is not 0.
func (t *turn) binDelete(h *mcproto.Header, quiet bool, key []byte) {
	tx := t.srv.store.Begin(key)
	found := tx.Find()
	t.looked(&tx, key, found)
	if !found {
		t.deleteNothing(&tx, key)
		t.binError(h, mcproto.StatusNotFound)
		return
	}
	if h.CAS != 0 && h.CAS != tx.CAS() {
		tx.End()
		t.binError(h, mcproto.StatusExists)
		return
	}
	t.deleteFound(&tx, key)
	t.binOK(h, quiet, 0)
}

// noCreate is the expiration of a binary incr or decr that must not create
// the counter.
const noCreate = 0xffffffff

// binArith is incr and decr: extras are delta, initial value and expiration.
func (t *turn) binArith(h *mcproto.Header, incr, quiet bool, key, extras []byte) {
	delta := binary.BigEndian.Uint64(extras)
	initial := binary.BigEndian.Uint64(extras[8:])
	exptime := binary.BigEndian.Uint32(extras[16:])
	tx := t.srv.store.Begin(key)
	v, out := t.arith(&tx, key, incr, delta, h.CAS, 0)
	var cas uint64
	switch {
	case out == stored:
		cas = tx.CAS()
	case out == notFound && exptime != noCreate:
		v, out = initial, stored
		var digits [20]byte
		var err error
		cas, err = tx.Put(store.Record{
			Expiry: t.binExpiry(exptime),
			Parts:  [2][]byte{strconv.AppendUint(digits[:0], v, 10)},
		})
		if err != nil {
			out = noMemory
		}
	}
	tx.End()
	switch out {
	case stored:
		if !quiet {
			b := mcproto.AppendResponse(t.w.B, h, mcproto.StatusOK, 0, 0, 8, cas)
			t.w.B = binary.BigEndian.AppendUint64(b, v)
		}
	case notFound:
		t.countArithMiss(incr)
		t.binError(h, mcproto.StatusNotFound)
	case exists:
		t.binError(h, mcproto.StatusExists)
	case nonNumeric:
		t.binError(h, mcproto.StatusNonNumeric)
	default:
		t.binError(h, mcproto.StatusNoMemory)
	}
}

// binStorage handles a request with a value behind its key: head bytes of in
// are header, extras and key, n is the length of the value.
func (t *turn) binStorage(h *mcproto.Header, in []byte, head, n int) (used int, ok bool, next netloop.Step) {
	if h.Op == mcproto.OpSASLAuth || h.Op == mcproto.OpSASLStep {
		switch {
		case !t.srv.opts.SASL:
			t.binError(h, mcproto.StatusUnknownCommand)
		case n > maxAuthSecret || h.KeyLen > maxMechanism:
			t.binError(h, mcproto.StatusInvalid)
		default:
			return t.binAwait(in, head, n)
		}
		if n > 0 {
			t.discard(int64(n), "")
		}
		return head, true, netloop.NeedMore
	}
	c := t.binChange(h, in)
	if t.tooBig(&c, n) {
		t.refuse(&c, c.mode == modeSet || c.mode == modeCAS && isSet(h.Op), n)
		t.binError(h, mcproto.StatusTooLarge)
		if n > 0 {
			t.discard(int64(n), "")
		}
		return head, true, netloop.NeedMore
	}
	return t.binAwait(in, head, n)
}

// binAwait runs the request if all of its value is there, else takes it over.
func (t *turn) binAwait(in []byte, head, n int) (used int, ok bool, next netloop.Step) {
	if len(in)-head < n {
		t.await(in[:head], in[head:], n)
		return len(in), true, netloop.NeedMore
	}
	return head + n, true, t.stored(in[:head], in[head:head+n])
}

func isSet(op mcproto.Opcode) bool { return op == mcproto.OpSet || op == mcproto.OpSetQ }

// binChange is the change that a storage request, of which header, extras and
// key are in head, asks for.
func (t *turn) binChange(h *mcproto.Header, head []byte) (c change) {
	ext := head[mcproto.HeaderLen : mcproto.HeaderLen+h.ExtLen]
	c.key = head[mcproto.HeaderLen+h.ExtLen:][:h.KeyLen]
	op, _ := h.Op.Loud()
	switch op {
	case mcproto.OpAdd:
		c.mode = modeAdd
	case mcproto.OpReplace:
		c.mode = modeReplace
	case mcproto.OpAppend:
		c.mode = modeAppend
	case mcproto.OpPrepend:
		c.mode = modePrepend
	}
	c.checked, c.compare = h.CAS != 0, h.CAS
	if h.ExtLen == 8 {
		c.flags = binary.BigEndian.Uint32(ext)
		exptime := binary.BigEndian.Uint32(ext[4:])
		c.exptime, c.expiry = int64(exptime), t.binExpiry(exptime)
		if c.checked {
			c.mode = modeCAS
		}
	}
	return c
}

// stored runs a request with a value: head is its header, extras and key.
func (t *turn) stored(head, value []byte) netloop.Step {
	h := mcproto.ParseHeader(head)
	if h.Op == mcproto.OpSASLAuth || h.Op == mcproto.OpSASLStep {
		return t.binSASL(&h, head[mcproto.HeaderLen:], value)
	}
	t.kind = kindSet
	c := t.binChange(&h, head)
	op, quiet := h.Op.Loud()
	out, cas, _ := t.apply(&c, value)
	switch out {
	case stored:
		t.binOK(&h, quiet, cas)
	case exists:
		t.binError(&h, mcproto.StatusExists)
	case notFound:
		t.binError(&h, mcproto.StatusNotFound)
	case noMemory:
		t.binError(&h, mcproto.StatusNoMemory)
	default:
		switch op {
		case mcproto.OpAdd:
			t.binError(&h, mcproto.StatusExists)
		case mcproto.OpReplace:
			t.binError(&h, mcproto.StatusNotFound)
		default:
			t.binError(&h, mcproto.StatusNotStored)
		}
	}
	return netloop.NeedMore
}

// binStat is stat: every figure is a response of its own, an empty one ends
// them.
func (t *turn) binStat(h *mcproto.Header, sub []byte) {
	head := *h
	stat := func(t *turn, name, value string) {
		b := mcproto.AppendResponse(t.w.B, &head, mcproto.StatusOK, 0, len(name), len(name)+len(value), 0)
		t.w.B = append(append(b, name...), value...)
	}
	end := func(t *turn) { t.binOK(&head, false, 0) }
	if string(sub) == "sizes" {
		t.sizes(stat, end)
		return
	}
	list, status := t.statList(string(sub))
	if status != mcproto.StatusOK {
		t.binError(h, status)
		return
	}
	for _, st := range list {
		stat(t, st.Name, st.Value)
	}
	end(t)
}

// statList is what the binary stat answers for sub.
func (t *turn) statList(sub string) ([]Stat, mcproto.Status) {
	s := t.srv
	has := func(word string) bool { return len(sub) >= len(word) && sub[:len(word)] == word }
	switch {
	case sub == "":
		return s.generalStats(), mcproto.StatusOK
	case has("reset"):
		s.resetStats()
		return nil, mcproto.StatusOK
	case has("settings"):
		return s.settingsStats(), mcproto.StatusOK
	case has("detail dump"):
		return []Stat{{"detailed", string(s.detailDump())}}, mcproto.StatusOK
	case has("detail on"):
		s.setDetail(true)
		return nil, mcproto.StatusOK
	case has("detail off"):
		s.setDetail(false)
		return nil, mcproto.StatusOK
	}
	if list, ok := s.namedStats(sub); ok {
		return list, mcproto.StatusOK
	}
	return nil, mcproto.StatusNotFound
}
