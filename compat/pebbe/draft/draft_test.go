package zmq4

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	pebbe "lintel.dev/compat/pebbe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long ends waits of tests that have failed already.
const long = 30 * time.Second

func newContext(t *testing.T) *Context {
	t.Helper()
	ctx, err := NewContext()
	check(t, err)
	t.Cleanup(func() { check(t, ctx.Term()) })
	return ctx
}

func newSocket(t *testing.T, ctx *Context, typ Type) *Socket {
	t.Helper()
	soc, err := ctx.NewSocket(typ)
	check(t, err)
	t.Cleanup(func() {
		_ = soc.SetLinger(0) // fails if the test has closed it
		check(t, soc.Close())
	})
	check(t, soc.SetRcvtimeo(long))
	check(t, soc.SetSndtimeo(long))
	return soc
}

// connected returns two sockets over tcp: the first is bound.
func connected(t *testing.T, a, b Type) (*Socket, *Socket) {
	t.Helper()
	ctx := newContext(t)
	x, y := newSocket(t, ctx, a), newSocket(t, ctx, b)
	check(t, x.Bind("tcp://127.0.0.1:*"))
	end, err := x.GetLastEndpoint()
	check(t, err)
	check(t, y.Connect(end))
	return x, y
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr compares without unwrapping, as users do.
func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, expected %v", what, got, want)
	}
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, expected %q", what, got, want)
	}
}

func TestClientServer(t *testing.T) {
	server, client := connected(t, SERVER, CLIENT)
	n, err := client.Send("question", 0)
	if n != 8 || err != nil {
		t.Fatalf("Send: got %d, %v, expected 8", n, err)
	}
	msg, opts, err := server.RecvWithOpts(0, OptRoutingId(0), OptGroup(""))
	check(t, err)
	wantText(t, "request", msg, "question")
	if len(opts) != 2 || opts[0].(OptRoutingId) == 0 || opts[1] != OptGroup("") {
		t.Fatalf("options: got %v, expected a routing id and no group", opts)
	}
	n, err = server.Send("answer", 0, opts[0])
	if n != 6 || err != nil {
		t.Fatalf("Send: got %d, %v, expected 6", n, err)
	}
	b, opts, err := client.RecvBytesWithOpts(0, OptRoutingId(0))
	check(t, err)
	wantText(t, "reply", string(b), "answer")
	if opts[0] != OptRoutingId(0) {
		t.Errorf("routing id at a CLIENT: got %v, expected 0", opts[0])
	}

	// Calls without options.
	_, err = server.SendMessage("answer")
	wantErr(t, "a reply to no one", err, EHOSTUNREACH)
	_, err = server.Send("answer", 0)
	wantErr(t, "a reply to no one", err, EHOSTUNREACH)
	_, err = server.Send("answer", 0, OptRoutingId(0))
	wantErr(t, "a reply to routing id 0", err, einval)
	for _, receive := range []func() (string, error){
		func() (string, error) { return server.Recv(0) },
		func() (string, error) {
			m, err := server.RecvMessage(0)
			return slices.Concat(m, []string{""})[0], err
		},
		func() (string, error) {
			m, from, err := server.RecvWithMetadata(0, "Socket-Type")
			return m + from["Socket-Type"], err
		},
	} {
		_, err = client.SendBytes([]byte("CLIENT"), 0)
		check(t, err)
		msg, err := receive()
		check(t, err)
		if msg != "CLIENT" && msg != "CLIENTCLIENT" {
			t.Errorf("request: got %q, expected the text alone", msg)
		}
		if more, err := server.GetRcvmore(); more || err != nil {
			t.Errorf("GetRcvmore: got %v, %v, expected false", more, err)
		}
	}
	_, _, err = server.RecvWithOpts(DONTWAIT, OptRoutingId(0))
	wantErr(t, "no request", err, Errno(syscall.EAGAIN))
}

