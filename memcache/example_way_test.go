package memcache_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/discovery"
	"lintel.dev/memcache/memcachetest"
)

// serve runs a server for the examples on ln.
func serve(ln net.Listener, opts *memcachetest.Options) (stop func()) {
	s := memcachetest.New(opts)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	return func() { s.Close(); <-done }
}

func listen(network, addr string) net.Listener {
	ln, err := net.Listen(network, addr)
	if err != nil {
		log.Fatal(err)
	}
	return ln
}

// try stores a value and reads it back.
func try(c *memcache.Client) {
	ctx := context.Background()
	if err := c.Set(ctx, &memcache.Item{Key: "k", Value: []byte("value")}); err != nil {
		fmt.Println(err)
		return
	}
	it, err := c.Get(ctx, "k")
	fmt.Printf("%s, %v\n", it.Value, err)
}

// Mutual TLS: both sides verify the other's certificate.
func ExampleOptions_tls() {
	server, serverCA, err := selfSigned("cache.example")
	if err != nil {
		log.Fatal(err)
	}
	client, clientCA, err := selfSigned("app.example")
	if err != nil {
		log.Fatal(err)
	}
	ln := listen("tcp", "127.0.0.1:0")
	defer serve(tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{server},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clientCA,
	}), nil)()

	c, err := memcache.New(&memcache.Options{TLS: &tls.Config{
		RootCAs:      serverCA,
		ServerName:   "cache.example",           // by default the server's host
		Certificates: []tls.Certificate{client}, // left out where TLS is not mutual
	}}, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	try(c)
	// Output:
	// value, <nil>
}

// A server started with memcached -Y requires a user name and a password.
func ExampleOptions_password() {
	ln := listen("tcp", "127.0.0.1:0")
	defer serve(ln, &memcachetest.Options{Username: "app", Password: "secret"})()
	for _, password := range []string{"guess", "secret"} {
		c, err := memcache.New(&memcache.Options{Username: "app", Password: password}, ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		_, err = c.Get(context.Background(), "k")
		fmt.Println(errors.Is(err, memcache.ErrServerDown), errors.Is(err, memcache.ErrCacheMiss))
		c.Close()
	}
	// Output:
	// true false
	// false true
}

// A server on a unix socket is given by its path.
func ExampleNew_unixSocket() {
	dir, err := os.MkdirTemp("", "mc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "memcached.sock")
	defer serve(listen("unix", path), nil)()
	c, err := memcache.New(nil, path)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	try(c)
	// Output:
	// value, <nil>
}

// The weight follows the port. A server with a name keeps its keys when its address
// changes.
func ExampleNew_weights() {
	before, err := memcache.New(nil, "10.0.0.1:11211:3=big", "10.0.0.2:11211:1=small")
	if err != nil {
		log.Fatal(err)
	}
	defer before.Close()
	after, err := memcache.New(nil, "10.0.7.7:11211:3=big", "10.0.0.2:11211:1=small")
	if err != nil {
		log.Fatal(err)
	}
	defer after.Close()
	big, moved := 0, 0
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		onBig := before.ServerFor(key) == "10.0.0.1:11211"
		if onBig {
			big++
		}
		if onBig != (after.ServerFor(key) == "10.0.7.7:11211") {
			moved++
		}
	}
	fmt.Println("three quarters:", big > 700 && big < 800, "moved:", moved)
	// Output:
	// three quarters: true moved: 0
}

// Every server of a cluster knows the others.
func ExampleDiscover() {
	ln := listen("tcp", "127.0.0.1:0")
	defer serve(ln, &memcachetest.Options{Cluster: "cache-a|10.0.0.1|11211 |10.0.0.2|11311"})()
	c, err := memcache.Discover(context.Background(), ln.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(strings.Join(c.Servers(), " "))
	// Output:
	// cache-a:11211 10.0.0.2:11311
}

// The servers are listed in a file, which is read again at an interval.
func ExampleFollow_file() {
	dir, err := os.MkdirTemp("", "mc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fleet")
	write := func(list string) {
		// Renamed into place, so that the client does not read half of it.
		if err := errors.Join(os.WriteFile(path+".new", []byte(list), 0o600), os.Rename(path+".new", path)); err != nil {
			log.Fatal(err)
		}
	}
	write("10.0.0.1\n")
	c, err := memcache.Follow(context.Background(), discovery.File(path), 10*time.Millisecond, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Servers())
	write("10.0.0.1\n10.0.0.2 # new\n")
	for len(c.Servers()) < 2 {
		runtime.Gosched()
	}
	fmt.Println(c.Servers())
	// Output:
	// [10.0.0.1:11211]
	// [10.0.0.1:11211 10.0.0.2:11211]
}

// Keys may have any bytes if the server has meta commands.
func ExampleOptions_encodeKeys() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(&memcache.Options{EncodeKeys: true}, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	fmt.Println(c.Set(ctx, &memcache.Item{Key: "title: War and Peace", Value: []byte("1869")}))
	it, err := c.Get(ctx, "title: War and Peace")
	fmt.Printf("%q %s %v\n", it.Key, it.Value, err)
	// Output:
	// <nil>
	// "title: War and Peace" 1869 <nil>
}
