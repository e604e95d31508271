package zstd_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
	"lintel.dev/memcache/memcachetest"
	"lintel.dev/memcache/zstd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Values over a kilobyte are compressed, and marked as such in the flags.
func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()
	c, err := memcache.New(nil, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()

	pages := &memcache.Typed[string]{Cache: c, Codec: codec.Compressed(codec.JSON[string](), 1024, zstd.New())}
	long := strings.Repeat("all work and no play ", 1000)
	fmt.Println(pages.Set(ctx, "long", long, time.Hour), pages.Set(ctx, "short", "tiny", time.Hour))
	page, err := pages.Get(ctx, "long")
	fmt.Println(page == long, err)
	stored, _, _ := s.Get("long")
	fmt.Println(len(stored) < len(long)/50)
	stored, _, _ = s.Get("short")
	fmt.Printf("%s\n", stored)
	// Output:
	// <nil> <nil>
	// true <nil>
	// true
	// "tiny"
}

func TestBounds(t *testing.T) {
	z := zstd.New()
	big := z.Compress(make([]byte, 1<<20))
	for name, src := range map[string][]byte{
		"over the limit":   big,
		"many frames":      bytes.Repeat(z.Compress(make([]byte, 1000)), 200),
		"not a frame":      []byte("nothing of the kind"),
		"a frame cut off":  big[:len(big)/2],
		"a byte was lost":  append(bytes.Clone(big[:8]), big[9:]...),
		"an endless frame": {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if out, err := z.Decompress(src, 100_000); err == nil {
			t.Errorf("%s: %d bytes and no error", name, len(out))
		}
	}
	if out, err := z.Decompress(z.Compress(nil), 0); err != nil || len(out) != 0 {
		t.Errorf("nothing: %d bytes, %v", len(out), err)
	}
}

func TestConcurrent(t *testing.T) {
	z := zstd.New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 200 {
				b := make([]byte, r.IntN(20_000))
				for i := range b {
					b[i] = byte(r.IntN(8))
				}
				if out, err := z.Decompress(z.Compress(b), len(b)); err != nil || !bytes.Equal(out, b) {
					t.Errorf("%d bytes: %d bytes, %v", len(b), len(out), err)
				}
			}
		})
	}
	wg.Wait()
}
