package zmq4

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long ends waits of tests that have failed already.
const long = 30 * time.Second

// rig makes sockets in a context of its own and ends both with the test.
type rig struct {
	t   *testing.T
	ctx *Context
}

func newRig(t *testing.T) rig {
	t.Helper()
	ctx, err := NewContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, ctx.Term()) })
	return rig{t, ctx}
}

func (r rig) socket(typ Type) *Socket {
	r.t.Helper()
	soc, err := r.ctx.NewSocket(typ)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = soc.SetLinger(0) // fails if the test has closed it
		check(r.t, soc.Close())
	})
	return soc
}

// pair returns two connected sockets: a is bound, b connects.
func (r rig) pair(at string, a, b Type) (*Socket, *Socket) {
	r.t.Helper()
	x, y := r.socket(a), r.socket(b)
	check(r.t, x.Bind(at))
	end, err := x.GetLastEndpoint()
	check(r.t, err)
	check(r.t, y.Connect(end))
	return x, y
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want { // bare, as users compare them
		t.Errorf("%s: got %v, expected %v", what, got, want)
	}
}

func send(t *testing.T, soc *Socket, parts ...any) {
	t.Helper()
	if _, err := soc.SendMessage(parts...); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, soc *Socket, want ...string) {
	t.Helper()
	got, err := soc.RecvMessage(0)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %q %v, expected %q", got, err, want)
	}
}

const (
	anyPort = "tcp://127.0.0.1:*"
	local   = "inproc://a"
)

func TestPartsAndMore(t *testing.T) {
	for _, at := range []string{anyPort, local} {
		t.Run(at, func(t *testing.T) {
			a, b := newRig(t).pair(at, PAIR, PAIR)
			for _, way := range [][2]*Socket{{a, b}, {b, a}} {
				from, to := way[0], way[1]
				for i, part := range []string{"one", "", "three"} {
					flags := SNDMORE
					if i == 2 {
						flags = 0
					}
					if n, err := from.Send(part, flags); n != len(part) || err != nil {
						t.Fatalf("Send: %d %v", n, err)
					}
				}
				for i, want := range []string{"one", "", "three"} {
					b, err := to.RecvBytes(0)
					more, err2 := to.GetRcvmore()
					if string(b) != want || b == nil || err != nil || err2 != nil || more != (i < 2) {
						t.Fatalf("part %d: got %q %v, more %v %v", i, b, err, more, err2)
					}
				}
			}
		})
	}
}

// TestRestOfMessage: RecvMessage takes up a message that Recv has begun, and
// SendMessage completes one that Send has begun.
func TestRestOfMessage(t *testing.T) {
	a, b := newRig(t).pair(local, PAIR, PAIR)
	_, err := a.Send("1", SNDMORE)
	check(t, err)
	send(t, a, "2", "3")
	got, err := b.Recv(0)
	if got != "1" || err != nil {
		t.Fatalf("got %q %v", got, err)
	}
	if s, err := b.GetEvents(); s&POLLIN == 0 || err != nil {
		t.Errorf("GetEvents with two parts left: %v %v", s, err)
	}
	expect(t, b, "2", "3")
	if more, _ := b.GetRcvmore(); more {
		t.Error("RCVMORE after the last part")
	}
}

func TestSendMessage(t *testing.T) {
	a, b := newRig(t).pair(local, PAIR, PAIR)
	for _, c := range []struct {
		parts []any
		want  []string
	}{
		{[]any{"a", []byte("b"), 3, nil, POLLIN}, []string{"a", "b", "3", "<nil>", "POLLIN"}},
		{[]any{[]string{"a", "b"}, [][]byte{[]byte("c"), nil}}, []string{"a", "b", "c", ""}},
		{[]any{[]string{}, "a", [][]byte{}}, []string{"a"}},
		{[]any{""}, []string{""}},
	} {
		total := 0
		for _, w := range c.want {
			total += len(w)
		}
		if n, err := a.SendMessage(c.parts...); n != total || err != nil {
			t.Errorf("%q: %d %v, expected %d", c.parts, n, err, total)
		}
		expect(t, b, c.want...)
	}
	if n, err := a.SendMessage([]string{}); n != 0 || err != nil {
		t.Errorf("without parts: %d %v", n, err)
	}
	if m, err := b.RecvMessageBytes(DONTWAIT); m == nil || len(m) > 0 || err != Errno(syscall.EAGAIN) {
		t.Errorf("after a message without parts: %q %v", m, err)
	}
}

