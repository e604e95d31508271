package memcache

import (
	"context"
	"errors"
	"time"
)

// Get returns the item under key, or ErrCacheMiss. The item is the caller's.
func (c *Client) Get(ctx context.Context, key string) (*Item, error) {
	cl := c.newCall(opGet, key)
	defer cl.release()
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	return cl.item, nil
}

// GetInto appends the value under key to dst, as append does, and returns it
// with the item's flags. It allocates only when dst is too short.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) (value []byte, flags uint32, err error) {
	cl := c.newCall(opGetInto, key)
	defer cl.release()
	if err := c.do(ctx, cl); err != nil {
		return dst, 0, err
	}
	return append(dst, cl.buf...), cl.flags, nil
}

// GetAndTouch is Get that also gives the item a new TTL.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (*Item, error) {
	cl := c.newCall(opGet, key)
	defer cl.release()
	cl.touch, cl.ttl = true, wireTTL(ttl, time.Now)
	if err := c.do(ctx, cl); err != nil {
		return nil, err
	}
	return cl.item, nil
}

// Set stores the item unconditionally.
func (c *Client) Set(ctx context.Context, it *Item) error { return c.store(ctx, it, modeSet) }

// Add stores the item if the server has none under its key; otherwise it
// returns ErrNotStored.
func (c *Client) Add(ctx context.Context, it *Item) error { return c.store(ctx, it, modeAdd) }

// Replace stores the item if the server has one under its key; otherwise it
// returns ErrNotStored.
func (c *Client) Replace(ctx context.Context, it *Item) error { return c.store(ctx, it, modeReplace) }

// CompareAndSwap stores the item if the server's has the version it.CAS still.
// ErrCASConflict says that it changed, ErrCacheMiss that it is gone.
func (c *Client) CompareAndSwap(ctx context.Context, it *Item) error {
	return c.store(ctx, it, modeCAS)
}

// Append adds value behind the stored one, which keeps its flags and TTL.
// ErrNotStored says that there is none.
func (c *Client) Append(ctx context.Context, key string, value []byte) error {
	return c.store(ctx, &Item{Key: key, Value: value}, modeAppend)
}

// Prepend adds value before the stored one, which keeps its flags and TTL.
// ErrNotStored says that there is none.
func (c *Client) Prepend(ctx context.Context, key string, value []byte) error {
	return c.store(ctx, &Item{Key: key, Value: value}, modePrepend)
}

func (c *Client) store(ctx context.Context, it *Item, m mode) error {
	if len(it.Value) > c.opts.MaxItemSize {
		return ErrTooLarge
	}
	cl := c.newCall(opStore, it.Key)
	defer cl.release()
	cl.mode, cl.value, cl.flags, cl.ttl, cl.cas = m, it.Value, it.Flags, wireTTL(it.TTL, time.Now), it.CAS
	return c.do(ctx, cl)
}

// Delete removes the item, or returns ErrCacheMiss.
func (c *Client) Delete(ctx context.Context, key string) error {
	cl := c.newCall(opDelete, key)
	defer cl.release()
	return c.do(ctx, cl)
}

// Increment adds delta to the decimal number under key and returns the sum,
// which wraps at 2^64.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.arith(ctx, key, delta, false)
}

// Decrement subtracts delta from the decimal number under key and returns the
// difference, which stops at 0.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.arith(ctx, key, delta, true)
}

func (c *Client) arith(ctx context.Context, key string, delta uint64, decr bool) (uint64, error) {
	cl := c.newCall(opArith, key)
	defer cl.release()
	cl.delta, cl.decr = delta, decr
	if err := c.do(ctx, cl); err != nil {
		return 0, err
	}
	return cl.num, nil
}

// Touch gives the item a new TTL, or returns ErrCacheMiss.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	cl := c.newCall(opTouch, key)
	defer cl.release()
	cl.ttl = wireTTL(ttl, time.Now)
	return c.do(ctx, cl)
}

// each sends one call to every server at once and joins the errors.
func (c *Client) each(ctx context.Context, mk func() *call, got func(*server, *call)) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	f := c.fleet.Load()
	calls := make([]*call, len(f.servers))
	errs := make([]error, len(f.servers))
	done := make(chan struct{})
	for i, s := range f.servers {
		calls[i] = mk()
		go func() {
			errs[i] = s.roundTrip(ctx, calls[i])
			done <- struct{}{}
		}()
	}
	for range f.servers {
		<-done
	}
	for i, s := range f.servers {
		switch {
		case errors.Is(errs[i], errUnsent):
			errs[i] = s.wrap(ErrConnLost)
		case errs[i] == nil && got != nil:
			got(s, calls[i])
		case errs[i] != nil:
			errs[i] = s.wrap(errs[i])
		}
		calls[i].release()
	}
	return errors.Join(errs...)
}

func (c *Client) command(line, expect string) func() *call {
	return func() *call {
		cl := c.newCall(opCommand, "")
		cl.command, cl.expect = line, expect
		return cl
	}
}

// FlushAll invalidates every item of every server.
func (c *Client) FlushAll(ctx context.Context) error {
	return c.each(ctx, c.command("flush_all", "OK"), nil)
}

// Ping asks every server for a sign of life and returns the errors, joined, of
// those that gave none.
func (c *Client) Ping(ctx context.Context) error {
	return c.each(ctx, c.command("version", "VERSION "), nil)
}

// Stats returns each server's statistics by server; sub is a subcommand such
// as "items", or "". With an error come the statistics of the servers that
// answered.
func (c *Client) Stats(ctx context.Context, sub string) (map[string]map[string]string, error) {
	line := "stats"
	if sub != "" {
		if err := checkArgs(sub); err != nil {
			return nil, err
		}
		line += " " + sub
	}
	out := make(map[string]map[string]string)
	err := c.each(ctx, func() *call {
		cl := c.newCall(opStats, "")
		cl.command = line
		return cl
	}, func(s *server, cl *call) { out[s.name] = cl.stats })
	return out, err
}

// checkArgs refuses what could carry a second command.
func checkArgs(args string) error {
	for i := 0; i < len(args); i++ {
		if args[i] < ' ' || args[i] == 0x7f {
			return ErrMalformedKey
		}
	}
	return nil
}
