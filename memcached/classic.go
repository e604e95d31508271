package memcached

import (
	"bytes"
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// text dispatches one complete line, which with its end is n bytes of in.
func (t *turn) text(line, in []byte, n int) (used int, ok bool, next netloop.Step) {
	verb, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		verb, rest = line[:i], line[i+1:]
	}
	if t.srv.traced() {
		t.trace('<', line)
	}
	if t.srv.noting.Load()&watchRawCmds != 0 {
		t.logRaw(line)
	}
	switch string(verb) {
	case "get", "gets":
		t.kind = kindGet
		return t.getLine(line, rest, n, retrieve{cas: len(verb) == 4}), true, netloop.NeedMore
	case "mg":
		t.kind = kindMetaGet
		t.metaGet(rest)
	case "set", "add", "replace", "append", "prepend", "cas", "ms":
		return t.storageLine(line, in, n), true, netloop.NeedMore
	case "md":
		t.kind = kindMetaDelete
		t.metaDelete(rest)
	case "ma":
		t.kind = kindMetaArith
		t.metaArith(rest)
	case "mn":
		t.reply("MN")
		t.settled = len(t.w.B)
	case "mp":
		t.metaPrefix(rest)
	case "me":
		t.metaDebug(rest)
	case "gat", "gats":
		t.kind = kindGet
		exp, keys := mcproto.Next(rest)
		if mcproto.Blank(keys) {
			t.reply(mcproto.ErrFormat)
			break
		}
		e, good := mcproto.ArgInt(exp)
		if !good {
			t.reply("CLIENT_ERROR invalid exptime argument")
			break
		}
		r := retrieve{cas: len(verb) == 4, touch: true, expiry: expiry(e, t.srv.clock.Now())}
		return t.getLine(line, keys, n, r), true, netloop.NeedMore
	case "delete":
		t.kind = kindDelete
		t.deleteKey(rest)
	case "incr", "decr":
		t.kind = kindArith
		t.incrDecr(rest, verb[0] == 'i')
	case "touch":
		t.kind = kindTouch
		t.touchKey(rest)
	case "quit":
		return n, true, netloop.Close
	case "version":
		t.w.B = append(t.w.B, "VERSION "...)
		t.reply(t.srv.opts.Version)
	case "watch":
		if t.watch(rest) {
			return n, true, netloop.Stream
		}
	case "shutdown":
		if t.shutdown(rest) {
			return n, true, netloop.Close
		}
	default:
		if !t.admin(string(verb), rest, line) {
			if bytes.HasPrefix(mcproto.Last(line), []byte("HTTP/")) {
				// A browser was talked into speaking to the cache; what it
				// posts must not be taken for commands.
				t.count(malformed)
				t.fault = true
				return n, true, netloop.Close
			}
			t.answer(quiet(rest), "ERROR")
		}
	}
	return n, true, netloop.NeedMore
}

// quiet reports whether the last token of args is noreply.
func quiet(args []byte) bool {
	n := len(args)
	return n > 0 && (args[n-1] == 'y' || args[n-1] == ' ') && string(mcproto.Last(args)) == "noreply"
}

// tooMany reports whether a delete has more behind its key than any client
// ever put there: a time and noreply.
func tooMany(rest []byte) bool {
	for range 2 {
		_, rest = mcproto.Next(rest)
	}
	third, _ := mcproto.Next(rest)
	return len(third) > 0
}

// deleteKey is delete KEY [TIME] [noreply]; the time is ignored.
func (t *turn) deleteKey(args []byte) {
	key, rest := mcproto.Next(args)
	if len(key) == 0 {
		t.reply(mcproto.ErrFormat)
		return
	}
	quiet := quiet(args)
	if len(key) > mcproto.MaxKey || len(rest) > 0 && !quiet && tooMany(rest) {
		t.answer(quiet, mcproto.ErrFormat)
		return
	}
	tx := t.begin(key)
	found := tx.Find()
	t.looked(&tx, key, found)
	if !found {
		t.deleteNothing(&tx, key)
		t.answer(quiet, "NOT_FOUND")
		return
	}
	t.deleteFound(&tx, key)
	t.answer(quiet, "DELETED")
}

// deleteFound ends tx without the item that it has found.
func (t *turn) deleteFound(tx *store.Txn, key []byte) {
	size, n := tx.Size(), len(tx.Value())
	tx.Delete()
	tx.End()
	t.countClass(classDeleteHits, size)
	if t.srv.noting.Load() != 0 {
		t.srv.noteDelete(key)
		t.logDelete(key, "delete", size, n)
	}
}

// deleteNothing ends tx, which has found no item to delete.
func (t *turn) deleteNothing(tx *store.Txn, key []byte) {
	tx.End()
	t.count(deleteMisses)
	if t.srv.noting.Load() != 0 {
		t.srv.noteDelete(key)
	}
}

// keyAndNumber splits KEY NUMBER [noreply]. When that is not what args are, it
// has answered so.
func (t *turn) keyAndNumber(args []byte) (key, number []byte, noreply, ok bool) {
	key, rest := mcproto.Next(args)
	number, _ = mcproto.Next(rest)
	if len(key) == 0 || len(number) == 0 {
		t.reply(mcproto.ErrFormat)
		return nil, nil, false, false
	}
	noreply = quiet(rest)
	if len(key) > mcproto.MaxKey {
		t.answer(noreply, mcproto.ErrFormat)
		return nil, nil, false, false
	}
	return key, number, noreply, true
}

// touchKey is touch KEY EXPTIME [noreply].
func (t *turn) touchKey(args []byte) {
	key, exp, quiet, ok := t.keyAndNumber(args)
	if !ok {
		return
	}
	e, ok := mcproto.ArgInt(exp)
	if !ok {
		t.answer(quiet, "CLIENT_ERROR invalid exptime argument")
		return
	}
	tx := t.begin(key)
	t.count(cmdTouch)
	found := tx.Find()
	t.looked(&tx, key, found)
	if !found {
		tx.End()
		t.count(touchMisses)
		t.answer(quiet, "NOT_FOUND")
		return
	}
	size := tx.Size()
	tx.Bump()
	tx.SetExpiry(expiry(e, t.srv.clock.Now()))
	tx.End()
	t.countClass(classTouchHits, size)
	t.answer(quiet, "TOUCHED")
}

// incrDecr is incr|decr KEY DELTA [noreply].
func (t *turn) incrDecr(args []byte, incr bool) {
	key, delta, quiet, ok := t.keyAndNumber(args)
	if !ok {
		return
	}
	d, ok := mcproto.ArgUint(delta)
	if !ok {
		t.answer(quiet, "CLIENT_ERROR invalid numeric delta argument")
		return
	}
	tx := t.begin(key)
	v, outcome := t.arith(&tx, key, incr, d, 0, 0)
	tx.End()
	switch outcome {
	case stored:
		if !quiet {
			t.reply(string(strconv.AppendUint(t.num[:0], v, 10)))
		}
	case notFound:
		t.countArithMiss(incr)
		t.answer(quiet, "NOT_FOUND")
	case nonNumeric:
		t.answer(quiet, "CLIENT_ERROR cannot increment or decrement non-numeric value")
	default:
		t.answer(quiet, "SERVER_ERROR out of memory in incr")
	}
}
