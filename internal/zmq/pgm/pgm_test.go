package pgm_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lintel.dev/internal/zmq/pgm"
)

var (
	group = netip.MustParseAddr("239.192.1.1")
	local = netip.MustParseAddr("127.0.0.1")
	tsi   = pgm.TSI{GSI: pgm.GSI{0xfc, 0x98, 0x2a, 0x93, 0x2a, 0x0c}, Port: 0x0c08}
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const port = 5555

// The bytes are what libzmq 4.3.4 over OpenPGM put on a loopback interface.
func TestRecordedPackets(t *testing.T) {
	spm := pgm.Packet{Type: pgm.SPM, TSI: tsi, DestPort: port, Sqn: 0, Trail: 0, Lead: 0xffffffff, Source: local}
	got := pgm.Append(nil, &spm)
	want := "0c0815b300000e0afc982a932a0c00000000000000000000ffffffff000100007f000001"
	if hex.EncodeToString(got) != want {
		t.Errorf("SPM\n got %x\nwant %s", got, want)
	}
	data := pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Data: []byte("\x00\x00\x06\x00hello")}
	got = pgm.Append(nil, &data)
	want = "0c0815b304003f31fc982a932a0c0009000000000000000000000600" + hex.EncodeToString([]byte("hello"))
	if hex.EncodeToString(got) != want {
		t.Errorf("ODATA\n got %x\nwant %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	six := netip.MustParseAddr("ff3e::1234")
	for _, p := range []pgm.Packet{
		{Type: pgm.SPM, TSI: tsi, DestPort: port, Sqn: 7, Trail: 3, Lead: 99, Source: local},
		{Type: pgm.SPM, TSI: tsi, DestPort: port, Sqn: 7, Trail: 3, Lead: 99, Source: six},
		{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: 1 << 31, Trail: 5, Data: []byte("odd")},
		{Type: pgm.RDATA, TSI: tsi, DestPort: port, Sqn: 1, Trail: 0, Data: []byte{}},
		{Type: pgm.NAK, TSI: tsi, DestPort: port, Sqn: 4, Source: local, Group: group},
		{Type: pgm.NAK, TSI: tsi, DestPort: port, Sqn: 4, Source: six, Group: six, More: []uint32{5, 6, 7}},
		{Type: pgm.NCF, TSI: tsi, DestPort: port, Sqn: 4, Source: local, Group: group, More: []uint32{9}},
		{Type: pgm.SPMR, TSI: tsi, DestPort: port},
	} {
		b := pgm.Append([]byte("before"), &p)
		var got pgm.Packet
		if err := pgm.Parse(b[len("before"):], &got); err != nil {
			t.Errorf("%v: %v", p, err)
			continue
		}
		if d := cmp.Diff(p, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Error(d)
		}
	}
}

func TestRefusedPackets(t *testing.T) {
	good := pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Data: []byte("x")})
	nak := pgm.Append(nil, &pgm.Packet{Type: pgm.NAK, TSI: tsi, DestPort: port, Source: local, Group: group, More: []uint32{1, 2}})
	edit := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name, says string
		in         []byte
	}{
		{"empty", "0 bytes", nil},
		{"half a header", "8 bytes", good[:8]},
		{"header alone", "checksum", good[:16]},
		{"one byte changed", "checksum", edit(good, 24, 'y')},
		{"data without checksum", "without a checksum", edit(good, 6, 0, 0)},
		{"parity", "parity", edit(nak, 5, 0x81, 0, 0)},
		{"unknown type", "type", edit(nak, 4, 0x33, 1, 0, 0)},
		{"options longer than the packet", "options", edit(nak, 6, 0, 0, 0xfc, 0x98, 0x2a, 0x93, 0x2a, 0x0c, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 127, 0, 0, 1, 0, 1, 0, 0, 239, 192, 1, 1, 0, 4, 0xff, 0xff)},
		{"address family", "source address", edit(nak, 6, 0, 0, 0xfc, 0x98, 0x2a, 0x93, 0x2a, 0x0c, 0, 0, 0, 0, 0, 0, 0, 9)},
	} {
		var p pgm.Packet
		err := pgm.Parse(c.in, &p)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", c.name, err, c.says)
		}
	}
}

