package meta

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

// Call starts a command of exec.Config.Calls, as VERB KEY FLAGS. The reply to it is
// that of an mg with the flags v, f, c, s, k, O and q.
func Call(b *exec.Batch, start func(*exec.Call), args []byte) {
	sent, key := parse(b, args, "")
	if key == nil {
		return
	}
	// The line is gone when the answer comes.
	m := b.Meta
	for i, tok := range m.Flags[:m.N] {
		m.Flags[i] = bytes.Clone(tok)
	}
	sent = bytes.Clone(sent)
	b.StartCall(start, key, func(b *exec.Batch, _ []byte, r *exec.Result) {
		switch {
		case r.Err != nil:
			b.Reply("SERVER_ERROR " + r.Err.Error())
			return
		case !r.Found:
			if !m.Has('q') {
				b.W.B = append(appendEchoes(append(b.W.B, 'E', 'N'), &m, sent), '\r', '\n')
			}
			return
		}
		out := append(b.W.B, 'H', 'D')
		if m.Has('v') {
			out = mcproto.AppendUint(append(b.W.B, "VA "...), uint64(len(r.Value)))
		}
		for _, tok := range m.Flags[:m.N] {
			switch tok[0] {
			case 'f':
				out = appendFlag(out, 'f', uint64(r.Flags))
			case 'c':
				out = appendFlag(out, 'c', r.CAS)
			case 's':
				out = appendFlag(out, 's', uint64(len(r.Value)))
			default:
				out = appendEcho(out, &m, tok, sent)
			}
		}
		out = append(out, '\r', '\n')
		if m.Has('v') {
			out = append(append(out, r.Value...), '\r', '\n')
		}
		b.W.B = out
	})
}
