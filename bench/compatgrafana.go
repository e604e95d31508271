package bench

import (
	"context"
	"time"

	"lintel.dev/memcache/grafana"
)

// compatGrafana is grafana with the import changed.
type compatGrafana struct{ c *memcache.Client }

func dialCompatGrafana(fleet []string, callers int) (cache, error) {
	c := memcache.New(fleet...)
	c.MaxIdleConns = callers
	c.Timeout = 5 * time.Second
	return compatGrafana{c}, c.Ping()
}

func (g compatGrafana) get(key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (g compatGrafana) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(context.Background(), keys)
	return len(items), err
}

func (g compatGrafana) set(key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

func (g compatGrafana) Close() error {
	g.c.Close()
	return nil
}
