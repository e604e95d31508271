// Package arena provides memory outside the Go heap for millions of records, in
// which the garbage collector has nothing to scan.
//
// How it works:
//
//   - [Reserve] takes a range of addresses from the operating system; a [File]
//     is a mapped file. Both are a [Memory].
//   - A [Loc] is an offset in a Memory. [At], [Slice] and [Memory.Bytes] give
//     typed access to what lies there. The pointers they return stay valid until
//     the Memory is released.
//   - A [Pool] divides a Memory into segments of one size, below Pool.Extents,
//     and extents in units of 512 bytes, above.
//   - The Pool reserves several times more addresses than it may use memory, so
//     that an extent always finds addresses in one piece. Its limit counts pages.
//   - Pages of freed segments and extents stay resident for reuse, up to the
//     limit, and are then returned to the operating system.
//   - [Barrier] orders writes for a process that may be killed between any two.
//
// # Invariants
//
// Only file unsafe.go uses package unsafe. T of At and Slice contains no
// pointers. Used plus resident free pages do not exceed the limit, except for
// what was taken by force.
//
// # Locks
//
// Pool.mu guards the lists and bitmaps of free memory. It is taken last: no
// other lock is taken and no caller's function is called under it, except the
// page functions of the operating system. Limit and Used are atomic.
package arena
