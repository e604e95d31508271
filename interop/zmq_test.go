package interop_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// ourSocket has the methods of every socket of package zmq.
type ourSocket interface {
	Bind(endpoint string) (*zmq.Endpoint, error)
	Connect(endpoint string) (*zmq.Endpoint, error)
	Close() error
}

// opened returns a socket that is closed at the end of the test, without
// linger.
func opened[S ourSocket](t *testing.T) func(S, error) S {
	return func(s S, err error) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
}

// link is a transport and the side that binds.
type link struct {
	name     string
	weBind   bool
	endpoint func(t *testing.T) string
}

func tcp(*testing.T) string { return "tcp://127.0.0.1:*" }

func ipc(t *testing.T) string { return "ipc://" + peers.SocketDir(t) + "/s" }

var links = []link{
	{"tcp/we bind", true, tcp},
	{"tcp/they bind", false, tcp},
	{"ipc/we bind", true, ipc},
	{"ipc/they bind", false, ipc},
}

// join connects a Lintel socket and a libzmq socket.
func (l link) join(t *testing.T, ours ourSocket, theirs *pysock) {
	t.Helper()
	if !l.weBind {
		if _, err := ours.Connect(theirs.bind(l.endpoint(t))); err != nil {
			t.Fatal(err)
		}
		return
	}
	ep, err := ours.Bind(l.endpoint(t))
	if err != nil {
		t.Fatal(err)
	}
	theirs.connect(ep.Addr())
}

// overLinks runs a test over every link, each with a libzmq process of its own.
func overLinks(t *testing.T, test func(t *testing.T, l link, z *pyzmq)) {
	for _, l := range links {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			test(t, l, newPyzmq(t))
		})
	}
}

// messages are the shapes that a message can have: frames empty, short, at the
// edges of the frame header's length, and large.
var messages = [][]string{
	{"a"},
	{""},
	{"", ""},
	{"", "body"},
	{"one", "two", "three"},
	{strings.Repeat("x", 255)},
	{strings.Repeat("x", 256)},
	{strings.Repeat("y", 8192), "", strings.Repeat("z", 65536)},
	strings.Split(strings.Repeat("f,", 199)+"f", ","),
	{strings.Repeat("M", 1<<20)},
	{"head", strings.Repeat("M", 1<<20), "tail"},
}

func msg(frames []string) zmq.Msg { return zmq.NewMsg(frames...) }

func sameFrames(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		if len(diff) > 600 {
			diff = diff[:600] + "..."
		}
		t.Errorf("message (-sent +received):\n%s", diff)
	}
}

func recvFrames(t *testing.T, recv func(context.Context) (zmq.Msg, error)) []string {
	t.Helper()
	m, err := recv(guard(t))
	if err != nil {
		t.Fatal(err)
	}
	return stringFrames(m)
}

func sendFrames(t *testing.T, send func(context.Context, zmq.Msg) error, frames ...string) {
	t.Helper()
	if err := send(guard(t), msg(frames)); err != nil {
		t.Fatal(err)
	}
}

func TestPushToPull(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		push, pull := opened[*zmq.Push](t)(zmq.NewPush()), z.socket("PULL")
		l.join(t, push, pull)
		for _, m := range messages {
			sendFrames(t, push.Send, m...)
			sameFrames(t, pull.recv(), m)
		}

		const count = 20_000
		z.tell("recv_many", zmqRequest{"id": pull.id, "count": count})
		want := newDigest()
		for i := range count {
			m := msg(messages[i%7])
			want.message(m)
			if err := push.Send(guard(t), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := z.answer().Digest; got != want.String() {
			t.Error("20,000 messages did not arrive as they were sent")
		}
	})
}

func TestPullFromPush(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		pull, push := opened[*zmq.Pull](t)(zmq.NewPull()), z.socket("PUSH")
		l.join(t, pull, push)
		for _, m := range messages {
			push.send(m...)
			sameFrames(t, recvFrames(t, pull.Recv), m)
		}

		const count = 20_000
		z.tell("send_many", zmqRequest{"id": push.id, "frames": byteFrames([]string{"n", ""}), "count": count})
		ctx := guard(t)
		for i := range count {
			m, err := pull.Recv(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(m) != 2 || string(m[0]) != "n" || string(m[1]) != itoa(i) {
				t.Fatalf("message %d is %v", i, m)
			}
		}
		z.answer()
	})
}

