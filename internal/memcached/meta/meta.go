// Package meta is the front end of memcached's meta commands: mg, ms, md, ma, me and
// mn, and of mp and mf, which memcached does not have. It parses keys and flags, lets
// package exec execute the commands, and encodes the replies. Package text, whose lines
// meta commands share, calls it.
//
// get.go has mg and me, meta.go mn and mf, change.go the others. The flags of the
// command at hand are in exec.Batch.Meta.
package meta

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

// parse reads the key and flags of a command other than ms into b.Meta. key is
// the key in bytes, sent the form that replies repeat. After an error it has
// answered and key is nil; every bad flag is answered by fold unless that is empty.
func parse(b *exec.Batch, args []byte, fold string) (sent, key []byte) {
	b.Count(exec.CmdMeta)
	sent, rest := mcproto.Next(args)
	problem := ""
	switch {
	case len(sent) == 0:
		b.Reply(mcproto.ErrFormat)
		return nil, nil
	case len(sent) > mcproto.MaxKey:
		if problem = fold; problem == "" {
			problem = mcproto.ErrFormat
		}
	default:
		problem = b.Meta.Parse(sent, rest, 2)
		if problem != "" && fold != "" && problem != mcproto.ErrOpaque && !b.Meta.Garbled {
			problem = fold
		}
	}
	if problem != "" {
		b.Reply(problem)
		return nil, nil
	}
	return b.Meta.Sent, b.Meta.Key
}

// appendEcho appends the flag tok if the reply repeats it: the opaque, and the
// key with the mark of a base64 one.
func appendEcho(out []byte, m *mcproto.Meta, tok, sent []byte) []byte {
	switch tok[0] {
	case 'O':
		out = append(append(out, ' '), tok...)
	case 'k':
		out = append(append(out, ' ', 'k'), sent...)
		if m.Has('b') {
			out = append(out, ' ', 'b')
		}
	}
	return out
}

// appendEchoes appends all flags that the reply repeats.
func appendEchoes(out []byte, m *mcproto.Meta, sent []byte) []byte {
	for _, tok := range m.Flags[:m.N] {
		out = appendEcho(out, m, tok, sent)
	}
	return out
}

// status appends a reply without a value: its code and the flags it repeats.
func status(b *exec.Batch, code string, sent []byte) {
	b.W.B = append(appendEchoes(append(b.W.B, code...), &b.Meta, sent), '\r', '\n')
}

func appendFlag(out []byte, flag byte, v uint64) []byte {
	return mcproto.AppendUint(append(out, ' ', flag), v)
}

// appendTTL appends the t flag: the seconds left to an item, -1 for no expiry.
func appendTTL(out []byte, expiry, now int64) []byte {
	if expiry == 0 {
		return append(out, " t-1"...)
	}
	return appendFlag(out, 't', uint64(max(0, expiry-now)))
}

// Fence is mf NONCE: the numbers of the last changes, see memcached.Feed. It returns
// false if the server has no feed, for which the command is unknown. memcached has no
// such command.
func Fence(b *exec.Batch, args []byte) bool {
	if b.Feed == nil {
		return false
	}
	b.Count(exec.CmdMeta)
	token, rest := mcproto.Next(args)
	nonce, ok := mcproto.ParseUint(token)
	if !ok || !mcproto.Blank(rest) {
		b.Reply(mcproto.ErrFormat)
		return true
	}
	n := len(b.W.B)
	b.W.B = append(b.Feed.AppendFence(b.W.B, nonce), '\r', '\n')
	b.Spend(len(b.W.B) - n)
	return true
}

// Noop is mn. A client that sees its reply knows that all earlier ones were sent.
func Noop(b *exec.Batch) {
	b.Reply("MN")
	b.Settled = len(b.W.B)
}
