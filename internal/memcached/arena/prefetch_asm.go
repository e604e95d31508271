//go:build (amd64 || arm64) && !windows

package store

import "unsafe"

const prefetches = true

// What these functions bring near does not change, and no address is wrong.

// prefetchSlot brings near the line of an index that slot is in, and, to be written to, the first of a shard.
//
//go:noescape
func prefetchSlot(slot unsafe.Pointer, sh *shard)

// prefetchRecord brings near what a look-up reads of a record at p, and all of a small one.
//
//go:noescape
func prefetchRecord(p unsafe.Pointer)

// prefetchChange brings near what a look-up reads of a record at p, and, to be written to, where it is marked as gone, the header
// of its segment, and what a shard has of its own for changes.
//
//go:noescape
func prefetchChange(p, segment, own unsafe.Pointer)

// prefetchAppend brings near, to be written to, what the next small record, which is to lie at p, will be in.
//
//go:noescape
func prefetchAppend(p unsafe.Pointer)

// pause lets a few tens of cycles pass.
func pause()
