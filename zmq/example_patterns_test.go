package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"

	"lintel.dev/zmq"
)

// check keeps the examples short.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A server passes its requests to workers in its own process: clients connect to a
// ROUTER, workers to a DEALER, and a proxy carries messages between the two.
func Example_multithreadedServer() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	clients, _ := zmq.NewRouter()
	defer clients.Close()
	at, err := clients.Bind("tcp://127.0.0.1:*")
	check(err)
	workers, _ := zmq.NewDealer()
	defer workers.Close()
	_, err = workers.Bind("inproc://workers")
	check(err)
	for range 3 {
		rep, _ := zmq.NewRep()
		defer rep.Close()
		_, err := rep.Connect("inproc://workers")
		check(err)
		go rep.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) {
			return zmq.NewMsg(strings.ToUpper(string(m[0]))), nil
		})
	}
	go (&zmq.Proxy{Front: clients, Back: workers}).Run(ctx)

	req, _ := zmq.NewReq()
	defer req.Close()
	_, err = req.Connect(at.Addr())
	check(err)
	for _, word := range []string{"one", "two", "three"} {
		reply, err := req.Request(ctx, zmq.NewMsg(word))
		check(err)
		fmt.Println(reply)
	}
	// Output:
	// ONE
	// TWO
	// THREE
}

// Goroutines signal each other with PAIR sockets when their step is done.
func Example_signals() {
	ctx := context.Background()
	pair := func(name string, bind bool) *zmq.Pair {
		s, err := zmq.NewPair()
		check(err)
		if bind {
			_, err = s.Bind(name)
		} else {
			_, err = s.Connect(name)
		}
		check(err)
		return s
	}
	end := pair("inproc://third", true)
	defer end.Close()
	go func() {
		next := pair("inproc://third", false)
		defer next.Close()
		before := pair("inproc://second", true)
		defer before.Close()
		go func() {
			next := pair("inproc://second", false)
			defer next.Close()
			check(next.Send(ctx, zmq.NewMsg("first step done")))
		}()
		m, err := before.Recv(ctx)
		check(err)
		check(next.Send(ctx, append(m, []byte("second step done"))))
	}()
	m, err := end.Recv(ctx)
	check(err)
	fmt.Println(m)
	// Output: first step done|second step done
}

// A publisher waits until all its subscribers are connected before it begins: an
// XPUB receives their subscriptions.
func Example_coordination() {
	ctx := context.Background()
	pub, _ := zmq.NewXPub(zmq.WithOption("xpub_verbose", "1")) // each subscription, not only the first
	defer pub.Close()
	at, err := pub.Bind("tcp://127.0.0.1:*")
	check(err)

	const expected = 3
	counts := make(chan int, expected)
	for range expected {
		sub, _ := zmq.NewSub()
		check(sub.Subscribe(""))
		_, err := sub.Connect(at.Addr())
		check(err)
		go func() {
			defer sub.Close()
			n := 0
			for m, err := range sub.Messages(ctx) {
				check(err)
				if string(m[0]) == "END" {
					break
				}
				n++
			}
			counts <- n
		}()
	}
	for range expected {
		_, err := pub.Recv(ctx)
		check(err)
	}
	for range 500 {
		check(pub.SendBytes(ctx, []byte("rhubarb")))
	}
	check(pub.SendBytes(ctx, []byte("END")))
	for range expected {
		fmt.Println(<-counts)
	}
	// Output:
	// 500
	// 500
	// 500
}

// The topic of a publication is a frame of its own. Subscriptions are compared with
// the first frame only.
func Example_envelopes() {
	ctx := context.Background()
	pub, _ := zmq.NewXPub()
	defer pub.Close()
	_, err := pub.Bind("inproc://envelopes")
	check(err)
	sub, _ := zmq.NewSub()
	defer sub.Close()
	_, err = sub.Connect("inproc://envelopes")
	check(err)
	check(sub.Subscribe("B"))
	_, err = pub.Recv(ctx)
	check(err)

	check(pub.Send(ctx, zmq.NewMsg("A", "B would not like this")))
	check(pub.Send(ctx, zmq.NewMsg("B", "this is for B", "from a publisher")))
	m, err := sub.Recv(ctx)
	check(err)
	fmt.Printf("topic %s: %s\n", m[0], m[1:])
	// Output: topic B: this is for B|from a publisher
}

