package pipeline

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
)

// MaxKeyLen is the longest key in bytes that the protocol carries.
const MaxKeyLen = 250

// PlainKey reports whether the protocol can carry key as it is: 1 to MaxKeyLen bytes,
// none of them a space, a control character or DEL.
func PlainKey(key string) bool {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] == 0x7f {
			return false
		}
	}
	return true
}

// appendMeta appends the request as meta commands.
func (cl *Call) appendMeta(b []byte) []byte {
	var args [48]byte
	flags := args[:0]
	switch cl.Op {
	case OpCommand, OpStats:
		return append(append(b, cl.Command...), "\r\n"...)
	case OpGet, OpGetInto:
		flags = append(flags, " v f c"...)
		if cl.Gat {
			flags = strconv.AppendInt(append(flags, " T"...), int64(cl.TTL), 10)
		}
		return cl.command(b, "mg ", cl.Key, flags, 0)
	case OpRead:
		return cl.command(b, "mg ", cl.Key, readFlags(flags, cl.CAS), 0)
	case OpReadMulti:
		for i, key := range cl.Keys {
			var cas uint64
			if cl.CASs != nil {
				cas = cl.CASs[i]
			}
			b = cl.command(b, "mg ", key, append(readFlags(flags[:0], cas), " q"...), i)
		}
		return append(b, "mn\r\n"...)
	case OpLease:
		flags = append(flags, " v f c t"...)
		if cl.Vivify > 0 {
			flags = strconv.AppendInt(append(flags, " N"...), int64(cl.Vivify), 10)
		}
		if cl.Recache > 0 {
			flags = strconv.AppendInt(append(flags, " R"...), int64(cl.Recache), 10)
		}
		return cl.command(b, "mg ", cl.Key, flags, 0)
	case OpGetMulti:
		flags = append(flags, " v f c q"...)
		for i, key := range cl.Keys {
			b = cl.command(b, "mg ", key, flags, i)
		}
		return append(b, "mn\r\n"...)
	case OpStore:
		it := Item{Value: cl.Value, Flags: cl.Flags, CAS: cl.CAS}
		return cl.appendMetaStore(b, cl.Key, &it, cl.TTL, 0)
	case OpStoreMulti:
		for i, it := range cl.Items {
			b = cl.appendMetaStore(b, cl.Keys[i], it, cl.TTLs[i], i)
		}
		return b
	case OpDelete, OpInvalidate:
		if cl.Op == OpInvalidate {
			flags = strconv.AppendInt(append(flags, " I T"...), int64(cl.TTL), 10)
		}
		if cl.CAS != 0 {
			flags = strconv.AppendUint(append(flags, " C"...), cl.CAS, 10)
		}
		return cl.command(b, "md ", cl.Key, flags, 0)
	case OpDeleteMulti:
		for i, key := range cl.Keys {
			b = cl.command(b, "md ", key, nil, i)
		}
		return b
	case OpArith:
		flags = strconv.AppendUint(append(flags, " D"...), cl.Delta, 10)
		if cl.Decr {
			flags = append(flags, " MD"...)
		}
		return cl.command(b, "ma ", cl.Key, append(flags, " v"...), 0)
	default: // OpTouch
		flags = strconv.AppendInt(append(flags, " T"...), int64(cl.TTL), 10)
		return cl.command(b, "mg ", cl.Key, flags, 0)
	}
}

// readFlags appends the flags of a read that wants no value if the item's version
// is cas.
func readFlags(b []byte, cas uint64) []byte {
	b = append(b, " v f c t"...)
	if cas != 0 {
		b = strconv.AppendUint(append(b, " C"...), cas, 10)
	}
	return b
}

// command appends the nth meta command of the request.
func (cl *Call) command(b []byte, name, key string, flags []byte, nth int) []byte {
	b = append(b, name...)
	if cl.Encoded && !PlainKey(key) {
		b = mcproto.EncodeKey(b, []byte(key))
		b = append(append(b, flags...), " b"...)
	} else {
		b = append(append(b, key...), flags...)
	}
	b = mcproto.AppendOpaque(append(b, " O"...), cl.opaque+uint64(nth))
	return append(b, "\r\n"...)
}

