package memcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// CachedError is an error of a load function that was stored in the cache, see
// FetchOptions.ErrorTTL.
type CachedError struct{ Text string }

func (e *CachedError) Error() string { return e.Text }

// The flags of the answers that Fetch stores in place of values. Other clients see
// items with unusual flags.
const (
	flagNotFound uint32 = 0x6c740001
	flagError    uint32 = 0x6c740002
)

// FetchOptions say how Fetch caches a value. All durations are sent in whole seconds,
// rounded up. Negative ones are an error.
type FetchOptions struct {
	// TTL is the time for which a value is fresh; 0 is unlimited.
	TTL time.Duration
	// Jitter shortens each TTL at random by up to this fraction, 0 to 1, so that values
	// that were stored together do not expire together.
	Jitter float64
	// Early is the time before the end of the TTL from which one caller reloads the
	// value in the background, while the others get the old one.
	Early time.Duration
	// Stale is the time after the end of the TTL for which the value is still returned:
	// to all callers but the one that reloads it, and to that one if load fails.
	Stale time.Duration
	// NegativeTTL is the time for which an ErrNotFound of load is cached; 0: not cached.
	NegativeTTL time.Duration
	// ErrorTTL is the time for which any other error of load is cached; 0: not cached.
	ErrorTTL time.Duration
	// Lease is the time for which a caller that loads a missing value has the exclusive
	// right to do so, among all clients of the fleet. Default: 10 s.
	Lease time.Duration
}

// Fetch returns the value under key. If the cache has none, it calls load and stores the
// result.
//
// Concurrent calls for one key share one load and its result, which must not be
// modified. With servers that have meta commands, this holds for all processes: the
// first caller gets a lease, and the others wait for its value. Early and Stale need
// meta commands, too.
//
// load gets a context with the caller's values, which ends when the last caller has
// given up or the client is closed. Its error is returned and, by default, not cached. A
// panic in load becomes a [PanicError]. A cache that cannot be reached counts as a miss
// and is no error. If the item is deleted during the load, the loaded value is returned,
// but not stored.
func (c *Client) Fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	return fetchBytes(ctx, c, key, o, load)
}

// fetchBytes is Fetch of a cache for values without flags.
func fetchBytes(ctx context.Context, c Cache, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	v, err := c.fetch(ctx, key, o, func(ctx context.Context) (loaded, error) {
		data, err := load(ctx)
		return loaded{data: data}, err
	})
	return v.data, err
}

func (c *Client) fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) (loaded, error)) (loaded, error) {
	if _, err := c.opts.checkKey(key); err != nil {
		return loaded{}, err
	}
	f, err := c.newFetch(key, o, load)
	if err != nil {
		return loaded{}, err
	}
	return f.do(ctx)
}

// fetch is one call of Fetch.
type fetch struct {
	c       *Client
	key     string
	load    func(context.Context) (loaded, error)
	o       FetchOptions
	lease   int32 // in seconds
	recache int32 // remaining seconds below which one caller reloads
	stale   int64 // of those, the seconds after the end of the TTL
}

