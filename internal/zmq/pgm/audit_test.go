package pgm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lintel.dev/internal/zmq/pgm"
)

// Of ten receivers that miss the same packet few ask: the confirmation of the
// first one's NAK is for all (section 6.3).
func TestNAKSuppression(t *testing.T) {
	n := newNetwork(t, 10, 64, 0, 1)
	n.run(10 * time.Millisecond) // all receivers know the source
	n.multicast(n.src.Send([]byte("first"), n.now))
	n.run(10 * time.Millisecond)
	n.src.Send([]byte("missed by all"), n.now)
	n.multicast(n.src.Send([]byte("last"), n.now))
	n.run(5 * time.Second)
	for i, got := range n.got {
		if d := cmp.Diff([]string{"first", "missed by all", "last"}, got); d != "" {
			t.Errorf("receiver %d: %s", i, d)
		}
	}
	if s := n.src.Stats(); s.NAKs == 0 || s.NAKs > 5 || s.Repairs != 1 {
		t.Errorf("%d NAKs and %d repairs for one packet", s.NAKs, s.Repairs)
	}
}

// Without a confirmation a receiver repeats its NAK, each time after a new delay,
// and gives up after so many tries (section 6.3).
func TestNAKsEnd(t *testing.T) {
	r := pgm.NewReceiver(pgm.ReceiverConfig{
		Group: group, DestPort: port, Retries: 3, Backoff: 50 * time.Millisecond, Repeat: 200 * time.Millisecond,
		Rand: rand.New(rand.NewPCG(1, 2)).Float64,
	})
	var naks []time.Duration
	var got []string
	yield := func(e pgm.Event) {
		if e.Lost > 0 {
			got = append(got, fmt.Sprint("lost ", e.Lost))
			return
		}
		got = append(got, string(e.Unit))
	}
	for _, sqn := range []uint32{1, 3} {
		r.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: sqn, Data: fmt.Append(nil, sqn)}), local, epoch, yield)
	}
	for d := time.Duration(0); d < 5*time.Second; d += time.Millisecond {
		r.Output(epoch.Add(d), func(b []byte, to netip.Addr) {
			var p pgm.Packet
			if err := pgm.Parse(b, &p); err != nil || p.Type != pgm.NAK || p.Sqn != 2 || to != local {
				t.Errorf("%+v to %v, %v", p, to, err)
			}
			naks = append(naks, d)
		}, yield)
	}
	if len(naks) != 4 || naks[0] >= 51*time.Millisecond {
		t.Errorf("asked at %v, want once and three times more", naks)
	}
	for i := 1; i < len(naks); i++ {
		if wait := naks[i] - naks[i-1]; wait < 200*time.Millisecond || wait > 252*time.Millisecond {
			t.Errorf("asked again after %v, want 200 to 250 ms", wait)
		}
	}
	if d := cmp.Diff([]string{"1", "lost 1", "3"}, got); d != "" {
		t.Error(d)
	}
}

// Repairs count against the rate: a flood of NAKs for the whole window does not
// make the source send more than it may.
func TestRepairsKeepTheRate(t *testing.T) {
	const rate, window = 1 << 20, 512
	src := pgm.NewSource(pgm.SourceConfig{
		TSI: tsi, DestPort: port, Source: local, Group: group, Rate: rate, Window: window,
		Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
	}, epoch)
	unit := make([]byte, 1400)
	start := epoch
	for range window {
		start = start.Add(src.Wait(start))
		src.Send(unit, start)
	}
	sent := 0
	for d := time.Duration(0); d < 3*time.Second; d += 10 * time.Millisecond {
		for first := uint32(0); first < window; first += 63 {
			list := make([]uint32, 62)
			for i := range list {
				list[i] = first + uint32(i) + 1
			}
			src.Input(pgm.Append(nil, &pgm.Packet{
				Type: pgm.NAK, TSI: tsi, DestPort: port, Sqn: first, More: list, Source: local, Group: group,
			}), start.Add(d))
		}
		src.Output(start.Add(d), func(b []byte) {
			if pgm.Type(b[4]) == pgm.RDATA {
				sent += len(b)
			}
		})
	}
	if sent < 2*rate || sent > 7*rate/2 {
		t.Errorf("%d bytes of repairs in three seconds at %d a second", sent, rate)
	}
}

