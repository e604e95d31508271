package memcache

import (
	"context"
	"errors"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// newCall returns a call with one reference, which its Release gives up.
func (c *Client) newCall(op pipeline.Op, key string) *pipeline.Call {
	return pipeline.NewCall(&c.calls, op, key)
}

// Get returns the item under key, or ErrCacheMiss. The item belongs to the caller.
func (c *Client) Get(ctx context.Context, key string) (*Item, error) {
	cl := pipeline.NewCall(&c.calls, pipeline.OpGet, key)
	defer cl.Release()
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	return (*Item)(cl.Item), nil
}

// GetInto appends the value under key to dst and returns it with the item's flags. It
// allocates only if dst is too short.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) (value []byte, flags uint32, err error) {
	cl := c.newCall(pipeline.OpGetInto, key)
	defer cl.Release()
	if err := c.do(ctx, cl); err != nil {
		return dst, 0, err
	}
	return append(dst, cl.Buf...), cl.Flags, nil
}

// GetAndTouch returns the item under key, or ErrCacheMiss, and sets its TTL.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (*Item, error) {
	cl := c.newCall(pipeline.OpGet, key)
	defer cl.Release()
	cl.Gat, cl.TTL = true, wireTTL(ttl)
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	return (*Item)(cl.Item), nil
}

// Set stores the item unconditionally.
func (c *Client) Set(ctx context.Context, it *Item) error {
	return c.store(ctx, it, pipeline.ModeSet)
}

// Add stores the item if the server has none under its key, or returns ErrNotStored.
func (c *Client) Add(ctx context.Context, it *Item) error {
	return c.store(ctx, it, pipeline.ModeAdd)
}

// Replace stores the item if the server has one under its key, or returns ErrNotStored.
func (c *Client) Replace(ctx context.Context, it *Item) error {
	return c.store(ctx, it, pipeline.ModeReplace)
}

// CompareAndSwap stores the item if the stored one still has the version it.CAS. It
// returns ErrCASConflict if that one changed and ErrCacheMiss if it is gone.
func (c *Client) CompareAndSwap(ctx context.Context, it *Item) error {
	return c.store(ctx, it, pipeline.ModeCAS)
}

// Append adds value to the end of the stored one, which keeps its flags and TTL. It
// returns ErrNotStored if there is none.
func (c *Client) Append(ctx context.Context, key string, value []byte) error {
	return c.store(ctx, &Item{Key: key, Value: value}, pipeline.ModeAppend)
}

// Prepend adds value to the front of the stored one, which keeps its flags and TTL. It
// returns ErrNotStored if there is none.
func (c *Client) Prepend(ctx context.Context, key string, value []byte) error {
	return c.store(ctx, &Item{Key: key, Value: value}, pipeline.ModePrepend)
}

func (c *Client) store(ctx context.Context, it *Item, m pipeline.Mode) error {
	if err := c.opts.checkSize(it); err != nil {
		return err
	}
	cl := c.newCall(pipeline.OpStore, it.Key)
	defer cl.Release()
	cl.Mode, cl.Value, cl.Flags, cl.TTL, cl.CAS = m, it.Value, it.Flags, wireTTL(it.TTL), it.CAS
	return c.do(ctx, cl)
}

// Delete removes the item, or returns ErrCacheMiss.
func (c *Client) Delete(ctx context.Context, key string) error {
	cl := c.newCall(pipeline.OpDelete, key)
	defer cl.Release()
	return c.do(ctx, cl)
}

// Invalidate marks the item as stale: until ttl is over, Fetch returns it to all callers
// but the one that reloads it. Servers without meta commands delete it. Invalidate
// returns ErrCacheMiss if there is no item.
func (c *Client) Invalidate(ctx context.Context, key string, ttl time.Duration) error {
	cl := c.newCall(pipeline.OpInvalidate, key)
	defer cl.Release()
	cl.TTL = wireTTL(ttl)
	return c.do(ctx, cl)
}

