package exec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lintel.dev/internal/memcached/watch"
)

// MaxPrefixes bounds the table of stats detail. Further prefixes are not counted.
const MaxPrefixes = 65536

// detailWork is what counting a prefix takes of Batch.Left: loops wait for each other.
const detailWork = 3

// prefixCounts are the figures of one key prefix.
type prefixCounts struct{ gets, hits, sets, deletes uint64 }

// prefixes is the table of stats detail.
type prefixes struct {
	mu    sync.Mutex // guards table
	table map[string]*prefixCounts
}

// detail calls f with the counts of key's prefix if stats detail is on. A key
// without the delimiter has no prefix.
func (b *Batch) detail(key []byte, f func(*prefixCounts)) {
	if !b.Log.Wants(watch.Detail) {
		return
	}
	b.Left -= detailWork
	cut := bytes.IndexByte(key, b.PrefixDelimiter)
	if cut < 0 {
		return
	}
	p := &b.prefixes
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.table[string(key[:cut])]
	if c == nil {
		if len(p.table) >= MaxPrefixes {
			return
		}
		if p.table == nil {
			p.table = make(map[string]*prefixCounts)
		}
		c = &prefixCounts{}
		p.table[string(key[:cut])] = c
	}
	f(c)
}

// SetDetail turns the counting of prefixes on or off.
func (e *Engine) SetDetail(on bool) { e.Log.SetDetail(on) }

// EachPrefix calls line with the text of each prefix of stats detail, in order, and
// END, until it returns false.
func (j *Job) EachPrefix(line func(text []byte) bool) {
	type row struct {
		name string
		prefixCounts
	}
	p := &j.engine.prefixes
	p.mu.Lock()
	rows := make([]row, 0, len(p.table))
	for name, c := range p.table {
		rows = append(rows, row{name, *c})
	}
	p.mu.Unlock()
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	var b []byte
	for _, r := range rows {
		b = fmt.Appendf(b[:0], "PREFIX %s get %d hit %d set %d del %d\r\n", r.name, r.gets, r.hits, r.sets, r.deletes)
		if !line(b) {
			return
		}
	}
	line([]byte("END\r\n"))
}

func (e *Engine) resetDetail() {
	e.prefixes.mu.Lock()
	e.prefixes.table = nil
	e.prefixes.mu.Unlock()
}
