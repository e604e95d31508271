package event_test

import (
	"context"
	"fmt"
	"log"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// The events of a socket that listens, until a peer is connected.
func Example() {
	pull, err := zmq.NewPull()
	if err != nil {
		log.Fatal(err)
	}
	defer pull.Close()
	events := pull.Events(context.Background()) // from here on
	endpoint, err := pull.Bind("tcp://127.0.0.1:*")
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

	for e := range events {
		fmt.Println(e.Type)
		if e.Type == event.HandshakeSucceeded {
			break
		}
	}
	// Output:
	// listening
	// accepted
	// handshake succeeded
}