// While NAKs ask for the whole window over and over, data still gets half of the
// rate.
func TestNAKStormLeavesRoomForData(t *testing.T) {
	const rate, window = 1 << 20, 512
	src := pgm.NewSource(pgm.SourceConfig{
		TSI: tsi, DestPort: port, Source: local, Group: group, Rate: rate, Window: window,
		Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
	}, epoch)
	unit := make([]byte, 1400)
	now := epoch
	for range window {
		now = now.Add(src.Wait(now))
		src.Send(unit, now)
	}
	data, repairs := 0, 0
	for end := now.Add(3 * time.Second); now.Before(end); now = now.Add(5 * time.Millisecond) {
		last := uint32(src.Stats().Data) - 1
		for first := last - window + 1; first+63 <= last; first += 63 {
			list := make([]uint32, 62)
			for i := range list {
				list[i] = first + uint32(i) + 1
			}
			src.Input(pgm.Append(nil, &pgm.Packet{
				Type: pgm.NAK, TSI: tsi, DestPort: port, Sqn: first, More: list, Source: local, Group: group,
			}), now)
		}
		src.Output(now, func(b []byte) {
			if pgm.Type(b[4]) == pgm.RDATA {
				repairs += len(b)
			}
		})
		for src.Wait(now) == 0 {
			data += len(src.Send(unit, now))
		}
	}
	if data < rate || repairs < rate || data+repairs > 7*rate/2 {
		t.Errorf("%d bytes of data and %d of repairs in three seconds at %d a second", data, repairs, rate)
	}
}

// A receiver that misses a lot asks for as much as its socket can take, the
// oldest first, and for more when that has come.
func TestNAKsAskForTheOldestFirst(t *testing.T) {
	const missing = 1000
	r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, Window: 2048})
	units := 0
	yield := func(pgm.Event) { units++ }
	now := epoch
	data := func(typ pgm.Type, sqn uint32) {
		r.Input(pgm.Append(nil, &pgm.Packet{Type: typ, TSI: tsi, DestPort: port, Sqn: sqn, Data: []byte("x")}), local, now, yield)
	}
	data(pgm.ODATA, 0)
	data(pgm.ODATA, missing+1)
	rounds := 0
	for next := uint32(1); units < missing+2; rounds++ {
		if rounds > missing {
			t.Fatalf("%d units after %d rounds", units, rounds)
		}
		now = now.Add(100 * time.Millisecond)
		var asked []uint32
		r.Output(now, func(b []byte, _ netip.Addr) {
			var p pgm.Packet
			if err := pgm.Parse(b, &p); err != nil {
				t.Fatal(err)
			}
			asked = append(append(asked, p.Sqn), p.More...)
		}, yield)
		if len(asked) == 0 || len(asked) > 128 {
			t.Fatalf("asked for %d packets at once", len(asked))
		}
		for _, sqn := range asked {
			if sqn != next {
				t.Fatalf("asked for %d, missing is %d", sqn, next)
			}
			next++
			data(pgm.RDATA, sqn)
		}
		if units < missing+2 && !r.Sooner() {
			t.Fatal("the window has room, and Sooner is false")
		}
	}
	if s := r.Stats(); s.Lost != 0 || s.Duplicates != 0 {
		t.Errorf("%+v", s)
	}
}

// Made-up sources that each pretend to have sent a window full share room for
// two, and a true one still gets its own messages.
func TestForgedGapsCostLittle(t *testing.T) {
	const window = 1 << 15
	r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, Window: window})
	drop := func(pgm.Event) {}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 250 {
		forged := pgm.TSI{Port: uint16(i)}
		for _, sqn := range []uint32{1, window} {
			r.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: forged, DestPort: port, Sqn: sqn}), local, epoch, drop)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Each would have 2 MiB.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes for 250 made-up gaps", grown)
	}
	var got []string
	for _, sqn := range []uint32{7, 8, 10, 9} {
		r.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: sqn, Data: fmt.Append(nil, sqn)}), local, epoch,
			func(e pgm.Event) { got = append(got, string(e.Unit)) })
	}
	if d := cmp.Diff([]string{"7", "8", "9", "10"}, got); d != "" {
		t.Error(d)
	}
	runtime.KeepAlive(r)
}

