package nearcache

import (
	"context"
	"errors"
	"math"
	"time"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/memcache"
)

// Get returns the item under key, or memcache.ErrCacheMiss, as Client.Get does. The
// item belongs to the caller.
func (c *Cache) Get(ctx context.Context, key string) (*memcache.Item, error) {
	v, ok := c.hit(key)
	if !ok {
		it, _, err := c.ask(ctx, key)
		return it, err
	}
	if v.Missing {
		return nil, memcache.ErrCacheMiss
	}
	return itemOf(key, v), nil
}

// GetInto appends the value under key to dst and returns it with the item's flags, as
// Client.GetInto does. A hit allocates only if dst is too short.
func (c *Cache) GetInto(ctx context.Context, key string, dst []byte) (value []byte, flags uint32, err error) {
	v, ok := c.hit(key)
	if !ok {
		it, _, err := c.ask(ctx, key)
		if err != nil {
			return dst, 0, err
		}
		return append(dst, it.Value...), it.Flags, nil
	}
	if v.Missing {
		return dst, 0, memcache.ErrCacheMiss
	}
	return append(dst, v.Data...), v.Flags, nil
}

// hit returns the value under key if it may be served.
func (c *Cache) hit(key string) (state.Value, bool) {
	if c.bound == 0 {
		return state.Value{}, false
	}
	return c.table.Hit(hashOf(key), key, c.client.FleetVersion(), c.now(), c.bound)
}

func itemOf(key string, v state.Value) *memcache.Item {
	return &memcache.Item{Key: key, Value: []byte(v.Data), Flags: v.Flags, CAS: v.CAS}
}

// question is a read that goes to a server.
type question struct {
	key  string
	s    *server // the server on which the key is placed; nil: the reply is not kept
	p    state.Pending
	old  state.Value
	have bool
}

// begin prepares the question for key.
func (c *Cache) begin(key string) (q question) {
	q.key = key
	now := c.now()
	f, err := c.current()
	if err != nil || c.ctx.Err() != nil {
		return q
	}
	if q.s = f.servers[c.client.ServerFor(key)]; q.s == nil || !q.s.keeps(c.o.TTLOnly) || c.o.maxAge(key) < 0 {
		q.s = nil
		return q
	}
	q.p, q.old, q.have = c.table.Begin(hashOf(key), key, q.s.src, f.version, now)
	return q
}

// cas returns the version that the server may answer with "unchanged".
func (q *question) cas() uint64 {
	if q.have && !q.old.Missing {
		return q.old.CAS
	}
	return 0
}

// end ends the question with a reading of the server, which answered if
// r.Server is set. confused says that another server than the key's answered that a
// version of this one is unchanged: the answer means nothing.
func (c *Cache) end(q *question, r *memcache.Reading) (it *memcache.Item, confused bool) {
	if q.s == nil || r.Server != q.s.src.Name {
		c.table.Abort(q.p)
		return r.Item, r.Unchanged
	}
	reply := state.Reply{Unchanged: r.Unchanged, Leased: r.Leased}
	reply.Value.TTL = state.Unlimited
	if r.TTL >= 0 {
		reply.Value.TTL = uint32(min(int64(r.TTL/time.Second), math.MaxUint32-1))
	}
	switch {
	case r.Item != nil:
		reply.Value.Data, reply.Value.Flags, reply.Value.CAS = string(r.Item.Value), r.Item.Flags, r.Item.CAS
	case !r.Unchanged:
		reply.Value.Missing, reply.Value.TTL = true, state.Unlimited
	}
	v := c.table.Finish(q.p, q.key, q.old, reply, max(c.o.maxAge(q.key), 0))
	if r.Unchanged {
		return itemOf(q.key, v), false
	}
	return r.Item, false
}

// ask asks the server for key. left is the time that the item has to live, negative
// for no end, 0 if it must not be used without asking again.
func (c *Cache) ask(ctx context.Context, key string) (it *memcache.Item, left time.Duration, err error) {
	q := c.begin(key)
	r, err := c.client.Read(ctx, key, q.cas())
	if err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
		c.table.Abort(q.p)
		return nil, 0, err
	}
	it, confused := c.end(&q, &r)
	if confused {
		if it, err = c.client.Get(ctx, key); err != nil {
			return nil, 0, err
		}
		return it, 0, nil
	}
	if it == nil {
		return nil, 0, memcache.ErrCacheMiss
	}
	if left = r.TTL; r.Leased {
		left = 0
	}
	return it, left, nil
}

// GetMulti returns the items found, by key, as Client.GetMulti does. Those that are not
// kept are asked for at all servers at once.
func (c *Cache) GetMulti(ctx context.Context, keys []string) (map[string]*memcache.Item, error) {
	out := make(map[string]*memcache.Item, len(keys))
	var missing []string
	for _, key := range keys {
		switch v, ok := c.hit(key); {
		case !ok:
			missing = append(missing, key)
		case !v.Missing:
			out[key] = itemOf(key, v)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	qs := make([]question, len(missing))
	cas := make([]uint64, len(missing))
	for i, key := range missing {
		qs[i] = c.begin(key)
		cas[i] = qs[i].cas()
	}
	rs, err := c.client.ReadMulti(ctx, missing, cas)
	var again []string
	for i := range qs {
		it, confused := c.end(&qs[i], &rs[i])
		switch {
		case confused:
			again = append(again, missing[i])
		case it != nil:
			out[missing[i]] = it
		}
	}
	if len(again) > 0 {
		items, err2 := c.client.GetMulti(ctx, again)
		for key, it := range items {
			out[key] = it
		}
		err = errors.Join(err, err2)
	}
	return out, err
}
