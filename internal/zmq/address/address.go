// Package address reads the hosts and network interfaces of endpoints, for every
// transport over IP. A host is a name, an address of IPv4 or IPv6, which may have a
// zone, or the name of an interface. The package keeps no state.
package address

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Family says which addresses are wanted.
type Family int

// The families.
const (
	Any Family = iota
	IPv4
	IPv6
)

// FamilyOf returns the family of an address, or otherwise for a name.
func FamilyOf(host string, otherwise Family) Family {
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return otherwise
	case a.Is4():
		return IPv4
	}
	return IPv6
}

// Network returns the name of the family that package net knows: "tcp" followed by
// nothing, 4 or 6 for the network "tcp".
func (f Family) Network(network string) string {
	return network + [...]string{"", "4", "6"}[f]
}

// has reports whether an address is one of the family.
func (f Family) has(a netip.Addr) bool {
	return f == Any || a.Is4() == (f == IPv4)
}

// Split splits host:port. As in libzmq, an IPv6 address needs no brackets: the port
// follows the last colon.
func Split(s string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(s); err == nil {
		return host, port, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", fmt.Errorf("address %q has no port, expected host:port", s)
	}
	return strings.Trim(s[:i], "[]"), s[i+1:], nil
}

// Local returns the address that stands for host on this machine: the first one of
// the family for the name of an interface, the wildcard address for *, and host
// itself for anything else.
func Local(host string, f Family) (string, error) {
	switch {
	case host == "*" && f == IPv4:
		return "0.0.0.0", nil
	case host == "*":
		return "::", nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	ifi, err := net.InterfaceByName(host)
	if err != nil {
		return host, nil
	}
	for _, a := range addrsOf(ifi) {
		if f.has(a) {
			return a.String(), nil
		}
	}
	return "", fmt.Errorf("interface %s has no usable address", host)
}

// Bound returns the address of a listener at host as text, with the zone of host:
// the system may not report that.
func Bound(at, host string) string {
	bound, err := netip.ParseAddrPort(at)
	asked, err2 := netip.ParseAddr(host)
	if err != nil || err2 != nil || asked.Zone() == "" || bound.Addr().Zone() != "" {
		return at
	}
	return netip.AddrPortFrom(bound.Addr().WithZone(asked.Zone()), bound.Port()).String()
}

// Multicast returns the interface with a name or an address, and an address of it.
// Empty, where is the first interface that can multicast and is no loopback. An
// interface that is given by its name needs an address of IPv4 only.
func Multicast(where string, f Family) (*net.Interface, netip.Addr, error) {
	where = strings.Trim(where, "[]")
	all, err := net.Interfaces()
	if err != nil {
		return nil, netip.Addr{}, err
	}
	for i := range all {
		ifi := &all[i]
		if where == "" && (ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagMulticast == 0 || ifi.Flags&net.FlagLoopback != 0) {
			continue
		}
		for _, a := range addrsOf(ifi) {
			if f.has(a) && (where == "" || ifi.Name == where || a.String() == where) {
				return ifi, a, nil
			}
		}
		if ifi.Name == where && f == IPv6 {
			return ifi, netip.Addr{}, nil
		}
	}
	if where == "" {
		return nil, netip.Addr{}, fmt.Errorf("no interface with multicast and an %v address is up, name one: interface;group:port", f)
	}
	return nil, netip.Addr{}, fmt.Errorf("interface %q, expected the name or an %v address of an interface of this host", where, f)
}

// String returns the family as text.
func (f Family) String() string { return [...]string{"IP", "IPv4", "IPv6"}[f] }

// addrsOf returns the addresses of an interface. Those of its link have a zone.
func addrsOf(ifi *net.Interface) (all []netip.Addr) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		at := p.Addr()
		if at.Is6() && at.IsLinkLocalUnicast() {
			at = at.WithZone(ifi.Name)
		}
		all = append(all, at)
	}
	return all
}
