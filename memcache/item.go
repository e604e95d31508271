package memcache

import (
	"math"
	"time"
)

// Item is one cached value.
type Item struct {
	// Key is 1 to 250 bytes, none of them a space, a control character or DEL. With
	// Options.EncodeKeys it may also be up to 186 bytes of any kind.
	Key string
	// Value belongs to the caller before and after every call: the client copies it.
	Value []byte
	// Flags are stored with the value. The codec in use gives them a meaning.
	Flags uint32
	// TTL is the lifetime of the item from when it is stored. 0 is unlimited, negative
	// expires at once. It is sent in whole seconds, rounded up. Items expire at
	// 2038-01-19 03:14:07 UTC at the latest, the last second that memcached can
	// represent. Reads leave it zero.
	TTL time.Duration
	// CAS is the version that CompareAndSwap compares. Get and GetMulti set it.
	CAS uint64
}

// relativeLimit is memcached's REALTIME_MAXDELTA in seconds: larger numbers are Unix
// times.
const relativeLimit = 30 * 24 * 60 * 60

// wireTTL converts a TTL to the protocol's number: seconds from now up to 30 days,
// otherwise a Unix time of at most 32 bits.
func wireTTL(ttl time.Duration) int32 {
	if ttl == 0 {
		return 0
	}
	if ttl < 0 {
		return -1
	}
	secs := int64(ttl / time.Second)
	if ttl%time.Second != 0 {
		secs++
	}
	if secs <= relativeLimit {
		return int32(secs)
	}
	at := time.Now().Unix()
	if at > math.MaxInt32-relativeLimit {
		return relativeLimit
	}
	return int32(min(at+secs, math.MaxInt32))
}
