//go:build !linux

package main

import "runtime/debug"

// trimMemory gives back what only starting needed.
func trimMemory() { debug.FreeOSMemory() }
