package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Foreign returns the codec of another language's client: "python" (python-memcached,
// pymemcache, pylibmc), "php" (php-memcached), "dalli" or "spymemcached".
//
// Values decode to string, []byte, int64, float64, bool or time.Time, depending on
// the client. Encode accepts these and all other integer types.
func Foreign(name string) (Codec[any], error) {
	switch name {
	case "python":
		return pythonCodec{}, nil
	case "php":
		return phpCodec{}, nil
	case "dalli":
		return dalliCodec{}, nil
	case "spymemcached":
		return spyCodec{}, nil
	}
	return nil, fmt.Errorf("codec: unknown client %q, expected python, php, dalli or spymemcached", name)
}

// integer returns v as an int64 if v is an integer that fits.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint:
		return int64(n), uint64(n) <= math.MaxInt64
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

func cannotEncode(codec string, v any) error {
	return fmt.Errorf("%w: %s has no encoding for %T", ErrEncoding, codec, v)
}

func parseInt(codec string, data []byte, flags uint32) (any, error) {
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return nil, &Error{codec, "integer", flags, ErrEncoding}
	}
	return n, nil
}

// pythonCodec is the common part of python-memcached, pymemcache and pylibmc.
type pythonCodec struct{}

const (
	pyPickle, pyInt, pyLong, pyZlib, pyText = 1, 2, 4, 8, 16
)

func (pythonCodec) Encode(v any) ([]byte, uint32, error) {
	if n, ok := integer(v); ok {
		return strconv.AppendInt(nil, n, 10), pyInt, nil
	}
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return []byte(v), 0, nil
		}
		return []byte(v), pyText, nil
	case []byte:
		return v, 0, nil
	}
	return nil, 0, cannotEncode("python", v)
}

func (pythonCodec) Decode(data []byte, flags uint32) (any, error) {
	if flags&pyPickle != 0 {
		return nil, &Error{"python", "pickle", flags, ErrExecutable}
	}
	if flags&pyZlib != 0 {
		var err error
		if data, err = Zlib.Decompress(data, maxInflated); err != nil {
			return nil, err
		}
	}
	switch flags &^ pyZlib {
	case 0:
		return bytes.Clone(data), nil
	case pyText:
		return string(data), nil
	case pyInt, pyLong:
		return parseInt("python", data, flags)
	}
	return nil, &Error{"python", "unknown", flags, ErrEncoding}
}

// phpCodec is the encoding of php-memcached 3.
type phpCodec struct{}

const (
	phpString, phpLong, phpDouble, phpBool, phpSerialized, phpIgbinary, phpJSON, phpMsgpack = 0, 1, 2, 3, 4, 5, 6, 7

	phpType                                           = 0xf
	phpCompressed, phpZlib, phpFastLZ, phpZstd uint32 = 1 << 4, 1 << 5, 1 << 6, 1 << 7
)

func (phpCodec) Encode(v any) ([]byte, uint32, error) {
	if n, ok := integer(v); ok {
		return strconv.AppendInt(nil, n, 10), phpLong, nil
	}
	switch v := v.(type) {
	case string:
		return []byte(v), phpString, nil
	case []byte:
		return v, phpString, nil
	case float64:
		return strconv.AppendFloat(nil, v, 'g', 17, 64), phpDouble, nil
	case bool:
		if v {
			return []byte("1"), phpBool, nil
		}
		return []byte{}, phpBool, nil
	}
	return nil, 0, cannotEncode("php", v)
}

func (phpCodec) Decode(data []byte, flags uint32) (any, error) {
	fail := func(encoding string, err error) (any, error) {
		return nil, &Error{"php", encoding, flags, err}
	}
	if flags&phpCompressed != 0 {
		switch {
		case flags&phpFastLZ != 0:
			return fail("fastlz", ErrEncoding)
		case flags&phpZstd != 0:
			return fail("zstd", ErrEncoding)
		}
		var err error
		if data, err = sized(data, maxInflated); err != nil {
			return nil, err
		}
	}
	switch flags & phpType {
	case phpString:
		return string(data), nil
	case phpLong:
		return parseInt("php", data, flags)
	case phpDouble:
		x, err := strconv.ParseFloat(string(data), 64)
		if err != nil {
			return fail("double", ErrEncoding)
		}
		return x, nil
	case phpBool:
		return string(data) == "1", nil
	case phpJSON:
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			return fail("json", ErrEncoding)
		}
		return v, nil
	case phpSerialized:
		return fail("serialize", ErrExecutable)
	case phpIgbinary:
		return fail("igbinary", ErrExecutable)
	case phpMsgpack:
		return fail("msgpack", ErrExecutable)
	}
	return fail("unknown", ErrEncoding)
}

