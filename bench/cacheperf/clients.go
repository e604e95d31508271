package main

import (
	"context"

	gomemcache "github.com/bradfitz/gomemcache/memcache"

	"lintel.dev/memcache"
)

// client is what both sides implement. get returns the length of the value,
// getMulti the number of keys found.
type client interface {
	get(key string) (n int, err error)
	getMulti(keys []string) (found int, err error)
	set(key string, value []byte) error
	close() error
}

type ours struct{ c *memcache.Client }

func newOurs(fleet []string, _ int) (client, error) {
	c, err := memcache.New(nil, fleet...)
	return ours{c}, err
}

func (o ours) get(key string) (int, error) {
	it, err := o.c.Get(context.Background(), key)
	if err != nil {
		return 0, err
	}
	return len(it.Value), nil
}

func (o ours) getMulti(keys []string) (int, error) {
	items, err := o.c.GetMulti(context.Background(), keys)
	return len(items), err
}

func (o ours) set(key string, value []byte) error {
	return o.c.Set(context.Background(), &memcache.Item{Key: key, Value: value})
}

func (o ours) close() error { return o.c.Close() }

type theirs struct{ c *gomemcache.Client }

// newTheirs pools a connection for each caller, so that calls never dial.
func newTheirs(fleet []string, callers int) (client, error) {
	c := gomemcache.New(fleet...)
	c.MaxIdleConns = callers
	return theirs{c}, nil
}

func (t theirs) get(key string) (int, error) {
	it, err := t.c.Get(key)
	if err != nil {
		return 0, err
	}
	return len(it.Value), nil
}

func (t theirs) getMulti(keys []string) (int, error) {
	items, err := t.c.GetMulti(keys)
	return len(items), err
}

func (t theirs) set(key string, value []byte) error {
	return t.c.Set(&gomemcache.Item{Key: key, Value: value})
}

func (t theirs) close() error { return t.c.Close() }
