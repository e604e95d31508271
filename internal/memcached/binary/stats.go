package binary

import (
	"strings"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

// stat is stat. Every line is a response of its own, an empty one ends them.
func (r *request) stat(b *exec.Batch) {
	b.Publish() // earlier commands of this batch count
	head := r.Header
	one := func(out []byte, name, value string) []byte {
		out = mcproto.AppendResponse(out, &head, mcproto.StatusOK, 0, len(name), len(name)+len(value), 0)
		return append(append(out, name...), value...)
	}
	end := func(out []byte) []byte {
		return mcproto.AppendResponse(out, &head, mcproto.StatusOK, 0, 0, 0, 0)
	}
	sub, started := string(r.key), true
	switch {
	case sub == "sizes":
		started = b.ScanSizes(one, end)
	case strings.HasPrefix(sub, "detail dump"):
		started = b.StartJob(&exec.Job{Run: func(j *exec.Job) {
			var text []byte
			j.EachPrefix(func(line []byte) bool {
				text = append(text, line...)
				return true
			})
			j.Emit(end(one(nil, "detailed", string(text))))
		}})
	default:
		list, ok := stats(b, sub)
		if !ok {
			r.fail(b, mcproto.StatusNotFound)
			return
		}
		for _, st := range list {
			b.W.B = one(b.W.B, st.Name, st.Value)
		}
		b.W.B = end(b.W.B)
	}
	if !started { // over UDP
		r.fail(b, mcproto.StatusUnknownCommand)
	}
}

// stats returns the lines of the statistics sub and executes its subcommands. As
// in memcached, these may be followed by anything.
func stats(b *exec.Batch, sub string) (list []exec.Stat, ok bool) {
	switch {
	case sub == "":
		return b.GeneralStats(), true
	case strings.HasPrefix(sub, "reset"):
		b.ResetStats()
		return nil, true
	case strings.HasPrefix(sub, "settings"):
		return b.SettingsStats(), true
	case strings.HasPrefix(sub, "detail on"):
		b.SetDetail(true)
		return nil, true
	case strings.HasPrefix(sub, "detail off"):
		b.SetDetail(false)
		return nil, true
	}
	return b.NamedStats(sub)
}
