package codec

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
)

// Codec encodes and decodes values. Both methods must be safe for concurrent use.
type Codec[T any] interface {
	// Encode returns the bytes and the flags of the item for v.
	Encode(v T) (data []byte, flags uint32, err error)
	// Decode returns the value of an item. It must not keep data after it returns.
	Decode(data []byte, flags uint32) (T, error)
}

// ErrEncoding reports a value in an encoding that the codec does not support.
var ErrEncoding = errors.New("codec: unsupported encoding")

// ErrExecutable reports a value in an encoding that can make its reader execute
// code, such as pickle, Marshal or serialized objects. No codec decodes those.
var ErrExecutable = errors.New("codec: executable encoding refused")

// Error reports an encoding that a codec did not decode. errors.Is distinguishes
// ErrEncoding and ErrExecutable.
type Error struct {
	Codec    string // "python", "php", ...
	Encoding string // "pickle", "igbinary", ...
	Flags    uint32
	Err      error // ErrEncoding or ErrExecutable
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v: %s %s (flags %#x)", e.Err, e.Codec, e.Encoding, e.Flags)
}

func (e *Error) Unwrap() error { return e.Err }

// Funcs is a Codec made of two functions, for example of proto.Marshal and a function
// that calls proto.Unmarshal.
type Funcs[T any] struct {
	Marshal   func(T) ([]byte, error)
	Unmarshal func([]byte) (T, error)
	// Flags are stored with each value. Decode fails for values with other flags.
	Flags uint32
}

// Encode calls Marshal.
func (c Funcs[T]) Encode(v T) ([]byte, uint32, error) {
	b, err := c.Marshal(v)
	return b, c.Flags, err
}

// Decode calls Unmarshal.
func (c Funcs[T]) Decode(data []byte, flags uint32) (T, error) {
	if flags != c.Flags {
		var zero T
		return zero, &Error{Codec: "function", Encoding: "other", Flags: flags, Err: ErrEncoding}
	}
	return c.Unmarshal(data)
}

// JSON returns a codec that uses encoding/json, with flags 0.
func JSON[T any]() Codec[T] {
	return Funcs[T]{
		Marshal: func(v T) ([]byte, error) { return json.Marshal(v) },
		Unmarshal: func(b []byte) (v T, err error) {
			err = json.Unmarshal(b, &v)
			return v, err
		},
	}
}

// Gob returns a codec that uses encoding/gob, with flags 0. Each value carries its
// type description.
func Gob[T any]() Codec[T] {
	return Funcs[T]{
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

// Raw returns a codec that stores bytes unchanged, with flags 0.
func Raw() Codec[[]byte] {
	return Funcs[[]byte]{
		Marshal:   func(b []byte) ([]byte, error) { return b, nil },
		Unmarshal: func(b []byte) ([]byte, error) { return bytes.Clone(b), nil },
	}
}

// Message is implemented by *T if T has the methods that vtprotobuf and gogo
// generate.
type Message[T any] interface {
	*T
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Proto returns a codec for messages with Marshal and Unmarshal methods, with flags
// 0. For other messages use Funcs with proto.Marshal.
func Proto[T any, M Message[T]]() Codec[M] {
	return Funcs[M]{
		Marshal: func(m M) ([]byte, error) { return m.Marshal() },
		Unmarshal: func(b []byte) (M, error) {
			m := M(new(T))
			return m, m.Unmarshal(b)
		},
	}
}

// Compressor compresses values: [Zlib] or zstd.New of module memcache/zstd. It must be
// safe for concurrent use.
type Compressor interface {
	Compress(src []byte) []byte
	// Decompress fails if the result would exceed limit bytes.
	Decompress(src []byte, limit int) ([]byte, error)
}

// flagCompressed marks values that Compressed compressed.
const flagCompressed uint32 = 1 << 31

// Compressed returns a codec that compresses values which c encodes to more than
// above bytes, if that makes them smaller. Bit 31 of the flags marks them.
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
