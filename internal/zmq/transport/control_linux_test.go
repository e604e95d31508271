package transport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketOption reads an option of a connection's socket.
func socketOption(t *testing.T, c net.Conn, level, name int) int {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	ctl := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), level, name) })
	if ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	return n
}

// TestSocketOptions: what is set arrives at the kernel, on the connection that
// is dialled and on the one that is accepted (test_diffserv and others).
func TestSocketOptions(t *testing.T) {
	o := Options{
		TOS: 0x28, Priority: 3, SendBuffer: 20000, RecvBuffer: 30000, Backlog: 7,
		KeepAlive: 1, KeepIdle: 11 * time.Second, KeepInterval: 12 * time.Second, KeepCount: 13, MaxRT: 14 * time.Second,
	}
	ln, at, err := Listen(t.Context(), Endpoint{Scheme: "tcp", Address: "127.0.0.1:*"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := Dial(t.Context(), at, o)
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	for side, c := range map[string]net.Conn{"dialled": dialled.(net.Conn), "accepted": accepted.(net.Conn)} {
		for _, want := range []struct {
			what        string
			level, name int
			low, high   int
		}{
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, 0x28, 0x28},
			{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 20000, 40000}, // Linux doubles them
			{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 30000, 60000},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 11, 11},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 12, 12},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 13, 13},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 14000, 14000},
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, 1},
		} {
			if n := socketOption(t, c, want.level, want.name); n < want.low || n > want.high {
				t.Errorf("%s: %s is %d, want %d to %d", side, want.what, n, want.low, want.high)
			}
		}
	}
	if n := socketOption(t, dialled.(net.Conn), unix.SOL_SOCKET, unix.SO_PRIORITY); n != 3 {
		t.Errorf("SO_PRIORITY is %d, want 3", n)
	}
}
