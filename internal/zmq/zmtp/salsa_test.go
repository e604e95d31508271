package zmtp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	//lint:ignore SA1019 RFC 26 is made of it, see curveStream
	"golang.org/x/crypto/salsa20/salsa"
)

// checkKeyStream compares ours with that of x/crypto, in place and not.
func checkKeyStream(t *testing.T, key [32]byte, counter [16]byte, src []byte) {
	t.Helper()
	want := make([]byte, len(src))
	salsa.XORKeyStream(want, src, &counter, &key)
	before, from := bytes.Clone(src), counter
	const guard = 64
	got := bytes.Repeat([]byte{0xa5}, len(src)+guard)
	xorKeyStream(got[:len(src)], src, &counter, &key)
	if !bytes.Equal(got[:len(src)], want) {
		t.Fatalf("%d bytes from counter %x differ", len(src), from)
	}
	if !bytes.Equal(got[len(src):], bytes.Repeat([]byte{0xa5}, guard)) || !bytes.Equal(src, before) || counter != from {
		t.Fatalf("%d bytes: wrote to what is not the result", len(src))
	}
	xorKeyStream(src, src, &counter, &key)
	if !bytes.Equal(src, want) {
		t.Fatalf("%d bytes from counter %x differ in place", len(src), from)
	}
}

func sample(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

func TestKeyStream(t *testing.T) {
	sizes := []int{0, 1, 63, 64, 65, 383, 384, 385, 992, 993, 1023, 1024, 1025, 1408, 2048, 3000, 16384, 16353, 70001}
	for n := range 80 {
		sizes = append(sizes, 1000+n*33)
	}
	for _, n := range sizes {
		for _, block := range []uint64{0, 1, 1<<32 - 40, 1<<32 - 17, 1<<32 - 16, 1<<32 - 1, 1 << 32, 1<<63 + 5} {
			var key [32]byte
			var counter [16]byte
			copy(key[:], sample(32, uint32(n)+1))
			copy(counter[:], sample(8, uint32(n)+2))
			binary.LittleEndian.PutUint64(counter[8:], block)
			checkKeyStream(t, key, counter, sample(n, uint32(n)+3))
		}
	}
}

func FuzzKeyStream(f *testing.F) {
	f.Add([]byte("key"), []byte("nonce"), uint64(1), uint16(993))
	f.Add([]byte{}, []byte{}, uint64(1<<32-20), uint16(4096))
	f.Add([]byte{0xff}, []byte{1}, uint64(1<<64-1), uint16(1500))
	f.Fuzz(func(t *testing.T, k, n []byte, block uint64, size uint16) {
		var key [32]byte
		var counter [16]byte
		copy(key[:], k)
		copy(counter[:8], n)
		binary.LittleEndian.PutUint64(counter[8:], block)
		checkKeyStream(t, key, counter, sample(int(size), uint32(block)))
	})
}

func BenchmarkKeyStream(b *testing.B) {
	for _, n := range []int{256, 384, 512, 1 << 10, 16 << 10} {
		var key [32]byte
		var counter [16]byte
		buf := make([]byte, n)
		for name, f := range map[string]func(dst, src []byte, counter *[16]byte, key *[32]byte){"ours": xorKeyStream, "x": salsa.XORKeyStream} {
			b.Run(fmt.Sprint(n, " ", name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					f(buf, buf, &counter, &key)
				}
			})
		}
	}
}
