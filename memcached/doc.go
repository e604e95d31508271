// Package memcached is a cache server that speaks memcached's classic text, meta
// and binary protocols. It can be embedded: make a [Server], give it listeners,
// shut it down.
//
//	srv, err := memcached.New(memcached.Options{MemoryLimit: 256 << 20})
//	...
//	go srv.Serve(listener)
//	...
//	srv.Shutdown(ctx)
//
// For TLS pass the listener of crypto/tls to [Server.Serve]; for UDP use
// [Server.ServePacket].
//
// Replies are those of memcached [DefaultVersion], byte for byte, except for the
// differences below.
//
// # Examples
//
// Programs that run as tests are in example_test.go:
//
//   - a server inside a program: Example.
//   - several instances in one process: ExampleCluster, ExampleTopology.
//
// # Differences from memcached
//
// There are no slabs. stats slabs and stats items count by the size classes of
// memcached's table, hash_power_level is what memcached's hash table would have
// grown to, and slabs reassign, slabs automove and lru only change what stats
// settings reports. Items are evicted by S3-FIFO over the whole memory, not by an
// LRU for each class.
//
// SASL offers PLAIN only. Over UDP a request is one datagram and a reply at most
// sixteen, see [Server.ServePacket]. Expiry times may be later than 2038. The file
// of a warm restart has a format of its own and keeps its items also if the process
// is killed.
//
// The commands flush_prefix, mp and, with Options.Topology, config get cluster do
// not exist in memcached.
//
// # Bounds
//
// A client cannot make the server use memory without bound. Command lines end at
// 2048 bytes; get and gets, which may be longer, are answered as they arrive. An
// announced length reserves nothing before its bytes arrive. Options.ReadBufferLimit
// bounds the bytes of all values that are arriving. A client that does not read
// replies is not read from. A watcher that is too slow loses lines. The table of
// stats detail has at most 65536 prefixes. A panic in a command closes its
// connection and nothing else.
//
// # Implementation
//
// Package internal/memcached/netloop reads and writes sockets and calls a session
// (internal/memcached/session) with the input of a connection. The session lets a
// front end (text, meta, binary) parse each command, and internal/memcached/exec
// execute it on a transaction of internal/memcached/store. exec also keeps the
// counters, the settings and the log of watch.
package memcached
