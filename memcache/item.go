package memcache

import (
	"math"
	"time"
)

// MaxKeyLen is the longest key in bytes that the protocol carries.
const MaxKeyLen = 250

// Item is one cached value.
type Item struct {
	// Key is 1 to [MaxKeyLen] bytes, none of them a space, a control character
	// or DEL, unless Options.EncodeKeys has those, too.
	Key string
	// Value is the caller's before and after every call: the client copies it.
	Value []byte
	// Flags are kept with the value and mean what the codec in use says.
	Flags uint32
	// TTL is how long the item lives from when it is stored: 0 for no limit,
	// negative for already expired. It is sent in whole seconds, rounded up.
	// What would outlive 2038-01-19 03:14:07 UTC, the last second that
	// memcached can name, expires then. Reads leave it zero.
	TTL time.Duration
	// CAS is the version that CompareAndSwap compares. Get and GetMulti fill it in.
	CAS uint64
}

// relativeLimit is memcached's REALTIME_MAXDELTA: greater numbers are taken
// for a date.
const relativeLimit = 30 * 24 * 60 * 60

// wireTTL converts a TTL to the number that goes on the wire: seconds from
// now up to 30 days, a Unix date beyond. The last date is in 2038, where the
// 32 bits end that memcached reads.
func wireTTL(ttl time.Duration, now func() time.Time) int32 {
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
	at := now().Unix()
	if at > math.MaxInt32-relativeLimit {
		return relativeLimit
	}
	return int32(min(at+secs, math.MaxInt32))
}

// maxEncodedKey is how many bytes base64 makes at most [MaxKeyLen] of.
const maxEncodedKey = MaxKeyLen / 4 * 3

// checkKey is ErrMalformedKey for a key that may not be sent; encoded is set
// for one that has to be in base64.
func (o *Options) checkKey(key string) (encoded bool, err error) {
	if err = checkKey(key); err == nil || !o.EncodeKeys || len(key) == 0 || len(key) > maxEncodedKey {
		return false, err
	}
	return true, nil
}

// checkKey is ErrMalformedKey for a key that could not be sent, or that could
// smuggle a command.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return ErrMalformedKey
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] == 0x7f {
			return ErrMalformedKey
		}
	}
	return nil
}

// newItem returns an item whose value has n bytes, in one allocation while n
// is small.
func newItem(n int) *Item {
	switch {
	case n == 0:
		return &Item{Value: []byte{}}
	case n <= 32:
		b := new(struct {
			Item
			a [32]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 64:
		b := new(struct {
			Item
			a [64]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 128:
		b := new(struct {
			Item
			a [128]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 256:
		b := new(struct {
			Item
			a [256]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 512:
		b := new(struct {
			Item
			a [512]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 1024:
		b := new(struct {
			Item
			a [1024]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 2048:
		b := new(struct {
			Item
			a [2048]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 4096:
		b := new(struct {
			Item
			a [4096]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	}
	return &Item{Value: make([]byte, n)}
}
