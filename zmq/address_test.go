package zmq_test

import (
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strings"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

var ipv6 = zmq.WithOption("ipv6", "1")

// linkLocal returns an address with a zone, or "" if this machine has none.
func linkLocal() string {
	all, _ := net.Interfaces()
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !p.Addr().Is6() || !p.Addr().IsLinkLocalUnicast() {
				continue
			}
			at := p.Addr().WithZone(i.Name).String()
			if l, err := net.Listen("tcp", net.JoinHostPort(at, "0")); err == nil { // else it is not ready for use
				l.Close()
				return at
			}
		}
	}
	return ""
}

// loopback returns the name of the loopback interface.
func loopback() string {
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	return ""
}

// needsIPv6 skips a test on a machine without IPv6.
func needsIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on this system:", err)
	}
	l.Close()
}

// What Bind reports can be given to Connect, with every form of an address and of a
// WebSocket path.
func TestBoundAddresses(t *testing.T) {
	needsIPv6(t)
	hosts := []string{
		"*", "127.0.0.1", "localhost", "0.0.0.0", "[::]", "[::1]", "::1",
		"[::ffff:127.0.0.1]", loopback(),
	}
	if at := linkLocal(); at != "" {
		hosts = append(hosts, at, "["+at+"]")
	}
	var ends []string
	for _, host := range hosts {
		ends = append(ends, "tcp://"+host+":*", "ws://"+host+":*", "udp://"+host+":*")
	}
	for _, path := range []string{"/", "/a/b", "/a b", "/a%20b", "/ü", "/a?x=1", "//", "/%2F", "/a;b"} {
		ends = append(ends, "ws://127.0.0.1:*"+path)
	}
	for _, at := range ends {
		for _, opts := range [][]zmq.Option{nil, {ipv6}} {
			t.Run(fmt.Sprint(at, " ", len(opts)), func(t *testing.T) {
				r := overTCP(t)
				if strings.HasPrefix(at, "udp") {
					dish, radio := made(r, zmq.NewDish, opts...), made(r, zmq.NewRadio, opts...)
					r.must(dish.Join("group"))
					events, stop := iter.Pull(radio.Events(r.ctx))
					defer stop()
					r.connect(radio, r.bindAt(dish, at))
					next(t, events, event.HandshakeSucceeded)
					r.must(radio.SendGroup(r.ctx, "group", []byte("arrives")))
					r.want(dish, "group", "arrives")
					return
				}
				pull, push := made(r, zmq.NewPull, opts...), made(r, zmq.NewPush)
				r.connect(push, r.bindAt(pull, at))
				r.send(push, "arrives")
				r.want(pull, "arrives")
			})
		}
	}
}

// A WebSocket path that no client can ask for is refused.
func TestWebSocketPathErrors(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	for _, path := range []string{"/a#b", "/%zz"} {
		if _, err := pull.Bind("ws://127.0.0.1:*" + path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Bind to %s: %v", path, err)
		}
		if _, err := pull.Connect("ws://127.0.0.1:1" + path); err == nil {
			t.Errorf("Connect to %s: no error", path)
		}
	}
}

// A source address that is a name or * is of the family of the destination.
func TestSourceFamily(t *testing.T) {
	needsIPv6(t)
	either := []string{"*:0", "*:*", loopback() + ":0"}
	for at, sources := range map[string][]string{
		"127.0.0.1": append(either, "127.0.0.1:0", "localhost:0"),
		"[::1]":     append(either, "[::1]:0", "::1:0"),
		"localhost": either,
	} {
		for _, source := range sources {
			t.Run(source+";"+at, func(t *testing.T) {
				r := overTCP(t)
				pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush, ipv6)
				_, port, err := net.SplitHostPort(strings.TrimPrefix(r.bindAt(pull, "tcp://"+at+":*"), "tcp://"))
				r.must(err)
				r.connect(push, "tcp://"+source+";"+at+":"+port)
				r.send(push, "arrives")
				r.want(pull, "arrives")
			})
		}
	}
}

// The groups of IPv6 take an interface by name, by address and as a zone. Sending is
// not tested: a machine may have no route for groups.
func TestGroupInterfaces(t *testing.T) {
	needsIPv6(t)
	forms := []string{"*;239.1.2.3", loopback() + ";239.1.2.3", loopback() + ";[ff01::1:2]", "::1;[ff01::1:2]", "[::1];[ff01::1:2]", "[ff01::1:2%" + loopback() + "]"}
	if at := linkLocal(); at != "" {
		forms = append(forms, at+";[ff02::1:2]")
	}
	for _, at := range forms {
		t.Run(at, func(t *testing.T) {
			r := overTCP(t)
			dish := made(r, zmq.NewDish)
			bound := r.bindAt(dish, "udp://"+at+":*")
			if !strings.HasPrefix(bound, "udp://"+at+":") {
				t.Errorf("bound %s", bound)
			}
			if _, err := made(r, zmq.NewRadio).Connect(bound); err != nil {
				t.Error(err)
			}
		})
	}
}
