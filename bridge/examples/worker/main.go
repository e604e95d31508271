// Command worker prints jobs of a queue, one at a time: worker ENDPOINT
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"lintel.dev/zmq"
)

func main() {
	socket, err := zmq.NewReq(zmq.WithOption("req_relaxed", "1"), zmq.WithOption("req_correlate", "1"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := socket.Connect(os.Args[1]); err != nil {
		log.Fatal(err)
	}
	next := zmq.NewMsg("NEXT")
	for request := next; ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		job, err := socket.Request(ctx, request)
		cancel()
		if err != nil || string(job[0]) == "NO" { // no job, no bridge, or a late ACK
			request = next
			continue
		}
		fmt.Println(zmq.Msg(job[2:])) // the work
		request = zmq.Msg{[]byte("ACK"), job[0]}
	}
}
