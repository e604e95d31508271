//go:build (amd64 || arm64) && !windows

package store

import "unsafe"

const prefetches = true

// prefetch brings the cache line at p near. It does nothing to the memory, and no address is wrong.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// prefetchRecord brings near what a look-up reads of a record at p, and all of a small one.
//
//go:noescape
func prefetchRecord(p unsafe.Pointer)
