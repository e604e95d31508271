//go:build 386 || arm || mips || mipsle

package arena

// A store reserves at least 24 GiB of addresses, so the cache server does not
// build for 32 bits. The client and the sockets do.
var _ = theMemcachedServerNeedsA64BitSystem
