package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// CURVE: the client knows the public key of the server, and a function of the server
// decides which clients may connect.
func ExampleWithCurve() {
	ctx := context.Background()
	serverSecret := zmq.NewSecretKey()
	serverPublic := serverSecret.Public()
	annaSecret := zmq.NewSecretKey()
	anna := annaSecret.Public()
	users := map[zmq.PublicKey]string{anna: "anna"}

	pull, err := zmq.NewPull(zmq.WithCurveServer(serverSecret),
		zmq.WithAuthenticator(func(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
			name, known := users[r.PublicKey]
			return zmq.AuthResult{Allow: known, UserID: name}, nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer pull.Close()
	at, err := pull.Bind("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}

	push, err := zmq.NewPush(zmq.WithCurve(annaSecret, serverPublic))
	if err != nil {
		log.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect(at.Addr()); err != nil {
		log.Fatal(err)
	}
	if err := push.SendBytes(ctx, []byte("this is encrypted")); err != nil {
		log.Fatal(err)
	}
	m, peer, err := pull.RecvFrom(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", peer.UserID, m)
	// Output: anna: this is encrypted
}

// PLAIN: a user name and a password, sent unencrypted. A client that is refused finds
// the reason in its events.
func ExampleWithPlain() {
	ctx := context.Background()
	rep, err := zmq.NewRep(zmq.WithOption("plain_server", "1"),
		zmq.WithAuthenticator(func(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
			return zmq.AuthResult{Allow: r.Username == "anna" && r.Password == "secret"}, nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer rep.Close()
	at, err := rep.Bind("tcp://127.0.0.1:*")
	if err != nil {
		log.Fatal(err)
	}
	req, err := zmq.NewReq(zmq.WithPlain("anna", "guess"), zmq.WithReconnect(-1, 0))
	if err != nil {
		log.Fatal(err)
	}
	defer req.Close()
	events := req.Events(ctx)
	if _, err := req.Connect(at.Addr()); err != nil {
		log.Fatal(err)
	}
	for e := range events {
		if e.Type == event.HandshakeAuth {
			fmt.Println(e.Type, e.Status)
			break
		}
	}
	// Output: handshake failed: auth 400
}

// A proxy between clients and workers that ends on a command.
func ExampleProxy_control() {
	ctx := context.Background()
	front, _ := zmq.NewRouter()
	back, _ := zmq.NewDealer()
	control, _ := zmq.NewRep()
	steer, _ := zmq.NewReq()
	worker, _ := zmq.NewRep()
	client, _ := zmq.NewReq()
	for _, s := range []zmq.Socket{front, back, control, steer, worker, client} {
		defer s.Close()
	}
	for at, pair := range map[string][2]zmq.Socket{
		"inproc://front": {front, client}, "inproc://back": {back, worker}, "inproc://steer": {control, steer},
	} {
		if _, err := pair[0].Bind(at); err != nil {
			log.Fatal(err)
		}
		if _, err := pair[1].Connect(at); err != nil {
			log.Fatal(err)
		}
	}
	ended := make(chan error)
	proxy := zmq.Proxy{Front: front, Back: back, Control: control}
	go func() { ended <- proxy.Run(ctx) }()
	go worker.Serve(ctx, func(_ context.Context, m zmq.Msg) (zmq.Msg, error) { return m, nil })

	for range 3 {
		if _, err := client.Request(ctx, zmq.NewMsg("12345678")); err != nil {
			log.Fatal(err)
		}
	}
	stats, _ := proxy.Stats()
	fmt.Println("requests", stats.MessagesReceived, "replies", stats.MessagesSent)
	if _, err := steer.Request(ctx, zmq.NewMsg("TERMINATE")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-ended)
	// Output:
	// requests 3 replies 3
	// <nil>
}

// One goroutine for two sockets.
func ExamplePoller() {
	ctx := context.Background()
	tasks, _ := zmq.NewPull()
	news, _ := zmq.NewPull()
	push, _ := zmq.NewPush()
	for _, s := range []zmq.Socket{tasks, news, push} {
		defer s.Close()
	}
	if _, err := tasks.Bind("inproc://tasks"); err != nil {
		log.Fatal(err)
	}
	if _, err := push.Connect("inproc://tasks"); err != nil {
		log.Fatal(err)
	}
	var poller zmq.Poller
	defer poller.Close()
	for _, s := range []zmq.Socket{tasks, news} {
		if err := poller.Set(zmq.PollItem{Socket: s, Recv: true}); err != nil {
			log.Fatal(err)
		}
	}
	if err := push.SendBytes(ctx, []byte("sweep")); err != nil {
		log.Fatal(err)
	}
	ready, err := poller.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range ready {
		m, err := r.Socket.(zmq.Receiver).TryRecv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Socket == tasks, m)
	}
	// Output: true sweep
}

// TrySend does not wait; SendBytes waits as long as the option sndtimeo allows.
func ExamplePush_TrySend() {
	push, err := zmq.NewPush(zmq.WithOption("sndhwm", "2"), zmq.WithOption("sndtimeo", "1"), zmq.WithLinger(0))
	if err != nil {
		log.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect("ipc:///no/peer/is/here"); err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		err := push.TrySend(zmq.NewMsg("work"))
		fmt.Println(i, errors.Is(err, zmq.ErrWouldBlock))
	}
	err = push.SendBytes(context.Background(), []byte("more"))
	fmt.Println("after a millisecond", errors.Is(err, zmq.ErrWouldBlock))
	// Output:
	// 0 false
	// 1 false
	// 2 true
	// after a millisecond true
}

// Where did it go? What a full queue refused is counted, by socket and by peer.
func ExampleXPub_Stats() {
	ctx := context.Background()
	pub, err := zmq.NewXPub(zmq.WithOption("sndhwm", "5")) // a Pub that hears of its subscribers
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Close()
	if _, err := pub.Bind("inproc://stats"); err != nil {
		log.Fatal(err)
	}
	sub, err := zmq.NewSub(zmq.WithOption("rcvhwm", "5"))
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if _, err := sub.Connect("inproc://stats"); err != nil {
		log.Fatal(err)
	}
	if err := sub.Subscribe(""); err != nil {
		log.Fatal(err)
	}
	if _, err := pub.Recv(ctx); err != nil { // the subscription
		log.Fatal(err)
	}
	for range 100 {
		if err := pub.SendBytes(ctx, []byte("tick")); err != nil {
			log.Fatal(err)
		}
	}
	st := pub.Stats()
	fmt.Println("sent", st.MessagesSent, "dropped", st.DroppedFull)
	// Output: sent 10 dropped 90
}

// A subscriber whose topics are chosen when it is made.
func ExampleWithSubscribe() {
	ctx := context.Background()
	pub, _ := zmq.NewXPub()
	sub, _ := zmq.NewSub(zmq.WithSubscribe("alarm.", "log.error"))
	defer pub.Close()
	defer sub.Close()
	if _, err := pub.Bind("inproc://publications"); err != nil {
		log.Fatal(err)
	}
	if _, err := sub.Connect("inproc://publications"); err != nil {
		log.Fatal(err)
	}
	for range sub.Topics() { // an XPUB receives the subscriptions
		m, err := pub.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m)
	}
	for _, topic := range []string{"log.debug", "log.error", "alarm.fire"} {
		if err := pub.SendBytes(ctx, []byte(topic)); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		m, err := sub.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m)
	}
	// Output:
	// \x01alarm.
	// \x01log.error
	// log.error
	// alarm.fire
}

// An event loop that waits for a socket and for other channels.
func ExamplePoller_Notify() {
	pull, _ := zmq.NewPull()
	push, _ := zmq.NewPush()
	defer pull.Close()
	defer push.Close()
	if _, err := pull.Bind("inproc://loop"); err != nil {
		log.Fatal(err)
	}
	if _, err := push.Connect("inproc://loop"); err != nil {
		log.Fatal(err)
	}
	var poller zmq.Poller
	defer poller.Close()
	if err := poller.Set(zmq.PollItem{Socket: pull, Recv: true}); err != nil {
		log.Fatal(err)
	}
	quit := make(chan struct{})
	go func() {
		_ = push.SendBytes(context.Background(), []byte("one"))
		_ = push.SendBytes(context.Background(), []byte("two"))
	}()
	for {
		select {
		case <-poller.Notify():
			for len(poller.Poll()) > 0 { // edge-triggered: until nothing is left
				m, err := pull.TryRecv()
				if err != nil {
					log.Fatal(err)
				}
				fmt.Println(m)
				if m.String() == "two" {
					close(quit)
				}
			}
		case <-quit:
			fmt.Println("the end")
			return
		}
	}
	// Output:
	// one
	// two
	// the end
}

// A ROUTER finds out whether a peer is there, and closes its connection.
func ExampleRouter_ClosePeer() {
	ctx := context.Background()
	router, _ := zmq.NewRouter()
	dealer, _ := zmq.NewDealer(zmq.WithIdentity([]byte("worker-1")))
	defer router.Close()
	defer dealer.Close()
	if _, err := router.Bind("inproc://workers"); err != nil {
		log.Fatal(err)
	}
	if _, err := dealer.Connect("inproc://workers"); err != nil {
		log.Fatal(err)
	}
	if err := dealer.SendBytes(ctx, []byte("ready")); err != nil {
		log.Fatal(err)
	}
	m, err := router.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m, router.HasPeer(m[0]), router.HasPeer([]byte("worker-2")))
	if err := router.ClosePeer(m[0]); err != nil {
		log.Fatal(err)
	}
	fmt.Println(router.HasPeer(m[0]))
	// Output:
	// worker-1|ready true false
	// false
}
