package zmq_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/zmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long a test may take before it is stuck: under -race, on a
// machine that has much else to do, some take a third of it.
const limit = 2 * time.Minute

// network is one row of the tables: where to bind and how.
type network struct {
	name string
	bind func(t *testing.T) string
	opts func() (bound, connected []zmq.Option)
}

func plain() (a, b []zmq.Option) { return nil, nil }

func networks() []network {
	return []network{
		{"tcp", func(*testing.T) string { return "tcp://127.0.0.1:*" }, plain},
		{"ipc", func(t *testing.T) string { return "ipc://" + filepath.Join(t.TempDir(), "s") }, plain},
		{"inproc", func(t *testing.T) string { return "inproc://" + t.Name() }, plain},
		{"ws", func(*testing.T) string { return "ws://127.0.0.1:*/zmq" }, plain},
	}
}

// everywhere runs a test over every network.
func everywhere(t *testing.T, f func(t *testing.T, r rig)) {
	for _, n := range networks() {
		t.Run(n.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			f(t, rig{T: t, net: n, ctx: ctx, zctx: new(zmq.Context)})
		})
	}
}

// rig makes sockets that a test does not have to close.
type rig struct {
	*testing.T
	net  network
	ctx  context.Context
	zctx *zmq.Context
}

func (r rig) socket(s zmq.Socket, err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		done, stop := context.WithCancel(context.Background())
		stop()
		s.CloseContext(done)
	})
}

func (r rig) bind(s zmq.Socket) string {
	r.Helper()
	e, err := s.Bind(r.net.bind(r.T))
	if err != nil {
		r.Fatal(err)
	}
	return e.Addr()
}

func (r rig) connect(s zmq.Socket, to string) *zmq.Endpoint {
	r.Helper()
	e, err := s.Connect(to)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

func (r rig) opts(more ...zmq.Option) []zmq.Option {
	return append([]zmq.Option{zmq.InContext(r.zctx)}, more...)
}

func made[S zmq.Socket](r rig, f func(...zmq.Option) (S, error), opts ...zmq.Option) S {
	r.Helper()
	s, err := f(r.opts(opts...)...)
	r.socket(s, err)
	return s
}

func (r rig) send(s zmq.Sender, frames ...string) {
	r.Helper()
	if err := s.Send(r.ctx, zmq.NewMsg(frames...)); err != nil {
		r.Fatalf("%v: send %q: %v", s.Type(), frames, err)
	}
}

func (r rig) want(s zmq.Receiver, frames ...string) {
	r.Helper()
	m, err := s.Recv(r.ctx)
	if err != nil {
		r.Fatalf("%v: waiting for %.200q: %v", s.Type(), frames, err)
	}
	if !slices.EqualFunc(m, frames, func(got []byte, want string) bool { return string(got) == want }) {
		r.Fatalf("%v: received %.200q, want %.200q", s.Type(), [][]byte(m), frames)
	}
}

func TestPushPull(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		for i := range 5000 {
			r.send(push, fmt.Sprint(i))
			if i%7 == 0 {
				r.send(push, "a", "", fmt.Sprint(i))
			}
			r.want(pull, fmt.Sprint(i))
			if i%7 == 0 {
				r.want(pull, "a", "", fmt.Sprint(i))
			}
		}
	})
}

func TestStream(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		n := 100000
		if raceEnabled || r.net.name == "ws" {
			n = 10000
		}
		done := make(chan error)
		go func() {
			for i := range n {
				if err := push.SendBytes(r.ctx, fmt.Appendf(nil, "%d", i)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for i := range n {
			b, err := pull.RecvBytes(r.ctx)
			if err != nil {
				t.Fatal(i, err)
			}
			if string(b) != fmt.Sprint(i) {
				t.Fatalf("got %q, want %d", b, i)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestReqRep(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		req, rep := made(r, zmq.NewReq), made(r, zmq.NewRep)
		r.connect(req, r.bind(rep))
		for i := range 100 {
			r.send(req, "ask", fmt.Sprint(i))
			r.want(rep, "ask", fmt.Sprint(i))
			r.send(rep, "answer")
			r.want(req, "answer")
		}
	})
}

func TestPubSub(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewSub)
		r.connect(sub, r.bind(pub))
		sub.Subscribe("a")
		r.want(pub, "\x01a")
		sub.Subscribe("")
		r.want(pub, "\x01")
		sub.Unsubscribe("")
		r.want(pub, "\x00")
		r.send(pub, "b", "no")
		r.send(pub, "a", "yes")
		r.want(sub, "a", "yes")
	})
}

func TestDealerRouter(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		router := made(r, zmq.NewRouter)
		dealer := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("me")))
		r.connect(dealer, r.bind(router))
		r.send(dealer, "hello")
		r.want(router, "me", "hello")
		r.send(router, "me", "you")
		r.want(dealer, "you")
	})
}

func TestLarge(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		unit := make([]byte, 251) // no buffer holds a whole number of them
		for i := range unit {
			unit[i] = byte(i * 7)
		}
		for _, n := range []int{0, 1, 255, 256, 8191, 8192, 65536, 1 << 20, 5 << 20, 3} {
			b := bytes.Repeat(unit, n/len(unit)+1)[:n]
			r.send(push, "head", string(b), "tail")
			r.want(pull, "head", string(b), "tail")
		}
	})
}

// askOnce has a request and its reply go between two sockets.
func askOnce(ctx context.Context, t *testing.T, req *zmq.Req, rep *zmq.Rep) {
	t.Helper()
	if err := req.SendBytes(ctx, []byte("question")); err != nil {
		t.Fatal(err)
	}
	if b, err := rep.RecvBytes(ctx); err != nil || string(b) != "question" {
		t.Fatalf("%q %v", b, err)
	}
	if err := rep.SendBytes(ctx, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	if b, err := req.RecvBytes(ctx); err != nil || string(b) != "answer" {
		t.Fatalf("%q %v", b, err)
	}
}
