// Package docs_test keeps the documentation true: the programs of the README
// are the examples of this file, and docs_test.go checks names and links.
package docs_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcached"
	"lintel.dev/zmq"
)

// serve starts a cache server on a free port.
func serve() (addr string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server, err := memcached.New(memcached.Options{MemoryLimit: 16 << 20})
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	return l.Addr().String(), func() {
		if err := server.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
		<-served
	}
}

func Example_server() {
	server, err := memcached.New(memcached.Options{MemoryLimit: 256 << 20})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Shutdown(context.Background())
	fmt.Println(server.Stats().Items, "items")
	// Output: 0 items
}

func Example_client() {
	addr, stop := serve()
	defer stop()

	client, err := memcache.New(nil, addr) // or several addresses: keys are spread over them
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, options := context.Background(), memcache.FetchOptions{TTL: time.Minute}
	page, err := client.Fetch(ctx, "page:7", options, func(ctx context.Context) ([]byte, error) {
		return []byte("rendered"), nil // called on a miss, once for all concurrent callers
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(page))
	// Output: rendered
}

func Example_sockets() {
	ctx := context.Background()
	pull, err := zmq.NewPull()
	if err != nil {
		log.Fatal(err)
	}
	defer pull.Close()
	endpoint, err := pull.Bind("tcp://127.0.0.1:*") // any free port
	if err != nil {
		log.Fatal(err)
	}

	push, err := zmq.NewPush()
	if err != nil {
		log.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect(endpoint.Addr()); err != nil {
		log.Fatal(err)
	}
	if err := push.Send(ctx, zmq.NewMsg("work", "item 1")); err != nil {
		log.Fatal(err)
	}
	msg, err := pull.Recv(ctx)
	fmt.Println(msg, err)
	// Output: work|item 1 <nil>
}
