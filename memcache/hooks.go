package memcache

import (
	"context"
	"errors"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// Hooks are functions that the client calls, for metrics, logs and traces. A nil hook
// is not called. Hooks must be safe for concurrent use and return quickly.
type Hooks struct {
	// Done is called after each request to a server, with the caller's context.
	Done func(ctx context.Context, r Request)
	// Dialed is called after each attempt to connect. took is its duration.
	Dialed func(server string, took time.Duration, err error)
	// Down is called when a connection ended, with the reason.
	Down func(server string, err error)
	// Loaded is called after each call of a load function by Fetch.
	Loaded func(key string, took time.Duration, err error)
}

// Request describes a request to a server that has ended.
type Request struct {
	Command string // "get", "set", "get_multi", "lease", ...
	Server  string // as Client.Servers names it
	Keys    int    // number of keys
	Hits    int    // of a read: number of keys found
	// Internal marks requests that the client makes in addition to a read that it has
	// reported: Fetch looking for a missing value again, or a Namespace reading its
	// version. Hit ratios leave them out.
	Internal bool
	Took     time.Duration // from the call to the reply, waiting included
	// Err is what the caller got: ErrCacheMiss for a miss, the joined errors of the keys
	// for SetMulti and DeleteMulti.
	Err error
}

var commandNames = [...]string{
	pipeline.OpGet: "get", pipeline.OpGetInto: "get", pipeline.OpGetMulti: "get_multi",
	pipeline.OpRead: "get", pipeline.OpReadMulti: "get_multi",
	pipeline.OpStore: "set", pipeline.OpStoreMulti: "set_multi",
	pipeline.OpDelete: "delete", pipeline.OpDeleteMulti: "delete_multi",
	pipeline.OpArith: "incr", pipeline.OpTouch: "touch", pipeline.OpLease: "lease",
	pipeline.OpInvalidate: "invalidate", pipeline.OpCommand: "command", pipeline.OpStats: "stats",
}

// report calls Done.
func (h *Hooks) report(ctx context.Context, cl *pipeline.Call, server string, start time.Time, err error) {
	r := Request{
		Command: commandNames[cl.Op], Server: server, Keys: max(len(cl.Keys), 1),
		Internal: cl.Internal, Took: time.Since(start), Err: err,
	}
	if err == nil {
		switch cl.Op {
		case pipeline.OpGet, pipeline.OpGetInto:
			r.Hits = 1
		case pipeline.OpRead:
			if cl.Read.Found {
				r.Hits = 1
			}
		case pipeline.OpReadMulti:
			for i := range cl.Reads {
				if cl.Reads[i].Found {
					r.Hits++
				}
			}
		case pipeline.OpLease:
			if len(cl.Item.Value) > 0 || !cl.Won && !cl.Lost {
				r.Hits = 1
			}
		case pipeline.OpGetMulti:
			for _, it := range cl.Items {
				if it != nil {
					r.Hits++
				}
			}
		case pipeline.OpStoreMulti, pipeline.OpDeleteMulti:
			var errs []error
			for i, err := range cl.Errs {
				if err != nil && (cl.Op != pipeline.OpDeleteMulti || err != ErrCacheMiss) {
					errs = append(errs, &Error{Key: cl.Keys[i], Server: server, Err: err})
				}
			}
			r.Err = errors.Join(errs...)
		}
	}
	h.Done(ctx, r)
}
