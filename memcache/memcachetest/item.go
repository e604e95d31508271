package memcachetest

import (
	"strconv"
	"time"
)

type item struct {
	value  []byte
	flags  uint32
	cas    uint64
	expiry time.Time // zero: does not expire
	stale  bool
	told   bool // a client was told to recompute it
}

// now returns the server's time. s.mu is held, here and below.
func (s *Server) now() time.Time { return s.opts.Now().Add(s.skew) }

func (s *Server) nextCAS() uint64 {
	s.cas++
	return s.cas
}

// find returns the live item under key, or nil.
func (s *Server) find(key string) *item {
	it := s.items[key]
	if it != nil && !it.expiry.IsZero() && !s.now().Before(it.expiry) {
		delete(s.items, key)
		return nil
	}
	return it
}

// expiry converts the protocol's exptime to a time.
func (s *Server) expiry(exptime int64) time.Time {
	switch {
	case exptime == 0:
		return time.Time{}
	case exptime < 0:
		return s.now()
	case exptime <= 30*24*60*60:
		return s.now().Add(time.Duration(exptime) * time.Second)
	}
	return time.Unix(exptime, 0)
}

// left returns the seconds to live, -1 if the item does not expire.
func (s *Server) left(it *item) int64 {
	if it.expiry.IsZero() {
		return -1
	}
	return int64((it.expiry.Sub(s.now()) + time.Second - 1) / time.Second)
}

// result is the outcome of a write.
type result int

const (
	stored result = iota
	notStored
	exists
	notFound
	tooLarge
)

// put executes the storage commands. mode is the first letter of the M flag of ms;
// compare says whether cas is compared.
func (s *Server) put(key string, mode byte, value []byte, flags uint32, expiry time.Time, compare bool, cas uint64, staleOK bool) (result, *item) {
	old := s.find(key)
	if len(value) > s.opts.MaxItemSize {
		delete(s.items, key)
		return tooLarge, nil
	}
	stale := false
	if compare {
		switch {
		case old == nil:
			return notFound, nil
		case staleOK && cas < old.cas:
			stale = true
		case old.cas != cas:
			return exists, nil
		}
	}
	next := &item{value: value, flags: flags, expiry: expiry, stale: stale}
	switch mode {
	case 'E':
		if old != nil {
			return notStored, nil
		}
	case 'R':
		if old == nil {
			return notStored, nil
		}
	case 'A', 'P':
		if old == nil {
			return notStored, nil
		}
		next.flags, next.expiry = old.flags, old.expiry
		joined := make([]byte, 0, len(old.value)+len(value))
		if mode == 'A' {
			next.value = append(append(joined, old.value...), value...)
		} else {
			next.value = append(append(joined, value...), old.value...)
		}
	}
	if stale {
		next.expiry, next.told = old.expiry, old.told
	}
	next.cas = s.nextCAS()
	s.items[key] = next
	return stored, next
}

// add changes a number. ok is false if the value is not a number.
func (s *Server) add(it *item, delta uint64, down bool) (n uint64, ok bool) {
	n, err := strconv.ParseUint(string(trimRight(it.value)), 10, 64)
	if err != nil {
		return 0, false
	}
	switch {
	case !down:
		n += delta
	case delta > n:
		n = 0
	default:
		n -= delta
	}
	text := strconv.AppendUint(nil, n, 10)
	for len(text) < len(it.value) && down {
		text = append(text, ' ')
	}
	it.value, it.cas = text, s.nextCAS()
	return n, true
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
