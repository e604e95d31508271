package memcache

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
)

// Codec turns values into bytes and flags, and back. Both must be safe for
// concurrent use.
type Codec[T any] interface {
	Encode(v T) (data []byte, flags uint32, err error)
	// Decode must not keep data.
	Decode(data []byte, flags uint32) (T, error)
}

// ErrEncoding: a value is in an encoding that the codec does not read.
var ErrEncoding = errors.New("memcache: unreadable encoding")

// ErrExecutable: a value is in an encoding that can make its reader run code
// (pickle, Marshal, serialized objects). No codec here reads those.
var ErrExecutable = errors.New("memcache: executable encoding refused")

// EncodingError says what a codec met. errors.Is tells ErrEncoding from
// ErrExecutable.
type EncodingError struct {
	Codec    string // "python", "php", ...
	Encoding string // "pickle", "igbinary", ...
	Flags    uint32
	Err      error // ErrEncoding or ErrExecutable
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("%v: %s %s (flags %#x)", e.Err, e.Codec, e.Encoding, e.Flags)
}

func (e *EncodingError) Unwrap() error { return e.Err }

// CodecFuncs is a codec of two functions, for encodings that this package does
// not know: protobuf, say, with proto.Marshal and a decoder.
type CodecFuncs[T any] struct {
	Marshal   func(T) ([]byte, error)
	Unmarshal func([]byte) (T, error)
	// Flags are stored with each value and demanded of each value read.
	Flags uint32
}

// Encode calls Marshal.
func (c CodecFuncs[T]) Encode(v T) ([]byte, uint32, error) {
	b, err := c.Marshal(v)
	return b, c.Flags, err
}

// Decode calls Unmarshal.
func (c CodecFuncs[T]) Decode(data []byte, flags uint32) (T, error) {
	if flags != c.Flags {
		var zero T
		return zero, &EncodingError{Codec: "function", Encoding: "other", Flags: flags, Err: ErrEncoding}
	}
	return c.Unmarshal(data)
}

// JSON stores values as encoding/json has them, with flags 0.
func JSON[T any]() Codec[T] {
	return CodecFuncs[T]{
		Marshal: func(v T) ([]byte, error) { return json.Marshal(v) },
		Unmarshal: func(b []byte) (v T, err error) {
			err = json.Unmarshal(b, &v)
			return v, err
		},
	}
}

// Gob stores values as encoding/gob has them, each with its type.
func Gob[T any]() Codec[T] {
	return CodecFuncs[T]{
		Marshal: func(v T) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(&v)
			return b.Bytes(), err
		},
		Unmarshal: func(b []byte) (v T, err error) {
			err = gob.NewDecoder(bytes.NewReader(b)).Decode(&v)
			return v, err
		},
	}
}

// Raw stores bytes as they are.
func Raw() Codec[[]byte] {
	return CodecFuncs[[]byte]{
		Marshal:   func(b []byte) ([]byte, error) { return b, nil },
		Unmarshal: func(b []byte) ([]byte, error) { return bytes.Clone(b), nil },
	}
}

// Message is what generated protobuf code with methods of its own (vtprotobuf,
// gogo) has: *T implements it.
type Message[T any] interface {
	*T
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Proto stores messages that marshal themselves. For those that do not, use
// CodecFuncs with proto.Marshal.
func Proto[T any, M Message[T]]() Codec[M] {
	return CodecFuncs[M]{
		Marshal: func(m M) ([]byte, error) { return m.Marshal() },
		Unmarshal: func(b []byte) (M, error) {
			m := M(new(T))
			return m, m.Unmarshal(b)
		},
	}
}

// Compressor makes values smaller: [Zlib], the module memcache/zstd, or what
// else has these two methods. It must be safe for concurrent use.
type Compressor interface {
	Compress(src []byte) []byte
	// Decompress fails when the result would be over limit bytes.
	Decompress(src []byte, limit int) ([]byte, error)
}

// flagCompressed marks what Compressed made smaller.
const flagCompressed uint32 = 1 << 31

// Compressed compresses what c encodes to more than above bytes, when that
// makes it smaller, and marks it in the top bit of the flags.
func Compressed[T any](c Codec[T], above int, with Compressor) Codec[T] {
	return &compressed[T]{c, above, with}
}

type compressed[T any] struct {
	Codec[T]
	above int
	with  Compressor
}

func (c *compressed[T]) Encode(v T) ([]byte, uint32, error) {
	b, flags, err := c.Codec.Encode(v)
	if err != nil || len(b) <= c.above {
		return b, flags, err
	}
	if small := c.with.Compress(b); len(small) < len(b) {
		return small, flags | flagCompressed, nil
	}
	return b, flags, nil
}

func (c *compressed[T]) Decode(data []byte, flags uint32) (T, error) {
	if flags&flagCompressed != 0 {
		b, err := c.with.Decompress(data, maxInflated)
		if err != nil {
			var zero T
			return zero, err
		}
		data, flags = b, flags&^flagCompressed
	}
	return c.Codec.Decode(data, flags)
}
