package zmq4_test

import (
	"context"
	"fmt"
	"log"

	zmq4 "lintel.dev/compat/gozeromq"
)

// A PUSH and a PULL, as a program of go-zeromq/zmq4 has them.
func Example() {
	ctx := context.Background()
	pull := zmq4.NewPull(ctx)
	defer pull.Close()
	if err := pull.Listen("tcp://127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	push := zmq4.NewPush(ctx)
	defer push.Close()
	if err := push.Dial("tcp://" + pull.Addr().String()); err != nil {
		log.Fatal(err)
	}

	if err := push.Send(zmq4.NewMsgFromString([]string{"orders", "coffee"})); err != nil {
		log.Fatal(err)
	}
	msg, err := pull.Recv()
	if err != nil {
		log.Fatal(err)
	}
	for _, frame := range msg.Frames {
		fmt.Printf("%s\n", frame)
	}
	// Output:
	// orders
	// coffee
}