// dalliCodec is Dalli's encoding of strings.
type dalliCodec struct{}

const dalliMarshal, dalliZlib, dalliUTF8 = 1, 2, 4

func (dalliCodec) Encode(v any) ([]byte, uint32, error) {
	if n, ok := integer(v); ok {
		return strconv.AppendInt(nil, n, 10), 0, nil
	}
	switch v := v.(type) {
	case string:
		if utf8.ValidString(v) {
			return []byte(v), dalliUTF8, nil
		}
		return []byte(v), 0, nil
	case []byte:
		return v, 0, nil
	}
	return nil, 0, cannotEncode("dalli", v)
}

func (dalliCodec) Decode(data []byte, flags uint32) (any, error) {
	if flags&dalliMarshal != 0 {
		return nil, &Error{"dalli", "Marshal", flags, ErrExecutable}
	}
	if flags&dalliZlib != 0 {
		var err error
		if data, err = Zlib.Decompress(data, maxInflated); err != nil {
			return nil, err
		}
	}
	switch flags &^ dalliZlib {
	case 0:
		return bytes.Clone(data), nil
	case dalliUTF8:
		return string(data), nil
	}
	return nil, &Error{"dalli", "unknown", flags, ErrEncoding}
}

// spyCodec is the encoding of spymemcached's SerializingTranscoder.
type spyCodec struct{}

const (
	spySerialized, spyGzip uint32 = 1, 2

	spyBool, spyInt, spyLong, spyDate, spyByte, spyFloat, spyDouble, spyBytes = 1 << 8, 2 << 8, 3 << 8, 4 << 8, 5 << 8, 6 << 8, 7 << 8, 8 << 8

	spyCompressAbove = 16384
)

// spyNumber returns n in big-endian order without leading zero bytes.
func spyNumber(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

func (spyCodec) Encode(v any) ([]byte, uint32, error) {
	squeeze := func(b []byte, flags uint32) ([]byte, uint32, error) {
		if len(b) > spyCompressAbove {
			if small := gzipped(b); len(small) < len(b) {
				return small, flags | spyGzip, nil
			}
		}
		return b, flags, nil
	}
	switch v := v.(type) {
	case string:
		return squeeze([]byte(v), 0)
	case []byte:
		return squeeze(v, spyBytes)
	case bool:
		if v {
			return []byte("1"), spyBool, nil
		}
		return []byte("0"), spyBool, nil
	case int32:
		return spyNumber(uint64(uint32(v))), spyInt, nil
	case float32:
		return spyNumber(uint64(math.Float32bits(v))), spyFloat, nil
	case float64:
		return spyNumber(math.Float64bits(v)), spyDouble, nil
	case time.Time:
		return spyNumber(uint64(v.UnixMilli())), spyDate, nil
	}
	if n, ok := integer(v); ok {
		return spyNumber(uint64(n)), spyLong, nil
	}
	return nil, 0, cannotEncode("spymemcached", v)
}

func (spyCodec) Decode(data []byte, flags uint32) (any, error) {
	if flags&spySerialized != 0 {
		return nil, &Error{"spymemcached", "Java serialization", flags, ErrExecutable}
	}
	if flags&spyGzip != 0 {
		var err error
		if data, err = gunzip(data, maxInflated); err != nil {
			return nil, err
		}
	}
	kind := flags &^ (spySerialized | spyGzip)
	switch kind {
	case 0:
		return string(data), nil
	case spyBytes:
		return bytes.Clone(data), nil
	case spyBool:
		return len(data) == 1 && data[0] == '1', nil
	}
	if len(data) > 8 {
		return nil, &Error{"spymemcached", "number", flags, ErrEncoding}
	}
	var n uint64
	for _, b := range data {
		n = n<<8 | uint64(b)
	}
	switch kind {
	case spyInt:
		return int64(int32(uint32(n))), nil
	case spyLong:
		return int64(n), nil
	case spyByte:
		return int64(int8(n)), nil
	case spyDate:
		return time.UnixMilli(int64(n)), nil
	case spyFloat:
		return float64(math.Float32frombits(uint32(n))), nil
	case spyDouble:
		return math.Float64frombits(n), nil
	}
	return nil, &Error{"spymemcached", "unknown", flags, ErrEncoding}
}
