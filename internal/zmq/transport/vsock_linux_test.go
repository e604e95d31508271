package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenVSOCKOrSkip listens where the kernel has vsock.
func listenVSOCKOrSkip(t *testing.T, at string) (Listener, Endpoint) {
	t.Helper()
	e, err := Parse(at, true)
	if err != nil {
		t.Fatal(err)
	}
	ln, e, err := Listen(t.Context(), e, Options{Backlog: 5})
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPERM) {
		t.Skipf("this kernel has no vsock: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, e
}

func TestVSOCKListen(t *testing.T) {
	ln, at := listenVSOCKOrSkip(t, "vsock://*:*")
	if a, ok := ln.Addr().(VSOCKAddr); !ok || a.CID != anyCID || a.Port == anyPort || at.Address != a.String() || a.Network() != "vsock" {
		t.Errorf("listens at %v, which is called %s", ln.Addr(), at)
	}
	if _, _, err := Listen(t.Context(), at, Options{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		done <- err
	}()
	ln.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v", err)
	}
}

// A connection that cannot be made, or is not wanted any more, is an error and
// leaves nothing behind.
func TestVSOCKDialFails(t *testing.T) {
	listenVSOCKOrSkip(t, "vsock://*:*")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if c, err := Dial(ctx, Endpoint{Scheme: "vsock", Address: "1:1"}, Options{}); err == nil {
		c.Close()
		t.Error("connected to port 1 of this machine")
	}
	if _, err := Dial(ctx, Endpoint{Scheme: "vsock", Address: "1:*"}, Options{}); err == nil {
		t.Error("connected to any port")
	}
}

// exchange sends both ways between two ends, and closes them.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	body := bytes.Repeat([]byte("vsock "), 100_000)
	sent := make(chan error, 1)
	go func() {
		_, err := a.Write(body)
		sent <- errors.Join(err, a.Close())
	}()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes arrive of %d, %v", len(got), len(body), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := b.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
	b.Close()
}

// The connection of a family that package net does not know behaves as any
// other, whatever the kernel has: here it is one of unix.
func TestFileConn(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := VSOCKAddr{1, 2}, VSOCKAddr{3, 4}
	a := &fileConn{os.NewFile(uintptr(fds[0]), "vsock"), near, far}
	b := &fileConn{os.NewFile(uintptr(fds[1]), "vsock"), far, near}
	if a.LocalAddr().String() != "1:2" || a.RemoteAddr().String() != "3:4" {
		t.Errorf("from %v to %v", a.LocalAddr(), a.RemoteAddr())
	}
	exchange(t, a, b)
}

func TestVSOCKLoopback(t *testing.T) {
	ln, at := listenVSOCKOrSkip(t, "vsock://*:*")
	to := Endpoint{Scheme: "vsock", Address: VSOCKAddr{unix.VMADDR_CID_LOCAL, ln.Addr().(VSOCKAddr).Port}.String()}
	c, err := Dial(t.Context(), to, Options{})
	if err != nil {
		t.Skipf("this kernel has no loopback for vsock (modprobe vsock_loopback): %v", err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().String() != to.Address || s.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("%s: from %v to %v, accepted from %v", at, c.LocalAddr(), c.RemoteAddr(), s.RemoteAddr())
	}
	exchange(t, c.(net.Conn), s.(net.Conn))
}
