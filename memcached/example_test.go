package memcached_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"lintel.dev/memcached"
)

// say sends a line to a server and prints its answer, which ends with a line
// that begins with last.
func say(conn net.Conn, line, last string) {
	fmt.Fprintf(conn, "%s\r\n", line)
	answer := bufio.NewScanner(conn)
	for answer.Scan() {
		fmt.Println(answer.Text())
		if strings.HasPrefix(answer.Text(), last) {
			return
		}
	}
}

// A cache server inside a program.
func Example() {
	srv, err := memcached.New(memcached.Options{MemoryLimit: 16 << 20, Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	say(conn, "set greeting 0 60 8\r\ngood day", "STORED")
	say(conn, "get greeting", "END")
	conn.Close()
	fmt.Println(srv.Stats().Items, "item,", srv.Stats().Hits, "hit")

	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := srv.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// STORED
	// VALUE greeting 0 8
	// good day
	// END
	// 1 item, 1 hit
	// memcached: server closed
}

// Several caches in one process. Each lists all of them in config get cluster.
func ExampleCluster() {
	cluster, err := memcached.NewCluster(memcached.Options{MemoryLimit: 16 << 20, Threads: 1}, 3)
	if err != nil {
		log.Fatal(err)
	}
	var listeners []net.Listener
	for range cluster.Servers() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	cluster.Announce(listeners)
	served := make(chan error)
	go func() { served <- cluster.Serve(listeners) }()

	for i, srv := range cluster.Servers() {
		conn, err := net.Dial("tcp", listeners[i].Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		say(conn, fmt.Sprintf("set number 0 0 1\r\n%d", i), "STORED")
		conn.Close()
		fmt.Println("server", i, "has", srv.Stats().Items)
	}
	if err := cluster.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// STORED
	// server 0 has 1
	// STORED
	// server 1 has 1
	// STORED
	// server 2 has 1
	// memcached: server closed
}

// A topology lists the servers of a cluster to clients that discover them.
func ExampleTopology() {
	nodes, err := memcached.ParseNodes("cache1.example:11211, cache2.example|10.0.0.2|11212")
	if err != nil {
		log.Fatal(err)
	}
	var fleet memcached.Topology
	fleet.Set(nodes) // and Options.Topology: &fleet
	nodes, version := fleet.Nodes()
	for _, n := range nodes {
		fmt.Printf("%s %q %d\n", n.Host, n.IP, n.Port)
	}
	fmt.Println("version", version)
	// Output:
	// cache1.example "" 11211
	// cache2.example "10.0.0.2" 11212
	// version 1
}