// appendMetaStore appends the nth ms of the request.
func (cl *Call) appendMetaStore(b []byte, key string, it *Item, ttl int32, nth int) []byte {
	var args [64]byte
	flags := strconv.AppendInt(append(args[:0], ' '), int64(len(it.Value)), 10)
	if it.Flags != 0 {
		flags = strconv.AppendUint(append(flags, " F"...), uint64(it.Flags), 10)
	}
	if ttl != 0 {
		flags = strconv.AppendInt(append(flags, " T"...), int64(ttl), 10)
	}
	switch cl.Mode {
	case 0, ModeSet:
	case ModeCAS:
		flags = strconv.AppendUint(append(flags, " C"...), it.CAS, 10)
	default:
		flags = append(flags, ' ', 'M', byte(cl.Mode))
	}
	b = cl.command(b, "ms ", key, flags, nth)
	b = append(b, it.Value...)
	return append(b, "\r\n"...)
}

// appendClassic appends the request as classic commands.
func (cl *Call) appendClassic(b []byte) []byte {
	switch cl.Op {
	case OpCommand, OpStats:
		b = append(b, cl.Command...)
	case OpGet, OpGetInto, OpRead, OpLease:
		if cl.Gat {
			b = strconv.AppendInt(append(b, "gats "...), int64(cl.TTL), 10)
			b = append(b, ' ')
		} else {
			b = append(b, "gets "...)
		}
		b = append(b, cl.Key...)
	case OpGetMulti, OpReadMulti:
		b = append(b, "gets"...)
		for _, key := range cl.Keys {
			b = append(append(b, ' '), key...)
		}
	case OpStore:
		return appendClassicStore(b, cl.Key, cl.Value, cl.Flags, cl.TTL, cl.CAS, cl.Mode)
	case OpProof:
		b = appendClassicStore(b, cl.Key, cl.Value, cl.Flags, cl.TTL, cl.CAS, cl.Mode)
		b = append(append(b, "gets "...), cl.Key...)
	case OpStoreMulti:
		for i, it := range cl.Items {
			b = appendClassicStore(b, cl.Keys[i], it.Value, it.Flags, cl.TTLs[i], 0, ModeSet)
		}
		return b
	case OpDelete, OpInvalidate:
		b = append(append(b, "delete "...), cl.Key...)
	case OpDeleteMulti:
		for _, key := range cl.Keys {
			b = append(append(append(b, "delete "...), key...), "\r\n"...)
		}
		return b
	case OpArith:
		if cl.Decr {
			b = append(b, "decr "...)
		} else {
			b = append(b, "incr "...)
		}
		b = append(append(b, cl.Key...), ' ')
		b = strconv.AppendUint(b, cl.Delta, 10)
	case OpTouch:
		b = append(append(append(b, "touch "...), cl.Key...), ' ')
		b = strconv.AppendInt(b, int64(cl.TTL), 10)
	}
	return append(b, "\r\n"...)
}

func appendClassicStore(b []byte, key string, value []byte, flags uint32, ttl int32, cas uint64, m Mode) []byte {
	switch m {
	case ModeSet:
		b = append(b, "set "...)
	case ModeAdd:
		b = append(b, "add "...)
	case ModeReplace:
		b = append(b, "replace "...)
	case ModeAppend:
		b = append(b, "append "...)
	case ModePrepend:
		b = append(b, "prepend "...)
	case ModeCAS:
		b = append(b, "cas "...)
	}
	b = append(append(b, key...), ' ')
	b = strconv.AppendUint(b, uint64(flags), 10)
	b = strconv.AppendInt(append(b, ' '), int64(ttl), 10)
	b = strconv.AppendInt(append(b, ' '), int64(len(value)), 10)
	if m == ModeCAS {
		b = strconv.AppendUint(append(b, ' '), cas, 10)
	}
	b = append(b, "\r\n"...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
