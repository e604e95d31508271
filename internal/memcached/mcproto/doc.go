// Package mcproto is the wire codec of the memcached protocols: the classic
// text commands, the meta commands and the binary frames. It works on bytes
// alone: no sockets, no clock, no store. Nothing in it allocates from a length
// that a peer announced, and every view it returns points into the caller's
// input.
package mcproto

// MaxKey is the longest key, in bytes, that any of the protocols carries.
const MaxKey = 250

// MaxPending is how much of a line that has no end yet a connection may send,
// except for the lines of get and gets, which may be of any length.
const MaxPending = 2048

// MaxLength is the largest length a storage command may announce. One more and
// the length with its line ending would not fit the 31 bits memcached gives it.
const MaxLength = 1<<31 - 3
