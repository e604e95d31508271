package zmq_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"lintel.dev/zmq"
)

// A client sends requests, a server replies.
func Example_requestReply() {
	ctx := context.Background()
	rep, err := zmq.NewRep()
	if err != nil {
		log.Fatal(err)
	}
	defer rep.Close()
	at, err := rep.Bind("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}
	go rep.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) {
		return zmq.NewMsg(string(m[0]) + " World"), nil
	})

	req, err := zmq.NewReq()
	if err != nil {
		log.Fatal(err)
	}
	defer req.Close()
	if _, err := req.Connect(at.Addr()); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		reply, err := req.Request(ctx, zmq.NewMsg("Hello"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply)
	}
	// Output:
	// Hello World
	// Hello World
}

// A station publishes the temperature of many places; a subscriber receives one of
// them.
func Example_publishSubscribe() {
	ctx := context.Background()
	pub, _ := zmq.NewXPub() // a Pub that hears of its subscribers
	defer pub.Close()
	if _, err := pub.Bind("inproc://temperatures"); err != nil {
		log.Fatal(err)
	}
	sub, _ := zmq.NewSub()
	defer sub.Close()
	if _, err := sub.Connect("inproc://temperatures"); err != nil {
		log.Fatal(err)
	}
	if err := sub.Subscribe("10001 "); err != nil {
		log.Fatal(err)
	}
	pub.Recv(ctx) // the subscription has arrived
	for _, report := range []string{"10000 -3", "10001 21", "10002 8", "10001 22"} {
		if err := pub.SendBytes(ctx, []byte(report)); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		b, err := sub.RecvBytes(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", b)
	}
	// Output:
	// 10001 21
	// 10001 22
}

// A ventilator distributes tasks to workers, and a sink collects the results.
func Example_ventilator() {
	ctx := context.Background()
	tasks, _ := zmq.NewPush()
	results, _ := zmq.NewPull()
	defer tasks.Close()
	defer results.Close()
	tasks.Bind("inproc://tasks")
	results.Bind("inproc://results")

	var workers sync.WaitGroup
	for range 3 {
		in, _ := zmq.NewPull()
		out, _ := zmq.NewPush()
		in.Connect("inproc://tasks")
		out.Connect("inproc://results")
		workers.Go(func() {
			defer out.Close()
			defer in.Close()
			for m, err := range in.Messages(ctx) {
				if err != nil || m.String() == "stop" {
					return
				}
				var n int
				fmt.Sscan(m.String(), &n)
				out.Send(ctx, zmq.NewMsg(fmt.Sprint(n*n)))
			}
		})
	}
	for n := range 30 {
		tasks.Send(ctx, zmq.NewMsg(fmt.Sprint(n)))
	}
	sum := 0
	for range 30 {
		m, err := results.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		var n int
		fmt.Sscan(m.String(), &n)
		sum += n
	}
	for range 3 { // one for each: tasks go round
		tasks.Send(ctx, zmq.NewMsg("stop"))
	}
	workers.Wait()
	fmt.Println("sum of squares:", sum)
	// Output:
	// sum of squares: 8555
}

// A broker of ROUTER and DEALER connects any number of clients to any number of
// servers.
func Example_broker() {
	ctx, stop := context.WithCancel(context.Background())
	front, _ := zmq.NewRouter()
	back, _ := zmq.NewDealer()
	defer front.Close()
	defer back.Close()
	front.Bind("inproc://clients")
	back.Bind("inproc://servers")
	var broker sync.WaitGroup
	broker.Go(func() { (&zmq.Proxy{Front: front, Back: back}).Run(ctx) })

	for range 2 {
		rep, _ := zmq.NewRep()
		defer rep.Close()
		rep.Connect("inproc://servers")
		go rep.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) { return append(m, []byte("done")), nil })
	}
	req, _ := zmq.NewReq()
	defer req.Close()
	req.Connect("inproc://clients")
	for n := range 3 {
		reply, err := req.Request(ctx, zmq.NewMsg(fmt.Sprint("task ", n)))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply)
	}
	stop()
	broker.Wait()
	// Output:
	// task 0|done
	// task 1|done
	// task 2|done
}

// A ROUTER addresses its peers by the ids that they choose, or by automatic ones.
func ExampleRouter() {
	ctx := context.Background()
	router, _ := zmq.NewRouter(zmq.WithOption("router_mandatory", "1"))
	defer router.Close()
	router.Bind("inproc://router")
	for _, name := range []string{"ann", "bob"} {
		dealer, _ := zmq.NewDealer(zmq.WithIdentity([]byte(name)))
		defer dealer.Close()
		dealer.Connect("inproc://router")
		if err := router.Send(ctx, zmq.NewMsg(name, "hello "+name)); err != nil {
			log.Fatal(err)
		}
		m, err := dealer.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m)
	}
	fmt.Println(router.Send(ctx, zmq.NewMsg("eve", "hello")))
	// Output:
	// hello ann
	// hello bob
	// zmq: no peer with this routing id
}

// Idle workers ask for work, so that fast workers get more of it.
func Example_loadBalancing() {
	ctx := context.Background()
	router, _ := zmq.NewRouter()
	defer router.Close()
	router.Bind("inproc://balancer")

	var workers sync.WaitGroup
	for range 3 {
		req, _ := zmq.NewReq()
		req.Connect("inproc://balancer")
		workers.Go(func() {
			defer req.Close()
			for {
				req.Send(ctx, zmq.NewMsg("ready"))
				if m, err := req.Recv(ctx); err != nil || m.String() == "stop" {
					return
				}
			}
		})
	}
	done := 0
	for n := range 23 {
		m, err := router.Recv(ctx) // id, empty, ready
		if err != nil {
			log.Fatal(err)
		}
		work := "work"
		if n >= 20 {
			work = "stop"
		} else {
			done++
		}
		router.Send(ctx, zmq.Msg{m[0], nil, []byte(work)})
	}
	workers.Wait()
	fmt.Println(done, "tasks done")
	// Output:
	// 20 tasks done
}

// A message of several frames arrives as a whole or not at all.
func ExampleMsg() {
	ctx := context.Background()
	a, _ := zmq.NewPair()
	b, _ := zmq.NewPair()
	defer a.Close()
	defer b.Close()
	a.Bind("inproc://pair")
	b.Connect("inproc://pair")
	a.Send(ctx, zmq.NewMsg("key", "", "value"))
	m, _ := b.Recv(ctx)
	fmt.Println(len(m), "frames,", m.Size(), "bytes:", m)
	// Output:
	// 3 frames, 8 bytes: key||value
}