// Increment adds delta to the decimal number under key and returns the sum, which wraps
// at 2^64. It returns ErrCacheMiss or ErrNotNumber if there is no number.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.arith(ctx, key, delta, false)
}

// Decrement subtracts delta from the decimal number under key and returns the
// difference, which is 0 at least. It returns ErrCacheMiss or ErrNotNumber if there is
// no number.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.arith(ctx, key, delta, true)
}

func (c *Client) arith(ctx context.Context, key string, delta uint64, decr bool) (uint64, error) {
	cl := c.newCall(pipeline.OpArith, key)
	defer cl.Release()
	cl.Delta, cl.Decr = delta, decr
	if err := c.do(ctx, cl); err != nil {
		return 0, err
	}
	return cl.Num, nil
}

// Touch sets the item's TTL, or returns ErrCacheMiss.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	cl := c.newCall(pipeline.OpTouch, key)
	defer cl.Release()
	cl.TTL = wireTTL(ttl)
	return c.do(ctx, cl)
}

// maxMoves is how often a call follows a fleet that changes under it.
const maxMoves = 8

// do sends cl to the server of its key and waits for the reply, according to the
// failover policy.
func (c *Client) do(ctx context.Context, cl *pipeline.Call) error {
	if !pipeline.PlainKey(cl.Key) {
		var err error
		if cl.Encoded, err = c.opts.checkKey(cl.Key); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for range maxMoves {
		f := c.fleet.Load()
		var dead func(int) bool
		if c.opts.Failover == FailNext {
			dead = f.dead
		}
		i := f.picker.Pick(cl.Key, dead)
		if i < 0 {
			return &Error{Key: cl.Key, Err: ErrNoServers}
		}
		err := f.servers[i].roundTrip(ctx, cl)
		switch {
		case err == nil || err == ErrCacheMiss:
			return err
		case errors.Is(err, pipeline.ErrUnsent): // the server left the fleet
			if c.ctx.Err() != nil {
				return ErrClosed
			}
		case c.opts.Failover != FailError && isDown(err):
			return c.failover(ctx, cl, f, i, err)
		default:
			return err
		}
	}
	return &Error{Key: cl.Key, Err: pipeline.ErrConnLost}
}

// failover handles a call whose server failed with err.
func (c *Client) failover(ctx context.Context, cl *pipeline.Call, f *fleet, failed int, err error) error {
	if c.opts.Failover == FailMiss {
		switch cl.Op {
		case pipeline.OpGet, pipeline.OpGetInto, pipeline.OpRead, pipeline.OpLease:
			return ErrCacheMiss
		}
		return err
	}
	ended, err := f.servers[failed].again(ctx, cl, err)
	if ended {
		return err
	}
	if c.opts.Failover == FailNext {
		next := f.picker.Pick(cl.Key, func(i int) bool { return i == failed || f.dead(i) })
		if next < 0 {
			return err
		}
		return f.servers[next].roundTrip(ctx, cl)
	}
	limit := wireTTL(c.opts.GutterTTL)
	sets := cl.Op == pipeline.OpStore && cl.Mode != pipeline.ModeCAS || cl.Gat || cl.Op == pipeline.OpTouch
	if sets && (cl.TTL == 0 || cl.TTL > limit) {
		cl.TTL = limit
	}
	i := c.gutter.picker.Pick(cl.Key, nil)
	if i < 0 {
		return err
	}
	return c.gutter.servers[i].roundTrip(ctx, cl)
}

// again sends cl to its server once more if the connection failed: the server may have
// executed it, and then it must not go to another server. ended reports that result is
// final: the server answered, or cl must not be sent twice.
func (s *server) again(ctx context.Context, cl *pipeline.Call, err error) (ended bool, result error) {
	if !cl.Sent || cl.Idempotent() {
		return false, err
	}
	if !cl.Repeatable() {
		return true, err
	}
	if errors.Is(err, pipeline.ErrConnLost) {
		err = s.roundTrip(ctx, cl)
	}
	return err == nil || !isDown(err), err
}
