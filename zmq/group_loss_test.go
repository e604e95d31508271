package zmq_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"lintel.dev/internal/zmq/epgm/epgmtest"
	"lintel.dev/internal/zmq/pgm"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// forger sends packets of its own making to a group.
type forger struct {
	t  *testing.T
	pc *net.UDPConn
	to netip.AddrPort
}

func newForger(t *testing.T, group string) *forger {
	t.Helper()
	_, to, _ := strings.Cut(group, ";")
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return &forger{t, pc, netip.MustParseAddrPort(to)}
}

func (f *forger) send(b []byte) {
	f.t.Helper()
	if _, err := f.pc.WriteToUDPAddrPort(b, f.to); err != nil {
		f.t.Fatal(err)
	}
}

// data is an original packet with one message of one frame.
func (f *forger) data(sqn, trail uint32, body string) {
	f.t.Helper()
	unit := append([]byte{0, 0, byte(len(body) + 1), 0}, body...)
	f.send(pgm.Append(nil, &pgm.Packet{
		Type: pgm.ODATA, TSI: pgm.TSI{GSI: pgm.GSI{1, 2, 3}, Port: 4}, DestPort: f.to.Port(), Sqn: sqn, Trail: trail, Data: unit,
	}))
}

// What a publisher keeps no more is an event and a figure, and the messages
// after it come. Datagrams that are no packets cost a count.
func TestMulticastLoss(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	group := epgmtest.Group(t)
	sub, err := zmq.NewSub()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Subscribe(""); err != nil {
		t.Fatal(err)
	}
	events := sub.Events(ctx)
	if _, err := sub.Connect("epgm://" + group); err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if e.Type == event.HandshakeSucceeded {
			break
		}
	}
	f := newForger(t, group)
	for _, junk := range [][]byte{nil, []byte("hello?"), make([]byte, 1000)} {
		f.send(junk)
	}
	f.data(1, 1, "before")
	f.data(50, 48, "after") // 2 to 47 have left the window, 48 and 49 may still come
	f.data(49, 48, "the last but one")
	f.data(48, 48, "the last but two")
	for _, want := range []string{"before", "the last but two", "the last but one", "after"} {
		if b, err := sub.RecvBytes(ctx); err != nil || string(b) != want {
			t.Fatalf("%q %v, want %q", b, err, want)
		}
	}
	for e := range events {
		if e.Type == event.MulticastLoss {
			if e.Packets != 46 || e.Endpoint != "epgm://"+group {
				t.Errorf("%d packets lost at %s, want 46", e.Packets, e.Endpoint)
			}
			break
		}
	}
	if s := sub.Stats(); s.MulticastLost != 46 || s.DroppedMalformed != 3 {
		t.Errorf("%d packets lost and %d datagrams refused, want 46 and 3", s.MulticastLost, s.DroppedMalformed)
	}
}
