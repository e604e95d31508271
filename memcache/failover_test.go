package memcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache"
)

// cutting hangs up after a request of a kind has left: the server may carry it
// out, and its reply reaches no caller.
type cutting struct {
	net.Conn
	command string
	left    *atomic.Int64 // requests to cut
	cut     atomic.Bool
}

func (c *cutting) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte(c.command)) && c.left.Add(-1) >= 0 {
		c.cut.Store(true)
		defer c.Close()
	}
	return c.Conn.Write(p)
}

func (c *cutting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.Load() {
		return 0, io.EOF
	}
	return n, err
}

// TestFailoverMidFlight: the connection breaks between a request and its reply.
// What can be repeated is, at its own server if that is well and elsewhere if
// not; the rest returns the error and is carried out once at most.
func TestFailoverMidFlight(t *testing.T) {
	const host, other = "10.0.0.1", "10.0.0.2"
	for _, policy := range []memcache.Failover{memcache.FailError, memcache.FailMiss, memcache.FailNext, memcache.FailGutter} {
		for _, well := range []bool{true, false} {
			for _, op := range []string{"set", "set_multi", "delete", "delete_multi", "get", "add", "append", "incr"} {
				t.Run(fmt.Sprint(policy, well, op), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { midFlight(t, policy, well, op, host, other) })
				})
			}
		}
	}
}

func midFlight(t *testing.T, policy memcache.Failover, well bool, op, host, other string) {
	n := newNetwork(host, other)
	defer n.close()
	command := map[string]string{"get": "mg ", "incr": "ma ", "delete": "md ", "delete_multi": "md "}[op]
	if command == "" {
		command = "ms "
	}
	var cuts atomic.Int64
	dials := 0
	opts := &memcache.Options{Failover: policy, Dial: func(ctx context.Context, kind, addr string) (net.Conn, error) {
		if h, _, _ := net.SplitHostPort(addr); h == host {
			if dials++; dials > 1 && !well {
				return nil, errors.New("connection refused")
			}
		}
		nc, err := n.dial(ctx, kind, addr)
		if err != nil {
			return nil, err
		}
		return &cutting{Conn: nc, command: command, left: &cuts}, nil
	}}
	servers := []string{host, other}
	if policy == memcache.FailGutter {
		opts.Gutter, servers = []string{other}, servers[:1]
	}
	c := newClient(t, opts, servers...)
	defer c.Close()
	ctx := t.Context()
	key := "key"
	for i := 0; c.ServerFor(key) != host+":11211"; i++ {
		key = fmt.Sprint("key", i)
	}
	own, spare := n.servers[host], n.servers[other]
	own.Set(key, []byte("5"), 0, 0)
	if _, err := c.Get(ctx, key); err != nil { // the first connection
		t.Fatal(err)
	}
	cuts.Store(1)
	item := &memcache.Item{Key: key, Value: []byte("7"), TTL: time.Minute}
	var err error
	switch op {
	case "set":
		err = c.Set(ctx, item)
	case "set_multi":
		err = c.SetMulti(ctx, []*memcache.Item{item})
	case "delete":
		err = c.Delete(ctx, key)
	case "delete_multi":
		err = c.DeleteMulti(ctx, []string{key})
	case "get":
		_, err = c.Get(ctx, key)
	case "add":
		err = c.Add(ctx, item)
	case "append":
		err = c.Append(ctx, key, []byte("7"))
	case "incr":
		_, err = c.Increment(ctx, key, 1)
	}
	synctest.Wait()
	elsewhere := policy == memcache.FailNext || policy == memcache.FailGutter
	ownValue, _, onOwn := own.Get(key)
	spareValue, _, onSpare := spare.Get(key)
	switch op {
	case "set", "set_multi":
		switch {
		case !elsewhere:
			wantErr(t, op, err, pipeline.ErrConnLost)
		case err != nil:
			t.Error(err)
		case well && (string(ownValue) != "7" || onSpare):
			t.Errorf("on a server that is well: %q, elsewhere %q", ownValue, spareValue)
		case !well && string(spareValue) != "7":
			t.Errorf("elsewhere: %q", spareValue)
		}
	case "delete", "delete_multi":
		switch {
		case !elsewhere:
			wantErr(t, op, err, pipeline.ErrConnLost)
		case err != nil && err != memcache.ErrCacheMiss:
			t.Error(err)
		case well && onOwn:
			t.Error("the item is still there")
		}
	case "get":
		switch {
		case well:
			wantErr(t, op, err, nil)
		case policy == memcache.FailError:
			wantErr(t, op, err, memcache.ErrServerDown)
		default:
			wantErr(t, op, err, memcache.ErrCacheMiss)
		}
	default:
		if !errors.Is(err, pipeline.ErrConnLost) && !errors.Is(err, memcache.ErrServerDown) {
			t.Errorf("%s: %v", op, err)
		}
		if onSpare {
			t.Errorf("%s was asked for elsewhere", op)
		}
		if count := own.Count(command[:2]); count > 1 {
			t.Errorf("%s was asked for %d times", op, count)
		}
	}
}
