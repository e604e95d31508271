// Command producer puts each line of standard input into a queue: producer ENDPOINT
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"log"
	"os"
	"time"

	"lintel.dev/zmq"
)

func main() {
	// Without a reply in time a request ends, and the socket is free for the next.
	socket, err := zmq.NewReq(zmq.WithOption("req_relaxed", "1"), zmq.WithOption("req_correlate", "1"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := socket.Connect(os.Args[1]); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		put := zmq.NewMsg("ID", rand.Text(), lines.Text())
		for stored := false; !stored; { // repeated with the same id, it is stored once
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			reply, err := socket.Request(ctx, put)
			cancel()
			stored = err == nil && string(reply[0]) != "NO"
		}
	}
}
