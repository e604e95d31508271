package memcached

import (
	"time"

	"lintel.dev/internal/memcached/exec"
)

// Stats is a snapshot of a server's figures. Counters count from New or the last
// stats reset.
type Stats struct {
	Uptime      time.Duration
	Items       int64 // in the cache
	Bytes       int64 // of items, with memcached's overhead
	Limit       int64 // Options.MemoryLimit, or what cache_memlimit has set
	Used        int64 // bytes that items and index occupy
	Connections int64 // open
	Accepted    uint64
	Rejected    uint64 // over Options.MaxConns
	Gets        uint64 // keys looked up
	Hits        uint64
	Misses      uint64
	Sets        uint64 // storage commands
	Evictions   uint64
	Expired     uint64 // expired items found by clients or by the crawler
	Panics      uint64
}

// Stats returns the current figures.
func (s *Server) Stats() Stats {
	e := s.engine
	st, l := e.Items.Stats(), s.loopStats()
	return Stats{
		Uptime:      e.Uptime(),
		Items:       st.Items,
		Bytes:       st.Bytes,
		Limit:       e.Limit(),
		Used:        st.Used,
		Connections: l.Open,
		Accepted:    l.Accepted,
		Rejected:    l.Rejected,
		Gets:        e.Gets(),
		Hits:        e.ClassTotal(exec.GetHits),
		Misses:      e.Total(exec.GetMisses),
		Sets:        e.ClassTotal(exec.Sets),
		Evictions:   st.Evictions,
		Expired:     e.Total(exec.GetExpired) + st.CrawlerReclaimed + st.Reclaimed,
		Panics:      s.panics.Load(),
	}
}

// Stat is one line of stats.
type Stat struct{ Name, Value string }

// All returns the lines of stats in memcached's order, for exporters. group is empty,
// or the argument of stats: settings, items or slabs. Other groups have no lines.
func (s *Server) All(group string) []Stat {
	var lines []exec.Stat
	switch group {
	case "":
		lines = s.engine.GeneralStats()
	case "settings":
		lines = s.engine.SettingsStats()
	default:
		lines, _ = s.engine.NamedStats(group)
	}
	all := make([]Stat, len(lines))
	for i, l := range lines {
		all[i] = Stat(l)
	}
	return all
}

// Bounds returns the upper bounds of the buckets of a [Latency], in order: 1 us to
// about 1 s in powers of two.
func Bounds() []time.Duration {
	b := make([]time.Duration, exec.NumBounds)
	for i := range b {
		b[i] = exec.Bound(i)
	}
	return b
}

// Latency is how long the commands of one kind took, from the moment the server
// began to execute one to its reply being ready to be sent.
type Latency struct {
	Command string        // get, set, delete, incr, touch, mg, ms, md, ma or other
	Count   uint64        // of commands
	Sum     time.Duration // of their times
	Buckets []uint64      // commands by the bounds of Bounds, and one more for slower ones; not cumulative
}

// Latency returns the histograms of all kinds of command. They are empty unless
// Options.TrackLatency is set.
func (s *Server) Latency() []Latency {
	kinds := s.engine.Latency()
	all := make([]Latency, len(kinds))
	for i, k := range kinds {
		all[i] = Latency(k)
	}
	return all
}

// Demand is how often a key or a prefix of keys is used.
type Demand struct {
	Name  string
	Share float64 // of the commands with a key, 0 to 1
}

// Hottest returns at most n keys, and n prefixes up to and with Options.PrefixDelimiter,
// that the commands of the last minutes use most, in falling order. They are estimates from
// a sample: 1024 keys and 256 prefixes are counted, and a share is too small by at most
// one in that number. There are none unless Options.TrackKeys is set.
func (s *Server) Hottest(n int) (keys, prefixes []Demand) {
	k, p := s.engine.Hottest(n)
	for _, d := range k {
		keys = append(keys, Demand(d))
	}
	for _, d := range p {
		prefixes = append(prefixes, Demand(d))
	}
	return keys, prefixes
}
