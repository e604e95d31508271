package placement

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestXXH3(t *testing.T) {
	f, err := os.Open("testdata/xxh3.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		var n int
		var want uint64
		if _, err := fmt.Sscanf(sc.Text(), "%d %x", &n, &want); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = byte((7*i + 3) % 251)
		}
		if got := xxh3(string(b)); got != want {
			t.Errorf("%d bytes: %016x, want %016x", n, got, want)
		}
		seen++
	}
	if seen < 40 {
		t.Errorf("only %d vectors", seen)
	}
}

// Known answers of the hashes that no recorded placement covers.
func TestHashes(t *testing.T) {
	for _, c := range []struct {
		name string
		h    keyHash
		key  string
		want uint32
	}{
		{"crc16", func(k string) uint32 { return crc16(k) & 0xffff }, "123456789", 0x31c3},
		{"crc32a", hashCRC, "123456789", 0xcbf43926},
		{"murmur3", func(k string) uint32 { return murmur3(k) }, "", 0},
		{"murmur3", func(k string) uint32 { return murmur3(k) }, "hello", 0x248bfa47},
		{"murmur3", func(k string) uint32 { return murmur3(k) }, "hello, world", 0x149bbb7f},
		{"murmur3 in pieces", func(k string) uint32 { return murmur3(k[:5], k[5:6], k[6:]) }, "hello, world", 0x149bbb7f},
		{"java", javaHash, "hello", 99162322},
		{"java", javaHash, "clé-0", 94871363},
		{"java, beyond the BMP", javaHash, "\U0001F600", 0x1b0d63},
		{"fnv1a_32", fnv1ax32, "foobar", 0xbf9cf968},
		{"fnv1_32", fnv1x32, "foobar", 0x31f0b262},
	} {
		if got := c.h(c.key); got != c.want {
			t.Errorf("%s of %q: %#x, want %#x", c.name, c.key, got, c.want)
		}
	}
}

func TestLibhashkit(t *testing.T) {
	b, err := os.ReadFile("testdata/libhashkit.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		h, err := findHash("libmemcached", f[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%08x", h(f[1])); got != f[2] {
			t.Errorf("%s of %q: %s, want %s", f[0], f[1], got, f[2])
		}
		seen[f[0]]++
	}
	if len(seen) < 8 {
		t.Errorf("vectors of %d hashes only", len(seen))
	}
}
