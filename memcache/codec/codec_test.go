package codec_test

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/memcache/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestForeignValues: what other languages' clients store is read as they mean
// it, and what could make its reader run code is not read at all.
func TestForeignValues(t *testing.T) {
	zipped := unhex(t, "789c2b3fbcad2827a51c070900fbe50ffb")
	php := append([]byte{30, 0, 0, 0}, zipped...)
	text := strings.Repeat("wörld", 5)
	for _, c := range []struct {
		codec string
		data  string
		flags uint32
		want  any // a value, or an error
	}{
		{"python", "raw\xff", 0, []byte("raw\xff")},
		{"python", "clé", 16, "clé"},
		{"python", "-42", 2, int64(-42)},
		{"python", "42", 4, int64(42)},
		{"python", string(zipped), 24, text},
		{"python", string(zipped), 8, []byte(text)},
		{"python", "\x80\x04N.", 1, codec.ErrExecutable},
		{"python", "\x80\x04N.", 9, codec.ErrExecutable},
		{"python", "x", 2, codec.ErrEncoding},
		{"python", "x", 32, codec.ErrEncoding},
		{"php", "s", 0, "s"},
		{"php", "7", 1, int64(7)},
		{"php", "1.5", 2, 1.5},
		{"php", "1", 3, true},
		{"php", "", 3, false},
		{"php", `a:0:{}`, 4, codec.ErrExecutable},
		{"php", "\x00\x00\x00\x02", 5, codec.ErrExecutable},
		{"php", `{"a":[1]}`, 6, map[string]any{"a": []any{1.0}}},
		{"php", string(php), 0x30, text},
		{"php", string(php), 0x50, codec.ErrEncoding},
		{"php", "s", 0xf, codec.ErrEncoding},
		{"dalli", "s", 0, []byte("s")},
		{"dalli", "clé", 4, "clé"},
		{"dalli", string(zipped), 6, text},
		{"dalli", "\x04\x08T", 1, codec.ErrExecutable},
		{"dalli", "\x04\x08T", 3, codec.ErrExecutable},
		{"spymemcached", "s", 0, "s"},
		{"spymemcached", "1", 0x100, true},
		{"spymemcached", "\x01\x00", 0x200, int64(256)},
		{"spymemcached", "\xff\xff\xff\xff", 0x200, int64(-1)},
		{"spymemcached", "\xff\xff\xff\xff\xff\xff\xff\xfe", 0x300, int64(-2)},
		{"spymemcached", "", 0x300, int64(0)},
		{"spymemcached", "\x3f\xc0\x00\x00", 0x600, 1.5},
		{"spymemcached", "\x3f\xf8\x00\x00\x00\x00\x00\x00", 0x700, 1.5},
		{"spymemcached", "\x00\x01", 0x800, []byte{0, 1}},
		{"spymemcached", "\xac\xed", 1, codec.ErrExecutable},
		{"spymemcached", "123456789", 0x300, codec.ErrEncoding},
	} {
		cd, err := codec.Foreign(c.codec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cd.Decode([]byte(c.data), c.flags)
		if want, ok := c.want.(error); ok {
			var typed *codec.Error
			if !errors.Is(err, want) || !errors.As(err, &typed) || typed.Codec != c.codec {
				t.Errorf("%s %q %#x: %v, %v", c.codec, c.data, c.flags, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %q %#x: %#v, %v, want %#v", c.codec, c.data, c.flags, got, err, c.want)
		}
	}
	if _, err := codec.Foreign("perl"); err == nil {
		t.Error("an unknown codec is accepted")
	}
}

func TestForeignRoundTrip(t *testing.T) {
	day := time.UnixMilli(1700000000123)
	for name, values := range map[string][]any{
		"python":       {"text", []byte("b\xff"), int64(-5), ""},
		"php":          {"text", int64(-5), 2.25, true, false},
		"dalli":        {"text", []byte("b\xff")},
		"spymemcached": {"text", []byte("b\xff"), int64(-5), true, false, 2.25, day, strings.Repeat("long ", 5000)},
	} {
		cd, err := codec.Foreign(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			data, flags, err := cd.Encode(v)
			if err != nil {
				t.Errorf("%s %v: %v", name, v, err)
				continue
			}
			if got, err := cd.Decode(data, flags); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s: %#v comes back as %#v, %v", name, v, got, err)
			}
		}
		if _, _, err := cd.Encode(struct{}{}); !errors.Is(err, codec.ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBomb: a compressed value that expands beyond the limit is refused. Its
// megabytes are equal, so that one is compressed and then repeated.
func TestBomb(t *testing.T) {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(make([]byte, 1<<20))
	w.Flush()
	head := b.Len()
	w.Write(make([]byte, 1<<20))
	w.Flush()
	bomb := append(b.Bytes(), bytes.Repeat(b.Bytes()[head:], 63)...)
	python, _ := codec.Foreign("python")
	if _, err := python.Decode(bomb, 8); !errors.Is(err, codec.ErrEncoding) {
		t.Error(err)
	}
}