func (c *Client) newFetch(key string, o FetchOptions, load func(context.Context) (loaded, error)) (*fetch, error) {
	if !(o.Jitter >= 0 && o.Jitter <= 1) {
		return nil, fmt.Errorf("memcache: FetchOptions.Jitter is %v, expected 0 to 1", o.Jitter)
	}
	for _, d := range []struct {
		name string
		at   *time.Duration
	}{
		{"TTL", &o.TTL},
		{"Early", &o.Early},
		{"Stale", &o.Stale},
		{"NegativeTTL", &o.NegativeTTL},
		{"ErrorTTL", &o.ErrorTTL},
		{"Lease", &o.Lease},
	} {
		if *d.at < 0 {
			return nil, fmt.Errorf("memcache: FetchOptions.%s is %v, expected 0 or more", d.name, *d.at)
		}
		*d.at = min(*d.at, 100*365*24*time.Hour) // so that sums do not overflow
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	f := &fetch{c: c, key: key, load: load, o: o, lease: seconds(o.Lease)}
	if o.TTL > 0 {
		f.stale = int64(seconds(o.Stale))
		f.recache = seconds(o.Early + o.Stale)
	}
	return f, nil
}

// seconds rounds up to seconds, at most relativeLimit.
func seconds(d time.Duration) int32 {
	return int32(min((d+time.Second-1)/time.Second, relativeLimit))
}

func (f *fetch) do(ctx context.Context) (loaded, error) {
	got, err := f.read(ctx, 0, false)
	reload := func(ctx context.Context) (loaded, error) { return f.reload(ctx, got) }
	switch {
	case err == nil && (got.final() || !got.won && !got.placeholder()):
		return got.result()
	case err == nil && got.won && !got.placeholder():
		if got.left >= f.stale && !got.stale {
			f.c.background(ctx, f.key, reload)
			return got.result()
		}
		return f.c.share(ctx, f.key, reload)
	case ctx.Err() != nil:
		return loaded{}, ctx.Err()
	case errors.Is(err, ErrClosed):
		return loaded{}, err
	}
	return f.c.share(ctx, f.key, f.obtain)
}

// reading is an item as OpLease read it.
type reading struct {
	*pipeline.Item
	won   bool  // this caller is to reload it
	lost  bool  // another caller is reloading it
	stale bool  // it was invalidated
	left  int64 // seconds to live
}

// placeholder reports whether the item is the empty one that a lease leaves in place of
// the value to come.
func (r *reading) placeholder() bool { return len(r.Value) == 0 && r.Flags == 0 && (r.won || r.lost) }

// final reports whether the item is a cached error, which is not reloaded early.
func (r *reading) final() bool {
	return !r.stale && (r.Flags == flagNotFound || r.Flags == flagError)
}

func (r *reading) result() (loaded, error) {
	switch r.Flags {
	case flagNotFound:
		return loaded{}, ErrNotFound
	case flagError:
		return loaded{}, &CachedError{Text: string(r.Value)}
	}
	return loaded{r.Value, r.Flags}, nil
}

// read reads the item. With vivify, a missing item becomes a placeholder with that TTL
// in seconds. again marks all readings but the first.
func (f *fetch) read(ctx context.Context, vivify int32, again bool) (*reading, error) {
	cl := f.c.newCall(pipeline.OpLease, f.key)
	defer cl.Release()
	cl.Vivify, cl.Recache, cl.Internal = vivify, f.recache, again
	if err := f.c.do(ctx, cl); err != nil {
		return nil, err
	}
	return &reading{Item: cl.Item, won: cl.Won, lost: cl.Lost, stale: cl.Stale, left: int64(cl.Num)}, nil
}

// The pauses between two readings of a value that another process loads.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// obtain loads a missing value with a lease, or waits for the caller that has the lease.
func (f *fetch) obtain(ctx context.Context) (loaded, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		got, err := f.read(ctx, f.lease, true)
		switch {
		case err != nil && ctx.Err() != nil:
			return loaded{}, ctx.Err()
		case err != nil:
			return f.reload(ctx, nil)
		case got.won && !got.final():
			return f.reload(ctx, got)
		case got.final() || !got.placeholder():
			return got.result()
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return loaded{}, ctx.Err()
		}
	}
}

// reload calls load and stores its result. old is the item that the lease was given
// for, nil without a lease.
func (f *fetch) reload(ctx context.Context, old *reading) (loaded, error) {
	returned := false
	defer func() {
		if !returned && old != nil { // load panicked
			f.giveBack(ctx, old)
		}
	}()
	start := time.Now()
	v, err := f.load(ctx)
	returned = true
	if h := f.c.opts.Hooks.Loaded; h != nil {
		h(f.key, time.Since(start), err)
	}
	if err == nil {
		f.keep(ctx, old, v, jitter(f.o.TTL, f.o.Jitter)+f.extra())
		return v, nil
	}
	missing := errors.Is(err, ErrNotFound)
	usable := old != nil && !old.placeholder() && !missing
	switch {
	case usable && f.o.Stale > 0:
		f.giveBack(ctx, old)
		return old.result()
	case usable && !old.stale:
		// The reload was early: the old value is fresh until the end of its TTL.
		return old.result()
	case missing && f.o.NegativeTTL > 0:
		f.keep(ctx, old, loaded{flags: flagNotFound}, f.o.NegativeTTL)
	case !missing && f.o.ErrorTTL > 0:
		f.keep(ctx, old, loaded{[]byte(err.Error()), flagError}, f.o.ErrorTTL)
	case old != nil:
		f.giveBack(ctx, old)
	}
	return loaded{}, err
}

// extra is how long the server keeps a value after its TTL.
func (f *fetch) extra() time.Duration {
	if f.o.TTL == 0 {
		return 0
	}
	return f.o.Stale
}

