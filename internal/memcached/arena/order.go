package arena

// Barrier orders writes to a mapped file: what was written before the call is
// in memory before anything that is written after it. A process that is killed
// leaves in the file what its instructions stored, in their order, so only the
// compiler has to be kept from moving, merging or leaving out writes. It cannot
// do so across the call of a function that it does not inline.
//
// Barrier does not order what other goroutines see: that is what locks are for.
// Nor does it order what a machine that loses power has written.
//
//go:noinline
func Barrier() {}
