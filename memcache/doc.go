// Package memcache is a client for fleets of memcached servers.
//
// A [Client] keeps one connection to each server and shares it between all
// goroutines: concurrent calls share writes and reads, and a single caller reads its
// own reply. It uses meta commands, whose replies name their request, and falls back
// to classic commands where the server has none.
//
// # From key to value
//
// A placement maps the key to a server; package placement has the rules of the
// clients of other languages, so that a fleet can be shared with them. The server's
// connection carries the request (internal/memcache/pipeline). [Client.Fetch] adds
// cache-aside: it loads a missing value once and stores it. [Namespace] is a view of
// a client for a group of keys, [Typed] one of a client or a namespace for values of
// one type, encoded by package codec. Package discovery finds the servers.
//
// # Concurrency
//
// All methods of Client, Namespace and Typed are safe for concurrent use. Every call
// takes a context. When it ends, the call returns at once, and the connection drops
// the late reply. A reply that does not match its request closes the connection, and
// no caller gets it.
//
// Locks: Client.mu for changes of the fleet, singleflight.mu for the loads of Fetch,
// server.mu for connecting and the circuit breaker, Namespace.mu for the cached
// version, and those of a connection (see the pipeline). They are taken in this
// order. While no server fails, an operation takes only those of its connection.
//
// # Errors
//
// Answers ([ErrCacheMiss], [ErrNotStored], [ErrCASConflict]) are returned as they
// are. All other errors are an [*Error], which has the key and the server, or join
// several of them. A request that was not sent is sent again. A request that the
// server may have executed is sent again only if it reads or, with [FailNext] and
// [FailGutter], if it sets or deletes.
//
// # Examples
//
// Programs that run as tests are in the files example_*_test.go:
//
//   - calls: Example, ExampleClient_GetMulti, ExampleClient_GetInto,
//     ExampleClient_CompareAndSwap, ExampleError.
//   - cache-aside: ExampleClient_Fetch, ExampleClient_Fetch_stale,
//     ExampleClient_FetchMulti, ExampleFetchOptions_stale,
//     ExampleFetchOptions_negative.
//   - groups of keys and types: ExampleClient_Namespace,
//     ExampleClient_Invalidate, ExampleTyped, ExampleTyped_namespace,
//     ExampleTyped_codecs.
//   - servers: ExampleNew_weights, ExampleNew_unixSocket, ExampleOptions_tls,
//     ExampleOptions_password, ExampleOptions_encodeKeys,
//     ExampleOptions_failover, ExampleFailover, ExampleDiscover, ExampleFollow,
//     ExampleFollow_file, ExampleClient_SetServers.
//   - observation: ExampleHooks, ExampleHooks_tracing.
package memcache
