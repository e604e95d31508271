package meta

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// Set is ms KEY LENGTH FLAGS: args is what follows ms in line, which with its end
// is n bytes of in. The data block follows.
func Set(b *exec.Batch, line, args, in []byte, n int) (used int, step netloop.Step) {
	var u exec.Upload
	parseSet(b, &u, args)
	used, step = b.Receive(&u, line, in, n, finishSet)
	if step == netloop.Next && used > n {
		storeUpload(b, &u, in[n:used])
	}
	return used, step
}

// finishSet executes an ms whose data block has been collected.
func finishSet(b *exec.Batch, line, data []byte) netloop.Step {
	_, args := mcproto.Next(line)
	var u exec.Upload
	parseSet(b, &u, args)
	storeUpload(b, &u, data)
	return netloop.Next
}

// parseSet reads KEY LENGTH FLAGS.
func parseSet(b *exec.Batch, u *exec.Upload, args []byte) {
	u.Meta = true
	b.Count(exec.CmdMeta)
	sent, rest := mcproto.Next(args)
	length, rest := mcproto.Next(rest)
	var ok bool
	if u.N, ok = mcproto.ParseLength(length); !ok {
		u.Fatal, u.Problem = true, mcproto.ErrFormat
		return
	}
	if len(sent) > mcproto.MaxKey {
		u.Problem = mcproto.ErrFormat
		return
	}
	m := &b.Meta
	if u.Problem = m.Parse(sent, rest, 3); u.Problem != "" {
		u.Fatal = m.Garbled
		return
	}
	u.Sent, u.Key = m.Sent, m.Key
	switch m.Mode {
	case 0, 'S':
		u.Mode = exec.Set
	case 'E':
		u.Mode = exec.Add
	case 'A':
		u.Mode = exec.Append
	case 'P':
		u.Mode = exec.Prepend
	case 'R':
		u.Mode = exec.Replace
	default:
		u.Problem = "CLIENT_ERROR invalid mode for ms M token"
		return
	}
	u.Flags, u.Exptime = m.ClientFlags, m.TTL
	u.Checked, u.Compare, u.NewCAS = m.Has('C'), m.Compare, m.NewCAS
	if m.Has('N') && (u.Mode == exec.Append || u.Mode == exec.Prepend) {
		u.Vivify, u.Exptime = true, m.Vivify
	}
	u.Expiry = exec.Expiry(u.Exptime, b.Clock.Now())
	if u.Checked && (u.Mode == exec.Set || u.Mode == exec.Replace) {
		u.Mode, u.Lower = exec.CAS, m.Has('I')
	}
}

// storeUpload executes u, whose flags are in b.Meta. data is its data block with the
// line end.
func storeUpload(b *exec.Batch, u *exec.Upload, data []byte) {
	if b.BadChunk(u, data) {
		return
	}
	b.Kind = exec.KindMetaSet
	m := &b.Meta
	out, cas, n := b.Store(&u.Change, data[:u.N])
	reply := b.W.B
	switch out {
	case exec.Stored:
		if m.Has('q') {
			return
		}
		reply = append(reply, 'H', 'D')
	case exec.NotStored:
		reply = append(reply, 'N', 'S')
	case exec.Exists:
		reply = append(reply, 'E', 'X')
	case exec.NotFound:
		reply = append(reply, 'N', 'F')
	default:
		b.Reply(exec.ReplyNoMemory)
		return
	}
	if out != exec.Stored {
		n = u.N
	}
	for _, tok := range m.Flags[:m.N] {
		switch tok[0] {
		case 'c':
			reply = appendFlag(reply, 'c', cas)
		case 's':
			reply = appendFlag(reply, 's', uint64(n))
		default:
			reply = appendEcho(reply, m, tok, u.Sent)
		}
	}
	b.W.B = append(reply, '\r', '\n')
}
