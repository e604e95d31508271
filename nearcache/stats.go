package nearcache

import "time"

// Stats are counters of a Cache since New.
type Stats struct {
	Entries int64 // values and missing keys that are kept
	Bytes   int64 // their memory

	Hits        uint64 // reads that were served without asking a server
	Suspects    uint64 // reads of a kept value that was not known to be new enough
	Revalidated uint64 // of those, found unchanged: no value was transferred
	Fills       uint64 // replies that were kept
	Voided      uint64 // replies not kept: the key may have changed since the question
	Removed     uint64 // values removed because their key changed
	Evicted     uint64 // values removed for lack of room
	Bypassed    uint64 // reads whose reply was not kept because the key changes more often than it is read

	Servers []ServerStats // in the order of memcache.Client.Servers
}

// ServerStats tells how one server is followed.
type ServerStats struct {
	Server   string
	Endpoint string // of its feed; empty if it is not known yet
	// NoInvalidations reports that the server has none.
	NoInvalidations bool
	// Synced reports that the feed is followed: all changes until Lag ago are known.
	Synced bool
	Lag    time.Duration

	Fences       uint64 // answered
	FailedFences uint64 // not answered
	Records      uint64 // changes that the feed told of
	Gaps         uint64 // losses that the numbers showed
	Lost         uint64 // losses that the server told of
	Flushes      uint64
	Restarts     uint64 // of the server
	// Ignored counts messages with numbers that run backwards, of an earlier epoch or of
	// lanes that do not exist, and answers to no question.
	Ignored   uint64
	Malformed uint64 // messages and answers that could not be decoded
	Err       error  // of the last fence, or of the feed; nil after a success
}

// Stats returns the counters.
func (c *core) Stats() Stats {
	t := c.table.Stats()
	st := Stats{
		Entries: t.Entries, Bytes: t.Bytes,
		Hits: t.Hits, Suspects: t.Suspects, Revalidated: t.Same, Fills: t.Fills,
		Voided: t.Voided, Removed: t.Removed, Evicted: t.Evicted, Bypassed: t.Bypassed,
	}
	f := c.fleet.Load()
	if f == nil {
		return st
	}
	for _, name := range c.client.Servers() {
		if s := f.servers[name]; s != nil {
			st.Servers = append(st.Servers, s.stats())
		}
	}
	return st
}

func (s *server) stats() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link.Stats()
	st := ServerStats{
		Server: s.src.Name, Endpoint: s.endpoint, NoInvalidations: s.unsupported.Load(),
		Fences: s.fences, FailedFences: s.failed, Records: l.Records, Gaps: l.Gaps, Lost: l.Lost,
		Flushes: l.Flushes, Restarts: l.Restarts, Ignored: l.Duplicates + l.Unknown + l.Stray,
		Malformed: s.malformed, Err: s.lastErr,
	}
	var at int64
	if at, st.Synced = s.src.Fresh(); st.Synced {
		st.Lag = time.Duration(s.c.now() - at)
	}
	return st
}