func TestRadioDish(t *testing.T) {
	for _, transport := range []string{"tcp://127.0.0.1:*", "inproc://radio"} {
		ctx := newContext(t)
		radio, dish := newSocket(t, ctx, RADIO), newSocket(t, ctx, DISH)
		check(t, radio.Bind(transport))
		end, err := radio.GetLastEndpoint()
		check(t, err)
		check(t, dish.Join("TV"))
		wantErr(t, "joined twice", dish.Join("TV"), einval)
		wantErr(t, "left without joining", dish.Leave("news"), einval)
		wantErr(t, "Join of a RADIO", radio.Join("TV"), einval)
		check(t, dish.Connect(end))

		// RADIO drops a message until the peer has joined.
		poller := NewPoller()
		poller.Add(dish, POLLIN)
		deadline := time.Now().Add(long)
		for {
			_, err := radio.Send("to no one", 0)
			check(t, err)
			_, err = radio.Send("Friends", 0, OptGroup("TV"))
			check(t, err)
			ready, err := poller.Poll(20 * time.Millisecond)
			check(t, err)
			if len(ready) == 1 && ready[0].Socket == dish {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing arrives")
			}
		}
		msg, opts, err := dish.RecvWithOpts(0, OptGroup(""), OptRoutingId(9))
		check(t, err)
		wantText(t, "message", msg, "Friends")
		if !slices.Equal(opts, []any{OptGroup("TV"), OptRoutingId(0)}) {
			t.Errorf("options: got %v, expected the group TV and no routing id", opts)
		}
		_, err = radio.Send("again", 0, OptGroup("TV"))
		check(t, err)
		for msg != "again" {
			msg, err = dish.Recv(0)
			check(t, err)
		}
		check(t, dish.Leave("TV"))
		_, err = radio.Send("x", 0, OptGroup(string(make([]byte, 256))))
		wantErr(t, "a group of 256 octets", err, einval)
		_, err = dish.Send("x", 0)
		wantErr(t, "Send of a DISH", err, ENOTSUP)
		_, _, err = radio.RecvWithOpts(0, OptGroup(""))
		wantErr(t, "Recv of a RADIO", err, ENOTSUP)
	}
}

// TestUdp is upstream's test of the same name without its wait.
func TestUdp(t *testing.T) {
	ctx := newContext(t)
	radio, dish := newSocket(t, ctx, RADIO), newSocket(t, ctx, DISH)
	wantErr(t, "Connect of a DISH", dish.Connect("udp://127.0.0.1:5556"), ENOCOMPATPROTO)
	wantErr(t, "Bind of a RADIO", radio.Bind("udp://*:5556"), ENOCOMPATPROTO)
	check(t, dish.Bind("udp://127.0.0.1:*"))
	end, err := dish.GetLastEndpoint()
	check(t, err)
	check(t, dish.Join("TV"))
	check(t, radio.Connect(end))
	check(t, dish.SetRcvtimeo(50*time.Millisecond))
	for deadline := time.Now().Add(long); ; { // datagrams may be lost
		_, err = radio.Send("Friends", 0, OptGroup("TV"))
		check(t, err)
		msg, opts, err := dish.RecvWithOpts(0, OptGroup(""))
		if err == Errno(syscall.EAGAIN) && time.Now().Before(deadline) {
			continue
		}
		check(t, err)
		if msg != "Friends" || opts[0] != OptGroup("TV") {
			t.Errorf("got %q of %v, expected Friends of TV", msg, opts[0])
		}
		return
	}
}

func TestScatterGather(t *testing.T) {
	gather, scatter := connected(t, GATHER, SCATTER)
	_, err := scatter.Send("work", 0)
	check(t, err)
	msg, err := gather.Recv(0)
	check(t, err)
	wantText(t, "message", msg, "work")
}

func TestDgram(t *testing.T) {
	ctx := newContext(t)
	a, b := newSocket(t, ctx, DGRAM), newSocket(t, ctx, DGRAM)
	check(t, a.Bind("udp://127.0.0.1:*"))
	check(t, b.Bind("udp://127.0.0.1:*"))
	end, err := a.GetLastEndpoint()
	check(t, err)
	check(t, a.SetRcvtimeo(50*time.Millisecond))
	for deadline := time.Now().Add(long); ; { // datagrams may be lost
		_, err = b.Send(end[len("udp://"):], SNDMORE)
		check(t, err)
		_, err = b.Send("datagram", 0)
		check(t, err)
		m, err := a.RecvMessage(0)
		if err == Errno(syscall.EAGAIN) && time.Now().Before(deadline) {
			continue
		}
		check(t, err)
		if len(m) != 2 || m[1] != "datagram" {
			t.Errorf("got %q, expected an address and a datagram", m)
		}
		break
	}
	_, err = b.Send("one part", 0)
	wantErr(t, "a datagram without an address", err, einval)
}

// TestOnePart checks that messages of the thread-safe types have one part.
func TestOnePart(t *testing.T) {
	ctx := newContext(t)
	for typ := PAIR; typ <= DGRAM; typ++ {
		soc := newSocket(t, ctx, typ)
		if got, err := soc.GetType(); got != typ || err != nil {
			t.Errorf("GetType: got %v, %v, expected %v", got, err, typ)
		}
		safe, err := soc.GetThreadSafe()
		check(t, err)
		if want := typ >= SERVER && typ <= SCATTER; safe != want {
			t.Errorf("GetThreadSafe of %v: got %v, expected %v", typ, safe, want)
		}
		if !safe || typ == DISH || typ == GATHER {
			continue
		}
		_, err = soc.Send("part", SNDMORE|DONTWAIT)
		wantErr(t, typ.String()+" with SNDMORE", err, einval)
		_, err = soc.SendMessageDontwait("two", "parts")
		wantErr(t, typ.String()+" with two parts", err, einval)
	}
}

