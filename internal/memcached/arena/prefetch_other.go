//go:build !(amd64 || arm64) || windows

package store

import "unsafe"

// On Windows a page that was given back may not even be looked at, which peek might do.
const prefetches = false

func prefetchSlot(unsafe.Pointer, *shard) {}

func prefetchRecord(unsafe.Pointer) {}

func prefetchChange(p, segment, own unsafe.Pointer) {}

func prefetchAppend(unsafe.Pointer) {}

func pause() {}
