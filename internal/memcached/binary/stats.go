package binary

import (
	"strings"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

// stat is stat. Every line is a response of its own, an empty one ends them.
func (r *request) stat(b *exec.Batch) {
	head := r.Header
	one := func(b *exec.Batch, name, value string) {
		out := mcproto.AppendResponse(b.W.B, &head, mcproto.StatusOK, 0, len(name), len(name)+len(value), 0)
		b.W.B = append(append(out, name...), value...)
	}
	end := func(b *exec.Batch) {
		b.W.B = mcproto.AppendResponse(b.W.B, &head, mcproto.StatusOK, 0, 0, 0, 0)
	}
	sub := string(r.key)
	if sub == "sizes" {
		b.ScanSizes(one, end)
		return
	}
	list, ok := stats(b, sub)
	if !ok {
		r.fail(b, mcproto.StatusNotFound)
		return
	}
	for _, st := range list {
		one(b, st.Name, st.Value)
	}
	end(b)
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
	case strings.HasPrefix(sub, "detail dump"):
		return []exec.Stat{{Name: "detailed", Value: string(b.DetailDump())}}, true
	case strings.HasPrefix(sub, "detail on"):
		b.SetDetail(true)
		return nil, true
	case strings.HasPrefix(sub, "detail off"):
		b.SetDetail(false)
		return nil, true
	}
	return b.NamedStats(sub)
}
