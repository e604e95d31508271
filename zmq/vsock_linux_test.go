package zmq_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// bindVSOCK binds where the kernel has vsock.
func bindVSOCK(t *testing.T, s zmq.Socket) *zmq.Endpoint {
	t.Helper()
	e, err := s.Bind("vsock://*:*")
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPERM) {
		t.Skipf("this kernel has no vsock: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A bound endpoint says which port it got, also in the events.
func TestVSOCKBind(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	s, err := zmq.NewRep()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events := s.Events(ctx)
	e := bindVSOCK(t, s)
	port, ok := strings.CutPrefix(e.Addr(), "vsock://*:")
	if last, err := s.Option("last_endpoint"); !ok || port == "*" || last != e.Addr() {
		t.Errorf("bound at %s, last endpoint %s, %v", e.Addr(), last, err)
	}
	for ev := range events {
		if ev.Type != event.Listening || ev.Endpoint != e.Addr() {
			t.Errorf("%v %s, want listening at %s", ev.Type, ev.Endpoint, e.Addr())
		}
		break
	}
	if _, err := s.Bind(e.Addr()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second Bind: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// What vsock://cid:port dials is left to the dialer that was given, and a
// listener of that network keeps its scheme: enough for those who bridge vsock
// by other means, as Firecracker does with a unix socket.
func TestVSOCKByDialer(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := zmq.NewRep()
	if err != nil {
		t.Fatal(err)
	}
	defer rep.Close()
	e, err := rep.BindListener(ln)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	req, err := zmq.NewReq(zmq.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "vsock" || address != "3:5555" {
			t.Errorf("dials %s %s", network, address)
		}
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer req.Close()
	if _, err := req.Connect("vsock://3:5555"); err != nil {
		t.Fatal(err)
	}
	askOnce(ctx, t, req, rep)
}

// The whole way, where the kernel has a loopback for vsock.
func TestVSOCK(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	secret := zmq.NewSecretKey()
	public := secret.Public()
	clientSecret := zmq.NewSecretKey()
	rep, err := zmq.NewRep(zmq.WithCurveServer(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer rep.Close()
	to := "vsock://1" + strings.TrimPrefix(bindVSOCK(t, rep).Addr(), "vsock://*")
	req, err := zmq.NewReq(zmq.WithCurve(clientSecret, public), zmq.WithLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer req.Close()
	events := req.Events(ctx)
	if _, err := req.Connect(to); err != nil {
		t.Fatal(err)
	}
	for ev := range events {
		if ev.Type == event.ConnectRetried || ev.Err != nil {
			t.Skipf("this kernel has no loopback for vsock (modprobe vsock_loopback): %v", ev.Err)
		}
		if ev.Type == event.Connected {
			break
		}
	}
	askOnce(ctx, t, req, rep)
}
