package text

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// upload handles a storage line, which with its end is n bytes of in, and the data
// block behind it.
func upload(b *exec.Batch, line, in []byte, n int) (used int, step netloop.Step) {
	var u exec.Upload
	parseUpload(b, &u, line)
	used, step = b.Receive(&u, line, in, n, finishUpload)
	if step == netloop.Next && used > n {
		storeUpload(b, &u, in[n:used])
	}
	return used, step
}

// finishUpload executes a storage line whose data block has been collected.
func finishUpload(b *exec.Batch, line, data []byte) netloop.Step {
	var u exec.Upload
	parseUpload(b, &u, line)
	storeUpload(b, &u, data)
	return netloop.Next
}

// storeUpload executes u. data is its data block with the line end.
func storeUpload(b *exec.Batch, u *exec.Upload, data []byte) {
	if b.BadChunk(u, data) {
		return
	}
	b.Kind = exec.KindSet
	out, _, _ := b.Store(&u.Change, data[:u.N])
	if u.Quiet {
		return
	}
	switch out {
	case exec.Stored:
		b.W.B = append(b.W.B, "STORED\r\n"...)
	case exec.NotStored:
		b.Reply("NOT_STORED")
	case exec.Exists:
		b.Reply("EXISTS")
	case exec.NotFound:
		b.Reply("NOT_FOUND")
	default:
		b.Reply(exec.ReplyNoMemory)
	}
}

// parseUpload reads VERB KEY FLAGS EXPTIME LENGTH [CAS] [noreply].
func parseUpload(b *exec.Batch, u *exec.Upload, line []byte) {
	verb, rest := mcproto.Next(line)
	switch verb[0] {
	case 's':
		u.Mode = exec.Set
	case 'r':
		u.Mode = exec.Replace
	case 'c':
		u.Mode, u.Checked = exec.CAS, true
	case 'p':
		u.Mode = exec.Prepend
	case 'a':
		u.Mode = exec.Add
		if len(verb) > 3 {
			u.Mode = exec.Append
		}
	}
	u.Key, rest = mcproto.Next(rest)
	now := b.Clock.Now()
	if f, e, n, ok := mcproto.ParseNumbers(rest); ok && u.Mode != exec.CAS && len(u.Key) <= mcproto.MaxKey {
		u.Flags, u.Exptime, u.N = f, int64(e), int(n)
		u.Expiry = exec.Expiry(u.Exptime, now)
		return
	}
	flags, rest := mcproto.Next(rest)
	exp, rest := mcproto.Next(rest)
	length, rest := mcproto.Next(rest)
	var ok bool
	if u.N, ok = mcproto.ParseLength(length); !ok {
		u.Fatal, u.Problem = true, mcproto.ErrFormat
		return
	}
	u.Quiet = quiet(rest)
	if len(u.Key) > mcproto.MaxKey {
		u.Problem = mcproto.ErrFormat
		return
	}
	f, ok := mcproto.ParseUint(flags)
	if !ok {
		u.Problem = mcproto.ErrFormat
		return
	}
	u.Flags = uint32(f) // as in memcached, the upper half of a larger number is lost
	if u.Exptime, ok = mcproto.ParseInt(exp); !ok {
		u.Problem = mcproto.ErrFormat
		return
	}
	u.Expiry = exec.Expiry(u.Exptime, now)
	if u.Mode == exec.CAS {
		unique, _ := mcproto.Next(rest)
		if u.Compare, ok = mcproto.ArgUint(unique); !ok {
			u.Problem = mcproto.ErrFormat
		}
	}
}
