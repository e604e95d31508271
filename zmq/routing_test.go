package zmq_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// router is a socket that knows its peers by routing id.
type router interface {
	zmq.Sender
	zmq.Receiver
	HasPeer(id []byte) bool
	ClosePeer(id []byte) error
}

// Whether a peer is there is known before a message is sent, and one peer can
// be closed without the others.
func TestHasPeerAndClosePeer(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		for _, c := range []struct {
			router router
			client func() zmq.Sender
		}{
			{made(r, zmq.NewRouter), func() zmq.Sender { return made(r, zmq.NewDealer, zmq.WithReconnect(-1, 0)) }},
			{made(r, zmq.NewServer), func() zmq.Sender { return made(r, zmq.NewClient, zmq.WithReconnect(-1, 0)) }},
			{made(r, zmq.NewPeer), func() zmq.Sender { return made(r, zmq.NewPeer, zmq.WithReconnect(-1, 0)) }},
		} {
			to := r.net.bind(t)
			if r.net.name == "inproc" {
				to += c.router.Type()
			}
			at, err := c.router.Bind(to)
			r.must(err)
			if c.router.HasPeer([]byte("who?")) {
				t.Errorf("%s: an unknown peer is there", c.router.Type())
			}
			if err := c.router.ClosePeer([]byte("who?")); !errors.Is(err, zmq.ErrHostUnreachable) {
				t.Errorf("%s: closing an unknown peer: %v", c.router.Type(), err)
			}
			var ids [][]byte
			for range 2 {
				client := c.client()
				e := r.connect(client, at.Addr())
				m := zmq.NewMsg("hello")
				if client.Type() == "PEER" {
					m = zmq.Msg{e.RoutingID(), []byte("hello")}
				}
				r.must(client.Send(r.ctx, m))
				m, err := c.router.Recv(r.ctx)
				r.must(err)
				ids = append(ids, m[0])
			}
			for _, id := range ids {
				if !c.router.HasPeer(id) {
					t.Errorf("%s: %q is not there", c.router.Type(), id)
				}
			}
			r.must(c.router.ClosePeer(ids[0]))
			if c.router.HasPeer(ids[0]) || !c.router.HasPeer(ids[1]) {
				t.Errorf("%s: after closing one of two peers: %v, %v", c.router.Type(), c.router.HasPeer(ids[0]), c.router.HasPeer(ids[1]))
			}
			if err := c.router.ClosePeer(ids[0]); !errors.Is(err, zmq.ErrHostUnreachable) {
				t.Errorf("%s: closing it again: %v", c.router.Type(), err)
			}
			r.must(c.router.Send(r.ctx, zmq.Msg{ids[1], []byte("still there")}))
		}
	})
}

// The id of a connection that a STREAM makes is known before it is there; the
// connection ends with it.
func TestStreamRoutingID(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := overTCP(t)
	s := made(r, zmq.NewStream, zmq.WithOption("stream_notify", "0"))
	e := r.connect(s, "tcp://"+ln.Addr().String())
	id := e.RoutingID()
	if len(id) != 5 || !s.HasPeer(id) {
		t.Fatalf("routing id %q", id)
	}
	r.must(s.Send(r.ctx, zmq.Msg{id, []byte("hello")}))
	conn, err := ln.Accept()
	r.must(err)
	defer conn.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	r.must(s.ClosePeer(id))
	if _, err := conn.Read(b); err == nil {
		t.Error("the connection is open")
	}
	if s.HasPeer(id) || e.RoutingID() != nil {
		t.Error("the peer is there after ClosePeer")
	}
	if err := e.Close(); !errors.Is(err, zmq.ErrNoEndpoint) {
		t.Errorf("the endpoint of the peer closed with %v", err)
	}
	if id := made(r, zmq.NewDealer, zmq.WithLinger(0)); r.connect(id, "tcp://"+ln.Addr().String()).RoutingID() != nil {
		t.Error("a DEALER knows its peer by an id")
	}
}

// The topics of SUB and XSUB, from WithSubscribe on.
func TestTopics(t *testing.T) {
	r := overTCP(t)
	for _, s := range []interface {
		zmq.Socket
		Subscribe(string) error
		Unsubscribe(string) error
		Topics() []string
	}{made(r, zmq.NewSub, zmq.WithSubscribe("b", "a")), made(r, zmq.NewXSub, zmq.WithSubscribe("a"), zmq.WithOption("subscribe", "b"))} {
		want := func(topics ...string) {
			t.Helper()
			if got := s.Topics(); !slices.Equal(got, topics) {
				t.Errorf("%s: topics %q, want %q", s.Type(), got, topics)
			}
		}
		want("a", "b")
		r.must(s.Subscribe(""))
		r.must(s.Subscribe("a"))
		want("", "a", "b")
		r.must(s.Unsubscribe("a"))
		want("", "a", "b") // counted
		r.must(s.Unsubscribe("a"))
		r.must(s.Unsubscribe(""))
		want("b")
	}
	pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewSub, zmq.WithSubscribe("news"))
	r.connect(sub, r.bind(pub))
	r.want(pub, "\x01news")
	for _, typ := range []string{"PULL", "PUB", "XPUB", "DISH"} {
		if _, err := zmq.New(typ, zmq.WithSubscribe("a")); !errors.Is(err, zmq.ErrNotSupported) {
			t.Errorf("WithSubscribe on a %s: %v", typ, err)
		}
	}
}

// Errors of endpoints can be told apart with errors.Is.
func TestEndpointErrors(t *testing.T) {
	r := overTCP(t)
	for _, c := range []struct {
		s    zmq.Socket
		at   string
		want error
	}{
		{made(r, zmq.NewPull), "carrier-pigeon://coop", zmq.ErrUnknownTransport},
		{made(r, zmq.NewPull), "ipc:///tmp/" + strings.Repeat("x", 200), zmq.ErrPathTooLong},
		{made(r, zmq.NewPull), "udp://127.0.0.1:1", zmq.ErrNotSupported},
		{made(r, zmq.NewPull), "tipc://{1,2}", zmq.ErrNotSupported},
	} {
		for name, f := range map[string]func(string) (*zmq.Endpoint, error){"Bind": c.s.Bind, "Connect": c.s.Connect} {
			if _, err := f(c.at); !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v, want %v", name, c.at, err, c.want)
			}
		}
	}
	if _, err := zmq.New("pigeon"); !errors.Is(err, zmq.ErrNotSupported) || !strings.Contains(err.Error(), "scatter") {
		t.Errorf("socket type pigeon: %v", err)
	}
}
