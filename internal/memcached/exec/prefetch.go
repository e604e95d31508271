package exec

import (
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// Lookahead is how many keys are prefetched at a time, so that the cache misses of
// their lookups overlap. With more of them the first would be evicted from the
// processor's cache before it is used.
const Lookahead = 8

// loading is how many keys of a line have been found in the index, so that their
// items are being loaded.
const loading = 4

// Key is a key whose item may have been prefetched.
type Key = store.Lookup

// Prefetch loads the items of keys that are needed soon. It has two uses: the keys
// of the next commands of a batch (Add, Load, Of), and the keys of one retrieval
// (Start, Next).
type Prefetch struct {
	items  *store.Store
	ahead  []Key // the keys of later commands, with capacity Lookahead
	used   int   // how many of ahead have been used
	single Key

	line [Lookahead]struct {
		Key
		rest []byte // the keys behind it
	}
	left              []byte // keys of the line that have not been read
	read, found, done uint   // how many keys of the line have come so far
}

// start prepares for a new batch.
func (p *Prefetch) start(items *store.Store) {
	p.items = items
	p.Reset()
}

// Reset forgets the keys of Add.
func (p *Prefetch) Reset() { p.ahead, p.used = p.ahead[:0], 0 }

// Add starts to load the index entry of the key of a later command and returns the
// number of such keys, at most Lookahead. The key must not change until then.
func (p *Prefetch) Add(key []byte) (n int) {
	p.ahead = p.ahead[:len(p.ahead)+1]
	p.items.Prefetch(&p.ahead[len(p.ahead)-1], key)
	return len(p.ahead)
}

// Load starts to load the items of the keys of Add. With change set it also loads
// the memory that replacing them needs.
func (p *Prefetch) Load(change bool) {
	for i := range p.ahead {
		if change {
			p.items.PrefetchChange(&p.ahead[i])
		} else {
			p.items.PrefetchItem(&p.ahead[i])
		}
	}
}

// Of returns key as it was added, or else starts to load it.
func (p *Prefetch) Of(key []byte) *Key {
	for i := p.used; i < len(p.ahead); i++ {
		if k := &p.ahead[i]; len(k.Key) == len(key) && &k.Key[0] == &key[0] {
			p.used = i + 1
			return k
		}
	}
	p.items.Prefetch(&p.single, key)
	return &p.single
}

// Start begins to walk the keys of a retrieval, which spaces separate.
func (p *Prefetch) Start(keys []byte) { p.left, p.read, p.found, p.done = keys, 0, 0, 0 }

// Next returns the next key and the keys behind it, or nil at the end. While it is
// answered the index entries of up to Lookahead keys and the items of up to loading
// keys are being loaded.
func (p *Prefetch) Next() (k *Key, rest []byte) {
	for {
		if len(p.left) > 0 {
			var key []byte
			if key, p.left = mcproto.Next(p.left); len(key) > 0 {
				w := &p.line[p.read%Lookahead]
				w.rest = p.left
				p.items.Prefetch(&w.Key, key)
				p.read++
			}
		}
		last := len(p.left) == 0
		if p.found < p.read && (last || p.read-p.found > Lookahead-1-loading) {
			p.items.PrefetchItem(&p.line[p.found%Lookahead].Key)
			p.found++
		}
		switch {
		case p.done < p.found && (last || p.found-p.done >= loading):
			w := &p.line[p.done%Lookahead]
			p.done++
			return &w.Key, w.rest
		case last && p.done == p.read:
			return nil, nil
		}
	}
}
