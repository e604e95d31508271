package text

import (
	"strconv"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

const badExptime = "CLIENT_ERROR invalid exptime argument"

// maxDeleteArgs is how many arguments delete takes beside noreply. libmemcached's memccapable
// expects an error for five.
const maxDeleteArgs = 4

// deleteKey is delete KEY [TIME] [noreply]. Like memcached 1.6.45 it ignores the
// time and further arguments.
func deleteKey(b *exec.Batch, args []byte) {
	key, rest := mcproto.Next(args)
	if len(key) == 0 {
		b.Reply(mcproto.ErrFormat)
		return
	}
	n, quiet := 1, quiet(args)
	for arg, rest := mcproto.Next(rest); len(arg) > 0; arg, rest = mcproto.Next(rest) {
		n++
	}
	if quiet {
		n--
	}
	if len(key) > mcproto.MaxKey || n > maxDeleteArgs {
		b.Answer(quiet, mcproto.ErrFormat)
		return
	}
	d := exec.Delete{Key: key}
	if b.Delete(&d) == exec.Stored {
		b.Answer(quiet, "DELETED")
	} else {
		b.Answer(quiet, "NOT_FOUND")
	}
}

// keyAndNumber splits KEY NUMBER [noreply]. If args are something else it has
// answered with an error and ok is false.
func keyAndNumber(b *exec.Batch, args []byte) (key, number []byte, noreply, ok bool) {
	key, rest := mcproto.Next(args)
	number, _ = mcproto.Next(rest)
	if len(key) == 0 || len(number) == 0 {
		b.Reply(mcproto.ErrFormat)
		return nil, nil, false, false
	}
	noreply = quiet(rest)
	if len(key) > mcproto.MaxKey {
		b.Answer(noreply, mcproto.ErrFormat)
		return nil, nil, false, false
	}
	return key, number, noreply, true
}

// touch is touch KEY EXPTIME [noreply].
func touch(b *exec.Batch, args []byte) {
	key, exp, quiet, ok := keyAndNumber(b, args)
	if !ok {
		return
	}
	e, ok := mcproto.ArgInt(exp)
	switch {
	case !ok:
		b.Answer(quiet, badExptime)
	case b.Touch(key, exec.Expiry(e, b.Clock.Now())):
		b.Answer(quiet, "TOUCHED")
	default:
		b.Answer(quiet, "NOT_FOUND")
	}
}

// incrDecr is incr|decr KEY DELTA [noreply].
func incrDecr(b *exec.Batch, args []byte, incr bool) {
	key, delta, quiet, ok := keyAndNumber(b, args)
	if !ok {
		return
	}
	a := exec.Arith{Key: key, Incr: incr}
	if a.Delta, ok = mcproto.ArgUint(delta); !ok {
		b.Answer(quiet, "CLIENT_ERROR invalid numeric delta argument")
		return
	}
	var tx store.Txn
	v, _, out := b.Arith(&tx, &a)
	switch out {
	case exec.Stored:
		tx.End()
		if !quiet {
			b.W.B = append(strconv.AppendUint(b.W.B, v, 10), '\r', '\n')
		}
	case exec.NotFound:
		b.Answer(quiet, "NOT_FOUND")
	case exec.NonNumeric:
		b.Answer(quiet, "CLIENT_ERROR cannot increment or decrement non-numeric value")
	default:
		b.Answer(quiet, "SERVER_ERROR out of memory in incr")
	}
}
