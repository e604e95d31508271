package memcache

import (
	"context"
	"errors"
	"time"
)

// part is the share of a multi-key request that goes to one server.
type part struct {
	s    *server
	cl   *call
	keys []string
	idx  []int // of the keys in the caller's order
	at   int
	err  error
	open bool // submitted, reply outstanding

	encoded bool // as in call
	dial    *attempt
}

// split groups keys by server. The parts share their backing arrays, so that
// the number of allocations does not depend on the number of servers.
func (c *Client) split(f *fleet, keys []string, dead func(int) bool) ([]part, error) {
	n := len(f.servers)
	scratch := make([]int, n+2*len(keys))
	count, where, idx := scratch[:n], scratch[n:n+len(keys)], scratch[n+len(keys):]
	used, encoded := 0, false
	for i, key := range keys {
		odd, err := c.opts.checkKey(key)
		if err != nil {
			return nil, err
		}
		encoded = encoded || odd
		s := f.picker.Pick(key, dead)
		if s < 0 {
			return nil, ErrNoServers
		}
		if count[s] == 0 {
			used++
		}
		count[s]++
		where[i] = s
	}
	sorted := make([]string, len(keys))
	parts := make([]part, 0, used)
	off := 0
	for s, k := range count {
		if k == 0 {
			continue
		}
		parts = append(parts, part{s: f.servers[s], encoded: encoded, keys: sorted[off : off+k : off+k], idx: idx[off : off+k]})
		count[s] = len(parts) - 1
		off += k
	}
	for i, key := range keys {
		p := &parts[count[where[i]]]
		p.keys[p.at], p.idx[p.at] = key, i
		p.at++
	}
	return parts, nil
}

// run sends every part at once and waits for all of them.
func run(ctx context.Context, parts []part) {
	var start time.Time
	for i := range parts {
		p := &parts[i]
		p.cl.encoded = p.encoded
		if p.s.opts.Hooks.Done != nil && start.IsZero() {
			start = time.Now()
		}
		// A server without a connection is dialed while the others are asked.
		if p.s.ready() == nil {
			p.s.mu.Lock()
			if p.s.attempt == nil {
				p.dial, _ = p.s.startDial(time.Now())
			}
			p.s.mu.Unlock()
			continue
		}
		p.err = p.s.submit(ctx, p.cl, nil)
		p.open = p.err == nil
	}
	for i := range parts {
		p := &parts[i]
		if !p.open && p.err == nil {
			p.err = p.s.submit(ctx, p.cl, p.dial)
			p.open = p.err == nil
		}
	}
	for i := range parts {
		p := &parts[i]
		if p.open {
			p.err = p.s.finish(ctx, p.cl)
		}
		if p.err != nil {
			p.err = p.s.wrap(p.err)
		}
		if h := &p.s.opts.Hooks; h.Done != nil {
			p.cl.report(ctx, h, p.s.name, start, p.err)
		}
	}
}

// fanOut runs one call for each server, and once more for what met a server
// that had just left the fleet or, by the failover policy, one that is down.
// mk prepares a part's call; got takes in the result of a part that worked.
func (c *Client) fanOut(ctx context.Context, keys []string, mk func(*part), got func(*part)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if len(keys) == 0 {
		return nil
	}
	f := c.fleet.Load()
	var dead func(int) bool
	if c.opts.Failover == FailNext {
		dead = f.dead
	}
	parts, err := c.split(f, keys, dead)
	if err != nil {
		return err
	}
	for i := range parts {
		mk(&parts[i])
	}
	run(ctx, parts)
	var errs []error
	for i := range parts {
		p := &parts[i]
		switch {
		case p.err == nil:
			got(p)
		case errors.Is(p.err, errUnsent) || c.opts.Failover >= FailNext && isDown(p.err):
			if err := c.second(ctx, p, mk, got); err != nil {
				errs = append(errs, err)
			}
		case c.opts.Failover == FailMiss && p.cl.op == opGetMulti && isDown(p.err):
		default:
			errs = append(errs, p.err)
		}
		p.cl.release()
	}
	return errors.Join(errs...)
}

