// Package shim is what the adapters gomemcache and grafana have in common: the errors
// and the ServerList of gomemcache, and a Pool with a client of package memcache for
// each server address that a ServerSelector returns.
//
// The selector chooses the address for every key, and addresses may appear at any time:
// a Pool makes the client for an address at its first use. Pool.mu protects the list of
// clients. A client is closed when it has left the list and its last call has ended.
package shim