func TestReqToRep(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		req, rep := opened[*zmq.Req](t)(zmq.NewReq()), z.socket("REP")
		l.join(t, req, rep)
		for _, m := range messages {
			sendFrames(t, req.Send, m...)
			sameFrames(t, rep.recv(), m)
			rep.send(append([]string{"re:"}, m...)...)
			sameFrames(t, recvFrames(t, req.Recv), append([]string{"re:"}, m...))
		}

		z.tell("echo", zmqRequest{"id": rep.id, "count": 1000})
		ctx := guard(t)
		for i := range 1000 {
			reply, err := req.Request(ctx, msg([]string{itoa(i)}))
			if err != nil {
				t.Fatal(err)
			}
			sameFrames(t, stringFrames(reply), []string{itoa(i)})
		}
		z.answer()
	})
}

func TestRepToReq(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		rep, req := opened[*zmq.Rep](t)(zmq.NewRep()), z.socket("REQ")
		l.join(t, rep, req)
		for _, m := range messages {
			req.send(m...)
			sameFrames(t, recvFrames(t, rep.Recv), m)
			sendFrames(t, rep.Send, m...)
			sameFrames(t, req.recv(), m)
		}
		// libzmq's REQ keeps the lock-step too.
		if r := z.try("recv", req); r.Errno != "EFSM" {
			t.Errorf("libzmq's REQ received out of turn: %+v", r)
		}
	})
}

func TestPubToSub(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		pub, sub := opened[*zmq.Pub](t)(zmq.NewPub()), z.socket("SUB", "subscribe", "probe", "subscribe", "a", "subscribe", "")
		sub.option("unsubscribe", "")
		l.join(t, pub, sub)
		untilHeard(t, pub, sub)

		// Messages that do not match are not sent; matching ones arrive in
		// order.
		for _, m := range messages {
			sendFrames(t, pub.Send, append([]string{"other"}, m...)...)
			sendFrames(t, pub.Send, append([]string{"a topic"}, m...)...)
			sameFrames(t, sub.do("recv_past", zmqRequest{"prefix": []byte("probe")}).strings(), append([]string{"a topic"}, m...))
		}
	})
}

// untilHeard publishes until the subscriber receives, which shows that its
// subscription has arrived.
func untilHeard(t *testing.T, pub *zmq.Pub, sub *pysock) {
	t.Helper()
	sub.listen()
	heard := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for {
			if err := pub.SendBytes(context.Background(), []byte("probe")); err != nil {
				done <- err
				return
			}
			select {
			case <-heard:
				done <- nil
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	r := sub.answer()
	close(heard)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sameFrames(t, r.strings(), []string{"probe"})
}

func TestSubToPub(t *testing.T) {
	overLinks(t, func(t *testing.T, l link, z *pyzmq) {
		// libzmq's XPUB reports when a subscription has arrived.
		sub, pub := opened[*zmq.Sub](t)(zmq.NewSub()), z.socket("XPUB")
		subscribe(t, sub, "a")
		l.join(t, sub, pub)
		sameFrames(t, pub.recv(), []string{"\x01a"})
		for _, m := range messages {
			pub.send(append([]string{"other"}, m...)...)
			pub.send(append([]string{"a topic"}, m...)...)
			sameFrames(t, recvFrames(t, sub.Recv), append([]string{"a topic"}, m...))
		}

		subscribe(t, sub, "b")
		sameFrames(t, pub.recv(), []string{"\x01b"})
		pub.send("bee")
		sameFrames(t, recvFrames(t, sub.Recv), []string{"bee"})

		// Two subscriptions to the same prefix need two cancellations.
		subscribe(t, sub, "b")
		if err := sub.Unsubscribe("b"); err != nil {
			t.Fatal(err)
		}
		subscribe(t, sub, "c")
		sameFrames(t, pub.recv(), []string{"\x01c"})
		pub.send("bee again")
		sameFrames(t, recvFrames(t, sub.Recv), []string{"bee again"})
		if err := sub.Unsubscribe("b"); err != nil {
			t.Fatal(err)
		}
		sameFrames(t, pub.recv(), []string{"\x00b"})
		pub.send("bee unheard")
		pub.send("c heard")
		sameFrames(t, recvFrames(t, sub.Recv), []string{"c heard"})
	})
}

func subscribe(t *testing.T, sub *zmq.Sub, prefix string) {
	t.Helper()
	if err := sub.Subscribe(prefix); err != nil {
		t.Fatal(err)
	}
}