// TestReceivedIsOwned: the sender's buffer may change, and so may what was
// received.
func TestReceivedIsOwned(t *testing.T) {
	a, b := newRig(t).pair(local, PAIR, PAIR)
	buf := []byte("abc")
	_, err := a.SendBytes(buf, SNDMORE)
	check(t, err)
	copy(buf, "xyz")
	_, err = a.SendBytes(buf, 0)
	check(t, err)
	m, err := b.RecvMessageBytes(0)
	check(t, err)
	_ = append(m[0], "!!!"...)
	if string(m[0]) != "abc" || string(m[1]) != "xyz" {
		t.Errorf("got %q", m)
	}
}

func TestErrors(t *testing.T) {
	r := newRig(t)
	eagain := Errno(syscall.EAGAIN)
	push, pull, req, rep := r.socket(PUSH), r.socket(PULL), r.socket(REQ), r.socket(REP)

	b, err := pull.RecvBytes(DONTWAIT)
	if b == nil || len(b) > 0 {
		t.Errorf("RecvBytes beside an error: %v, expected an empty slice", b)
	}
	wantErr(t, "Recv DONTWAIT", err, eagain)
	n, err := push.Send("x", DONTWAIT)
	wantErr(t, "Send DONTWAIT without a peer", err, eagain)
	if n != -1 {
		t.Errorf("Send returned %d beside an error", n)
	}
	_, err = push.Send("x", DONTWAIT|SNDMORE)
	wantErr(t, "first part without a peer", err, eagain)
	_, err = push.SendMessageDontwait("x")
	wantErr(t, "SendMessageDontwait", err, eagain)
	check(t, push.SetSndtimeo(2*time.Millisecond))
	_, err = push.Send("x", SNDMORE)
	wantErr(t, "first part after SNDTIMEO", err, eagain)
	check(t, pull.SetRcvtimeo(2*time.Millisecond))
	_, err = pull.Recv(0)
	wantErr(t, "RCVTIMEO", err, eagain)
	check(t, pull.SetRcvtimeo(500*time.Microsecond)) // 0 ms
	_, err = pull.Recv(0)
	wantErr(t, "RCVTIMEO 0", err, eagain)

	_, err = pull.Send("x", 0)
	wantErr(t, "PULL Send", err, ENOTSUP)
	_, err = push.Recv(0)
	wantErr(t, "PUSH Recv", err, ENOTSUP)
	_, err = req.Recv(0)
	wantErr(t, "REQ Recv", err, EFSM)
	_, err = rep.Send("x", SNDMORE)
	wantErr(t, "REP Send", err, EFSM)
	wantErr(t, "SetRcvtimeo -2 ms", pull.SetRcvtimeo(-2*time.Millisecond), Errno(syscall.EINVAL))
	wantErr(t, "unknown transport", pull.Bind("nosuch://x"), EPROTONOSUPPORT)
	wantErr(t, "no transport", pull.Bind("x"), Errno(syscall.EINVAL))
	wantErr(t, "space in a host", push.Connect("tcp://in val id:1"), Errno(syscall.EINVAL))
	wantErr(t, "udp of a PULL", pull.Bind("udp://127.0.0.1:5555"), ENOCOMPATPROTO)
	wantErr(t, "Disconnect", push.Disconnect("tcp://127.0.0.1:1"), Errno(syscall.ENOENT))
	check(t, pull.Bind(local))
	wantErr(t, "address in use", rep.Bind(local), EADDRINUSE)
	_, err = push.GetFd()
	wantErr(t, "GetFd", err, ENOTSUP)
	_, err = r.ctx.NewSocket(77)
	wantErr(t, "unknown type", err, Errno(syscall.EINVAL))
}

