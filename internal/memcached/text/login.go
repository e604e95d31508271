package text

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// maxToken is the longest "user password", in bytes.
const maxToken = 16384

// logIn handles a command of a client that has not logged in. Its line is
// in[:end], or not complete if end is negative. A login looks like a set whose
// data is "user password".
func logIn(b *exec.Batch, in []byte, end int) (n int, step netloop.Step) {
	if end < 0 {
		if len(in) > mcproto.MaxPending || in[0] == mcproto.MagicRequest {
			b.Count(exec.Malformed)
			return 0, netloop.Close
		}
		return 0, netloop.NeedMore
	}
	n = end + 1
	line := bytes.TrimSuffix(in[:end], []byte("\r"))
	if n < 6 || in[0] == mcproto.MagicRequest {
		b.Count(exec.Malformed)
		return n, netloop.Close
	}
	verb, rest := mcproto.Next(line)
	switch {
	case string(line) == "quit":
		return n, netloop.Close
	case string(verb) != "set" || line[0] == ' ':
		b.Reply("CLIENT_ERROR unauthenticated")
		return n, netloop.Next
	}
	var length []byte
	for range 4 {
		length, rest = mcproto.Next(rest)
	}
	size, ok := mcproto.ParseLength(length)
	switch {
	case len(length) == 0 || !ok && length[0]-'0' > 9:
		b.Reply(mcproto.ErrFormat)
		return n, netloop.Next
	case !ok || size > maxToken:
		b.Reply("CLIENT_ERROR auth token too long")
		return n, netloop.Next
	}
	need := size + 2
	if len(in)-n < need {
		b.Await(line, in[n:], need, token)
		return len(in), netloop.NeedMore
	}
	return n + need, token(b, line, in[n:n+need])
}

// token checks the data of a login.
func token(b *exec.Batch, _, data []byte) netloop.Step {
	if !bytes.HasSuffix(data, []byte("\r\n")) {
		b.Reply("CLIENT_ERROR bad command line termination")
		return netloop.Next
	}
	user, password, ok := bytes.Cut(data[:len(data)-2], []byte(" "))
	switch {
	case !ok:
		b.Reply("CLIENT_ERROR bad authentication token format")
	default:
		b.LogIn(exec.Login{User: user, Password: password}, func(b *exec.Batch, ok bool) {
			if ok {
				b.Reply("STORED")
			} else {
				b.Reply("CLIENT_ERROR authentication failure")
			}
		})
	}
	return netloop.Next
}
