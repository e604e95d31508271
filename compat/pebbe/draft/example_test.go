package zmq4_test

import (
	"fmt"
	"log"

	zmq "lintel.dev/compat/pebbe/draft"
)

// A SERVER answers the CLIENT whose routing id came with the request.
func Example() {
	ctx, err := zmq.NewContext()
	if err != nil {
		log.Fatal(err)
	}
	defer ctx.Term()
	server, err := ctx.NewSocket(zmq.SERVER)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := ctx.NewSocket(zmq.CLIENT)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := server.Bind("inproc://orders"); err != nil {
		log.Fatal(err)
	}
	if err := client.Connect("inproc://orders"); err != nil {
		log.Fatal(err)
	}

	if _, err := client.Send("coffee", 0); err != nil {
		log.Fatal(err)
	}
	order, opts, err := server.RecvWithOpts(0, zmq.OptRoutingId(0))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := server.Send("ready: "+order, 0, opts[0]); err != nil {
		log.Fatal(err)
	}
	reply, err := client.Recv(0)
	fmt.Println(reply, err)
	// Output: ready: coffee <nil>
}
