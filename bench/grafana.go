package bench

import (
	"context"
	"time"

	"github.com/grafana/gomemcache/memcache"
)

type grafana struct{ c *memcache.Client }

func dialGrafana(fleet []string, callers int) (cache, error) {
	c := memcache.New(fleet...)
	c.MaxIdleConns = callers    // so that no caller ever has to dial again
	c.Timeout = 5 * time.Second // its default is 100 ms, which a busy machine takes
	return grafana{c}, c.Ping()
}

func (g grafana) get(key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (g grafana) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(context.Background(), keys)
	return len(items), err
}

func (g grafana) set(key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

func (g grafana) Close() error {
	g.c.Close()
	return nil
}
