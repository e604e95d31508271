package interop_test

import (
	"testing"

	"lintel.dev/zmq"
)

func TestDealerToRouter(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		dealer, router := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithIdentity([]byte("go")))), z.socket("ROUTER")
		l.join(t, dealer, router)
		for _, m := range messages {
			sendFrames(t, dealer.Send, m...)
			sameFrames(t, router.recv(), append([]string{"go"}, m...))
			router.send(append([]string{"go"}, m...)...)
			sameFrames(t, recvFrames(t, dealer.Recv), m)
		}
	})
}

func TestRouterToDealer(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		router, dealer := opened[*zmq.Router](t)(zmq.NewRouter(zmq.WithOption("router_mandatory", "1"))), z.socket("DEALER", "routing_id", "python")
		l.join(t, router, dealer)
		for _, m := range messages {
			dealer.send(m...)
			sameFrames(t, recvFrames(t, router.Recv), append([]string{"python"}, m...))
			sendFrames(t, router.Send, append([]string{"python"}, m...)...)
			sameFrames(t, dealer.recv(), m)
		}
		if err := router.Send(guard(t), zmq.NewMsg("absent", "hello")); err != zmq.ErrHostUnreachable {
			t.Errorf("a message without a recipient: %v", err)
		}
	})
}

// TestRouterAmongMany is the extended request-reply pattern: libzmq's REQ and
// REP with Lintel's ROUTER and DEALER between them.
func TestRouterAmongMany(t *testing.T) {
	z := newPyzmq(t)
	front := opened[*zmq.Router](t)(zmq.NewRouter())
	back := opened[*zmq.Dealer](t)(zmq.NewDealer())
	frontAt, err := front.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	backAt, err := back.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	req, rep := z.socket("REQ"), z.socket("REP")
	req.connect(frontAt.Addr())
	rep.connect(backAt.Addr())
	for range 100 {
		req.send("question", "of two frames")
		m, err := front.Recv(guard(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(m) != 4 || len(m[0]) != 5 || m[0][0] != 0 || len(m[1]) != 0 {
			t.Fatalf("a request with the envelope %q", m)
		}
		if err := back.Send(guard(t), m); err != nil {
			t.Fatal(err)
		}
		sameFrames(t, rep.recv(), []string{"question", "of two frames"})
		rep.send("answer")
		answer, err := back.Recv(guard(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := front.Send(guard(t), answer); err != nil {
			t.Fatal(err)
		}
		sameFrames(t, req.recv(), []string{"answer"})
	}
}

func TestXPubToXSub(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		xpub, xsub := opened[*zmq.XPub](t)(zmq.NewXPub()), z.socket("XSUB")
		l.join(t, xpub, xsub)
		xsub.send("\x01a")
		xsub.listen()
		sameFrames(t, recvFrames(t, xpub.Recv), []string{"\x01a"})
		sendFrames(t, xpub.Send, "a")
		sameFrames(t, z.answer().strings(), []string{"a"})
		for _, m := range messages {
			sendFrames(t, xpub.Send, "other")
			sendFrames(t, xpub.Send, append([]string{"a"}, m...)...)
			sameFrames(t, xsub.recv(), append([]string{"a"}, m...))
		}
		xsub.send("\x00a")
		sameFrames(t, recvFrames(t, xpub.Recv), []string{"\x00a"})
		// Messages that are not subscriptions are forwarded upstream unchanged.
		xsub.send("\x02 a message", "upstream")
		sameFrames(t, recvFrames(t, xpub.Recv), []string{"\x02 a message", "upstream"})
	})
}

func TestXSubToXPub(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		xsub, xpub := opened[*zmq.XSub](t)(zmq.NewXSub()), z.socket("XPUB")
		l.join(t, xsub, xpub)
		sendFrames(t, xsub.Send, "\x01a")
		sameFrames(t, xpub.recv(), []string{"\x01a"})
		for _, m := range messages {
			xpub.send("other")
			xpub.send(append([]string{"a"}, m...)...)
			sameFrames(t, recvFrames(t, xsub.Recv), append([]string{"a"}, m...))
		}
		sendFrames(t, xsub.Send, "\x00a")
		sameFrames(t, xpub.recv(), []string{"\x00a"})
		sendFrames(t, xsub.Send, "upstream", "too")
		sameFrames(t, xpub.recv(), []string{"upstream", "too"})
	})
}

func TestPair(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		ours, theirs := opened[*zmq.Pair](t)(zmq.NewPair()), z.socket("PAIR")
		l.join(t, ours, theirs)
		for _, m := range messages {
			sendFrames(t, ours.Send, m...)
			sameFrames(t, theirs.recv(), m)
			theirs.send(m...)
			sameFrames(t, recvFrames(t, ours.Recv), m)
		}
	})
}

// TestFairQueue checks that PULL receives from several pushers in turn, and
// that PUSH sends to several pullers in turn.
func TestFairQueue(t *testing.T) {
	z := newPyzmq(t)
	pull := opened[*zmq.Pull](t)(zmq.NewPull())
	ep, err := pull.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	const pushers, each = 3, 50
	for i := range pushers {
		push := z.socketAs("push"+itoa(i), "PUSH")
		push.connect(ep.Addr())
		push.do("send_many", zmqRequest{"frames": byteFrames([]string{itoa(i), ""}), "count": each})
	}
	got := map[string]int{}
	for range pushers * each {
		m, err := pull.Recv(guard(t))
		if err != nil {
			t.Fatal(err)
		}
		// The messages of each pusher keep their order.
		if from := string(m[0]); string(m[1]) != itoa(got[from]) {
			t.Fatalf("message %q of pusher %s, expected %d", m[1], from, got[from])
		} else {
			got[from]++
		}
	}

	push := opened[*zmq.Push](t)(zmq.NewPush())
	for i := range pushers {
		pull := z.socketAs("pull"+itoa(i), "PULL")
		if _, err := push.Connect(pull.bind("tcp://127.0.0.1:*")); err != nil {
			t.Fatal(err)
		}
	}
	for range pushers * each {
		if err := push.SendBytes(guard(t), []byte("work")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range pushers {
		(&pysock{z, "pull" + itoa(i)}).do("recv_many", zmqRequest{"count": each})
	}
}