// Single packets of made-up sources, however many, leave room for a true one,
// and cost one that is known nothing.
func TestForgedSessionsDoNotLockOut(t *testing.T) {
	r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, MaxSources: 8})
	now := epoch
	var got []string
	data := func(tsi pgm.TSI, sqn uint32, text string) {
		now = now.Add(time.Microsecond)
		r.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: sqn, Data: []byte(text)}), local, now, func(e pgm.Event) {
			if string(e.Unit) != "forged" && !e.Gone {
				got = append(got, string(e.Unit))
			}
		})
	}
	forge := func() {
		for i := range 100 {
			data(pgm.TSI{Port: uint16(i + 1)}, 1, "forged")
		}
	}
	late := tsi
	late.Port++
	data(tsi, 1, "a")
	data(tsi, 2, "b")
	forge()
	data(late, 1, "c")
	data(late, 2, "d")
	forge()
	data(late, 3, "e")
	data(tsi, 3, "f")
	if d := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, got); d != "" {
		t.Error(d)
	}
	if n := r.Sources(); n != 8 {
		t.Errorf("%d sources", n)
	}
}

// A source that leaps further than a window is heard from there, with no window
// made for the leap.
func TestLeaps(t *testing.T) {
	const window = 1 << 15
	r := pgm.NewReceiver(pgm.ReceiverConfig{Group: group, DestPort: port, Window: window})
	units, lost := 0, 0
	yield := func(e pgm.Event) {
		if lost += int(e.Lost); e.Unit != nil {
			units++
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const leaps, leap = 1000, window + 2
	for i := range uint32(leaps) {
		r.Input(pgm.Append(nil, &pgm.Packet{Type: pgm.ODATA, TSI: tsi, DestPort: port, Sqn: i * leap, Data: []byte("x")}), local, epoch, yield)
	}
	runtime.ReadMemStats(&after)
	if units != leaps || lost != (leaps-1)*(leap-1) {
		t.Errorf("%d units, %d lost", units, lost)
	}
	// A window is 2 MiB.
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes for %d leaps", n, leaps)
	}
}

// The pauses between source path messages grow while nothing is sent, and a
// packet starts them anew (section 5.1.5).
func TestHeartbeats(t *testing.T) {
	src := pgm.NewSource(pgm.SourceConfig{
		TSI: tsi, DestPort: port, Source: local, Group: group, Rate: 1 << 20, Window: 16,
		Heartbeats: pgm.DefaultHeartbeats, Ambient: pgm.DefaultAmbient,
	}, epoch)
	src.Send([]byte("x"), epoch)
	var at []time.Duration
	for d := time.Duration(0); d < 60*time.Second; d += time.Millisecond {
		src.Output(epoch.Add(d), func(b []byte) {
			var p pgm.Packet
			if err := pgm.Parse(b, &p); err != nil || p.Type != pgm.SPM || p.Lead != 0 || p.Sqn != uint32(len(at)) {
				t.Errorf("%+v %v", p, err)
			}
			at = append(at, d)
		})
	}
	if len(at) < len(pgm.DefaultHeartbeats) || len(at) > len(pgm.DefaultHeartbeats)+3 {
		t.Errorf("%d source path messages in a minute: %v", len(at), at)
	}
	for i := 3; i < len(at); i++ {
		if at[i]-at[i-1] < at[i-1]-at[i-2] {
			t.Errorf("the pauses shrink: %v", at)
			break
		}
	}
}

// FuzzUnpacker gives the reader of data units any bytes: it never panics, keeps
// to its bound, and after an error takes the next good unit.
func FuzzUnpacker(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 'x'}, []byte{0xff, 0xff, 'y'})
	f.Add([]byte{0, 1, 9, 3, 1, 'a', 'b'}, []byte{0, 0, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		const bound = 1 << 10
		u := pgm.Unpacker{MaxMessage: bound}
		var err error
		for _, unit := range [][]byte{first, second} {
			err = u.Add(unit, func(frames [][]byte) {
				if n := len(bytes.Join(frames, nil)); n > bound || len(frames) == 0 {
					t.Fatalf("a message of %d frames and %d bytes", len(frames), n)
				}
			})
		}
		if err == nil {
			u.Reset()
		}
		got := 0
		if err := u.Add([]byte{0, 0, 2, 0, 'z'}, func([][]byte) { got++ }); err != nil || got != 1 {
			t.Fatalf("%d messages, %v", got, err)
		}
	})
}
