package interop_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
)

// TestValues exchanges values with clients of other languages in both
// directions, with the codec of the same name. Pickled or serialized objects
// are refused.
func TestValues(t *testing.T) {
	long := strings.Repeat("größer ", 2000)
	text := func(s string) *value { return &value{Type: "str", Bytes: []byte(s)} }
	of := func(typ, s string) *value { return &value{Type: typ, Bytes: []byte(s)} }

	type exchange struct {
		op     string // how they store it
		theirs *value
		ours   any // what we read and, without oneWay, store; or an error
		oneWay bool
	}
	python := []exchange{
		{"set", raw("raw\xff\x00"), []byte("raw\xff\x00"), false},
		{"set", raw(""), []byte(""), false},
		{"set", text("clé"), "clé", false},
		{"set", of("int", "-42"), int64(-42), false},
		{"set", of("int", "9007199254740993"), int64(9007199254740993), false},
		{"set", of("object", "x"), codec.ErrExecutable, true},
	}
	// Debian's pymemcache does not compress.
	zlib := append([]exchange{
		{"set_compressed", text(long), long, false},
		{"set_compressed", raw(long), []byte(long), false},
	}, python...)
	for _, c := range []struct {
		client, codec string
		exchanges     []exchange
	}{
		{"python-memcached", "python", zlib},
		{"pymemcache", "python", python},
		{"pylibmc", "python", zlib},
		{"php", "php", []exchange{
			{"set", raw("clé\xff"), "clé\xff", false},
			{"set", of("int", "-42"), int64(-42), false},
			{"set", of("float", "2.5"), 2.5, false},
			{"set", of("bool", "True"), true, false},
			{"set_compressed", raw(long), long, false},
			{"set", of("object", "x"), codec.ErrExecutable, true},
		}},
		{"dalli", "dalli", []exchange{
			{"set", raw("raw\xff"), []byte("raw\xff"), false},
			{"set_compressed", raw(long), []byte(long), false},
			{"set_object", raw("x"), codec.ErrExecutable, true},
		}},
	} {
		t.Run(c.client, func(t *testing.T) {
			t.Parallel()
			addr := embedded(t)
			var them *foreignClient
			for _, k := range foreignClients {
				if k.name == c.client {
					them = k.dial(t, addr).(*foreignClient)
				}
			}
			theirCodec, err := codec.Foreign(c.codec)
			if err != nil {
				t.Fatal(err)
			}
			client, err := memcache.New(patient(nil), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			values := &memcache.Typed[any]{Cache: client, Codec: theirCodec}
			ctx := guard(t)
			for _, x := range c.exchanges {
				yes(t, them.must(cacheRequest{Op: x.op, Key: "theirs", Value: x.theirs}).OK)
				stored, err := client.Get(ctx, "theirs")
				if err != nil {
					t.Fatal(err)
				}
				if x.op == "set_compressed" && len(stored.Value) >= len(x.theirs.Bytes) {
					t.Errorf("%s stored %d bytes for %d: nothing was compressed", c.client, len(stored.Value), len(x.theirs.Bytes))
				}
				got, err := values.Get(ctx, "theirs")
				if want, ok := x.ours.(error); ok {
					var typed *codec.Error
					if !errors.Is(err, want) || !errors.As(err, &typed) || typed.Codec != c.codec {
						t.Errorf("%s of %s %.40q: %v, %v, want %v", x.op, x.theirs.Type, x.theirs.Bytes, got, err, want)
					}
				} else if err != nil || !reflect.DeepEqual(got, x.ours) {
					t.Errorf("%s of %s %.40q: %.60v, %v, want %.60v", x.op, x.theirs.Type, x.theirs.Bytes, got, err, x.ours)
				}
				if x.oneWay {
					continue
				}
				if err := values.Set(ctx, "ours", x.ours, 0); err != nil {
					t.Fatal(err)
				}
				same(t, them.get("ours"), x.theirs)
			}
		})
	}
}
