package memcache

import (
	"context"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// Reading is the answer to Read: an item with what its server knows about it.
type Reading struct {
	// Item is the item, or nil if there is none or if it is unchanged.
	Item *Item
	// Unchanged reports that the item has the version that the caller has.
	Unchanged bool
	// TTL is the time that the item has left, in whole seconds. It is negative if the
	// item does not expire or if the server has no meta commands.
	TTL time.Duration
	// Leased reports that the item is stale (see Invalidate), or that a client has the
	// right to replace it, or that it is missing because a client loads it.
	Leased bool
	// Server is the server that answered, as Servers names it. It is empty if none did.
	Server string
}

func readingOf(r *pipeline.Read, server string) Reading {
	return Reading{Item: (*Item)(r.Item), Unchanged: r.Unchanged, Leased: r.Leased, TTL: time.Duration(r.TTL) * time.Second, Server: server}
}

// Read is Get for caches in front of the client: it tells how long the item may be kept,
// and transfers no value if the item has the version cas (Item.CAS), 0 for none. A
// version is compared by servers with meta commands (memcached 1.6.40 and later). For a
// missing item Read returns ErrCacheMiss and a Reading with Server.
func (c *Client) Read(ctx context.Context, key string, cas uint64) (Reading, error) {
	cl := c.newCall(pipeline.OpRead, key)
	defer cl.Release()
	cl.CAS = cas
	err := c.do(ctx, cl)
	if cl.Server == "" { // without an answer the connection may still own the call
		return Reading{}, err
	}
	if err == nil && !cl.Read.Found {
		err = ErrCacheMiss
	}
	return readingOf(&cl.Read, cl.Server), err
}

// ReadMulti is Read for several keys: cas has the version of each key, or is nil. The
// readings are in the order of keys. Those of missing items have a Server and no Item.
// Those without a Server got no answer, which the error, as that of GetMulti, explains.
func (c *Client) ReadMulti(ctx context.Context, keys []string, cas []uint64) ([]Reading, error) {
	out := make([]Reading, len(keys))
	err := c.fanOut(ctx, keys, nil, func(p *part) {
		p.cl = c.newCall(pipeline.OpReadMulti, "")
		p.cl.Keys, p.cl.Reads = p.keys, make([]pipeline.Read, len(p.keys))
		if cas != nil {
			p.cl.CASs = make([]uint64, len(p.keys))
			for i, at := range p.idx {
				p.cl.CASs[i] = cas[at]
			}
		}
	}, func(p *part) {
		for i, at := range p.idx {
			out[at] = readingOf(&p.cl.Reads[i], p.s.name)
		}
	})
	return out, err
}

// Fetched returns what Fetch returns for the item: its value, or ErrNotFound or a
// [*CachedError] if it stands for an error that Fetch has stored. The value is that of
// the item, not a copy.
func (it *Item) Fetched() ([]byte, error) {
	v, err := (&reading{Item: (*pipeline.Item)(it)}).result()
	return v.data, err
}
