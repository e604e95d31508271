package auth

import (
	"net/netip"
	"testing"
	"time"
)

func TestBrake(t *testing.T) {
	now := time.Unix(1000, 0)
	b := NewBrake(func() time.Time { return now })
	bad, good := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	wait := func(addr netip.Addr, want time.Duration) {
		t.Helper()
		if d, ok := b.Wait(addr); d != want || !ok {
			t.Fatalf("waits %v, %v; want %v", d, ok, want)
		}
	}
	for range b.Free {
		wait(bad, 0)
		b.Done(bad, false)
	}
	wait(bad, 0)
	b.Done(bad, false)
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000} {
		wait(bad, want*time.Millisecond)
		now = now.Add(want * time.Millisecond)
		b.Done(bad, false)
	}
	// Logins that arrive together wait for each other, and are refused in the end.
	now = now.Add(5 * time.Second)
	for i := range 7 {
		wait(bad, time.Duration(i)*5*time.Second)
	}
	if _, ok := b.Wait(bad); ok {
		t.Error("a login that waits 35 s is not refused")
	}
	// Other addresses, and unix sockets, do not wait.
	wait(good, 0)
	wait(netip.Addr{}, 0)
	b.Done(netip.Addr{}, false)
	// A success, or time, ends it.
	b.Done(bad, true)
	wait(bad, 0)
	for range 20 {
		b.Done(bad, false)
	}
	now = now.Add(forgetIn + time.Second)
	wait(bad, 0)
	// The table is bounded.
	for i := range 3 * maxRecords {
		b.Done(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), false)
	}
	if len(b.table) > maxRecords {
		t.Errorf("%d records", len(b.table))
	}
}
