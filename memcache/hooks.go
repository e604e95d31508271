package memcache

import (
	"context"
	"time"
)

// Hooks are called by the client where they are set: for metrics, logs and
// traces. They must be safe for concurrent use and return quickly.
type Hooks struct {
	// Done is called after each request to one server, with its command
	// ("get", "set", ...), the number of keys and of those found, and how long
	// it took, waiting included.
	Done func(ctx context.Context, r Request)
	// Dialed is called after each attempt to connect.
	Dialed func(server string, took time.Duration, err error)
	// Down is called when a connection ends; err says why.
	Down func(server string, err error)
	// Loaded is called when Fetch called its load function.
	Loaded func(key string, took time.Duration, err error)
}

// Request is what Hooks.Done learns.
type Request struct {
	Command string
	Server  string
	Keys    int
	Hits    int // reads: keys found
	Took    time.Duration
	Err     error // nil, or what the caller was told; a miss is ErrCacheMiss
}

var commandNames = [...]string{
	opGet: "get", opGetInto: "get", opGetMulti: "get_multi", opStore: "set", opStoreMulti: "set_multi",
	opDelete: "delete", opDeleteMulti: "delete_multi", opArith: "incr", opTouch: "touch", opLease: "lease",
	opInvalidate: "invalidate", opCommand: "command", opStats: "stats",
}

func (cl *call) report(ctx context.Context, h *Hooks, server string, start time.Time, err error) {
	r := Request{Command: commandNames[cl.op], Server: server, Keys: 1, Took: time.Since(start), Err: err}
	if n := len(cl.keys); n > 0 {
		r.Keys = n
	}
	if err == nil {
		switch cl.op {
		case opGet, opGetInto:
			r.Hits = 1
		case opLease:
			if len(cl.item.Value) > 0 || !cl.won && !cl.lost {
				r.Hits = 1
			}
		case opGetMulti:
			for _, it := range cl.items {
				if it != nil {
					r.Hits++
				}
			}
		}
	}
	h.Done(ctx, r)
}
