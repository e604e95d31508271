package memcache

import (
	"context"
	"errors"
	"time"

	"lintel.dev/memcache/codec"
)

// Cache is implemented by *Client and *Namespace. A Typed view is made of one.
type Cache interface {
	Get(ctx context.Context, key string) (*Item, error)
	GetMulti(ctx context.Context, keys []string) (map[string]*Item, error)
	Set(ctx context.Context, it *Item) error
	SetMulti(ctx context.Context, items []*Item) error
	Delete(ctx context.Context, key string) error
	Fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error)
	FetchMulti(ctx context.Context, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error)

	fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) (loaded, error)) (loaded, error)
	fetchMulti(ctx context.Context, keys []string, o FetchOptions, load loadMulti) (map[string]loaded, error)
}

// Typed is a view of a cache for values of one type.
type Typed[T any] struct {
	// Cache is a *Client or a *Namespace.
	Cache Cache
	// Codec encodes the values. Nil is codec.JSON.
	Codec codec.Codec[T]
}

func (t *Typed[T]) codec() codec.Codec[T] {
	if t.Codec != nil {
		return t.Codec
	}
	return codec.JSON[T]()
}

// Get returns the value under key, or ErrCacheMiss.
func (t *Typed[T]) Get(ctx context.Context, key string) (T, error) {
	it, err := t.Cache.Get(ctx, key)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := t.codec().Decode(it.Value, it.Flags)
	if err != nil {
		err = &Error{Key: key, Err: err}
	}
	return v, err
}

// GetMulti returns the values found, by key. The error joins those of
// Client.GetMulti and an [*Error] for each value that the codec does not decode.
func (t *Typed[T]) GetMulti(ctx context.Context, keys []string) (map[string]T, error) {
	items, err := t.Cache.GetMulti(ctx, keys)
	errs := []error{err}
	c, out := t.codec(), make(map[string]T, len(items))
	for key, it := range items {
		v, err := c.Decode(it.Value, it.Flags)
		if err != nil {
			errs = append(errs, &Error{Key: key, Err: err})
			continue
		}
		out[key] = v
	}
	return out, errors.Join(errs...)
}

// Set stores a value with the given TTL, see Item.TTL.
func (t *Typed[T]) Set(ctx context.Context, key string, v T, ttl time.Duration) error {
	data, flags, err := t.codec().Encode(v)
	if err != nil {
		return &Error{Key: key, Err: err}
	}
	return t.Cache.Set(ctx, &Item{Key: key, Value: data, Flags: flags, TTL: ttl})
}

// Delete removes the value, or returns ErrCacheMiss.
func (t *Typed[T]) Delete(ctx context.Context, key string) error { return t.Cache.Delete(ctx, key) }

// Fetch is Client.Fetch for values of type T. A cached value that the codec does not
// decode is loaded again and replaced.
func (t *Typed[T]) Fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) (T, error)) (T, error) {
	c := t.codec()
	got, err := t.Cache.fetch(ctx, key, o, func(ctx context.Context) (loaded, error) {
		v, err := load(ctx)
		if err != nil {
			return loaded{}, err
		}
		data, flags, err := c.Encode(v)
		return loaded{data, flags}, err
	})
	var zero T
	if err != nil {
		return zero, err
	}
	v, err := c.Decode(got.data, got.flags)
	if err == nil {
		return v, nil
	}
	if v, err = load(ctx); err == nil {
		_ = t.Set(ctx, key, v, jitter(o.TTL, o.Jitter))
	}
	return v, err
}

// FetchMulti is Client.FetchMulti for values of type T. The error joins an [*Error] for
// each cached value that the codec does not decode.
func (t *Typed[T]) FetchMulti(ctx context.Context, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string]T, error)) (map[string]T, error) {
	c := t.codec()
	values, err := t.Cache.fetchMulti(ctx, keys, o, func(ctx context.Context, missing []string) (map[string]loaded, error) {
		values, err := load(ctx, missing)
		out := make(map[string]loaded, len(values))
		for key, v := range values {
			data, flags, encodeErr := c.Encode(v)
			if encodeErr != nil {
				return nil, &Error{Key: key, Err: encodeErr}
			}
			out[key] = loaded{data, flags}
		}
		return out, err
	})
	errs := []error{err}
	out := make(map[string]T, len(values))
	for key, got := range values {
		v, err := c.Decode(got.data, got.flags)
		if err != nil {
			errs = append(errs, &Error{Key: key, Err: err})
			continue
		}
		out[key] = v
	}
	return out, errors.Join(errs...)
}
