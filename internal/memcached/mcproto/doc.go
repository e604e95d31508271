// Package mcproto parses and encodes the memcached protocols: classic text, meta
// and binary. Server and client use it.
//
// How it works:
//
//   - token.go splits lines, number.go reads the numbers of commands by
//     memcached's rules, and prints them.
//   - [Meta] holds the flags of a meta command, [MetaReply] and [ValueLine] the
//     first line of a reply.
//   - [Header] is the header of a binary request; [AppendResponse] writes one of a
//     response.
//
// It has no sockets, no clock and no locks. Nothing is allocated by a length that
// a peer announced. Slices in results point into the caller's input.
package mcproto

// MaxKey is the length in bytes of the longest key.
const MaxKey = 250

// MaxPending is the largest length in bytes of an incomplete line, except for
// lines of get and gets, which have no bound.
const MaxPending = 2048

// MaxLength is the largest length that a storage command may announce. With the
// line end it fits in 31 bits.
const MaxLength = 1<<31 - 3
