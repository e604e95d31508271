package exec

import (
	"bytes"
	"fmt"
	"sort"
	"sync"

	"lintel.dev/internal/memcached/watch"
)

// MaxPrefixes bounds the table of stats detail. Further prefixes are not counted.
const MaxPrefixes = 65536

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

// DetailDump returns the reply to stats detail dump, with its END.
func (e *Engine) DetailDump() []byte {
	p := &e.prefixes
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, 0, len(p.table))
	for name := range p.table {
		names = append(names, name)
	}
	sort.Strings(names)
	var b []byte
	for _, name := range names {
		c := p.table[name]
		b = fmt.Appendf(b, "PREFIX %s get %d hit %d set %d del %d\r\n", name, c.gets, c.hits, c.sets, c.deletes)
	}
	return append(b, "END\r\n"...)
}

func (e *Engine) resetDetail() {
	e.prefixes.mu.Lock()
	e.prefixes.table = nil
	e.prefixes.mu.Unlock()
}
