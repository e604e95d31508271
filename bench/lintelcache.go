package bench

import (
	"context"

	"lintel.dev/memcache"
)

type lintelCache struct {
	c   *memcache.Client
	ctx context.Context
}

func dialLintel(fleet []string, _ int) (cache, error) {
	c, err := memcache.New(nil, fleet...)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return lintelCache{c, ctx}, c.Ping(ctx)
}

func (l lintelCache) get(key string) ([]byte, error) {
	it, err := l.c.Get(l.ctx, key)
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (l lintelCache) getMulti(keys []string) (int, error) {
	items, err := l.c.GetMulti(l.ctx, keys)
	return len(items), err
}

func (l lintelCache) set(key string, value []byte) error {
	return l.c.Set(l.ctx, &memcache.Item{Key: key, Value: value})
}

func (l lintelCache) Close() error { return l.c.Close() }
