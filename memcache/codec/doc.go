// Package codec converts Go values to the bytes and flags of memcached items.
//
// [JSON], [Gob], [Raw] and [Proto] are for values that only Go programs read.
// [Foreign] has the encodings of Python, PHP, Ruby (Dalli) and Java
// (spymemcached) clients. [Compressed] adds compression to any codec. The client's
// Typed view takes a Codec.
//
// Codecs never execute what they read: pickle, Marshal and serialized objects are
// refused with [ErrExecutable]. A compressed value may expand to 64 MiB at most.
//
// # Examples
//
// In example_test.go: ExampleForeign reads what a program of another language stored,
// ExampleCompressed stores large values compressed.
package codec
