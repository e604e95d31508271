package memcached

import (
	"errors"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// mode is how a value is stored.
type mode uint8

const (
	modeSet mode = iota
	modeAdd
	modeReplace
	modeAppend
	modePrepend
	modeCAS
)

var modeNames = [...]string{"set", "add", "replace", "append", "prepend", "cas"}

// outcome is what became of a change.
type outcome uint8

const (
	stored outcome = iota
	notStored
	exists
	notFound
	tooLarge
	noMemory
	nonNumeric
)

var outcomeNames = [...]string{"stored", "not_stored", "exists", "not_found", "too_large", "no_memory", "non_numeric"}

const (
	replyTooLarge = "SERVER_ERROR object too large for cache"
	replyNoMemory = "SERVER_ERROR out of memory storing object"
	replyBadChunk = "CLIENT_ERROR bad data chunk"
)

// change is a storage command of any of the protocols.
type change struct {
	key     []byte
	mode    mode
	flags   uint32
	exptime int64 // as sent
	expiry  int64
	compare uint64 // the CAS value that the item must have, where checked is set
	checked bool
	lower   bool   // a lower compare stores too, but the item is stale then
	newCAS  uint64 // 0 is the next value
	vivify  bool   // append and prepend create what is not there
}

// tooBig reports whether an item of c with n bytes of value may not be stored.
func (t *turn) tooBig(c *change, n int) bool {
	return store.ItemSize(len(c.key), n, c.flags, !t.srv.opts.DisableCAS) > t.srv.opts.MaxItemSize
}

// apply carries out c and returns the new CAS value, 0 unless stored, and the
// length of the value now.
func (t *turn) apply(c *change, value []byte) (out outcome, cas uint64, n int) {
	sent := store.ItemSize(len(c.key), len(value), c.flags, !t.srv.opts.DisableCAS)
	t.countClass(classSets, sent)
	r := store.Record{Flags: c.flags, Expiry: c.expiry, CAS: c.newCAS}
	r.Parts[0] = value

	tx := t.begin(c.key)
	found := tx.Find()
	t.looked(&tx, c.key, found)
	switch c.mode {
	case modeSet:
	case modeAdd:
		if found {
			tx.Warm()
			out = notStored
		}
	case modeReplace:
		if !found {
			out = notStored
		}
	case modeAppend, modePrepend:
		switch {
		case !found && !c.vivify:
			out = notStored
		case !found:
		case c.checked && c.compare != tx.CAS():
			out = exists
		default:
			old := tx.Value()
			r.Flags, r.Expiry = tx.Flags(), tx.Expiry()
			r.Parts = [2][]byte{old, value}
			if c.mode == modePrepend {
				r.Parts = [2][]byte{value, old}
			}
		}
	case modeCAS:
		switch {
		case !found:
			out = notFound
			t.count(casMisses)
		case c.compare == tx.CAS():
			t.countClass(classCASHits, tx.Size())
		case c.lower && c.compare < tx.CAS():
			r.Expiry, r.Stale, r.Won = tx.Expiry(), true, tx.Won()
			t.countClass(classCASHits, tx.Size())
		default:
			out = exists
			t.countClass(classCASBad, tx.Size())
		}
	}
	if out == stored {
		n = len(r.Parts[0]) + len(r.Parts[1])
		var err error
		cas, err = tx.Put(r)
		switch {
		case err == nil:
		case errors.Is(err, store.ErrTooLarge):
			// Only an append or a prepend grows beyond what was looked at
			// before its data came.
			out = notStored
		default:
			out = noMemory
			t.count(storeNoMemory)
			if c.mode == modeSet && found {
				// The old value is not what the client believes is there.
				tx.Delete()
			}
		}
	}
	tx.End()
	if t.srv.noting.Load() != 0 {
		t.srv.noteSet(c.key)
		ttl := c.exptime
		if c.mode == modeAppend || c.mode == modePrepend {
			ttl = 0 // they have none
		}
		size := n
		if out != stored {
			size = len(value)
		}
		t.logStore(c.key, out, modeNames[c.mode], ttl, sent, size)
	}
	return out, cas, n
}

// refuse counts a change whose value is too large, and drops the item it would
// have replaced where drop is set: its value is not what the client believes.
func (t *turn) refuse(c *change, drop bool, n int) {
	t.count(storeTooLarge)
	if drop {
		tx := t.begin(c.key)
		if tx.Find() {
			tx.Delete()
		}
		tx.End()
	}
	if t.srv.noting.Load() != 0 {
		size := store.ItemSize(len(c.key), n, c.flags, !t.srv.opts.DisableCAS)
		t.logStore(c.key, tooLarge, modeNames[c.mode], c.exptime, size, 0)
	}
}

// request is a parsed storage line of the text protocol, without its data.
type request struct {
	change
	n       int // announced length
	quiet   bool
	meta    bool
	sent    []byte // the key of an ms as the client wrote it
	problem string // what is wrong with it, although the length is known
	fatal   bool   // the length is not: problem is the reply, nothing is skipped
}

// storageLine handles a line that announces a data block. With its end the
// line is n bytes of in. It returns how much of in it used.
func (t *turn) storageLine(line, in []byte, n int) (used int) {
	var r request
	t.parseStorage(&r, line)
	switch {
	case r.fatal:
		t.reply(r.problem)
		return n
	case r.problem == "" && t.tooBig(&r.change, r.n):
		t.refuse(&r.change, r.meta || r.mode == modeSet, r.n)
		r.problem = replyTooLarge
	}
	if r.problem != "" {
		if r.quiet && !r.meta {
			r.problem = ""
		}
		t.discard(int64(r.n)+2, r.problem)
		return n
	}
	need := r.n + 2
	if len(in)-n < need {
		t.await(line, in[n:], need)
		return len(in)
	}
	t.finish(&r, in[n:n+need])
	return n + need
}

// storage runs a storage line whose data has been collected.
func (t *turn) storage(line, data []byte) {
	var r request
	t.parseStorage(&r, line)
	t.finish(&r, data)
}

// finish runs r, whose data block with its line end is data.
func (t *turn) finish(r *request, data []byte) {
	if data[r.n] != '\r' || data[r.n+1] != '\n' {
		t.countClass(classSets, store.ItemSize(len(r.key), r.n, r.flags, !t.srv.opts.DisableCAS))
		t.answer(r.quiet && !r.meta, replyBadChunk)
		return
	}
	if r.meta {
		t.kind = kindMetaSet
		t.metaSet(r, data[:r.n])
		return
	}
	t.kind = kindSet
	out, _, _ := t.apply(&r.change, data[:r.n])
	if r.quiet {
		return
	}
	switch out {
	case stored:
		t.w.B = append(t.w.B, "STORED\r\n"...)
	case notStored:
		t.reply("NOT_STORED")
	case exists:
		t.reply("EXISTS")
	case notFound:
		t.reply("NOT_FOUND")
	default:
		t.reply(replyNoMemory)
	}
}

// parseStorage reads a storage line of either text dialect.
func (t *turn) parseStorage(r *request, line []byte) {
	verb, rest := mcproto.Next(line)
	switch verb[0] {
	case 's':
		r.mode = modeSet
	case 'r':
		r.mode = modeReplace
	case 'c':
		r.mode, r.checked = modeCAS, true
	case 'p':
		r.mode = modePrepend
	case 'a':
		r.mode = modeAdd
		if len(verb) > 3 {
			r.mode = modeAppend
		}
	case 'm':
		t.parseMetaSet(r, rest)
		return
	}
	var flags, exp, length []byte
	r.key, rest = mcproto.Next(rest)
	if f, e, n, ok := mcproto.ParseNumbers(rest); ok && r.mode != modeCAS && len(r.key) <= mcproto.MaxKey {
		r.flags, r.exptime, r.n = f, int64(e), int(n)
		r.expiry = expiry(r.exptime, t.srv.clock.Now())
		return
	}
	flags, rest = mcproto.Next(rest)
	exp, rest = mcproto.Next(rest)
	length, rest = mcproto.Next(rest)
	var ok bool
	if r.n, ok = mcproto.ParseLength(length); !ok {
		r.fatal, r.problem = true, mcproto.ErrFormat
		return
	}
	r.quiet = quiet(rest)
	if len(r.key) > mcproto.MaxKey {
		r.problem = mcproto.ErrFormat
		return
	}
	f, ok := mcproto.ParseUint(flags)
	if !ok {
		r.problem = mcproto.ErrFormat
		return
	}
	r.flags = uint32(f) // larger flags lose their upper half, as in memcached
	if r.exptime, ok = mcproto.ParseInt(exp); !ok {
		r.problem = mcproto.ErrFormat
		return
	}
	r.expiry = expiry(r.exptime, t.srv.clock.Now())
	if r.mode == modeCAS {
		unique, _ := mcproto.Next(rest)
		if r.compare, ok = mcproto.ArgUint(unique); !ok {
			r.problem = mcproto.ErrFormat
		}
	}
}
