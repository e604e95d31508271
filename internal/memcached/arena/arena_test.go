package arena

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestMemory(t *testing.T) {
	const n = 64 * Page
	m, err := Reserve(n)
	if err != nil {
		t.Fatal(err)
	}
	if m.Size() != n {
		t.Errorf("size %d, want %d", m.Size(), n)
	}
	if err := m.Commit(0, n); err != nil {
		t.Fatal(err)
	}
	m.SmallPages(0, n)
	m.HugePages(0, n)
	*At[uint64](&m, 8) = 0x0102030405060708
	if got := m.Bytes(8, 8); !bytes.Equal(got, []byte{8, 7, 6, 5, 4, 3, 2, 1}) {
		t.Errorf("bytes %x", got)
	}
	if m.Uint64(9) != 0x01020304050607 || m.Byte(15) != 1 {
		t.Errorf("number %x, byte %x", m.Uint64(9), m.Byte(15))
	}
	words := Slice[uint64](&m, Page, 512)
	for i := range words {
		words[i] = ^uint64(0)
	}
	m.Decommit(Page, Page)
	if err := m.Commit(Page, Page); err != nil {
		t.Fatal(err)
	}
	for i, w := range words {
		if w != 0 {
			t.Fatalf("word %d of a returned page is %x", i, w)
		}
	}
	if m.Uint64(8) != 0x0102030405060708 {
		t.Error("another page was returned too")
	}
	m.PrefetchRecord(n - 1)
	m.PrefetchAppend(n - 1)
	m.PrefetchChange(0, 0, n-1)
	if err := m.Release(); err != nil {
		t.Error(err)
	}
}

func TestViews(t *testing.T) {
	type pair struct{ a, b uint32 }
	v := pair{1, 2}
	b := BytesOf(&v)
	if len(b) != 8 || *View[pair](b) != v {
		t.Errorf("%d bytes, %v", len(b), *View[pair](b))
	}
	for _, x := range []struct {
		b    []byte
		want bool
	}{{b, true}, {b[7:], true}, {b[8:], false}, {b[3:3], false}, {[]byte{1}, false}, {nil, false}} {
		if got := StartsIn(x.b, b); got != x.want {
			t.Errorf("StartsIn(%d bytes) is %v, want %v", len(x.b), got, x.want)
		}
	}
}

// Segments and extents that are in use never overlap, their content stays, and
// the accounts are right, whatever the order in which they are taken and freed.
func TestPool(t *testing.T) {
	const seg, limit = 16 << 10, 4 << 20
	var p Pool
	if err := p.Open(nil, 64<<20, seg, limit); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Size() != PoolSize(64<<20, seg) || p.MaxLimit() < limit {
		t.Errorf("size %d, largest limit %d", p.Size(), p.MaxLimit())
	}
	type piece struct {
		base    Loc
		n       int64
		pattern byte
	}
	var held []piece
	segments := int64(0)
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for i := range 20_000 {
		if len(held) > 0 && rnd.IntN(2) == 0 {
			k := rnd.IntN(len(held))
			h := held[k]
			for _, at := range []int64{0, h.n / 2, h.n - 1} {
				if got := p.Byte(h.base + Loc(at)); got != h.pattern {
					t.Fatalf("step %d: byte %d of %d bytes at %x is %d, want %d", i, at, h.n, h.base, got, h.pattern)
				}
			}
			if h.base < p.Extents {
				segments--
				p.GiveSegment(h.base)
			} else {
				p.GiveExtent(h.base, h.n)
			}
			held[k] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		h := piece{n: seg, pattern: byte(i)}
		if rnd.IntN(2) == 0 {
			h.base = p.TakeSegment(false)
		} else {
			h.n = Quantum * (1 + rnd.Int64N(100))
			h.base = p.TakeExtent(h.n, false)
		}
		if h.base == 0 {
			refused++
			continue
		}
		if base := p.Base(h.base + Quantum - 1); base != h.base {
			t.Fatalf("base of %x is %x", h.base, base)
		}
		if h.base < p.Extents {
			segments++
		}
		b := p.Bytes(h.base, h.n)
		b[0], b[h.n/2], b[h.n-1] = h.pattern, h.pattern, h.pattern
		held = append(held, h)
		if i%1000 == 0 {
			if i%2000 == 0 {
				p.SetLimit(limit / 2)
				p.Trim()
				p.SetLimit(limit)
			}
			extents, err := p.Audit()
			if err != nil {
				t.Fatal(err)
			}
			if used := extents + segments*seg; used != p.Used() {
				t.Fatalf("step %d: %d bytes in use, counted %d", i, used, p.Used())
			}
		}
	}
	if refused == 0 || p.TakeExtent(limit*2, false) != 0 {
		t.Error("the limit was not kept")
	}
	for p.Fits(seg) {
		p.Charge(seg)
	}
	if p.TakeSegment(false) != 0 {
		t.Error("a segment beyond the limit")
	}
	if p.TakeSegment(true) == 0 {
		t.Error("no segment by force")
	}
}
