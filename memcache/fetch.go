package memcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrNotFound is for load functions to return, wrapped or not, when there is
// nothing to cache. With FetchOptions.NegativeTTL the answer itself is cached.
var ErrNotFound = errors.New("memcache: not found")

// CachedError is an error of a load function that came out of the cache.
type CachedError struct{ Text string }

func (e *CachedError) Error() string { return e.Text }

// The flags of what Fetch stores beside values. Another client takes them for
// items with odd flags.
const (
	flagNotFound uint32 = 0x6c740001
	flagError    uint32 = 0x6c740002
)

// FetchOptions say how a value is cached.
type FetchOptions struct {
	// TTL is how long a value is fresh; 0 is for ever.
	TTL time.Duration
	// Jitter shortens each TTL at random by up to this share, 0 to 1, so that
	// what was stored together does not expire together.
	Jitter float64
	// Early is how long before a value's end one caller is chosen to load it
	// anew in the background while everybody has the old one.
	Early time.Duration
	// Stale is how long a value past its TTL is still handed out: to everybody
	// but the one caller who loads it anew, and to that one if load fails.
	Stale time.Duration
	// NegativeTTL is how long an ErrNotFound of load is cached; 0 is not at all.
	NegativeTTL time.Duration
	// ErrorTTL is how long any other error of load is cached; 0 is not at all.
	ErrorTTL time.Duration
	// Lease is how long the caller who loads a missing value has the field to
	// itself in the whole fleet. Default: 10 s.
	Lease time.Duration
}

// Fetch is FetchWith with a TTL and nothing else.
func (c *Client) Fetch(ctx context.Context, key string, ttl time.Duration, load func(context.Context) ([]byte, error)) ([]byte, error) {
	return c.FetchWith(ctx, key, FetchOptions{TTL: ttl}, load)
}

// FetchWith returns the value under key, calling load for it when the cache
// has none and storing what it returns.
//
// Concurrent calls for one key share one load, in the process and, where the
// server has meta commands, between all processes: the first is given a lease
// and the others wait for it. They share the result too, which must not be
// modified. Early, Stale and the lease need meta commands; without them a
// value is loaded once a process when it is gone.
//
// load runs with a context of its own that has the caller's values and ends
// when the last caller has left. Its error is returned and, unless asked for,
// not cached; a panic in it becomes a [PanicError]. A cache that cannot be
// reached counts as a miss and fails nobody. If the item is deleted during the
// load, what was loaded is returned but not stored.
func (c *Client) FetchWith(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	data, _, err := c.fetch(ctx, key, o, func(ctx context.Context) ([]byte, uint32, error) {
		data, err := load(ctx)
		return data, 0, err
	})
	return data, err
}

// fetch is FetchWith for values with flags.
func (c *Client) fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, uint32, error)) ([]byte, uint32, error) {
	if _, err := c.opts.checkKey(key); err != nil {
		return nil, 0, err
	}
	f, err := c.newFetch(key, o, load)
	if err != nil {
		return nil, 0, err
	}
	v, err := f.do(ctx)
	return v.data, v.flags, err
}

