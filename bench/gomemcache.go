package bench

import "github.com/bradfitz/gomemcache/memcache"

type gomemcache struct{ c *memcache.Client }

func dialGomemcache(fleet []string, callers int) (cache, error) {
	c := memcache.New(fleet...)
	c.MaxIdleConns = callers // so that no caller ever has to dial again
	return gomemcache{c}, c.Ping()
}

func (g gomemcache) get(key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (g gomemcache) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(keys)
	return len(items), err
}

func (g gomemcache) set(key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

func (g gomemcache) Close() error { return g.c.Close() }
