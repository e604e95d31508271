package memcached

import (
	"bytes"
	"fmt"
	"sort"
	"sync"
)

// maxPrefixes bounds the table of stats detail: a client that makes up
// prefixes cannot make it grow beyond that.
const maxPrefixes = 65536

// prefixCounts are the figures of one key prefix.
type prefixCounts struct{ gets, hits, sets, deletes uint64 }

// prefixes is the table of stats detail.
type prefixes struct {
	mu    sync.Mutex
	table map[string]*prefixCounts
}

// note finds or makes the counts of key's prefix and passes them to f with the
// table locked. A key without the delimiter has no prefix.
func (s *Server) note(key []byte, f func(*prefixCounts)) {
	if s.noting.Load()&noteDetail == 0 {
		return
	}
	cut := bytes.IndexByte(key, s.opts.PrefixDelimiter)
	if cut < 0 {
		return
	}
	p := &s.prefixes
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.table[string(key[:cut])]
	if c == nil {
		if len(p.table) >= maxPrefixes {
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

func (s *Server) noteGet(key []byte, hit bool) {
	s.note(key, func(c *prefixCounts) {
		c.gets++
		if hit {
			c.hits++
		}
	})
}

func (s *Server) noteSet(key []byte) { s.note(key, func(c *prefixCounts) { c.sets++ }) }

func (s *Server) noteDelete(key []byte) {
	s.note(key, func(c *prefixCounts) { c.deletes++ })
}

// setDetail turns the counting of prefixes on or off.
func (s *Server) setDetail(on bool) {
	s.detailOn.Store(on)
	s.watch.mu.Lock()
	s.refreshNoting()
	s.watch.mu.Unlock()
}

// detailDump is the reply to stats detail dump, its END included.
func (s *Server) detailDump() []byte {
	p := &s.prefixes
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

func (s *Server) resetDetail() {
	s.prefixes.mu.Lock()
	s.prefixes.table = nil
	s.prefixes.mu.Unlock()
}
