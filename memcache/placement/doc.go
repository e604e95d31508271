// Package placement decides which server of a memcached fleet holds a key.
//
// A [Selector] is a placement rule, such as "ketama" or "rendezvous". Place
// applies the rule to a list of servers and returns a [Picker], which maps keys
// to servers. [New] has the rules of the clients of other languages, bit for
// bit: a fleet can be shared with programs that use those clients.
//
// Files: placement.go has the names of the rules, rendezvous.go, ring.go
// (consistent hashing) and modulo.go (hash modulo list, and jump hash) the rules,
// eject.go the failover of rules that have none of their own, hash.go and xxh3.go
// the hash functions, server.go the server addresses.
//
// A Picker is immutable apart from the cache of eject.go, which has its own lock.
// The vectors in testdata were computed by the original clients.
//
// # Examples
//
// ExampleNew in example_test.go shows where the keys of three servers are.
package placement
