package feed_test

import (
	"context"
	"fmt"
	"log"

	"lintel.dev/zmq/feed"
)

// A reader that starts late gets what it missed from the publisher's ring.
func Example() {
	publisher, err := feed.NewPublisher(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer publisher.Close()
	live, err := publisher.Bind("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}
	control, err := publisher.BindControl("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}
	for _, price := range []string{"10", "11", "12"} {
		if _, err := publisher.Publish("copper", []byte(price)); err != nil {
			log.Fatal(err)
		}
	}

	reader, err := feed.Open(nil, feed.Source{Live: live, Control: control, From: feed.Oldest})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	for e, err := range reader.Messages(context.Background()) {
		switch {
		case err != nil:
			log.Fatal(err)
		case e.Kind == feed.Message:
			fmt.Printf("%d %s %s\n", e.Position.Seq, e.Topic, e.Payload)
		case e.Kind == feed.Gap:
			fmt.Printf("lost %d to %d\n", e.From, e.To)
		case e.Kind == feed.Live:
			fmt.Println("up to date")
			return
		}
	}
	// Output:
	// 1 copper 10
	// 2 copper 11
	// 3 copper 12
	// up to date
}
