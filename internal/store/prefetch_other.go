//go:build !(amd64 || arm64) || windows

package store

import "unsafe"

// On Windows a page that was given back may not even be looked at, which peek might do.
const prefetches = false

func prefetch(unsafe.Pointer) {}

func prefetchRecord(unsafe.Pointer) {}
