package memcache_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

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
		{"python", "\x80\x04N.", 1, memcache.ErrExecutable},
		{"python", "\x80\x04N.", 9, memcache.ErrExecutable},
		{"python", "x", 2, memcache.ErrEncoding},
		{"python", "x", 32, memcache.ErrEncoding},
		{"php", "s", 0, "s"},
		{"php", "7", 1, int64(7)},
		{"php", "1.5", 2, 1.5},
		{"php", "1", 3, true},
		{"php", "", 3, false},
		{"php", `a:0:{}`, 4, memcache.ErrExecutable},
		{"php", "\x00\x00\x00\x02", 5, memcache.ErrExecutable},
		{"php", `{"a":[1]}`, 6, map[string]any{"a": []any{1.0}}},
		{"php", string(php), 0x30, text},
		{"php", string(php), 0x50, memcache.ErrEncoding},
		{"php", "s", 0xf, memcache.ErrEncoding},
		{"dalli", "s", 0, []byte("s")},
		{"dalli", "clé", 4, "clé"},
		{"dalli", string(zipped), 6, text},
		{"dalli", "\x04\x08T", 1, memcache.ErrExecutable},
		{"dalli", "\x04\x08T", 3, memcache.ErrExecutable},
		{"spymemcached", "s", 0, "s"},
		{"spymemcached", "1", 0x100, true},
		{"spymemcached", "\x01\x00", 0x200, int64(256)},
		{"spymemcached", "\xff\xff\xff\xff", 0x200, int64(-1)},
		{"spymemcached", "\xff\xff\xff\xff\xff\xff\xff\xfe", 0x300, int64(-2)},
		{"spymemcached", "", 0x300, int64(0)},
		{"spymemcached", "\x3f\xc0\x00\x00", 0x600, 1.5},
		{"spymemcached", "\x3f\xf8\x00\x00\x00\x00\x00\x00", 0x700, 1.5},
		{"spymemcached", "\x00\x01", 0x800, []byte{0, 1}},
		{"spymemcached", "\xac\xed", 1, memcache.ErrExecutable},
		{"spymemcached", "123456789", 0x300, memcache.ErrEncoding},
	} {
		codec, err := memcache.ValueCodec(c.codec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.Decode([]byte(c.data), c.flags)
		if want, ok := c.want.(error); ok {
			var typed *memcache.EncodingError
			if !errors.Is(err, want) || !errors.As(err, &typed) || typed.Codec != c.codec {
				t.Errorf("%s %q %#x: %v, %v", c.codec, c.data, c.flags, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %q %#x: %#v, %v, want %#v", c.codec, c.data, c.flags, got, err, c.want)
		}
	}
	if _, err := memcache.ValueCodec("perl"); err == nil {
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
		codec, err := memcache.ValueCodec(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			data, flags, err := codec.Encode(v)
			if err != nil {
				t.Errorf("%s %v: %v", name, v, err)
				continue
			}
			if got, err := codec.Decode(data, flags); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s: %#v comes back as %#v, %v", name, v, got, err)
			}
		}
		if _, _, err := codec.Encode(struct{}{}); !errors.Is(err, memcache.ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBomb: a small value that grows without bound is given up.
// TestBomb: a value that swells to more than a client is willing to hold. Its
// megabytes are all alike, so one of them is compressed and then repeated.
func TestBomb(t *testing.T) {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(make([]byte, 1<<20))
	w.Flush()
	head := b.Len()
	w.Write(make([]byte, 1<<20))
	w.Flush()
	bomb := append(b.Bytes(), bytes.Repeat(b.Bytes()[head:], 63)...)
	codec, _ := memcache.ValueCodec("python")
	if _, err := codec.Decode(bomb, 8); !errors.Is(err, memcache.ErrTooLarge) {
		t.Error(err)
	}
}

type point struct{ X, Y int }

func TestTyped(t *testing.T) {
	addr, s := memcachetest.Start(t, nil)
	c := dial(t, nil, addr)
	ctx := t.Context()
	for name, codec := range map[string]memcache.Codec[point]{
		"json": memcache.JSON[point](), "gob": memcache.Gob[point](), "default": nil,
		"zlib": memcache.Compressed(memcache.JSON[point](), 1, memcache.Zlib),
	} {
		p := &memcache.Typed[point]{Client: c, Codec: codec, Options: memcache.FetchOptions{TTL: time.Minute}}
		if err := p.Set(ctx, name, point{1, 2}); err != nil {
			t.Error(err)
		}
		if got, err := p.Get(ctx, name); err != nil || got != (point{1, 2}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		many, err := p.GetMulti(ctx, []string{name, "none"})
		if err != nil || len(many) != 1 || many[name] != (point{1, 2}) {
			t.Errorf("%s: %v, %v", name, many, err)
		}
		loads := 0
		for range 2 {
			got, err := p.Fetch(ctx, "f"+name, func(context.Context) (point, error) { loads++; return point{3, 4}, nil })
			if err != nil || got != (point{3, 4}) || loads != 1 {
				t.Errorf("%s: %v, %v, %d loads", name, got, err, loads)
			}
		}
		s.Set("f"+name, []byte("not of this type"), 99, 0)
		got, err := p.Fetch(ctx, "f"+name, func(context.Context) (point, error) { return point{5, 6}, nil })
		if err != nil || got != (point{5, 6}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := p.Get(ctx, "f"+name); err != nil || got != (point{5, 6}) {
			t.Errorf("%s: not replaced: %v, %v", name, got, err)
		}
		if err := p.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	}
	big := &memcache.Typed[[]byte]{Client: c, Codec: memcache.Compressed(memcache.Raw(), 100, memcache.Zlib)}
	value := bytes.Repeat([]byte("ab"), 1000)
	if err := big.SetFor(ctx, "big", value, time.Minute); err != nil {
		t.Error(err)
	}
	if stored, flags, _ := s.Get("big"); len(stored) > 100 || flags != 1<<31 {
		t.Errorf("stored as %d bytes with flags %#x", len(stored), flags)
	}
	if got, err := big.Get(ctx, "big"); err != nil || !bytes.Equal(got, value) {
		t.Error(err)
	}
}