// second sends the keys of a failed part elsewhere.
func (c *Client) second(ctx context.Context, failed *part, mk, got func(*part)) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	f := c.fleet.Load()
	moved := errors.Is(failed.err, errUnsent)
	if !moved && errors.Is(failed.err, ErrConnLost) && failed.cl.sent && !failed.cl.idempotent() {
		// The server may be well: see server.again.
		same := []part{{s: failed.s, encoded: failed.encoded, keys: failed.keys, idx: failed.idx}}
		mk(&same[0])
		defer same[0].cl.release()
		run(ctx, same)
		if same[0].err == nil {
			got(&same[0])
			return nil
		}
		if !isDown(same[0].err) {
			return same[0].err
		}
	}
	var dead func(int) bool
	switch {
	case c.opts.Failover == FailNext && moved:
		dead = f.dead
	case c.opts.Failover == FailNext:
		dead = func(i int) bool { return f.servers[i] == failed.s || f.dead(i) }
	case c.opts.Failover == FailGutter && !moved:
		f = c.gutter
	}
	parts, err := c.split(f, failed.keys, dead)
	if err != nil {
		return failed.err
	}
	for i := range parts {
		p := &parts[i]
		for k, at := range p.idx {
			p.idx[k] = failed.idx[at]
		}
		if p.s == failed.s {
			return failed.err
		}
		mk(p)
		if !moved && c.opts.Failover == FailGutter && p.cl.op == opStoreMulti {
			limit := wireTTL(c.opts.GutterTTL, time.Now)
			for k, t := range p.cl.ttls {
				if t == 0 || t > limit {
					p.cl.ttls[k] = limit
				}
			}
		}
	}
	run(ctx, parts)
	var errs []error
	for i := range parts {
		p := &parts[i]
		if p.err == nil {
			got(p)
		} else {
			if errors.Is(p.err, errUnsent) {
				p.err = p.s.wrap(ErrConnLost)
			}
			errs = append(errs, p.err)
		}
		p.cl.release()
	}
	return errors.Join(errs...)
}

// GetMulti returns the items found, by key. All servers are asked at once.
// When some could not answer, the items of the others come with an error that
// joins one [ServerError] for each.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	out := make(map[string]*Item, len(keys))
	items := make([]*Item, len(keys))
	at := 0
	err := c.fanOut(ctx, keys, func(p *part) {
		p.cl = c.newCall(opGetMulti, "")
		p.cl.keys = p.keys
		if len(p.keys) > len(items)-at {
			items, at = make([]*Item, len(p.keys)), 0
		}
		p.cl.items = items[at : at+len(p.keys) : at+len(p.keys)]
		at += len(p.keys)
	}, func(p *part) {
		for i, it := range p.cl.items {
			if it != nil {
				out[p.keys[i]] = it
			}
		}
	})
	return out, err
}

// KeyError is the answer to one key of a multi-key request.
type KeyError struct {
	Key string
	Err error
}

func (e *KeyError) Error() string { return e.Err.Error() + " (" + e.Key + ")" }

func (e *KeyError) Unwrap() error { return e.Err }

// SetMulti stores the items, all servers at once. The error joins a
// [ServerError] for each server that could not answer, whose items may or may
// not be stored, and a [KeyError] for each item that a server refused.
func (c *Client) SetMulti(ctx context.Context, items []*Item) error {
	keys := make([]string, len(items))
	ttls := make([]int32, len(items))
	for i, it := range items {
		if len(it.Value) > c.opts.MaxItemSize {
			return &KeyError{it.Key, ErrTooLarge}
		}
		keys[i], ttls[i] = it.Key, wireTTL(it.TTL, time.Now)
	}
	var refused []error
	err := c.fanOut(ctx, keys, func(p *part) {
		p.cl = c.newCall(opStoreMulti, "")
		n := len(p.keys)
		p.cl.keys, p.cl.errs, p.cl.items, p.cl.ttls = p.keys, make([]error, n), make([]*Item, n), make([]int32, n)
		for i, at := range p.idx {
			p.cl.items[i], p.cl.ttls[i] = items[at], ttls[at]
		}
	}, func(p *part) { refused = p.keyErrors(refused) })
	return errors.Join(append(refused, err)...)
}

// DeleteMulti removes the items, all servers at once. Items that were not
// there are no error; the others are those of SetMulti.
func (c *Client) DeleteMulti(ctx context.Context, keys []string) error {
	var refused []error
	err := c.fanOut(ctx, keys, func(p *part) {
		p.cl = c.newCall(opDeleteMulti, "")
		p.cl.keys, p.cl.errs = p.keys, make([]error, len(p.keys))
	}, func(p *part) { refused = p.keyErrors(refused) })
	return errors.Join(append(refused, err)...)
}

func (p *part) keyErrors(errs []error) []error {
	for i, err := range p.cl.errs {
		if err != nil && !(p.cl.op == opDeleteMulti && err == ErrCacheMiss) {
			errs = append(errs, &KeyError{p.keys[i], err})
		}
	}
	return errs
}
