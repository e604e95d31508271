package interop_test

import (
	"context"
	"iter"
	"os/exec"
	"testing"
	"time"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// events records the events of a socket from now on.
type events struct {
	t    *testing.T
	next func() (event.Event, bool)
}

func watch(t *testing.T, s interface {
	Events(context.Context) iter.Seq[event.Event]
},
) *events {
	next, stop := iter.Pull(s.Events(guard(t)))
	t.Cleanup(stop)
	return &events{t, next}
}

// until waits for an event and ignores others.
func (e *events) until(want event.Type) event.Event {
	e.t.Helper()
	for {
		got, ok := e.next()
		if !ok {
			e.t.Fatalf("the event %q never came", want)
		}
		if got.Type == want {
			return got
		}
	}
}

var soon = zmq.WithReconnect(10*time.Millisecond, 0)

// TestPeerRestarts kills the process of libzmq's end and starts another one in
// its place. Lintel's connecting socket reconnects, and messages sent meanwhile
// wait.
func TestPeerRestarts(t *testing.T) {
	push := opened[*zmq.Push](t)(zmq.NewPush(soon))
	ev := watch(t, push)

	first := newPyzmq(t)
	pull := first.socket("PULL")
	addr := pull.bind("tcp://127.0.0.1:*")
	if _, err := push.Connect(addr); err != nil {
		t.Fatal(err)
	}
	sendFrames(t, push.Send, "to the first")
	sameFrames(t, pull.recv(), []string{"to the first"})
	first.p.Kill()
	ev.until(event.Disconnected)
	for i := range 10 {
		sendFrames(t, push.Send, "while away", itoa(i))
	}

	pull = newPyzmq(t).socket("PULL")
	pull.bind(addr)
	for i := range 10 {
		sameFrames(t, pull.recv(), []string{"while away", itoa(i)})
	}
}

// TestSubscriberOutlivesPublisher checks that Lintel's SUB subscribes again
// after its publisher was restarted.
func TestSubscriberOutlivesPublisher(t *testing.T) {
	sub := opened[*zmq.Sub](t)(zmq.NewSub(soon))
	subscribe(t, sub, "a")
	addr := "tcp://127.0.0.1:*"
	for round := range 3 {
		z := newPyzmq(t)
		pub := z.socket("XPUB")
		bound := pub.bind(addr)
		if round == 0 {
			addr = bound
			if _, err := sub.Connect(addr); err != nil {
				t.Fatal(err)
			}
		}
		sameFrames(t, pub.recv(), []string{"\x01a"})
		pub.send("a", itoa(round))
		sameFrames(t, recvFrames(t, sub.Recv), []string{"a", itoa(round)})
		z.p.Kill()
	}
}

// TestWeRestart checks that libzmq's connecting sockets reconnect after
// Lintel's bound socket was closed and bound again.
func TestWeRestart(t *testing.T) {
	z := newPyzmq(t)
	push := z.socket("PUSH", "reconnect_ivl", 10)
	sub := z.socket("SUB", "reconnect_ivl", 10, "subscribe", "a")
	pushAt, subAt := "tcp://127.0.0.1:*", "ipc://"+peers.SocketDir(t)+"/s"
	for round := range 3 {
		pull := opened[*zmq.Pull](t)(zmq.NewPull())
		pullEp, err := pull.Bind(pushAt)
		if err != nil {
			t.Fatal(err)
		}
		xpub := opened[*zmq.XPub](t)(zmq.NewXPub())
		xpubEp, err := xpub.Bind(subAt)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			pushAt = pullEp.Addr()
			push.connect(pushAt)
			sub.connect(xpubEp.Addr())
		}
		sub.listen()
		sameFrames(t, recvFrames(t, xpub.Recv), []string{"\x01a"})
		sendFrames(t, xpub.Send, "a", itoa(round))
		sameFrames(t, z.answer().strings(), []string{"a", itoa(round)})

		// Nothing is sent before libzmq has noticed the end of the last
		// connection. It would write to that one.
		push.do("monitor", nil)
		push.send("hello")
		sameFrames(t, recvFrames(t, pull.Recv), []string{"hello"})
		if err := pull.Close(); err != nil {
			t.Fatal(err)
		}
		if err := xpub.Close(); err != nil {
			t.Fatal(err)
		}
		push.until("DISCONNECTED")
		push.do("unmonitor", nil)
	}
}

