package memcached

import (
	"bytes"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// retrieve is a get, gets, gat or gats. It is kept in the session only while
// its line is longer than what has arrived, or than what may be answered in
// one turn.
type retrieve struct {
	cas    bool
	touch  bool
	expiry int64  // with touch
	skip   bool   // the rest of the line means nothing
	after  string // what to answer at the end of a line that is skipped
}

// getLine answers line, whose tokens from keys on are keys, and which with its
// end is n bytes long. It returns how much of that is done with: less than n
// when replies must go out before it can go on.
func (t *turn) getLine(line, keys []byte, n int, r retrieve) (used int) {
	if mcproto.Blank(keys) {
		t.reply(mcproto.ErrFormat)
		return n
	}
	if longKey(keys) {
		t.badKey()
		return n
	}
	if t.srv.replies > 0 && t.crowded(bytes.Count(keys, []byte{' '})) {
		t.reply("SERVER_ERROR out of memory writing get response")
		t.replies = 0
		return n
	}
	rest := t.fetch(keys, &r)
	if len(rest) > 0 {
		t.keys = &retrieve{cas: r.cas, touch: r.touch, expiry: r.expiry}
		return len(line) - len(rest)
	}
	t.w.B = append(t.w.B, "END\r\n"...)
	return n
}

// longLine begins a get or gets whose line is long and has no end yet.
func (t *turn) longLine(in []byte) (used int) {
	switch {
	case bytes.HasPrefix(in, []byte("get ")):
		t.keys, used = &retrieve{}, 4
	case bytes.HasPrefix(in, []byte("gets ")):
		t.keys, used = &retrieve{cas: true}, 5
	default:
		// Spaces before the word make it no command.
		t.keys = &retrieve{skip: true, after: "ERROR"}
	}
	n, _ := t.moreKeys(in[used:])
	return used + n
}

// moreKeys goes on with t.keys, of whose line in is what has not been dealt
// with. ok is false when the line needs more than in.
func (t *turn) moreKeys(in []byte) (used int, ok bool) {
	r := t.keys
	end := bytes.IndexByte(in, '\n')
	line := in[:max(end, 0)]
	if end > 0 && in[end-1] == '\r' {
		line = in[:end-1]
	}
	if end < 0 {
		// What stands behind the last space may be half a key.
		line = in[:bytes.LastIndexByte(in, ' ')+1]
		if len(in)-len(line) > mcproto.MaxKey+1 && !r.skip {
			t.badKey()
			r.skip = true
		}
		if r.skip {
			return len(in), false
		}
	}
	if !r.skip {
		if longKey(line) {
			t.badKey()
			r.skip = true
		} else if rest := t.fetch(line, r); len(rest) > 0 {
			return len(line) - len(rest), true
		}
	}
	if end < 0 {
		return len(line), false
	}
	t.keys = nil
	switch {
	case !r.skip:
		t.w.B = append(t.w.B, "END\r\n"...)
	case r.after != "":
		t.reply(r.after)
	}
	return end + 1, true
}

// longKey reports whether one of keys is longer than a key may be.
func longKey(keys []byte) bool {
	for len(keys) > mcproto.MaxKey {
		i := bytes.LastIndexByte(keys[:mcproto.MaxKey+1], ' ')
		if i < 0 {
			return true
		}
		keys = keys[i+1:]
	}
	return false
}

// badKey answers a retrieval with an overlong key. memcached 1.6.45 throws
// away every reply of the connection that is not on its way yet, and ends the
// error with an extra line end; its clients have learned to live with both.
func (t *turn) badKey() {
	if t.w.Len() == len(t.w.B) {
		t.w.B = t.w.B[:t.settled]
	}
	t.reply(mcproto.ErrFormat)
	t.w.B = append(t.w.B, '\r', '\n')
}

// lookahead is how many keys of a line are looked for ahead of the one that is
// answered, so that the waits for memory of one are also those of the others.
// More take longer: they are more than a processor waits for at once.
const lookahead = 8

// expected is how many of these have been found in the index, so that their
// items are on their way.
const expected = 4

// wanted is a key of a retrieval.
type wanted struct {
	store.Ahead
	rest []byte // what follows the key
}

// fetch answers keys until there are none left or enough replies are waiting,
// and returns what it did not get to.
func (t *turn) fetch(keys []byte, r *retrieve) (rest []byte) {
	if key, more := mcproto.Next(keys); len(key) > 0 && mcproto.Blank(more) {
		t.fetchOne(t.ahead(key), r)
		t.fetched(1, r)
		return nil
	}
	// The keys that have been read, found in the index and answered so far.
	var read, found, done uint
	for {
		if len(keys) > 0 {
			var key []byte
			if key, keys = mcproto.Next(keys); len(key) > 0 {
				w := &t.wanted[read%lookahead]
				w.rest = keys
				t.srv.store.Ahead(&w.Ahead, key)
				read++
			}
		}
		last := len(keys) == 0
		if found < read && (last || read-found > lookahead-1-expected) {
			t.srv.store.Expect(&t.wanted[found%lookahead].Ahead)
			found++
		}
		switch {
		case done < found && (last || found-done >= expected):
			w := &t.wanted[done%lookahead]
			t.fetchOne(&w.Ahead, r)
			done++
			if len(w.rest) > 0 && t.w.Full() {
				t.fetched(done, r)
				return w.rest
			}
		case last && done == read:
			t.fetched(done, r)
			return nil
		}
	}
}

// fetched counts n keys that were asked for.
func (t *turn) fetched(n uint, r *retrieve) {
	if !r.touch && n > 0 {
		t.count(cmdGet)
		t.n[cmdGet] += uint32(n - 1)
	}
}

// fetchOne appends the VALUE block of a key if there is one.
func (t *turn) fetchOne(a *store.Ahead, r *retrieve) {
	key := a.Key
	var tx store.Txn
	t.srv.store.BeginIn(&tx, a)
	if !tx.Find() {
		why := tx.Missed()
		tx.End()
		t.missed(key, why, r.touch)
		return
	}
	value, flags := tx.Value(), tx.Flags()
	size := store.ItemSize(len(key), len(value), flags, !t.srv.opts.DisableCAS)
	b := append(append(t.w.B, "VALUE "...), key...)
	if flags == 0 {
		b = append(b, " 0 "...)
	} else {
		b = append(mcproto.AppendUint(append(b, ' '), uint64(flags)), ' ')
	}
	b = mcproto.AppendUint(b, uint64(len(value)))
	if r.cas {
		b = mcproto.AppendUint(append(b, ' '), tx.CAS())
	}
	b = append(b, '\r', '\n')
	if len(value) < pinFrom {
		t.w.B = append(append(b, value...), '\r', '\n')
	} else {
		t.w.B = b
		t.w.Ref(tx.Pin())
		t.w.B = append(t.w.B, '\r', '\n')
	}
	tx.Bump()
	if r.touch {
		tx.SetExpiry(r.expiry)
	}
	tx.End()
	if r.touch {
		t.count(cmdTouch)
		t.countClass(classTouchHits, size)
	} else {
		t.countClass(classGetHits, size)
	}
	if t.srv.noting.Load() != 0 {
		t.found(key, size, len(value))
	}
}

// appendValue sends the value of tx, a large one without copying it.
func (t *turn) appendValue(tx *store.Txn, value []byte) {
	if len(value) < pinFrom {
		t.w.B = append(t.w.B, value...)
		return
	}
	t.w.Ref(tx.Pin())
}

// missed counts and reports a retrieval that found nothing.
func (t *turn) missed(key []byte, why store.Miss, touch bool) {
	if touch {
		t.count(cmdTouch)
		t.count(touchMisses)
	} else {
		t.count(getMisses)
	}
	switch why {
	case store.Expired:
		t.count(getExpired)
	case store.Flushed:
		t.count(getFlushed)
	}
	if t.srv.noting.Load() != 0 {
		t.srv.noteGet(key, false)
		t.logGet(key, missNames[why], 0, 0)
	}
}

// found reports a retrieval that found an item of size bytes with a value of n.
func (t *turn) found(key []byte, size, n int) {
	if t.srv.noting.Load() != 0 {
		t.srv.noteGet(key, true)
		t.logGet(key, "found", size, n)
	}
}

// vivified reports a retrieval that found nothing and left an empty item.
func (t *turn) vivified(key []byte, why store.Miss) {
	if t.srv.noting.Load() != 0 {
		t.srv.noteGet(key, false)
		t.logGet(key, missNames[why], 0, 0)
	}
}

// looked reports that a command which changes an item has looked for it, which
// memcached's fetchers stream shows as a fetch. found is what tx.Find returned.
func (t *turn) looked(tx *store.Txn, key []byte, found bool) {
	switch {
	case t.srv.noting.Load()&watchFetchers == 0:
	case found:
		t.logGet(key, "found", tx.Size(), len(tx.Value()))
	default:
		t.logGet(key, missNames[tx.Missed()], 0, 0)
	}
}

var missNames = [...]string{store.Absent: "not_found", store.Expired: "expired", store.Flushed: "flushed"}
