package interop_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcached"
)

// embedded runs a Lintel server inside the test.
func embedded(t *testing.T) string {
	return serve(t, "tcp", "127.0.0.1:0", memcached.Options{})
}

func embeddedUnix(t *testing.T) string {
	return serve(t, "unix", filepath.Join(peers.SocketDir(t), "m"), memcached.Options{})
}

func serve(t *testing.T, network, addr string, opts memcached.Options) string {
	t.Helper()
	addr, _ = serveUntil(t, network, addr, opts)
	return addr
}

// serveUntil runs a Lintel server until stop is called or the test ends.
func serveUntil(t *testing.T, network, addr string, opts memcached.Options) (at string, stop func()) {
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
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), peers.Patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}