// TestRequestsOutliveServers checks that a relaxed REQ of Lintel sends its
// request to a restarted server.
func TestRequestsOutliveServers(t *testing.T) {
	req := opened[*zmq.Req](t)(zmq.NewReq(soon, zmq.WithOption("req_relaxed", "1"), zmq.WithOption("req_correlate", "1")))
	ev := watch(t, req)
	z := newPyzmq(t)
	rep := z.socket("REP")
	addr := rep.bind("tcp://127.0.0.1:*")
	if _, err := req.Connect(addr); err != nil {
		t.Fatal(err)
	}
	sendFrames(t, req.Send, "one")
	sameFrames(t, rep.recv(), []string{"one"})
	z.p.Kill() // with the request taken and not answered
	ev.until(event.Disconnected)

	rep = newPyzmq(t).socket("REP")
	rep.bind(addr)
	sendFrames(t, req.Send, "two")
	sameFrames(t, rep.recv(), []string{"two"})
	rep.send("re: two")
	sameFrames(t, recvFrames(t, req.Recv), []string{"re: two"})
}

// TestHeartbeats stops libzmq's process. The kernel keeps the connection open,
// but PINGs are not answered: Lintel's heartbeat closes it. When the process
// runs again both sides reconnect.
func TestHeartbeats(t *testing.T) {
	z := newPyzmq(t)
	pull := z.socket("PULL")
	addr := pull.bind("tcp://127.0.0.1:*")
	push := opened[*zmq.Push](t)(zmq.NewPush(soon, zmq.WithHeartbeat(50*time.Millisecond, 200*time.Millisecond, 0)))
	ev := watch(t, push)
	if _, err := push.Connect(addr); err != nil {
		t.Fatal(err)
	}
	ev.until(event.HandshakeSucceeded)
	sendFrames(t, push.Send, "before")
	sameFrames(t, pull.recv(), []string{"before"})

	z.p.Stop()
	ev.until(event.Disconnected)
	z.p.Continue()
	ev.until(event.HandshakeSucceeded)
	sendFrames(t, push.Send, "after")
	sameFrames(t, pull.recv(), []string{"after"})
}

// TestTheirHeartbeats checks that Lintel answers libzmq's PINGs, and that
// libzmq disconnects a stopped Go process.
func TestTheirHeartbeats(t *testing.T) {
	p := peers.Start(t, exec.Command(lintel(t), "zmq", "pull", "--bind", "tcp://127.0.0.1:*"))
	addr := p.ExpectLog(`bound (tcp://\S+)`)[1]

	z := newPyzmq(t)
	push := z.socket("PUSH", "heartbeat_ivl", 50, "heartbeat_timeout", 2000, "reconnect_ivl", 10)
	push.do("monitor", nil)
	push.connect(addr)
	push.until("HANDSHAKE_SUCCEEDED")
	push.send("before")
	p.Expect("^before$")

	p.Stop()
	push.until("DISCONNECTED")
	p.Continue()
	push.until("HANDSHAKE_SUCCEEDED")
	push.send("after")
	p.Expect("^after$")
}

// TestMonitor compares the events of one connection on libzmq's and on Lintel's
// side.
func TestMonitor(t *testing.T) {
	z := newPyzmq(t)
	theirs := z.socket("DEALER")
	theirs.do("monitor", nil)
	ours := opened[*zmq.Router](t)(zmq.NewRouter())
	ev := watch(t, ours)
	ep, err := ours.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	theirs.connect(ep.Addr())
	for _, want := range []event.Type{event.Listening, event.Accepted, event.HandshakeSucceeded} {
		if got, ok := ev.next(); !ok || got.Type != want {
			t.Errorf("our event is %q, not %q", got.Type, want)
		}
	}
	theirs.until("CONNECTED")
	theirs.until("HANDSHAKE_SUCCEEDED")
	theirs.close()
	ev.until(event.Disconnected)
}