// collect packs msgs into units of at most max bytes.
func collect(t *testing.T, max int, msgs ...[][]byte) [][]byte {
	t.Helper()
	var units [][]byte
	emit := func(u []byte) error { units = append(units, bytes.Clone(u)); return nil }
	p := pgm.NewPacker(max)
	for _, m := range msgs {
		for i, f := range m {
			if err := p.Add(f, i < len(m)-1, emit); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.Flush(emit); err != nil {
		t.Fatal(err)
	}
	return units
}

func message(parts ...string) [][]byte {
	m := make([][]byte, len(parts))
	for i, p := range parts {
		m[i] = []byte(p)
	}
	return m
}

func clone(frames [][]byte) [][]byte {
	m := make([][]byte, len(frames))
	for i, f := range frames {
		m[i] = append([]byte{}, f...)
	}
	return m
}

func TestUnits(t *testing.T) {
	msgs := [][][]byte{
		message("a"), message(""), message("topic", "", strings.Repeat("b", 253)),
		message(strings.Repeat("c", 254)), message(strings.Repeat("d", 5000), "end"), message("z"),
	}
	for _, size := range []int{13, 64, 300, 1472} {
		units := collect(t, size, msgs...)
		for _, u := range units {
			if len(u) > size {
				t.Fatalf("a unit of %d bytes, at most %d", len(u), size)
			}
		}
		for skip := range units {
			u := pgm.Unpacker{MaxMessage: 1 << 20}
			var got [][][]byte
			for _, unit := range units[skip:] {
				if err := u.Add(unit, func(f [][]byte) { got = append(got, clone(f)) }); err != nil {
					t.Fatal(err)
				}
			}
			// A receiver that missed the first units gets a tail of whole
			// messages, never a part of one.
			if len(got) > len(msgs) || (skip == 0 && len(got) != len(msgs)) {
				t.Fatalf("size %d skip %d: %d messages of %d", size, skip, len(got), len(msgs))
			}
			if want := msgs[len(msgs)-len(got):]; !slices.EqualFunc(want, got, func(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }) {
				t.Errorf("size %d skip %d: %s", size, skip, cmp.Diff(want, got))
			}
		}
	}
}

func TestUnpackerBounds(t *testing.T) {
	huge := append([]byte{0, 0, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<62)...)
	huge = append(huge, 0)
	endless := []byte{0, 0}
	for range 5000 {
		endless = append(endless, 1, 1)
	}
	for name, unit := range map[string][]byte{
		"huge frame": huge, "endless frames": endless, "length 0": {0, 0, 0, 0},
		"offset past the end": {0, 9, 1, 0}, "no offset": {0},
	} {
		u := pgm.Unpacker{MaxMessage: 1 << 20}
		if err := u.Add(unit, func([][]byte) { t.Errorf("%s: a message", name) }); err == nil {
			t.Errorf("%s: no error", name)
		}
		var got [][]byte
		if err := u.Add([]byte{0, 0, 2, 0, 'x'}, func(f [][]byte) { got = clone(f) }); err != nil || len(got) != 1 {
			t.Errorf("%s: the next message did not come: %v %q", name, err, got)
		}
	}
	u := pgm.Unpacker{MaxMessage: 3}
	if err := u.Add([]byte{0, 0, 3, 1, 'a', 'b', 3, 0, 'c', 'd'}, func([][]byte) {}); !errors.Is(err, pgm.ErrMessageTooLarge) {
		t.Errorf("frames that add up to too much: %v", err)
	}
}

// network is a source and receivers with a lossy, reordering medium between
// them, in made-up time.
type network struct {
	t     *testing.T
	rng   *rand.Rand
	loss  float64
	now   time.Time
	src   *pgm.Source
	recv  []*pgm.Receiver
	got   [][]string // units by receiver
	lost  []uint32
	queue []flight
}

type flight struct {
	at time.Time
	to int // receiver, or -1 for the source
	b  []byte
}

func newNetwork(t *testing.T, receivers, window int, loss float64, seed uint64) *network {
	return newNetworkFrom(t, 0, receivers, window, loss, seed)
}

// newNetworkFrom has a source whose first packet has the number first.
func newNetworkFrom(t *testing.T, first uint32, receivers, window int, loss float64, seed uint64) *network {
	n := &network{t: t, rng: rand.New(rand.NewPCG(seed, 1)), loss: loss, now: epoch}
	n.src = pgm.NewSource(pgm.SourceConfig{
		TSI: tsi, DestPort: port, Source: local, Group: group, Rate: 10 << 20, Window: window, First: first,
		Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
	}, n.now)
	for range receivers {
		n.recv = append(n.recv, pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, Window: window, Rand: n.rng.Float64}))
	}
	n.got = make([][]string, receivers)
	n.lost = make([]uint32, receivers)
	return n
}

func (n *network) put(to int, b []byte) {
	if n.rng.Float64() < n.loss {
		return
	}
	delay := time.Duration(n.rng.IntN(2000)) * time.Microsecond
	n.queue = append(n.queue, flight{n.now.Add(delay), to, bytes.Clone(b)})
}

func (n *network) multicast(b []byte) {
	for i := range n.recv {
		n.put(i, b)
	}
}

