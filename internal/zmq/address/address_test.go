package address

import (
	"net/netip"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ in, host, port string }{
		{"127.0.0.1:1", "127.0.0.1", "1"},
		{"[::1]:*", "::1", "*"},
		{"::1:5", "::1", "5"},
		{"fe80::1%eth0:5", "fe80::1%eth0", "5"},
		{"[fe80::1%eth0]:5", "fe80::1%eth0", "5"},
		{"*:*", "*", "*"},
	} {
		if host, port, err := Split(c.in); host != c.host || port != c.port || err != nil {
			t.Errorf("Split(%q) = %q, %q, %v", c.in, host, port, err)
		}
	}
	if _, _, err := Split("host"); err == nil {
		t.Error("an address without a port has no error")
	}
}

// A zone that the system does not report is kept.
func TestBound(t *testing.T) {
	for _, c := range []struct{ at, host, want string }{
		{"[fe80::1]:5", "fe80::1%eth0", "[fe80::1%eth0]:5"},
		{"[fe80::1%2]:5", "fe80::1%eth0", "[fe80::1%2]:5"},
		{"127.0.0.1:5", "localhost", "127.0.0.1:5"},
		{"[::]:5", "::", "[::]:5"},
	} {
		if got := Bound(c.at, c.host); got != c.want {
			t.Errorf("Bound(%q, %q) = %q", c.at, c.host, got)
		}
	}
}

func TestFamily(t *testing.T) {
	for host, want := range map[string]Family{"127.0.0.1": IPv4, "::1": IPv6, "fe80::1%eth0": IPv6, "localhost": Any} {
		if got := FamilyOf(host, Any); got != want {
			t.Errorf("%s is of %v", host, got)
		}
	}
	for f, want := range map[Family]string{IPv4: "0.0.0.0", IPv6: "::", Any: "::"} {
		if got, err := Local("*", f); got != want || err != nil {
			t.Errorf("* is %q of %v, %v", got, f, err)
		}
	}
	if _, _, err := Multicast("nowhere", IPv6); err == nil {
		t.Error("an interface that is not there has no error")
	}
	for f, n := range map[Family]string{Any: "tcp", IPv4: "tcp4", IPv6: "tcp6"} {
		if f.Network("tcp") != n {
			t.Errorf("the network of %v is %s", f, f.Network("tcp"))
		}
	}
	if !IPv6.has(netip.MustParseAddr("::1")) || IPv4.has(netip.MustParseAddr("::1")) {
		t.Error("::1 is of the wrong family")
	}
}
