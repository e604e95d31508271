// Package discovery finds the servers of a memcached fleet.
//
// A [Source] names the servers at the moment it is asked: [File] reads a list, [DNS]
// and [SRV] ask a resolver, [Cluster] asks a server for its fleet ("config get
// cluster", as Amazon ElastiCache, Google Memorystore and Lintel answer it). The
// client's Follow asks a Source again and again and follows the changes; its Discover
// does so with Cluster.
//
// Sources have no goroutines. They are used by one goroutine at a time.
//
// # Examples
//
// In example_test.go: ExampleFile, ExampleDNS, ExampleSRV.
package discovery