func (n *network) yield(i int) func(pgm.Event) {
	return func(e pgm.Event) {
		if e.Lost > 0 {
			n.lost[i] += e.Lost
			return
		}
		n.got[i] = append(n.got[i], string(e.Unit))
	}
}

// run lets d pass in steps of half a millisecond.
func (n *network) run(d time.Duration) {
	for end := n.now.Add(d); n.now.Before(end); n.now = n.now.Add(500 * time.Microsecond) {
		slices.SortStableFunc(n.queue, func(a, b flight) int { return a.at.Compare(b.at) })
		for len(n.queue) > 0 && !n.queue[0].at.After(n.now) {
			f := n.queue[0]
			n.queue = n.queue[1:]
			if f.to < 0 {
				n.src.Input(f.b, n.now)
				continue
			}
			n.recv[f.to].Input(f.b, local, n.now, n.yield(f.to))
		}
		n.src.Output(n.now, n.multicast)
		for i, r := range n.recv {
			r.Output(n.now, func(b []byte, _ netip.Addr) { n.put(-1, b) }, n.yield(i))
		}
	}
}

// Ten receivers, a packet in twenty lost in each direction, packets reordered:
// each unit comes once and in order, also when the numbers begin anew.
func TestLossIsRepaired(t *testing.T) {
	for seed, first := range []uint32{0, 1<<31 - 300, 1<<32 - 300} {
		n := newNetworkFrom(t, first, 10, 3000, 0.05, uint64(seed))
		var want []string
		n.run(time.Millisecond)
		for i := range 1000 {
			u := fmt.Sprintf("unit %d", i)
			want = append(want, u)
			n.multicast(n.src.Send([]byte(u), n.now))
			n.run(500 * time.Microsecond)
		}
		n.run(20 * time.Second)
		for i, got := range n.got {
			// The first packets may be lost before a receiver knows the source:
			// it joins at the first packet it receives.
			if len(got) == 0 || !slices.Equal(got, want[len(want)-len(got):]) || len(got) < len(want)-20 {
				t.Fatalf("seed %d receiver %d: %d units of %d, lost %d", seed, i, len(got), len(want), n.lost[i])
			}
			if n.lost[i] != 0 {
				t.Errorf("seed %d receiver %d: lost %d", seed, i, n.lost[i])
			}
		}
		if s := n.src.Stats(); s.Repairs == 0 || s.NAKs == 0 {
			t.Errorf("nothing was repaired: %+v", s)
		}
	}
}

// What left the transmit window is reported, and the stream goes on.
func TestUnrecoverableLoss(t *testing.T) {
	n := newNetwork(t, 1, 16, 0, 1)
	n.multicast(n.src.Send([]byte("first"), n.now))
	n.run(10 * time.Millisecond)
	n.loss = 1
	for i := range 100 {
		n.multicast(n.src.Send(fmt.Appendf(nil, "gone %d", i), n.now))
		n.run(time.Millisecond)
	}
	n.loss = 0
	for i := range 40 {
		n.multicast(n.src.Send(fmt.Appendf(nil, "after %d", i), n.now))
		n.run(10 * time.Millisecond)
	}
	n.run(2 * time.Second)
	got := n.got[0]
	if got[0] != "first" || got[len(got)-1] != "after 39" {
		t.Fatalf("got %q", got)
	}
	if int(n.lost[0])+len(got) != 141 {
		t.Errorf("%d units and %d lost are not the 141 sent", len(got), n.lost[0])
	}
	if n.lost[0] < 84 {
		t.Errorf("lost %d, at least 84 had left the window", n.lost[0])
	}
}

// A receiver that comes late starts at the present, not at the past.
func TestJoinInMidStream(t *testing.T) {
	n := newNetwork(t, 1, 64, 0, 1)
	for i := range 10 {
		n.src.Send(fmt.Appendf(nil, "old %d", i), n.now)
	}
	// A repair for another receiver does not move the window back.
	n.multicast(pgm.Append(nil, &pgm.Packet{Type: pgm.RDATA, TSI: tsi, DestPort: port, Sqn: 3, Data: []byte("old 3")}))
	n.run(50 * time.Millisecond) // source path messages carry the lead
	n.multicast(n.src.Send([]byte("new"), n.now))
	n.run(time.Second)
	if d := cmp.Diff([][]string{{"new"}}, n.got); d != "" || n.lost[0] != 0 {
		t.Error(d, n.lost)
	}
}