func (f *fetch) do(ctx context.Context) (loaded, error) {
	got, err := f.read(ctx, 0)
	reload := func(ctx context.Context) (loaded, error) { return f.reload(ctx, got) }
	switch {
	case err == nil && !got.won && !got.placeholder(), err == nil && got.settled():
		return got.result()
	case err == nil && got.won && !got.placeholder():
		if got.left >= f.stale && !got.stale {
			f.c.behind(ctx, f.key, reload)
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

// fetch is one FetchWith.
type fetch struct {
	c     *Client
	key   string
	load  func(context.Context) ([]byte, uint32, error)
	o     FetchOptions
	lease int32 // seconds
	watch int32 // seconds left below which one caller loads anew
	stale int64 // seconds of them past the TTL
}

func (c *Client) newFetch(key string, o FetchOptions, load func(context.Context) ([]byte, uint32, error)) (*fetch, error) {
	if o.Jitter < 0 || o.Jitter > 1 {
		return nil, fmt.Errorf("memcache: FetchOptions.Jitter is %v, expected 0 to 1", o.Jitter)
	}
	for _, d := range []*time.Duration{&o.TTL, &o.Early, &o.Stale, &o.NegativeTTL, &o.ErrorTTL, &o.Lease} {
		if *d < 0 {
			return nil, fmt.Errorf("%w: FetchOptions has %v", ErrTTL, *d)
		}
		*d = min(*d, 100*365*24*time.Hour) // so that sums do not overflow
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	f := &fetch{c: c, key: key, load: load, o: o}
	f.lease = seconds(o.Lease)
	if o.TTL > 0 {
		f.stale = int64(seconds(o.Stale))
		f.watch = seconds(o.Early + o.Stale)
	}
	return f, nil
}

// seconds rounds up, within what a relative time can say.
func seconds(d time.Duration) int32 {
	return int32(min((d+time.Second-1)/time.Second, relativeLimit))
}

// reading is what the server has under the key.
type reading struct {
	*Item
	won   bool  // this caller is to load it anew
	lost  bool  // another one is
	stale bool  // it was invalidated
	left  int64 // seconds to live
}

// placeholder tells the empty item that keeps the place of a value.
func (r *reading) placeholder() bool { return len(r.Value) == 0 && r.Flags == 0 && (r.won || r.lost) }

// settled tells an answer that is cached for its own, short time: that it is
// about to end is no reason to ask again.
func (r *reading) settled() bool {
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

// read asks the server; with vivify it puts a placeholder where nothing is.
func (f *fetch) read(ctx context.Context, vivify int32) (*reading, error) {
	cl := f.c.newCall(opLease, f.key)
	defer cl.release()
	cl.lease = leaseRequest{vivify: vivify, recache: f.watch}
	if err := f.c.do(ctx, cl); err != nil {
		return nil, err
	}
	return &reading{Item: cl.item, won: cl.won, lost: cl.lost, stale: cl.stale, left: int64(cl.num)}, nil
}

// The pauses between two looks at a value that another process loads.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// obtain gets hold of a missing value: it loads it with a lease, or waits for
// whoever has the lease.
func (f *fetch) obtain(ctx context.Context) (loaded, error) {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		got, err := f.read(ctx, f.lease)
		switch {
		case err == nil && got.settled():
			return got.result()
		case err == nil && got.won:
			return f.reload(ctx, got)
		case err == nil && !got.placeholder():
			return got.result()
		case err != nil:
			if ctx.Err() != nil {
				return loaded{}, ctx.Err()
			}
			return f.reload(ctx, nil)
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

// reload calls load and stores what comes of it. old is what the lease was
// given for, nil without a lease.
func (f *fetch) reload(ctx context.Context, old *reading) (loaded, error) {
	ended := false
	defer func() {
		if !ended && old != nil {
			f.giveBack(ctx, old)
		}
	}()
	start := time.Now()
	data, flags, err := f.load(ctx)
	ended = true
	if h := f.c.opts.Hooks.Loaded; h != nil {
		h(f.key, time.Since(start), err)
	}
	if err == nil {
		f.keep(ctx, old, data, flags, jitter(f.o.TTL, f.o.Jitter)+f.extra())
		return loaded{data, flags}, nil
	}
	missing := errors.Is(err, ErrNotFound)
	real := old != nil && !old.placeholder() && !missing
	switch {
	case real && f.o.Stale > 0:
		f.giveBack(ctx, old)
		return old.result()
	case real && !old.stale:
		// It was early: the old value is good until its end.
		return old.result()
	case missing && f.o.NegativeTTL > 0:
		f.keep(ctx, old, nil, flagNotFound, f.o.NegativeTTL)
	case !missing && f.o.ErrorTTL > 0:
		f.keep(ctx, old, []byte(err.Error()), flagError, f.o.ErrorTTL)
	case old != nil:
		f.giveBack(ctx, old)
	}
	return loaded{}, err
}

// extra is how long the server keeps a value past its TTL.
func (f *fetch) extra() time.Duration {
	if f.o.TTL == 0 {
		return 0
	}
	return f.o.Stale
}

// jitter shortens ttl at random by up to share of it.
func jitter(ttl time.Duration, share float64) time.Duration {
	if most := time.Duration(share * float64(ttl)); most > 0 {
		ttl -= rand.N(most)
	}
	return ttl
}

// own is a context for what is owed to the cache when ctx may have ended.
func (f *fetch) own(ctx context.Context) (context.Context, context.CancelFunc) {
	o := f.c.opts
	return context.WithTimeout(context.WithoutCancel(ctx), o.DialTimeout+o.QueueTimeout+o.ReadTimeout)
}

// keep stores what load returned. Whether that worked is no concern of who
// wants the value.
func (f *fetch) keep(ctx context.Context, old *reading, value []byte, flags uint32, ttl time.Duration) {
	ctx, cancel := f.own(ctx)
	defer cancel()
	it := &Item{Key: f.key, Value: value, Flags: flags, TTL: ttl}
	if old == nil {
		_ = f.c.Set(ctx, it)
		return
	}
	// Only over what the lease was given for: a deletion meanwhile means that
	// the value may be out of date already.
	it.CAS = old.CAS
	_ = f.c.CompareAndSwap(ctx, it)
}

// giveBack ends a lease without a value: the next caller gets it.
func (f *fetch) giveBack(ctx context.Context, old *reading) {
	ctx, cancel := f.own(ctx)
	defer cancel()
	o := opInvalidate
	if old.placeholder() {
		o = opDelete
	}
	cl := f.c.newCall(o, f.key)
	defer cl.release()
	cl.cas = old.CAS
	if cl.ttl = int32(min(max(old.left, 0), relativeLimit)); o == opInvalidate && old.left < 0 {
		cl.ttl = 0
	}
	_ = f.c.do(ctx, cl)
}

// Invalidate marks the item stale: until ttl is over, FetchWith hands it out to
// everybody but the one caller who loads it anew. Servers without meta commands
// delete it. ErrCacheMiss says that there is none.
func (c *Client) Invalidate(ctx context.Context, key string, ttl time.Duration) error {
	cl := c.newCall(opInvalidate, key)
	defer cl.release()
	cl.ttl = wireTTL(ttl, time.Now)
	return c.do(ctx, cl)
}

// FetchMulti returns the values under keys, calling load once for those the
// cache lacks and storing what it returns. Keys that load leaves out are left
// out of the result and, with NegativeTTL, remembered as missing. An error of
// load is returned with the values that the cache had. There are no leases.
func (c *Client) FetchMulti(ctx context.Context, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error) {
	if len(keys) == 0 {
		return map[string][]byte{}, nil
	}
	if _, err := c.newFetch(keys[0], o, nil); err != nil {
		return nil, err
	}
	items, err := c.GetMulti(ctx, keys)
	if ctx.Err() != nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrMalformedKey) {
		return nil, err
	}
	out := make(map[string][]byte, len(keys))
	asked := make(map[string]bool)
	var missing []string
	for _, key := range keys {
		it := items[key]
		switch {
		case it != nil && it.Flags == flagNotFound:
		case it != nil && it.Flags != flagError:
			out[key] = it.Value
		case !asked[key]:
			asked[key] = true
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	loaded, err := load(ctx, missing)
	if err != nil {
		return out, err
	}
	var store []*Item
	for _, key := range missing {
		value, ok := loaded[key]
		switch {
		case ok:
			out[key] = value
			store = append(store, &Item{Key: key, Value: value, TTL: jitter(o.TTL, o.Jitter)})
		case o.NegativeTTL > 0:
			store = append(store, &Item{Key: key, Flags: flagNotFound, TTL: o.NegativeTTL})
		}
	}
	_ = c.SetMulti(ctx, store)
	return out, nil
}
