package zmq4_test

import (
	"fmt"
	"log"

	zmq "lintel.dev/compat/pebbe"
)

// A request and its reply, as a program of pebbe/zmq4 has them.
func Example() {
	ctx, err := zmq.NewContext()
	if err != nil {
		log.Fatal(err)
	}
	defer ctx.Term()
	server, err := ctx.NewSocket(zmq.REP)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := ctx.NewSocket(zmq.REQ)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := server.Bind("tcp://127.0.0.1:*"); err != nil {
		log.Fatal(err)
	}
	endpoint, err := server.GetLastEndpoint()
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Connect(endpoint); err != nil {
		log.Fatal(err)
	}

	if _, err := client.SendMessage("coffee", 2); err != nil {
		log.Fatal(err)
	}
	order, err := server.RecvMessage(0)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := server.Send("ready: "+order[1]+" x "+order[0], 0); err != nil {
		log.Fatal(err)
	}
	reply, err := client.Recv(0)
	fmt.Println(reply, err)
	// Output: ready: 2 x coffee <nil>
}
