package memcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// part is the share of a multi-key request that goes to one server.
type part struct {
	s    *server
	cl   *pipeline.Call
	conn *pipeline.Conn // that cl was sent on, nil before
	keys []string
	idx  []int // positions of keys in the caller's order
	at   int   // number of keys filled in by split
	err  error

	encoded bool     // some keys are sent in base64
	dial    *attempt // to connect, started by run
}

// split groups keys by server. Keys that check refuses are left out; their errors are
// appended to refused. The parts share their backing arrays, so that the number of
// allocations does not depend on the number of servers.
func (c *Client) split(f *fleet, keys []string, dead func(int) bool, check func(i int) error, refused *[]error) ([]part, error) {
	n := len(f.servers)
	scratch := make([]int, n+2*len(keys))
	count, where, idx := scratch[:n], scratch[n:n+len(keys)], scratch[n+len(keys):]
	used, encoded := 0, false
	for i, key := range keys {
		odd, err := c.opts.checkKey(key)
		if err == nil && check != nil {
			err = check(i)
		}
		if err != nil {
			*refused = append(*refused, err)
			where[i] = -1
			continue
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
		if where[i] < 0 {
			continue
		}
		p := &parts[count[where[i]]]
		p.keys[p.at], p.idx[p.at] = key, i
		p.at++
	}
	return parts, nil
}

// run sends every part and then waits for all replies.
func run(ctx context.Context, parts []part) {
	var start time.Time
	for i := range parts {
		p := &parts[i]
		p.cl.Encoded = p.encoded
		if p.s.opts.Hooks.Done != nil && start.IsZero() {
			start = time.Now()
		}
		// Servers without a connection are dialed while the others get their requests.
		if p.s.ready() == nil {
			p.s.mu.Lock()
			if p.s.attempt == nil {
				p.dial, _ = p.s.startDial(time.Now())
			}
			p.s.mu.Unlock()
			continue
		}
		p.conn, p.err = p.s.submit(ctx, p.cl, nil)
	}
	for i := range parts {
		p := &parts[i]
		if p.conn == nil && p.err == nil {
			p.conn, p.err = p.s.submit(ctx, p.cl, p.dial)
		}
	}
	for i := range parts {
		p := &parts[i]
		if p.err == nil {
			if p.conn.Wait(ctx, p.cl) {
				p.err = p.s.retry(ctx, p.cl)
			} else {
				p.err = ctx.Err()
			}
		}
		if p.err != nil {
			p.err = p.s.named(p.err)
		}
		if h := &p.s.opts.Hooks; h.Done != nil {
			h.report(ctx, p.cl, p.s.name, start, p.err)
		}
	}
}

// fanOut runs one call for each server. Parts whose server left the fleet or, under the
// failover policy, is down are run once more elsewhere. check refuses keys by their
// position. mk prepares the call of a part; got takes the result of a part that
// succeeded.
func (c *Client) fanOut(ctx context.Context, keys []string, check func(i int) error, mk func(*part), got func(*part)) error {
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
	var errs []error
	parts, err := c.split(f, keys, dead, check, &errs)
	if err != nil {
		return err
	}
	for i := range parts {
		mk(&parts[i])
	}
	run(ctx, parts)
	for i := range parts {
		p := &parts[i]
		switch {
		case p.err == nil:
			got(p)
		case errors.Is(p.err, pipeline.ErrUnsent) || c.opts.Failover >= FailNext && isDown(p.err):
			if err := c.second(ctx, p, mk, got); err != nil {
				errs = append(errs, err)
			}
		case c.opts.Failover == FailMiss && (p.cl.Op == pipeline.OpGetMulti || p.cl.Op == pipeline.OpReadMulti) && isDown(p.err):
		default:
			errs = append(errs, p.err)
		}
		p.cl.Release()
	}
	return errors.Join(errs...)
}

// second runs a failed part again, on other servers.
func (c *Client) second(ctx context.Context, failed *part, mk, got func(*part)) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	f := c.fleet.Load()
	moved := errors.Is(failed.err, pipeline.ErrUnsent)
	if !moved && errors.Is(failed.err, pipeline.ErrConnLost) && failed.cl.Sent && !failed.cl.Idempotent() {
		// The server may have executed it: see server.again.
		same := []part{{s: failed.s, encoded: failed.encoded, keys: failed.keys, idx: failed.idx}}
		mk(&same[0])
		defer same[0].cl.Release()
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
	parts, err := c.split(f, failed.keys, dead, nil, nil)
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
		if !moved && c.opts.Failover == FailGutter && p.cl.Op == pipeline.OpStoreMulti {
			limit := wireTTL(c.opts.GutterTTL)
			for k, t := range p.cl.TTLs {
				if t == 0 || t > limit {
					p.cl.TTLs[k] = limit
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
			if errors.Is(p.err, pipeline.ErrUnsent) {
				p.err = &Error{Server: p.s.name, Err: pipeline.ErrConnLost}
			}
			errs = append(errs, p.err)
		}
		p.cl.Release()
	}
	return errors.Join(errs...)
}

// GetMulti returns the items found, by key. It asks all servers at once. If some keys
// are malformed or some servers do not answer, it returns the other items and an error
// that joins an [*Error] for each of these keys and servers.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	out := make(map[string]*Item, len(keys))
	items := make([]*pipeline.Item, len(keys))
	at := 0
	err := c.fanOut(ctx, keys, nil, func(p *part) {
		p.cl = c.newCall(pipeline.OpGetMulti, "")
		p.cl.Keys = p.keys
		if len(p.keys) > len(items)-at {
			items, at = make([]*pipeline.Item, len(p.keys)), 0
		}
		p.cl.Items = items[at : at+len(p.keys) : at+len(p.keys)]
		at += len(p.keys)
	}, func(p *part) {
		for i, it := range p.cl.Items {
			if it != nil {
				out[p.keys[i]] = (*Item)(it)
			}
		}
	})
	return out, err
}

// SetMulti stores the items, on all servers at once. The error joins an [*Error] for each
// item that is malformed, too large or was refused, and one for each server that did
// not answer, whose items may or may not be stored. All other items are stored.
func (c *Client) SetMulti(ctx context.Context, items []*Item) error {
	keys := make([]string, len(items))
	ttls := make([]int32, len(items))
	for i, it := range items {
		keys[i], ttls[i] = it.Key, wireTTL(it.TTL)
	}
	var refused []error
	err := c.fanOut(ctx, keys, func(i int) error { return c.opts.checkSize(items[i]) }, func(p *part) {
		p.cl = c.newCall(pipeline.OpStoreMulti, "")
		n := len(p.keys)
		p.cl.Keys, p.cl.Errs, p.cl.Items, p.cl.TTLs = p.keys, make([]error, n), make([]*pipeline.Item, n), make([]int32, n)
		for i, at := range p.idx {
			p.cl.Items[i], p.cl.TTLs[i] = (*pipeline.Item)(items[at]), ttls[at]
		}
	}, func(p *part) { refused = p.keyErrors(refused) })
	return errors.Join(append(refused, err)...)
}

// DeleteMulti removes the items, on all servers at once. Items that do not exist are no
// error. Otherwise the error is as that of SetMulti.
func (c *Client) DeleteMulti(ctx context.Context, keys []string) error {
	var refused []error
	err := c.fanOut(ctx, keys, nil, func(p *part) {
		p.cl = c.newCall(pipeline.OpDeleteMulti, "")
		p.cl.Keys, p.cl.Errs = p.keys, make([]error, len(p.keys))
	}, func(p *part) { refused = p.keyErrors(refused) })
	return errors.Join(append(refused, err)...)
}

// keyErrors appends an error for each key that the server refused.
func (p *part) keyErrors(errs []error) []error {
	for i, err := range p.cl.Errs {
		switch {
		case err == nil, p.cl.Op == pipeline.OpDeleteMulti && err == ErrCacheMiss:
			continue
		case err == ErrTooLarge:
			err = fmt.Errorf("%w: %d bytes, more than the server accepts", err, len(p.cl.Items[i].Value))
		}
		errs = append(errs, &Error{Key: p.keys[i], Server: p.s.name, Err: err})
	}
	return errs
}