// jitter shortens ttl at random by up to the given fraction.
func jitter(ttl time.Duration, fraction float64) time.Duration {
	if most := time.Duration(fraction * float64(ttl)); most > 0 {
		ttl -= rand.N(most)
	}
	return ttl
}

// detached returns a context for writes to the cache after ctx may have ended.
func (f *fetch) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	o := f.c.opts
	return context.WithTimeout(context.WithoutCancel(ctx), o.DialTimeout+o.QueueTimeout+o.ReadTimeout)
}

// keep stores v. Its errors do not concern callers of Fetch.
func (f *fetch) keep(ctx context.Context, old *reading, v loaded, ttl time.Duration) {
	ctx, cancel := f.detached(ctx)
	defer cancel()
	it := &Item{Key: f.key, Value: v.data, Flags: v.flags, TTL: ttl}
	if old == nil {
		_ = f.c.Set(ctx, it)
		return
	}
	// If the item was deleted since the lease was given, v may be out of date.
	it.CAS = old.CAS
	_ = f.c.CompareAndSwap(ctx, it)
}

// giveBack ends a lease without a value. The next caller gets it.
func (f *fetch) giveBack(ctx context.Context, old *reading) {
	ctx, cancel := f.detached(ctx)
	defer cancel()
	op := pipeline.OpInvalidate
	if old.placeholder() {
		op = pipeline.OpDelete
	}
	cl := f.c.newCall(op, f.key)
	defer cl.Release()
	cl.CAS = old.CAS
	cl.TTL = int32(min(max(old.left, 0), relativeLimit))
	_ = f.c.do(ctx, cl)
}

// loadMulti is a load function for several keys.
type loadMulti = func(ctx context.Context, missing []string) (map[string]loaded, error)

// FetchMulti returns the values under keys. It calls load once for those that the cache
// does not have and stores the result. Keys that load leaves out are left out of the
// result; with NegativeTTL that is cached. Concurrent calls do not share loads.
//
// The error is that of load, or joins those of GetMulti for malformed keys. Values that
// the cache has are returned with it. A server that does not answer is no error.
func (c *Client) FetchMulti(ctx context.Context, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error) {
	return fetchMultiBytes(ctx, c, keys, o, load)
}

// fetchMultiBytes is FetchMulti of a cache for values without flags.
func fetchMultiBytes(ctx context.Context, c Cache, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error) {
	values, err := c.fetchMulti(ctx, keys, o, func(ctx context.Context, missing []string) (map[string]loaded, error) {
		values, err := load(ctx, missing)
		out := make(map[string]loaded, len(values))
		for key, v := range values {
			out[key] = loaded{data: v}
		}
		return out, err
	})
	if values == nil {
		return nil, err
	}
	out := make(map[string][]byte, len(values))
	for key, v := range values {
		out[key] = v.data
	}
	return out, err
}

func (c *Client) fetchMulti(ctx context.Context, keys []string, o FetchOptions, load loadMulti) (map[string]loaded, error) {
	if _, err := c.newFetch("", o, nil); err != nil {
		return nil, err
	}
	var refused []error
	var valid []string
	for _, key := range keys {
		if _, err := c.opts.checkKey(key); err != nil {
			refused = append(refused, err)
		} else {
			valid = append(valid, key)
		}
	}
	items, err := c.GetMulti(ctx, valid)
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return nil, err
	}
	out := make(map[string]loaded, len(valid))
	asked := make(map[string]bool)
	var missing []string
	for _, key := range valid {
		it := items[key]
		switch {
		case it != nil && it.Flags == flagNotFound:
		case it != nil && it.Flags != flagError:
			out[key] = loaded{it.Value, it.Flags}
		case !asked[key]:
			asked[key] = true
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return out, errors.Join(refused...)
	}
	values, err := load(ctx, missing)
	switch {
	case err != nil && refused == nil:
		return out, err
	case err != nil:
		return out, errors.Join(append(refused, err)...)
	}
	var store []*Item
	for _, key := range missing {
		v, ok := values[key]
		switch {
		case ok:
			out[key] = v
			store = append(store, &Item{Key: key, Value: v.data, Flags: v.flags, TTL: jitter(o.TTL, o.Jitter)})
		case o.NegativeTTL > 0:
			store = append(store, &Item{Key: key, Flags: flagNotFound, TTL: o.NegativeTTL})
		}
	}
	_ = c.SetMulti(ctx, store)
	return out, errors.Join(refused...)
}
