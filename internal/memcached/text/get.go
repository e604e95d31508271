package text

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// retrieval is a get, gets, gat or gats.
type retrieval struct {
	cas    bool
	touch  bool
	expiry int64 // with touch
}

// get answers line, whose tokens from keys on are keys, and which with its end is
// n bytes long. It returns how much of that is done: less than n if replies must
// be sent before it can go on. The rest is then the pending command.
func get(b *exec.Batch, line, keys []byte, n int, r retrieval) (used int) {
	key, more := mcproto.Next(keys)
	if len(key) > 0 && len(key) <= mcproto.MaxKey && len(more) == 0 && !b.Bounded() {
		getKey(b, b.Keys.Of(key), &r) // nearly every get
		b.W.B = append(b.W.B, "END\r\n"...)
		return n
	}
	if mcproto.Blank(keys) {
		b.Reply(mcproto.ErrFormat)
		return n
	}
	if hasLongKey(keys) {
		badKey(b)
		return n
	}
	if b.Bounded() && !b.Reserve(bytes.Count(keys, []byte{' '})) {
		b.Count(exec.RespOOM)
		b.Reply("SERVER_ERROR out of memory writing get response")
		b.Forget()
		return n
	}
	rest := getKeys(b, keys, &r)
	if len(rest) > 0 {
		b.Conn.Pending = &longLine{retrieval: r}
		return len(line) - len(rest)
	}
	b.W.B = append(b.W.B, "END\r\n"...)
	return n
}

// getAndTouch is gat EXPTIME KEY... and gats.
func getAndTouch(b *exec.Batch, line, args []byte, n int, cas bool) (used int) {
	exp, keys := mcproto.Next(args)
	if mcproto.Blank(keys) {
		b.Reply(mcproto.ErrFormat)
		return n
	}
	e, ok := mcproto.ArgInt(exp)
	if !ok {
		b.Reply(badExptime)
		return n
	}
	return get(b, line, keys, n, retrieval{cas: cas, touch: true, expiry: exec.Expiry(e, b.Clock.Now())})
}

// longLine is a retrieval whose line is longer than what has arrived, or than
// what one batch may answer. It is the pending command of its connection.
type longLine struct {
	retrieval
	skip  bool   // the rest of the line is ignored
	reply string // the reply at the end of a line that is ignored
}

// longGet begins a get or gets whose line is long and not complete.
func longGet(b *exec.Batch, in []byte) (n int, step netloop.Step) {
	l := &longLine{}
	switch {
	case bytes.HasPrefix(in, []byte("get ")):
		n = 4
	case bytes.HasPrefix(in, []byte("gets ")):
		l.cas, n = true, 5
	default:
		// With spaces before the verb it is not a command.
		l.skip, l.reply = true, "ERROR"
	}
	b.Conn.Pending = l
	used, step := l.Step(b, in[n:])
	if step == netloop.Next {
		b.Conn.Pending = nil
	}
	return n + used, step
}

// Step implements exec.Pending: in is the rest of the line.
func (l *longLine) Step(b *exec.Batch, in []byte) (used int, step netloop.Step) {
	end := bytes.IndexByte(in, '\n')
	line := in[:max(end, 0)]
	if end > 0 && in[end-1] == '\r' {
		line = in[:end-1]
	}
	if end < 0 {
		// What follows the last space may be the beginning of a key.
		line = in[:bytes.LastIndexByte(in, ' ')+1]
		if len(in)-len(line) > mcproto.MaxKey+1 && !l.skip {
			badKey(b)
			l.skip = true
		}
		if l.skip {
			return len(in), netloop.NeedMore
		}
	}
	if !l.skip {
		if hasLongKey(line) {
			badKey(b)
			l.skip = true
		} else if rest := getKeys(b, line, &l.retrieval); len(rest) > 0 {
			return len(line) - len(rest), netloop.Yield
		}
	}
	switch {
	case end < 0:
		return len(line), netloop.NeedMore
	case !l.skip:
		b.W.B = append(b.W.B, "END\r\n"...)
	case l.reply != "":
		b.Reply(l.reply)
	}
	return end + 1, netloop.Next
}

// Stop implements exec.Pending.
func (l *longLine) Stop(*exec.Engine) {}

// hasLongKey reports whether one of keys is longer than a key may be.
func hasLongKey(keys []byte) bool {
	for len(keys) > mcproto.MaxKey {
		i := bytes.LastIndexByte(keys[:mcproto.MaxKey+1], ' ')
		if i < 0 {
			return true
		}
		keys = keys[i+1:]
	}
	return false
}

// badKey answers a retrieval with a key that is too long. Like memcached 1.6.45,
// it discards the replies of the connection that have not been sent yet, and ends
// the error with an extra line end.
func badKey(b *exec.Batch) {
	if b.W.Len() == len(b.W.B) {
		b.W.B = b.W.B[:b.Settled]
	}
	b.Reply(mcproto.ErrFormat)
	b.W.B = append(b.W.B, '\r', '\n')
}

// getKeys answers keys until there are none left, enough replies are waiting, or
// the work of the batch is used up. It returns the rest.
func getKeys(b *exec.Batch, keys []byte, r *retrieval) (rest []byte) {
	b.Keys.Start(keys)
	for {
		k, rest := b.Keys.Next()
		if k == nil {
			return nil
		}
		getKey(b, k, r)
		b.Left--
		if len(rest) > 0 && (b.Left <= 0 || b.W.Full()) {
			return rest
		}
	}
}

// getKey appends the VALUE block of a key if there is an item.
func getKey(b *exec.Batch, k *exec.Key, r *retrieval) {
	var tx store.Txn
	if !b.Lookup(&tx, k, r.touch) {
		return
	}
	key, value, flags := k.Key, tx.Value(), tx.Flags()
	out := appendHead(b.W.B, key, flags, len(value))
	if r.cas {
		out = mcproto.AppendUint(append(out, ' '), tx.CAS())
	}
	out = append(out, '\r', '\n')
	if len(value) < exec.PinSize {
		b.W.B = append(append(out, value...), '\r', '\n')
	} else {
		b.W.B = out
		b.AppendValue(&tx, value)
		b.W.B = append(b.W.B, '\r', '\n')
	}
	size := b.ItemSize(len(key), len(value), flags)
	if r.touch {
		b.HitAs(&tx, key, size, len(value), &exec.Access{Touch: true, SetExpiry: true, Expiry: r.expiry})
		return
	}
	b.Hit(&tx, key, size, len(value))
}

// appendHead appends the line of a VALUE block without CAS value and line end.
func appendHead(b, key []byte, flags uint32, n int) []byte {
	b = append(append(b, "VALUE "...), key...)
	if flags == 0 {
		b = append(b, " 0 "...)
	} else {
		b = append(mcproto.AppendUint(append(b, ' '), uint64(flags)), ' ')
	}
	return mcproto.AppendUint(b, uint64(n))
}
