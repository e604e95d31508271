package bench

import "lintel.dev/memcache/gomemcache"

// compatGomemcache is gomemcache with the import changed.
type compatGomemcache struct{ c *memcache.Client }

func dialCompatGomemcache(fleet []string, callers int) (cache, error) {
	c := memcache.New(fleet...)
	c.MaxIdleConns = callers
	return compatGomemcache{c}, c.Ping()
}

func (g compatGomemcache) get(key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (g compatGomemcache) getMulti(keys []string) (int, error) {
	items, err := g.c.GetMulti(keys)
	return len(items), err
}

func (g compatGomemcache) set(key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

func (g compatGomemcache) Close() error { return g.c.Close() }
