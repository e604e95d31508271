// Package dskit implements the interface Cache of github.com/grafana/dskit/cache
// on lintel.dev/memcache, with dskit's configuration and metrics. Mimir, Loki,
// Tempo and Thanos use that interface.
//
//	client, err := dskit.New(logger, "chunks", config, registerer) // instead of cache.NewMemcachedClientWithConfig
//
// # How it works
//
// Keys are placed by dskit's own selector, so items that were stored before are
// found. dskit's DNS provider resolves the addresses. One pipelined connection to
// each server carries all requests: a GetMulti sends one batch of commands to each
// server at once, however many keys it has.
//
// Asynchronous sets wait in a queue, as long as the configuration says, and are
// dropped when it is full. Goroutines, as many as the configuration says, carry
// them out.
//
// # Differences from dskit
//
// A GetMulti counts as one operation; MaxGetMultiBatchSize only decides whether
// operation_servers_touched is observed. MaxIdleConnections and
// MinIdleConnectionsHeadroomPercentage have no effect on connections.
//
// # Concurrency
//
// All methods are safe for concurrent use. Stop waits for the goroutines. It may
// be called more than once; sets that are still queued are dropped. One goroutine
// of dskit's DNS provider, which cannot be stopped, stays, as with dskit's client.
package dskit
