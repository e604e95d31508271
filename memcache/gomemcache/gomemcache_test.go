package memcache_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	memcache "lintel.dev/memcache/gomemcache"
	"lintel.dev/memcache/memcachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAdapter(t *testing.T) {
	a, one := memcachetest.Start(t, nil)
	b, _ := memcachetest.Start(t, nil)
	c := memcache.New(a, b)
	c.Timeout = time.Minute
	defer c.Close()
	is := func(what string, err, want error) {
		t.Helper()
		if err != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	is("ping", c.Ping(), nil)
	_, err := c.Get("k")
	is("miss", err, memcache.ErrCacheMiss)
	is("replace", c.Replace(&memcache.Item{Key: "k"}), memcache.ErrNotStored)
	is("set", c.Set(&memcache.Item{Key: "k", Value: []byte("b"), Flags: 9}), nil)
	is("add", c.Add(&memcache.Item{Key: "k"}), memcache.ErrNotStored)
	is("append", c.Append(&memcache.Item{Key: "k", Value: []byte("c")}), nil)
	is("prepend", c.Prepend(&memcache.Item{Key: "k", Value: []byte("a")}), nil)
	it, err := c.Get("k")
	if err != nil || string(it.Value) != "abc" || it.Flags != 9 || it.CasID == 0 {
		t.Errorf("%+v, %v", it, err)
	}
	is("cas", c.CompareAndSwap(it), nil)
	is("second cas", c.CompareAndSwap(it), memcache.ErrCASConflict)
	is("bad key", c.Set(&memcache.Item{Key: "a b"}), memcache.ErrMalformedKey)
	if err := c.Set(&memcache.Item{Key: "k", Value: make([]byte, 2<<20)}); !errors.Is(err, memcache.ErrServerError) {
		t.Errorf("too large: %v", err)
	}
	c.Set(&memcache.Item{Key: "n", Value: []byte("5")})
	if n, err := c.Increment("n", 3); n != 8 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.Decrement("n", 30); n != 0 || err != nil {
		t.Error(n, err)
	}
	is("touch", c.Touch("n", 100), nil)
	is("touch of nothing", c.Touch("none", 100), memcache.ErrCacheMiss)
	if _, err := c.GetAndTouch("n", int32(time.Now().Add(time.Hour).Unix())); err != nil {
		t.Errorf("a date for an expiration: %v", err)
	}
	got, err := c.GetMulti([]string{"n", "none"})
	if err != nil || len(got) != 1 || string(got["n"].Value) != "0" && string(got["n"].Value) != "0 " {
		t.Error(got, err)
	}
	is("delete", c.Delete("n"), nil)
	is("second delete", c.Delete("n"), memcache.ErrCacheMiss)
	is("past", c.Set(&memcache.Item{Key: "past", Expiration: int32(time.Now().Unix() - 10)}), nil)
	_, err = c.Get("past")
	is("past", err, memcache.ErrCacheMiss)
	is("flush", c.DeleteAll(), nil)
	if one.Len() != 0 {
		t.Error("items left")
	}
	_, err = memcache.New().Get("k")
	is("no servers", err, memcache.ErrNoServers)
}
