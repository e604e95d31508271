package nearcache

import (
	"context"
	"errors"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
)

// Typed is a view of a cache for values of one type, as memcache.Typed is of a client.
// Every read decodes the value.
type Typed[T any] struct {
	Cache *Cache
	// Codec encodes the values. Nil is codec.JSON.
	Codec codec.Codec[T]
}

func (t *Typed[T]) codec() codec.Codec[T] {
	if t.Codec != nil {
		return t.Codec
	}
	return codec.JSON[T]()
}

// far is the view of the client.
func (t *Typed[T]) far() *memcache.Typed[T] {
	return &memcache.Typed[T]{Cache: t.Cache.client, Codec: t.Codec}
}

// Get returns the value under key, or memcache.ErrCacheMiss.
func (t *Typed[T]) Get(ctx context.Context, key string) (T, error) {
	var zero T
	it, err := t.Cache.Get(ctx, key)
	if err != nil {
		return zero, err
	}
	v, err := t.codec().Decode(it.Value, it.Flags)
	if err != nil {
		err = &memcache.Error{Key: key, Err: err}
	}
	return v, err
}

// GetMulti returns the values found, by key. The error joins those of Cache.GetMulti and
// a [*memcache.Error] for each value that the codec does not decode.
func (t *Typed[T]) GetMulti(ctx context.Context, keys []string) (map[string]T, error) {
	items, err := t.Cache.GetMulti(ctx, keys)
	errs := []error{err}
	c, out := t.codec(), make(map[string]T, len(items))
	for key, it := range items {
		v, err := c.Decode(it.Value, it.Flags)
		if err != nil {
			errs = append(errs, &memcache.Error{Key: key, Err: err})
			continue
		}
		out[key] = v
	}
	return out, errors.Join(errs...)
}

// Set stores a value with the given TTL, see memcache.Item.
func (t *Typed[T]) Set(ctx context.Context, key string, v T, ttl time.Duration) error {
	defer t.Cache.writing(key)()
	return t.far().Set(ctx, key, v, ttl)
}

// Delete removes the value, or returns memcache.ErrCacheMiss.
func (t *Typed[T]) Delete(ctx context.Context, key string) error { return t.Cache.Delete(ctx, key) }

// Fetch is Cache.Fetch for values of type T. A value that the codec does not decode is
// loaded again and replaced.
func (t *Typed[T]) Fetch(ctx context.Context, key string, o memcache.FetchOptions, load func(context.Context) (T, error)) (T, error) {
	if it, ok := t.Cache.fresh(ctx, key, o); ok {
		data, err := it.Fetched()
		if err != nil {
			var zero T
			return zero, err
		}
		if v, err := t.codec().Decode(data, it.Flags); err == nil {
			return v, nil
		}
	}
	defer t.Cache.writing(key)()
	return t.far().Fetch(ctx, key, o, load)
}

// FetchMulti is Cache.FetchMulti for values of type T. The error joins a
// [*memcache.Error] for each cached value that the codec does not decode.
func (t *Typed[T]) FetchMulti(ctx context.Context, keys []string, o memcache.FetchOptions, load func(ctx context.Context, missing []string) (map[string]T, error)) (map[string]T, error) {
	items, rest := t.Cache.split(ctx, keys)
	out := make(map[string]T, len(keys))
	var errs []error
	if len(rest) > 0 {
		defer t.Cache.writing(rest...)()
		got, err := t.far().FetchMulti(ctx, rest, o, load)
		errs = append(errs, err)
		for key, v := range got {
			out[key] = v
		}
	}
	for key, it := range items {
		data, err := it.Fetched()
		if err != nil {
			continue
		}
		v, err := t.codec().Decode(data, it.Flags)
		if err != nil {
			errs = append(errs, &memcache.Error{Key: key, Err: err})
			continue
		}
		out[key] = v
	}
	return out, errors.Join(errs...)
}
