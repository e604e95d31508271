package interop_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcached"
)

// embedded runs our server inside the test.
func embedded(t *testing.T) string {
	return serve(t, "tcp", "127.0.0.1:0", memcached.Options{})
}

func embeddedUnix(t *testing.T) string {
	return serve(t, "unix", filepath.Join(peers.SocketDir(t), "m"), memcached.Options{})
}

func serve(t *testing.T, network, addr string, opts memcached.Options) string {
	t.Helper()
	s, err := memcached.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), peers.Patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served
	})
	return l.Addr().String()
}
