//go:build !(amd64 || arm64) || windows

package arena

// Prefetches says whether the Prefetch functions have an effect. On Windows
// they have none: a page that was returned may not even be read there, and a
// two-step look-up reads without a lock.
const Prefetches = false

// PrefetchSlot has no effect on this system.
func PrefetchSlot(*uint64, *int64) {}

func prefetchRecord(*byte) {}

func prefetchChange(p, segment, own *byte) {}

func prefetchAppend(*byte) {}

// Pause has no effect on this system.
func Pause() {}