func TestLockstepParts(t *testing.T) {
	rep, req := newRig(t).pair(local, REP, REQ)
	send(t, req, "a", "b")
	_, err := req.Send("x", SNDMORE)
	wantErr(t, "second request", err, EFSM)
	_, err = rep.Recv(0)
	check(t, err)
	_, err = rep.Send("early", 0)
	wantErr(t, "reply before the end of the request", err, EFSM)
	_, err = rep.Recv(0)
	check(t, err)
	_, err = rep.Send("c", SNDMORE)
	check(t, err)
	_, err = rep.Send("d", 0)
	check(t, err)
	expect(t, req, "c", "d")
	_, err = req.Send("again", 0)
	check(t, err)
	expect(t, rep, "again")
}

func TestRouterMandatory(t *testing.T) {
	r := newRig(t)
	router := r.socket(ROUTER)
	check(t, router.SetRouterMandatory(1))
	check(t, router.Bind(local))
	_, err := router.Send("absent", SNDMORE)
	wantErr(t, "first part", err, EHOSTUNREACH)
	_, err = router.SendMessage("absent", "x")
	wantErr(t, "SendMessage", err, EHOSTUNREACH)
	dealer := r.socket(DEALER)
	check(t, dealer.SetIdentity("me"))
	check(t, dealer.Connect(local))
	send(t, dealer, "hello")
	expect(t, router, "me", "hello")
	_, err = router.Send("me", SNDMORE)
	check(t, err)
	_, err = router.Send("x", 0)
	check(t, err)
	expect(t, dealer, "x")
}

// TestCloseEndsRecv: a blocked Recv returns ETERM when another goroutine closes
// the socket, or terminates the context; programs leave their loops on it.
func TestCloseEndsRecv(t *testing.T) {
	for _, how := range []string{"Close", "Term"} {
		t.Run(how, func(t *testing.T) {
			ctx, err := NewContext()
			check(t, err)
			soc, err := ctx.NewSocket(SUB)
			check(t, err)
			check(t, soc.Bind(local))
			result := make(chan error)
			go func() {
				_, err := soc.RecvMessageBytes(0)
				result <- err
			}()
			termed := make(chan error, 1)
			if how == "Close" {
				check(t, soc.Close())
			} else {
				go func() { termed <- ctx.Term() }()
			}
			// The goroutine may come too late to be blocked.
			if err := <-result; err != ETERM && (how != "Close" || err != ErrorSocketClosed) {
				t.Errorf("blocked: %v, expected ETERM", err)
			}
			if how == "Term" {
				_, err = soc.Recv(DONTWAIT)
				wantErr(t, "Recv after Term", err, ETERM)
				_, err = soc.Send("x", 0)
				wantErr(t, "Send of a SUB after Term", err, ENOTSUP)
				check(t, soc.Close())
				check(t, <-termed)
				_, err = ctx.NewSocket(SUB)
				wantErr(t, "NewSocket after Term", err, ErrorContextClosed)
				_, err = ctx.GetMaxSockets()
				wantErr(t, "GetMaxSockets after Term", err, ErrorContextClosed)
			}
			_, err = soc.Recv(0)
			wantErr(t, "Recv after Close", err, ErrorSocketClosed)
			check(t, soc.Close())
			check(t, ctx.Term())
		})
	}
}

