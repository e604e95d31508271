package udp

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		bind bool
		want string // the address, or what the error says
	}{
		{"127.0.0.1:5555", false, "127.0.0.1:5555"},
		{"*:*", true, "0.0.0.0:0"},
		{"127.0.0.1;239.1.2.3:5555", true, "239.1.2.3:5555"},
		{"239.1.2.3:5555", false, "239.1.2.3:5555"},
		{"[::1]:5555", false, "[::1]:5555"},
		{"[::]:*", true, "[::]:0"},
		{"[ff02::1%lo]:5555", false, "[ff02::1%lo]:5555"},
		{"*:5555", false, "host"},
		{"127.0.0.1:0", false, "port"},
		{"127.0.0.1:70000", false, "port"},
		{"127.0.0.1", false, "expected host:port"},
		{"127.0.0.1;10.0.0.1:5555", true, "no multicast group"},
		{"no-such-interface;239.1.2.3:5555", true, "no-such-interface"},
	} {
		cfg, err := Parse(t.Context(), c.in, c.bind, false)
		if err == nil && cfg.Addr.String() != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %s", c.in, cfg.Addr, err, c.want)
		}
	}
}

// FuzzSplitGroup takes any datagram apart: what comes out is what went in.
func FuzzSplitGroup(f *testing.F) {
	f.Add([]byte("\x05groupbody"))
	f.Add([]byte("\x00"))
	f.Add([]byte("\xffshort"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		group, body, ok := splitGroup(b, netip.AddrPort{})
		if !ok {
			if len(b) > 0 && len(b) > int(b[0]) {
				t.Fatalf("%q refused", b)
			}
			return
		}
		again := append(append([]byte{byte(len(group))}, group...), body...)
		if !bytes.Equal(again, b) {
			t.Fatalf("%q taken for group %q and body %q", b, group, body)
		}
	})
}
