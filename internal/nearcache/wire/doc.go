// Package wire encodes and decodes what a cache server tells near caches: the
// messages of its feed of invalidations, and the answer to a fence. It works on
// bytes and does no I/O.
//
// # Lanes and sequences
//
// A server numbers its changes in lanes, one for each part of its store that has a
// lock of its own, counted from 0. In a lane, changes are numbered 1, 2, 3 and so
// on, with subscribers or without. An epoch is one run of the server's process. The
// number of lanes stays the same within an epoch.
//
// # Feed
//
// The feed is a PUB socket of ZeroMQ. A message has three frames: topic, header
// and records. All integers are big-endian.
//
//	topic    'i', lane 2
//	header   version 1, flags 1, lane 2, epoch 16, first 8, count 2    (30 octets)
//	records  count records, nothing behind them
//	record   op 1, hash 8                                              (9 octets)
//	         op 1 (= FlushPrefix), hash 8, length 1, prefix 1 to 250
//
// The version is 1. Flags are 0; receivers ignore them. The lane of the header is
// that of the topic. A receiver subscribes to "i", hence to all lanes. A filter on
// keys does not exist: gaps of a common numbering could not be told from filtered
// messages.
//
// With a count of 1 to [MaxRecords], the records have the numbers first, first+1
// and so on. first is at least 1. With a count of 0 the message is a heartbeat:
// first is the number of the lane's last change, 0 before the first, and every
// record up to it was sent earlier, or will not be sent. A sender repeats
// heartbeats of every lane at an interval well below a second.
//
// The hash is [Hash] of the key, 0 in records without a key. Two keys with one
// hash cost a needless invalidation.
//
//	op 1  Changed      the value, flags or CAS value of the key changed, or the item is new
//	op 2  Deleted      the item was deleted
//	op 3  Touched      the expiry time of the item changed
//	op 4  FlushAll     every item of the lane was deleted
//	op 5  FlushPrefix  every item of the lane whose key begins with the prefix was deleted
//	op 6  Lost         changes before this number were not published, for lack of room
//
// A number that is skipped means the same as Lost. Flushes are published in every
// lane. Evictions, expiry and commands that change nothing have no record.
//
// A record leaves the server after its change is visible to every reader of the
// server, and all records of a lane are sent in order.
//
// # Fence
//
// A fence asks for the last number of every lane at this moment. It is a command
// on a connection of the cache's text protocol:
//
//	mf <nonce>\r\n
//	HD O<nonce> e<epoch> [f<endpoint> ...] s<number>,<number>,...\r\n
//
// The nonce is a decimal number below 2^64, which the answer repeats. The epoch has
// 32 hexadecimal digits. Every f is an endpoint of the server's feed: at most
// [MaxFeeds], of at most [MaxEndpoint] octets, without spaces. The address * stands
// for the host of the cache connection. s has the last number
// of each lane, of lane 0 first. A server without a feed answers ERROR, as to any
// unknown command.
//
// When the feed has delivered everything up to these numbers, the receiver knows
// every change that was made before it sent the question.
package wire
