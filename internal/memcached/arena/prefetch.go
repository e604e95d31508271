package arena

// PrefetchRecord fetches the first 192 bytes of a record for reading: all that
// a look-up reads, and all of a small record.
func (m *Memory) PrefetchRecord(loc Loc) { prefetchRecord(m.at(loc)) }

// PrefetchChange fetches what replacing or removing a record touches: the
// record, where it is marked as dead, the header of its segment, and that of
// own, the segment that is appended to.
func (m *Memory) PrefetchChange(loc, segment, own Loc) {
	prefetchChange(m.at(loc), m.at(segment), m.at(own))
}

// PrefetchAppend fetches for writing what the next small record at loc will
// fill.
func (m *Memory) PrefetchAppend(loc Loc) { prefetchAppend(m.at(loc)) }