// A flood of NAKs, true and forged, gets each packet at most once in a while
// and grows nothing.
func TestNAKStorm(t *testing.T) {
	n := newNetwork(t, 0, 64, 0, 1)
	for i := range 64 {
		n.src.Send(fmt.Appendf(nil, "%d", i), n.now)
	}
	n.src.Output(n.now, func([]byte) {})
	list := make([]uint32, 62)
	for i := range list {
		list[i] = uint32(i + 1)
	}
	storm := pgm.Append(nil, &pgm.Packet{Type: pgm.NAK, TSI: tsi, DestPort: port, Source: local, Group: group, More: list})
	sent := 0
	for range 10000 {
		n.src.Input(storm, n.now)
		n.src.Output(n.now, func([]byte) { sent++ })
	}
	if sent > 70 {
		t.Errorf("%d packets for one instant of NAKs", sent)
	}
	other := tsi
	other.Port++
	n.src.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.NAK, TSI: other, DestPort: port, Source: local, Group: group}), n.now)
	if s := n.src.Stats(); s.Refused != 1 {
		t.Errorf("refused %d", s.Refused)
	}
}

// Forged sessions cost a bounded amount: beyond the bound they
// are only counted, and a silent one is forgotten.
func TestForgedSessions(t *testing.T) {
	r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, MaxSources: 8, MaxBuffered: 4096})
	drop := func(pgm.Event) {}
	now := epoch
	for i := range 1000 {
		forged := pgm.TSI{Port: uint16(i)}
		for _, sqn := range []uint32{1, 5, 900, 1 << 30, 3} {
			b := pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: forged, DestPort: port, Sqn: sqn, Trail: 0, Data: make([]byte, 1000)})
			r.Input(b, local, now, drop)
		}
		now = now.Add(time.Millisecond)
	}
	if r.Sources() != 8 {
		t.Errorf("%d sources", r.Sources())
	}
	gone := 0
	for range 4 {
		now = now.Add(time.Hour)
		r.Output(now, func([]byte, netip.Addr) {}, func(e pgm.Event) {
			if e.Gone {
				gone++
			}
		})
	}
	if r.Sources() != 0 || gone != 8 {
		t.Errorf("%d sources left, %d forgotten", r.Sources(), gone)
	}
}

func TestRateIsKept(t *testing.T) {
	src := pgm.NewSource(pgm.SourceConfig{
		TSI: tsi, DestPort: port, Source: local, Group: group, Rate: 1 << 20, Window: 100,
		Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
	}, epoch)
	now, bytes := epoch, 0
	unit := make([]byte, 1400)
	for now.Before(epoch.Add(10 * time.Second)) {
		if d := src.Wait(now); d > 0 {
			now = now.Add(d)
			continue
		}
		bytes += len(src.Send(unit, now))
	}
	if bytes < 10<<20*99/100 || bytes > 10<<20*101/100+64<<10 {
		t.Errorf("%d bytes in ten seconds at 1 MiB a second", bytes)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Data: []byte("x")}))
	f.Add(pgm.Append(nil, &pgm.Packet{Type: pgm.SPM, TSI: tsi, DestPort: port, Source: local}))
	f.Add(pgm.Append(nil, &pgm.Packet{Type: pgm.NAK, TSI: tsi, DestPort: port, Source: local, Group: group, More: []uint32{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p pgm.Packet
		if pgm.Parse(b, &p) != nil {
			return
		}
		again := pgm.Append(nil, &p)
		var q pgm.Packet
		if err := pgm.Parse(again, &q); err != nil {
			t.Fatalf("%v of %+v", err, p)
		}
		if d := cmp.Diff(p, q, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzReceiver gives a receiver any sequence of data numbers and edges: it
// never panics, never hands over a number twice or out of order.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 2, 3, 9, 4, 200, 5})
	f.Add([]byte{0, 255, 0, 255, 7})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, Window: 32, MaxBuffered: 256, Retries: 2, Rand: func() float64 { return 0.5 }})
		now, base := epoch, uint32(0xffffff00)
		last, any := uint32(0), false
		yield := func(e pgm.Event) {
			if e.Unit == nil {
				return
			}
			sqn := binary.BigEndian.Uint32(e.Unit)
			if any && int32(sqn-last) <= 0 {
				t.Fatalf("%d after %d", sqn, last)
			}
			last, any = sqn, true
		}
		for _, c := range in {
			sqn := base + uint32(c)*3
			if c%7 == 0 {
				base += uint32(c) * 1000
			}
			p := pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: sqn, Trail: sqn - uint32(c%40), Data: binary.BigEndian.AppendUint32(nil, sqn)}
			if c%5 == 0 {
				p = pgm.Packet{Type: pgm.SPM, TSI: tsi, DestPort: port, Sqn: sqn, Trail: sqn - uint32(c), Lead: sqn, Source: local}
			}
			r.Input(pgm.Append(nil, &p), local, now, yield)
			now = now.Add(time.Duration(c) * time.Millisecond)
			r.Output(now, func([]byte, netip.Addr) {}, yield)
		}
	})
}