// At its high-water mark a PUSH waits, or returns ErrWouldBlock; a PUB drops
// messages and counts them.
func Example_highWaterMark() {
	ctx := context.Background()
	push, _ := zmq.NewPush(zmq.WithOption("sndhwm", "2"), zmq.WithLinger(0))
	defer push.Close()
	_, err := push.Connect("tcp://127.0.0.1:1") // no peer is there
	check(err)
	for i := range 3 {
		err := push.TrySend(zmq.NewMsg(fmt.Sprint(i)))
		fmt.Println(i, errors.Is(err, zmq.ErrWouldBlock))
	}

	pub, _ := zmq.NewXPub(zmq.WithOption("sndhwm", "2"))
	defer pub.Close()
	_, err = pub.Bind("inproc://marks")
	check(err)
	sub, _ := zmq.NewSub(zmq.WithOption("rcvhwm", "1"))
	defer sub.Close()
	_, err = sub.Connect("inproc://marks")
	check(err)
	check(sub.Subscribe(""))
	_, err = pub.Recv(ctx)
	check(err)
	for range 10 {
		check(pub.SendBytes(ctx, []byte("news")))
	}
	fmt.Println("dropped", pub.Stats().DroppedFull) // within a process both marks add up
	// Output:
	// 0 false
	// 1 false
	// 2 true
	// dropped 7
}

// Clients send requests without waiting, and a server sends several replies to each
// in any order: a DEALER in the client, a ROUTER in the server.
func Example_asynchronous() {
	ctx := context.Background()
	server, _ := zmq.NewRouter()
	defer server.Close()
	at, err := server.Bind("tcp://127.0.0.1:*")
	check(err)
	go func() {
		var waiting []zmq.Msg
		for m, err := range server.Messages(ctx) {
			if err != nil {
				return
			}
			// The third question has the first answer.
			if waiting = append(waiting, m); len(waiting) == 3 {
				for _, m := range slices.Backward(waiting) {
					check(server.Send(ctx, zmq.Msg{m[0], []byte("begun"), m[1]}))
					check(server.Send(ctx, zmq.Msg{m[0], []byte("done"), m[1]}))
				}
			}
		}
	}()

	client, _ := zmq.NewDealer(zmq.WithIdentity([]byte("client")))
	defer client.Close()
	_, err = client.Connect(at.Addr())
	check(err)
	for _, question := range []string{"a", "b", "c"} {
		check(client.SendBytes(ctx, []byte(question)))
	}
	for range 6 {
		m, err := client.Recv(ctx)
		check(err)
		fmt.Println(m)
	}
	// Output:
	// begun|c
	// done|c
	// begun|b
	// done|b
	// begun|a
	// done|a
}

// Two equal brokers, ROUTER to ROUTER, each with its own routing id. The one that
// connects chooses the id by which it knows the other, so that it can send first.
func Example_peering() {
	ctx := context.Background()
	east, _ := zmq.NewRouter(zmq.WithIdentity([]byte("east")), zmq.WithOption("router_mandatory", "1"))
	defer east.Close()
	at, err := east.Bind("tcp://127.0.0.1:*")
	check(err)
	west, _ := zmq.NewRouter(
		zmq.WithIdentity([]byte("west")), zmq.WithOption("router_mandatory", "1"), zmq.WithOption("connect_routing_id", "east"),
	)
	defer west.Close()
	_, err = west.Connect(at.Addr())
	check(err)

	check(west.Send(ctx, zmq.NewMsg("east", "how many workers are free?")))
	m, err := east.Recv(ctx)
	check(err)
	fmt.Printf("%s asks: %s\n", m[0], m[1])
	check(east.Send(ctx, zmq.NewMsg(string(m[0]), "three")))
	m, err = west.Recv(ctx)
	check(err)
	fmt.Printf("%s answers: %s\n", m[0], m[1])

	err = west.Send(ctx, zmq.NewMsg("north", "hello"))
	fmt.Println("north:", errors.Is(err, zmq.ErrHostUnreachable))
	// Output:
	// west asks: how many workers are free?
	// east answers: three
	// north: true
}

// A node publishes its state to its peers and receives theirs.
func Example_stateExchange() {
	ctx := context.Background()
	names := []string{"north", "south"}
	var nodes []*zmq.XPub
	for _, name := range names {
		pub, _ := zmq.NewXPub()
		defer pub.Close()
		_, err := pub.Bind("inproc://state-of-" + name)
		check(err)
		nodes = append(nodes, pub)
	}
	var wg sync.WaitGroup
	heard := make([]string, len(names))
	for i, name := range names {
		sub, _ := zmq.NewSub()
		defer sub.Close()
		for _, peer := range names {
			if peer != name {
				_, err := sub.Connect("inproc://state-of-" + peer)
				check(err)
			}
		}
		check(sub.Subscribe(""))
		wg.Go(func() {
			m, err := sub.Recv(ctx)
			check(err)
			heard[i] = name + " receives: " + m.String()
		})
	}
	for i, pub := range nodes {
		_, err := pub.Recv(ctx) // its peer has subscribed
		check(err)
		check(pub.Send(ctx, zmq.NewMsg(names[i], "5 workers")))
	}
	wg.Wait()
	fmt.Println(strings.Join(heard, "\n"))
	// Output:
	// north receives: south|5 workers
	// south receives: north|5 workers
}