// TestCloseLingers: Close returns at once, and what was sent before the peer was
// there arrives. The address is free again when Close has returned.
func TestCloseLingers(t *testing.T) {
	for _, at := range []string{anyPort, local} {
		r := newRig(t)
		tmp := r.socket(PULL)
		check(t, tmp.Bind(at))
		end, err := tmp.GetLastEndpoint()
		check(t, err)
		check(t, tmp.Close())
		push := r.socket(PUSH)
		check(t, push.Connect(end))
		for i := range 3 {
			send(t, push, i)
		}
		check(t, push.Close())
		_, err = push.Send("x", 0)
		wantErr(t, "Send after Close", err, ErrorSocketClosed)
		pull := r.socket(PULL)
		check(t, pull.Bind(end))
		for i := range 3 {
			expect(t, pull, fmt.Sprint(i))
		}
	}
}

// TestTermWaits: Term waits for messages that linger.
func TestTermWaits(t *testing.T) {
	r := newRig(t)
	pull := r.socket(PULL)
	check(t, pull.Bind(anyPort))
	end, err := pull.GetLastEndpoint()
	check(t, err)
	check(t, pull.Unbind(end))
	ctx, err := NewContext()
	check(t, err)
	push, err := ctx.NewSocket(PUSH)
	check(t, err)
	check(t, push.Connect(end))
	send(t, push, "x")
	check(t, push.Close())
	termed := make(chan error)
	go func() { termed <- ctx.Term() }()
	select {
	case <-termed:
		t.Fatal("Term returned although a message was queued")
	default:
	}
	check(t, pull.Bind(end))
	expect(t, pull, "x")
	check(t, <-termed)
}

func TestUnbindAndDisconnect(t *testing.T) {
	r := newRig(t)
	pull, push := r.pair(anyPort, PULL, PUSH)
	end, err := pull.GetLastEndpoint()
	check(t, err)
	check(t, push.Connect(end)) // a second connection
	check(t, push.Disconnect(end))
	wantErr(t, "Disconnect again", push.Disconnect(end), Errno(syscall.ENOENT))
	check(t, pull.Unbind(anyPort)) // by the name that Bind had
	wantErr(t, "Unbind again", pull.Unbind(end), Errno(syscall.ENOENT))
	other := r.socket(PULL)
	check(t, other.Bind(end))
}

