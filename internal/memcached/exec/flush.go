package exec

import "bytes"

// FlushAll makes all items vanish: now, or at exptime, which is read like that
// of an item.
func (b *Batch) FlushAll(exptime int64) {
	now := b.Clock.Now()
	at := now
	if exptime > 0 {
		at = max(now, Expiry(exptime, now))
	}
	if at == now {
		b.dropRecent(now - 1)
	}
	b.Items.FlushAll(at)
	b.flushed.Store(at)
	b.Count(CmdFlush)
}

// FlushPrefix makes all items whose key begins with prefix vanish and then sends
// reply. After many different prefixes it takes longer, and runs as a job. It returns
// false over UDP if it cannot run.
func (b *Batch) FlushPrefix(prefix []byte, reply string) bool {
	b.Count(CmdFlush)
	if b.Items.TryFlushPrefix(prefix) {
		b.W.B = append(b.W.B, reply...)
		return true
	}
	prefix = bytes.Clone(prefix)
	return b.StartJob(&Job{Run: func(j *Job) {
		open := true
		for open && !j.engine.Items.TryFlushPrefix(prefix) {
			j.engine.Items.SweepFlushed(func() bool {
				open = j.Pause()
				return open
			})
		}
		j.Emit([]byte(reply))
	}})
}

// dropAtOnce is the largest number of items of a cache that a flush deletes at
// once. In a larger cache they are removed on access, by the crawler, or when
// room is needed.
const dropAtOnce = 4096

// dropRecent deletes the items that were used since a unix second. memcached
// does so in flush_all: they leave the figures at once and count as misses,
// while an older item stays until it is looked up and counts as get_flushed.
func (e *Engine) dropRecent(since int64) {
	if e.Items.Stats().Items > dropAtOnce {
		return
	}
	var keys [][]byte
	for it := range e.Items.Scan {
		if it.LastAccess >= since {
			keys = append(keys, bytes.Clone(it.Key))
		}
	}
	for _, key := range keys {
		tx := e.Items.Begin(key)
		if tx.Find() {
			tx.Discard() // FlushAll is announced for it
		}
		tx.End()
	}
}
