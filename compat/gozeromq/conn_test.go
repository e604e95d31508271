package zmq4_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	zmq4 "lintel.dev/compat/gozeromq"
	"lintel.dev/compat/gozeromq/security/null"
	"lintel.dev/compat/gozeromq/security/plain"
)

// openPair opens both ends of a connection. Either error is returned.
func openPair(t *testing.T, client, server zmq4.Security, peer zmq4.SocketType) (*zmq4.Conn, *zmq4.Conn, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	type result struct {
		conn *zmq4.Conn
		err  error
	}
	accepted := make(chan result)
	go func() {
		raw, err := ln.Accept()
		if err != nil {
			accepted <- result{nil, err}
			return
		}
		t.Cleanup(func() { raw.Close() })
		conn, err := zmq4.Open(raw, server, peer, nil, true, nil)
		if err != nil {
			raw.Close()
		}
		accepted <- result{conn, err}
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	a, err := zmq4.Open(raw, client, zmq4.Dealer, zmq4.SocketIdentity("me"), false, nil)
	if err != nil {
		raw.Close()
	}
	b := <-accepted
	return a, b.conn, errors.Join(err, b.err)
}

func TestOpen(t *testing.T) {
	for name, sec := range map[string]func() zmq4.Security{
		"null":  null.Security,
		"plain": func() zmq4.Security { return plain.Security("user", "secret") },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, err := openPair(t, sec(), sec(), zmq4.Router)
			if err != nil {
				t.Fatal(err)
			}
			if id := b.Peer.Meta["Identity"]; id != "me" {
				t.Errorf("got identity %q, expected me", id)
			}
			long := bytes.Repeat([]byte("x"), 1000)
			if err := a.SendCmd(zmq4.CmdPing, []byte("\x00\x10context")); err != nil {
				t.Fatal(err)
			}
			if err := a.SendMsg(zmq4.NewMsgFrom(nil, []byte("short"), long)); err != nil {
				t.Fatal(err)
			}
			m, err := b.RecvMsg() // the PING before it is answered
			if err != nil || len(m.Frames) != 3 || !bytes.Equal(m.Frames[2], long) {
				t.Errorf("got %v, %v", m, err)
			}
			if pong, err := a.RecvCmd(); err != nil || pong.Name != zmq4.CmdPong || string(pong.Body) != "context" {
				t.Errorf("got %v, %v, expected PONG", pong, err)
			}
			b.Close()
			if _, err := a.RecvMsg(); !errors.Is(err, io.EOF) {
				t.Errorf("got error %v, expected io.EOF", err)
			}
			if err := a.SendMsg(m); !a.Closed() || !errors.Is(err, zmq4.ErrClosedConn) {
				t.Errorf("got error %v, expected ErrClosedConn", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		client, server zmq4.Security
		peer           zmq4.SocketType
	}{
		"password":    {plain.Security("user", "wrong"), plain.Security("user", "secret"), zmq4.Router},
		"mechanism":   {null.Security(), plain.Security("user", "secret"), zmq4.Router},
		"socket type": {null.Security(), null.Security(), zmq4.Pub},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := openPair(t, c.client, c.server, c.peer); err == nil {
				t.Error("got no error")
			}
		})
	}
	if _, err := zmq4.Open(nil, null.Security(), zmq4.Pair, nil, false, nil); err == nil {
		t.Error("no connection: got no error")
	}
}

// FuzzMetadata parses properties that a peer sends.
func FuzzMetadata(f *testing.F) {
	good, err := zmq4.Metadata{"Socket-Type": "DEALER", "Identity": "me", "color": "blue"}.MarshalZMTP()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("\x01a\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		md := make(zmq4.Metadata)
		if md.UnmarshalZMTP(data) != nil {
			return
		}
		size := 0
		for k, v := range md {
			size += len(k) + len(v)
		}
		if size > len(data) {
			t.Errorf("got %d octets of properties from %d", size, len(data))
		}
	})
}

func TestMetadata(t *testing.T) {
	for _, bad := range []zmq4.Metadata{{"": "x"}, {"a": "1", "A": "2"}} {
		if _, err := bad.MarshalZMTP(); err == nil {
			t.Errorf("%v: got no error", bad)
		}
	}
	var md zmq4.Metadata
	raw, err := zmq4.Metadata{"socket-type": "PAIR", "Identity": "x"}.MarshalZMTP()
	if err != nil {
		t.Fatal(err)
	}
	if err := md.UnmarshalZMTP(raw); err != nil || md["Identity"] != "x" || md["X-Socket-Type"] != "PAIR" {
		t.Errorf("got %v, %v", md, err)
	}
}

func TestQueueOrder(t *testing.T) {
	q := zmq4.NewQueue()
	next := 0
	for i := range 5000 {
		q.Push(zmq4.Msg{Type: zmq4.MsgType(i)})
		if i%3 == 0 {
			continue
		}
		m, ok := q.Peek()
		if !ok || m.Type != zmq4.MsgType(next) {
			t.Fatalf("got message %v, expected number %d", m, next)
		}
		q.Pop()
		next++
	}
	if q.Len() != 5000-next {
		t.Errorf("got %d messages, expected %d", q.Len(), 5000-next)
	}
	q.Init()
	if _, ok := q.Peek(); ok || q.Len() != 0 {
		t.Error("Init left messages")
	}
}