func TestDirectionsInParallel(t *testing.T) {
	a, b := newRig(t).pair(anyPort, DEALER, DEALER)
	const n = 1000
	var wg sync.WaitGroup
	for _, soc := range []*Socket{a, b} {
		wg.Go(func() {
			for i := range n {
				if _, err := soc.SendMessage(i, "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for i := range n {
				first, err := soc.Recv(0)
				second, err2 := soc.Recv(0)
				if first != fmt.Sprint(i) || second != "x" || err != nil || err2 != nil {
					t.Errorf("message %d: %q %q %v %v", i, first, second, err, err2)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestUnreachableIsClosed: a socket and a context that are not closed are closed
// by the garbage collector.
func TestUnreachableIsClosed(t *testing.T) {
	r := newRig(t)
	leak := func() {
		soc, err := r.ctx.NewSocket(PULL)
		check(t, err)
		check(t, soc.Bind(local))
	}
	leak()
	next := r.socket(PULL)
	for deadline := time.Now().Add(long); next.Bind(local) != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the socket was not closed")
		}
	}
}

func TestMetadata(t *testing.T) {
	rep, req := newRig(t).pair(anyPort, REP, REQ)
	send(t, req, "a", "b")
	msg, props, err := rep.RecvWithMetadata(0, "Peer-Address", "Socket-Type", "Nothing")
	check(t, err)
	want := map[string]string{"Peer-Address": "127.0.0.1", "Socket-Type": "REQ"}
	if msg != "a" || fmt.Sprint(props) != fmt.Sprint(want) {
		t.Errorf("got %q %v, expected %v", msg, props, want)
	}
	rest, props, err := rep.RecvMessageWithMetadata(0, "Socket-Type")
	if len(rest) != 1 || rest[0] != "b" || props["Socket-Type"] != "REQ" || err != nil {
		t.Errorf("second part: %q %v %v", rest, props, err)
	}
	_, _, err = rep.RecvMessageWithMetadata(DONTWAIT)
	wantErr(t, "REP Recv twice", err, EFSM)
	pull := newRig(t).socket(PULL)
	b, props, err := pull.RecvBytesWithMetadata(DONTWAIT, "Socket-Type")
	if len(b) > 0 || b == nil || len(props) > 0 || props == nil || err != Errno(syscall.EAGAIN) {
		t.Errorf("nothing there: %q %v %v", b, props, err)
	}
}

func TestContextOptions(t *testing.T) {
	ctx := newRig(t).ctx
	if n, err := ctx.GetMaxSockets(); n != 1023 || err != nil {
		t.Errorf("GetMaxSockets: %d %v", n, err)
	}
	check(t, ctx.SetMaxSockets(1))
	check(t, ctx.SetIpv6(true))
	check(t, ctx.SetBlocky(false))
	wantErr(t, "SetMaxSockets 0", ctx.SetMaxSockets(0), Errno(syscall.EINVAL))
	soc, err := ctx.NewSocket(PULL)
	check(t, err)
	if v6, err := soc.GetIpv6(); !v6 || err != nil {
		t.Errorf("GetIpv6: %v %v", v6, err)
	}
	if d, err := soc.GetLinger(); d != 0 || err != nil {
		t.Errorf("GetLinger without blocky: %v %v", d, err)
	}
	if c, err := soc.Context(); c != ctx || err != nil {
		t.Errorf("Context: %v %v", c, err)
	}
	_, err = ctx.NewSocket(PULL)
	wantErr(t, "a socket too many", err, Errno(syscall.EMFILE))
	check(t, soc.Close())
	_, err = soc.Context()
	wantErr(t, "Context after Close", err, ErrorSocketClosed)
	ctx.SetRetryAfterEINTR(false)
	if ctx.GetRetryAfterEINTR() {
		t.Error("SetRetryAfterEINTR had no effect on GetRetryAfterEINTR")
	}
}

func TestStrings(t *testing.T) {
	soc := newRig(t).socket(PUSH)
	check(t, soc.SetIdentity("x\n"))
	p := NewPoller()
	p.Add(soc, POLLIN|POLLOUT)
	for got, want := range map[string]string{
		STREAM.String(): "STREAM", Type(12).String(): "<INVALID>", Type(-1).String(): "<INVALID>",
		Flag(0).String(): "<NONE>", (DONTWAIT | SNDMORE).String(): "DONTWAIT|SNDMORE",
		(POLLIN | POLLOUT).String(): "POLLIN|POLLOUT",
		EVENT_ALL.String():          "EVENT_ALL", (EVENT_LISTENING | EVENT_CLOSED).String(): "EVENT_LISTENING|EVENT_CLOSED",
		GSSAPI.String(): "GSSAPI", Mechanism(4).String(): "<INVALID>",
		soc.String(): `Socket(PUSH,"x\n")`, (Socket{}).String(): "Socket(CLOSED)",
		p.String(): `Poller[Socket(PUSH,"x\n")POLLIN|POLLOUT]`,
	} {
		if got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}

func TestErrno(t *testing.T) {
	for got, want := range map[string]string{
		EFSM.Error():           "Operation cannot be accomplished in current state",
		ENOCOMPATPROTO.Error(): "The protocol is not compatible with the socket type",
		Error(int(ETERM)):      "Context was terminated",
		Error(int(EMTHREAD)):   "No thread available",
		EADDRINUSE.Error():     syscall.EADDRINUSE.Error(),
	} {
		if got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
	if ETERM != 156384765 {
		t.Errorf("ETERM is %d", ETERM)
	}
	for _, c := range []struct {
		err  error
		want Errno
	}{
		{ETERM, ETERM},
		{syscall.EINTR, Errno(syscall.EINTR)},
		{fmt.Errorf("wrapped: %w", ETERM), 0},
		{nil, 0},
		{errors.New("x"), 0},
	} {
		if got := AsErrno(c.err); got != c.want {
			t.Errorf("AsErrno(%v) = %v, expected %v", c.err, got, c.want)
		}
	}
}