// TestUnknownOption checks upstream's answers to options of another type.
func TestUnknownOption(t *testing.T) {
	pull, push := connected(t, PULL, PUSH)
	n, err := push.Send("text", 0, 7)
	if n != 0 || err == nil || err.Error() != "Invalid message option: 7" {
		t.Errorf("Send: got %d, %v, expected 0 and Invalid message option: 7", n, err)
	}
	for _, text := range []string{"lost", "kept"} {
		_, err = push.Send(text, 0, OptGroup("ignored"), OptRoutingId(7))
		check(t, err)
	}
	_, _, err = pull.RecvWithOpts(0, 7)
	wantErr(t, "RecvWithOpts", err, ErrorNotImplemented42)
	msg, _, err := pull.RecvWithOpts(0)
	check(t, err)
	wantText(t, "message", msg, "kept")
}

func TestMessagesOfTheSocket(t *testing.T) {
	router, dealer := newSocketPairUnconnected(t)
	check(t, router.SetRouterNotify(NotifyConnect|NotifyDisconnect))
	if got, err := router.GetRouterNotify(); got != NotifyConnect|NotifyDisconnect || err != nil {
		t.Errorf("GetRouterNotify: got %v, %v, expected 3", got, err)
	}
	wantErr(t, "SetRouterNotify of a DEALER", dealer.SetRouterNotify(NotifyConnect), einval)
	check(t, dealer.SetHelloMsg("hello"))
	check(t, router.SetDisconnectMsg("gone"))
	check(t, dealer.SetHiccupMsg("hiccup"))
	check(t, dealer.SetIdentity("d"))
	check(t, router.Bind("tcp://127.0.0.1:*"))
	end, err := router.GetLastEndpoint()
	check(t, err)
	check(t, dealer.Connect(end))
	var got []string
	for len(got) < 2 {
		m, err := router.RecvMessage(0)
		check(t, err)
		got = append(got, m[0]+" "+m[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"d ", "d hello"}) {
		t.Errorf("got %q, expected the connection and hello", got)
	}
	check(t, dealer.Close())
	for want := map[string]bool{"d ": true, "d gone": true}; len(want) > 0; {
		m, err := router.RecvMessage(0)
		check(t, err)
		delete(want, m[0]+" "+m[1])
	}
}

func newSocketPairUnconnected(t *testing.T) (router, dealer *Socket) {
	t.Helper()
	ctx := newContext(t)
	return newSocket(t, ctx, ROUTER), newSocket(t, ctx, DEALER)
}

// TestWrapped checks that contexts, pollers, reactors and proxies give and take
// the sockets of this package.
func TestWrapped(t *testing.T) {
	server, client := connected(t, SERVER, CLIENT)
	ctx, err := server.Context()
	check(t, err)
	if other, err := client.Context(); ctx != other || err != nil {
		t.Errorf("contexts: got %p and %p, %v, expected one", ctx, other, err)
	}

	poller := NewPoller()
	for i, soc := range []*Socket{client, server, server, client} {
		if id := poller.Add(soc, POLLIN); id != i {
			t.Errorf("Add: got id %d, expected %d", id, i)
		}
	}
	check(t, poller.Remove(0))
	wantErr(t, "Remove of an unknown id", poller.Remove(9), ErrorNoSocket)
	_, err = client.Send("x", 0)
	check(t, err)
	ready, err := poller.Poll(long)
	check(t, err)
	if !slices.Equal(ready, []Polled{{server, POLLIN}, {server, POLLIN}}) {
		t.Errorf("Poll: got %v, expected the server twice", ready)
	}
	before, err := poller.UpdateBySocket(client, POLLOUT)
	check(t, err)
	all, err := poller.PollAll(long)
	check(t, err)
	if before != POLLIN || !slices.Equal(all, []Polled{{server, POLLIN}, {server, POLLIN}, {client, POLLOUT}}) {
		t.Errorf("PollAll: got %v, expected both sockets with their states", all)
	}
	check(t, poller.RemoveBySocket(server))
	wantErr(t, "RemoveBySocket of another", poller.RemoveBySocket(new(Socket)), ErrorNoSocket)

	reactor, done := NewReactor(), errors.New("done")
	reactor.AddSocket(client, POLLIN, func(State) error { return errors.New("nothing was sent to the client") })
	reactor.AddSocket(server, POLLIN, func(State) error {
		if _, err := server.Recv(0); err != nil {
			return err
		}
		return done
	})
	wantErr(t, "Run", reactor.Run(long), done)
	reactor.RemoveSocket(server)

	control := newSocket(t, ctx, PAIR)
	steer := newSocket(t, ctx, PAIR)
	check(t, control.Bind("inproc://control"))
	check(t, steer.Connect("inproc://control"))
	_, err = steer.Send("TERMINATE", 0)
	check(t, err)
	check(t, ProxySteerable(newSocket(t, ctx, PULL), newSocket(t, ctx, PUSH), nil, control))
}

func TestClosed(t *testing.T) {
	ctx := newContext(t)
	closed := newSocket(t, ctx, SERVER)
	check(t, closed.Close())
	for _, soc := range []*Socket{closed, new(Socket)} {
		wantText(t, "String", soc.String(), "Socket(CLOSED)")
		wantErr(t, "Join", soc.Join("x"), ErrorSocketClosed)
		wantErr(t, "SetHelloMsg", soc.SetHelloMsg("x"), ErrorSocketClosed)
		wantErr(t, "SetLinger", soc.SetLinger(0), ErrorSocketClosed)
		_, err := soc.Send("x", 0, OptRoutingId(1))
		wantErr(t, "Send", err, ErrorSocketClosed)
		_, err = soc.Send("x", 0)
		wantErr(t, "Send", err, ErrorSocketClosed)
		b, opts, err := soc.RecvBytesWithOpts(0, OptGroup(""))
		wantErr(t, "RecvBytesWithOpts", err, ErrorSocketClosed)
		if b == nil || len(b) != 0 || len(opts) != 1 {
			t.Errorf("RecvBytesWithOpts: got %v, %v, expected empty octets and one option", b, opts)
		}
		_, err = soc.Context()
		wantErr(t, "Context", err, ErrorSocketClosed)
		check(t, soc.Close())
	}
	_, err := ctx.NewSocket(DGRAM + 1)
	wantErr(t, "NewSocket of an unknown type", err, einval)
}

// TestInterrupted checks that closing the socket ends a blocked call.
func TestInterrupted(t *testing.T) {
	for _, typ := range []Type{SERVER, CLIENT, DISH, GATHER} {
		ctx, err := NewContext()
		check(t, err)
		soc, err := ctx.NewSocket(typ)
		check(t, err)
		got := make(chan error)
		go func() {
			_, _, err := soc.RecvWithOpts(0, OptRoutingId(0))
			got <- err
		}()
		go ctx.Term()
		wantErr(t, "RecvWithOpts of "+typ.String(), <-got, ETERM)
		check(t, soc.Close())
		check(t, ctx.Term())
	}
}

// TestDefault checks the functions without a Context.
func TestDefault(t *testing.T) {
	soc, err := NewSocket(CLIENT)
	check(t, err)
	defer soc.Close()
	ctx, err := soc.Context()
	check(t, err)
	if ctx != defaultContext || !HasDraft() {
		t.Errorf("context %p, HasDraft %v, expected the default context and true", ctx, HasDraft())
	}
	n, err := pebbe.GetMaxSockets()
	check(t, err)
	if got, err := GetMaxSockets(); got != n || err != nil {
		t.Errorf("GetMaxSockets: got %d, %v, expected that of compat/pebbe, %d", got, err, n)
	}
	if m, err := defaultContext.GetMaxSockets(); m != n || err != nil {
		t.Errorf("GetMaxSockets: got %d, %v, expected %d", m, err, n)
	}
}

func TestNames(t *testing.T) {
	ctx := newContext(t)
	for typ, want := range map[Type]string{
		PAIR: "PAIR", STREAM: "STREAM", SERVER: "SERVER", CLIENT: "CLIENT", RADIO: "RADIO", DISH: "DISH",
		GATHER: "GATHER", SCATTER: "SCATTER", DGRAM: "DGRAM", DGRAM + 1: "<INVALID>", -1: "<INVALID>",
	} {
		wantText(t, "type", typ.String(), want)
	}
	soc := newSocket(t, ctx, DISH)
	if text := soc.String(); !bytes.HasPrefix([]byte(text), []byte("Socket(DISH,0x")) {
		t.Errorf("String: got %q, expected the type and an address", text)
	}
	poller := NewPoller()
	poller.Add(soc, POLLIN)
	wantText(t, "poller", poller.String(), "Poller["+soc.String()+"POLLIN]")
}

// TestCollected checks that a socket that becomes unreachable is closed: Term
// ends.
func TestCollected(t *testing.T) {
	ctx, err := NewContext()
	check(t, err)
	_, err = ctx.NewSocket(SERVER)
	check(t, err)
	ended := make(chan error)
	go func() { ended <- ctx.Term() }()
	for {
		runtime.GC()
		select {
		case err := <-ended:
			check(t, err)
			return
		default:
		}
	}
}
