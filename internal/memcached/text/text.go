// Package text is the front end of memcached's classic text protocol. It parses
// command lines, lets package exec execute them, and encodes the replies. The
// meta commands, which share its lines, are in package meta.
//
// [Command] is the entry. text.go has the table of commands; get.go, storage.go,
// change.go, admin.go, stats.go, dump.go and login.go each have one family.
// Replies are those of memcached 1.6.45, byte for byte.
//
// The package has no state: what outlives a call is in exec.Conn.
package text

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/meta"
	"lintel.dev/internal/memcached/netloop"
)

// Command handles the command that in begins with. n is how much of in it
// consumed. The step is NeedMore if the command is not complete.
func Command(b *exec.Batch, in []byte) (n int, step netloop.Step) {
	end := bytes.IndexByte(in, '\n')
	if b.AuthText() && !b.Conn.Authed {
		return logIn(b, in, end)
	}
	if end < 0 {
		switch {
		case len(in) <= mcproto.MaxPending:
			return 0, netloop.NeedMore
		case mcproto.IsRetrieval(in):
			return longGet(b, in)
		}
		return violation(b, 0)
	}
	n = end + 1
	line := in[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if n < 4 {
		b.Reply(mcproto.ErrFormat)
		return n, netloop.Next
	}
	verb, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		verb, rest = line[:i], line[i+1:]
	}
	if b.Traced() {
		b.Trace('<', line)
	}
	if b.Log.Any() {
		b.Log.Raw(b.Conn.Net.ID(), line)
	}
	return dispatch(b, verb, rest, line, in, n)
}

// dispatch executes one complete line, which with its end is n bytes of in.
func dispatch(b *exec.Batch, verb, rest, line, in []byte, n int) (used int, step netloop.Step) {
	switch string(verb) {
	case "get", "gets":
		b.Kind = exec.KindGet
		return get(b, line, rest, n, retrieval{cas: len(verb) == 4}), netloop.Next
	case "mg":
		b.Kind = exec.KindMetaGet
		meta.Get(b, rest)
	case "set", "add", "replace", "append", "prepend", "cas":
		return upload(b, line, in, n)
	case "ms":
		return meta.Set(b, line, rest, in, n)
	case "md":
		b.Kind = exec.KindMetaDelete
		meta.Delete(b, rest)
	case "ma":
		b.Kind = exec.KindMetaArith
		meta.Arith(b, rest)
	case "mn":
		meta.Noop(b)
	case "mp":
		meta.FlushPrefix(b, rest)
	case "mf":
		if !meta.Fence(b, rest) {
			return other(b, verb, rest, line, n)
		}
	case "me":
		meta.Debug(b, rest)
	case "gat", "gats":
		b.Kind = exec.KindGet
		return getAndTouch(b, line, rest, n, len(verb) == 4), netloop.Next
	case "delete":
		b.Kind = exec.KindDelete
		deleteKey(b, rest)
	case "incr", "decr":
		b.Kind = exec.KindArith
		incrDecr(b, rest, verb[0] == 'i')
	case "touch":
		b.Kind = exec.KindTouch
		touch(b, rest)
	case "quit":
		return n, netloop.Close
	case "version":
		b.W.B = append(b.W.B, "VERSION "...)
		b.Reply(b.Version)
	case "watch":
		if watchLog(b, rest) {
			return n, netloop.Stream
		}
	case "shutdown":
		if shutdown(b, rest) {
			return n, netloop.Close
		}
	default:
		return other(b, verb, rest, line, n)
	}
	return n, netloop.Next
}

// other handles commands that are not about one item, and unknown ones.
func other(b *exec.Batch, verb, rest, line []byte, n int) (used int, step netloop.Step) {
	switch {
	case call(b, string(verb), rest), admin(b, string(verb), rest):
	case bytes.HasPrefix(mcproto.Last(line), []byte("HTTP/")):
		// A web page made a browser connect to the cache. The body of its
		// request must not be executed.
		return violation(b, n)
	default:
		b.Answer(quiet(rest), "ERROR")
	}
	return n, netloop.Next
}

// violation closes the connection of a client that does not speak the protocol.
func violation(b *exec.Batch, n int) (used int, step netloop.Step) {
	b.Count(exec.Malformed)
	b.Conn.Fault = true
	return n, netloop.Close
}

// call starts a command of Config.Calls, as VERB KEY. It returns false if there
// is none of that name. A two-letter verb that begins with m is a meta command.
func call(b *exec.Batch, verb string, args []byte) bool {
	start := b.Calls[verb]
	switch {
	case start == nil:
		return false
	case len(verb) == 2 && verb[0] == 'm':
		meta.Call(b, start, args)
		return true
	}
	key, _ := mcproto.Next(args)
	if len(key) == 0 || len(key) > mcproto.MaxKey {
		b.Reply(mcproto.ErrFormat)
		return true
	}
	b.StartCall(start, key, func(b *exec.Batch, key []byte, r *exec.Result) {
		switch {
		case r.Err != nil:
			b.Reply("SERVER_ERROR " + r.Err.Error())
			return
		case r.Found:
			b.W.B = appendHead(b.W.B, key, r.Flags, len(r.Value))
			b.W.B = append(append(b.W.B, '\r', '\n'), r.Value...)
			b.W.B = append(b.W.B, '\r', '\n')
		}
		b.Reply("END")
	})
	return true
}

// quiet reports whether the last token of args is noreply.
func quiet(args []byte) bool {
	n := len(args)
	return n > 0 && (args[n-1] == 'y' || args[n-1] == ' ') && string(mcproto.Last(args)) == "noreply"
}
