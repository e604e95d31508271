package memcache

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
)

// replies is how many opaques the call uses.
func (cl *call) opaques() uint64 {
	if n := len(cl.keys); n > 0 {
		return uint64(n)
	}
	return 1
}

// append appends the request to b.
func (cl *call) append(b []byte, meta bool) []byte {
	switch cl.op {
	case opCommand, opStats:
		b = append(b, cl.command...)
		return append(b, "\r\n"...)
	}
	if meta {
		return cl.appendMeta(b)
	}
	return cl.appendClassic(b)
}

func (cl *call) appendMeta(b []byte) []byte {
	switch cl.op {
	case opGet, opGetInto:
		b = cl.head(b, "mg ", cl.key)
		b = append(b, " v f c"...)
		if cl.touch {
			b = appendFlagInt(b, 'T', int64(cl.ttl))
		}
		return cl.end(b, cl.key, cl.opaque)
	case opLease:
		b = cl.head(b, "mg ", cl.key)
		b = append(b, " v f c t"...)
		if cl.lease.vivify > 0 {
			b = appendFlagInt(b, 'N', int64(cl.lease.vivify))
		}
		if cl.lease.recache > 0 {
			b = appendFlagInt(b, 'R', int64(cl.lease.recache))
		}
		return cl.end(b, cl.key, cl.opaque)
	case opGetMulti:
		for i, key := range cl.keys {
			b = cl.head(b, "mg ", key)
			b = append(b, " v f c q"...)
			b = cl.end(b, key, cl.opaque+uint64(i))
		}
		return append(b, "mn\r\n"...)
	case opStore:
		return cl.appendMetaStore(b, cl.key, cl.value, cl.flags, cl.ttl, cl.cas, cl.mode, cl.opaque)
	case opStoreMulti:
		for i, it := range cl.items {
			b = cl.appendMetaStore(b, cl.keys[i], it.Value, it.Flags, cl.ttls[i], 0, modeSet, cl.opaque+uint64(i))
		}
		return b
	case opDelete:
		b = cl.head(b, "md ", cl.key)
		if cl.cas != 0 {
			b = appendFlagUint(b, 'C', cl.cas)
		}
		return cl.end(b, cl.key, cl.opaque)
	case opInvalidate:
		b = cl.head(b, "md ", cl.key)
		b = append(b, " I"...)
		b = appendFlagInt(b, 'T', int64(cl.ttl))
		if cl.cas != 0 {
			b = appendFlagUint(b, 'C', cl.cas)
		}
		return cl.end(b, cl.key, cl.opaque)
	case opDeleteMulti:
		for i, key := range cl.keys {
			b = cl.head(b, "md ", key)
			b = cl.end(b, key, cl.opaque+uint64(i))
		}
		return b
	case opArith:
		b = cl.head(b, "ma ", cl.key)
		b = appendFlagUint(b, 'D', cl.delta)
		if cl.decr {
			b = append(b, " MD"...)
		}
		b = append(b, " v"...)
		return cl.end(b, cl.key, cl.opaque)
	case opTouch:
		b = cl.head(b, "mg ", cl.key)
		b = appendFlagInt(b, 'T', int64(cl.ttl))
		return cl.end(b, cl.key, cl.opaque)
	}
	panic("memcache: unknown call")
}

func (cl *call) appendClassic(b []byte) []byte {
	switch cl.op {
	case opGet, opGetInto, opLease:
		if cl.touch {
			b = append(b, "gats "...)
			b = strconv.AppendInt(b, int64(cl.ttl), 10)
			b = append(b, ' ')
		} else {
			b = append(b, "gets "...)
		}
		b = append(b, cl.key...)
		return append(b, "\r\n"...)
	case opGetMulti:
		b = append(b, "gets"...)
		for _, key := range cl.keys {
			b = append(b, ' ')
			b = append(b, key...)
		}
		return append(b, "\r\n"...)
	case opStore:
		return appendClassicStore(b, cl.key, cl.value, cl.flags, cl.ttl, cl.cas, cl.mode)
	case opStoreMulti:
		for i, it := range cl.items {
			b = appendClassicStore(b, cl.keys[i], it.Value, it.Flags, cl.ttls[i], 0, modeSet)
		}
		return b
	case opDelete, opInvalidate:
		b = appendHead(b, "delete ", cl.key)
		return append(b, "\r\n"...)
	case opDeleteMulti:
		for _, key := range cl.keys {
			b = appendHead(b, "delete ", key)
			b = append(b, "\r\n"...)
		}
		return b
	case opArith:
		if cl.decr {
			b = appendHead(b, "decr ", cl.key)
		} else {
			b = appendHead(b, "incr ", cl.key)
		}
		b = append(b, ' ')
		b = strconv.AppendUint(b, cl.delta, 10)
		return append(b, "\r\n"...)
	case opTouch:
		b = appendHead(b, "touch ", cl.key)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(cl.ttl), 10)
		return append(b, "\r\n"...)
	}
	panic("memcache: unknown call")
}

func (cl *call) appendMetaStore(b []byte, key string, value []byte, flags uint32, ttl int32, cas uint64, m mode, opaque uint64) []byte {
	b = cl.head(b, "ms ", key)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(value)), 10)
	if flags != 0 {
		b = appendFlagUint(b, 'F', uint64(flags))
	}
	if ttl != 0 {
		b = appendFlagInt(b, 'T', int64(ttl))
	}
	switch m {
	case modeSet:
	case modeCAS:
		b = appendFlagUint(b, 'C', cas)
	default:
		b = append(b, ' ', 'M', byte(m))
	}
	b = cl.end(b, key, opaque)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendClassicStore(b []byte, key string, value []byte, flags uint32, ttl int32, cas uint64, m mode) []byte {
	switch m {
	case modeSet:
		b = append(b, "set "...)
	case modeAdd:
		b = append(b, "add "...)
	case modeReplace:
		b = append(b, "replace "...)
	case modeAppend:
		b = append(b, "append "...)
	case modePrepend:
		b = append(b, "prepend "...)
	case modeCAS:
		b = append(b, "cas "...)
	}
	b = append(b, key...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(flags), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(ttl), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(value)), 10)
	if m == modeCAS {
		b = append(b, ' ')
		b = strconv.AppendUint(b, cas, 10)
	}
	b = append(b, "\r\n"...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendHead(b []byte, cmd, key string) []byte {
	b = append(b, cmd...)
	return append(b, key...)
}

func appendFlagInt(b []byte, flag byte, n int64) []byte {
	b = append(b, ' ', flag)
	return strconv.AppendInt(b, n, 10)
}

func appendFlagUint(b []byte, flag byte, n uint64) []byte {
	b = append(b, ' ', flag)
	return strconv.AppendUint(b, n, 10)
}

// head begins a meta command.
func (cl *call) head(b []byte, cmd, key string) []byte {
	if cl.encoded && checkKey(key) != nil {
		b = append(b, cmd...)
		return mcproto.EncodeKey(b, view(key))
	}
	return appendHead(b, cmd, key)
}

// end ends it, with the flags that all of them have.
func (cl *call) end(b []byte, key string, opaque uint64) []byte {
	if cl.encoded && checkKey(key) != nil {
		b = append(b, " b"...)
	}
	b = append(b, " O"...)
	b = mcproto.AppendOpaque(b, opaque)
	return append(b, "\r\n"...)
}
