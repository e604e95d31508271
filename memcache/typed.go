package memcache

import (
	"context"
	"time"
)

// Typed is a view of a client for values of one type.
type Typed[T any] struct {
	Client *Client
	// Codec turns values into bytes. Nil is JSON.
	Codec Codec[T]
	// Options are those of Fetch, and of Set its TTL and jitter.
	Options FetchOptions
}

func (t *Typed[T]) codec() Codec[T] {
	if t.Codec != nil {
		return t.Codec
	}
	return JSON[T]()
}

// Get returns the value under key, or ErrCacheMiss.
func (t *Typed[T]) Get(ctx context.Context, key string) (T, error) {
	it, err := t.Client.Get(ctx, key)
	if err != nil {
		var zero T
		return zero, err
	}
	return t.codec().Decode(it.Value, it.Flags)
}

// GetMulti returns the values found, by key. Values that do not decode are
// left out, and the error of the last of them is returned with the others.
func (t *Typed[T]) GetMulti(ctx context.Context, keys []string) (map[string]T, error) {
	items, err := t.Client.GetMulti(ctx, keys)
	codec, out := t.codec(), make(map[string]T, len(items))
	for key, it := range items {
		v, e := codec.Decode(it.Value, it.Flags)
		if e != nil {
			err = &KeyError{key, e}
			continue
		}
		out[key] = v
	}
	return out, err
}

// Set stores a value for Options.TTL.
func (t *Typed[T]) Set(ctx context.Context, key string, v T) error {
	data, flags, err := t.codec().Encode(v)
	if err != nil {
		return err
	}
	return t.Client.Set(ctx, &Item{Key: key, Value: data, Flags: flags, TTL: jitter(t.Options.TTL, t.Options.Jitter)})
}

// SetFor is Set with a TTL of its own.
func (t *Typed[T]) SetFor(ctx context.Context, key string, v T, ttl time.Duration) error {
	data, flags, err := t.codec().Encode(v)
	if err != nil {
		return err
	}
	return t.Client.Set(ctx, &Item{Key: key, Value: data, Flags: flags, TTL: ttl})
}

// Delete removes the value, or returns ErrCacheMiss.
func (t *Typed[T]) Delete(ctx context.Context, key string) error { return t.Client.Delete(ctx, key) }

// Fetch is Client.FetchWith for the type: load is called for what is not
// cached, or cached in an encoding that the codec does not read any more.
func (t *Typed[T]) Fetch(ctx context.Context, key string, load func(context.Context) (T, error)) (T, error) {
	var zero T
	codec := t.codec()
	encode := func(ctx context.Context) ([]byte, uint32, error) {
		v, err := load(ctx)
		if err != nil {
			return nil, 0, err
		}
		return codec.Encode(v)
	}
	data, flags, err := t.Client.fetch(ctx, key, t.Options, encode)
	if err != nil {
		return zero, err
	}
	v, err := codec.Decode(data, flags)
	if err == nil {
		return v, nil
	}
	// What is there was written by other code than ours: replace it.
	if v, err = load(ctx); err == nil {
		_ = t.Set(ctx, key, v)
	}
	return v, err
}
