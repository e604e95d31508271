package zmq_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// rawSocket talks to peers that know no ZMTP.
type rawSocket interface {
	zmq.Sender
	zmq.Receiver
}

// rawly runs a test with the two sockets that can do that.
func rawly(t *testing.T, f func(r rig, open func(...zmq.Option) rawSocket)) {
	t.Run("STREAM", func(t *testing.T) {
		r := overTCP(t)
		f(r, func(o ...zmq.Option) rawSocket { return made(r, zmq.NewStream, o...) })
	})
	t.Run("raw ROUTER", func(t *testing.T) {
		r := overTCP(t)
		f(r, func(o ...zmq.Option) rawSocket {
			return made(r, zmq.NewRouter, append(o, zmq.WithOption("router_mandatory", "1"), zmq.WithOption("router_raw", "1"))...)
		})
	})
}

// test_stream: any TCP peer.
func TestStreamSocket(t *testing.T) {
	r := overTCP(t)
	s := made(r, zmq.NewStream)
	ep := r.bind(s)
	w := r.dialRaw(ep)
	m, err := s.Recv(r.ctx)
	if err != nil || len(m) != 2 || len(m[0]) != 5 || len(m[1]) != 0 {
		t.Fatalf("%q, %v", [][]byte(m), err)
	}
	id := m[0]
	w.put("GET /")
	r.want(s, string(id), "GET /")
	r.must(s.Send(r.ctx, zmq.Msg{id, []byte("hello "), bytes.Repeat([]byte("x"), 100000)}))
	if got := w.get(100006); got != "hello "+strings.Repeat("x", 100000) {
		t.Error("received something else")
	}
	if err := s.Send(r.ctx, zmq.Msg{id}); err == nil {
		t.Error("a message without a body was sent")
	}
	w.c.Close()
	r.want(s, string(id), "")
	if err := s.Send(r.ctx, zmq.Msg{id, []byte("x")}); !errors.Is(err, zmq.ErrHostUnreachable) {
		t.Error(err)
	}

	// The connecting side, named by us.
	c := made(r, zmq.NewStream, zmq.WithOption("connect_routing_id", "srv"), zmq.WithOption("stream_notify", "0"))
	r.connect(c, ep)
	r.send(c, "srv", "ping")
	m, err = s.Recv(r.ctx)
	if err != nil || len(m[1]) != 0 {
		t.Fatal(m, err)
	}
	r.want(s, string(m[0]), "ping")
	r.must(s.Send(r.ctx, zmq.Msg{m[0], []byte("pong")}))
	r.want(c, "srv", "pong")
}

// test_stream_disconnect: an empty frame closes the connection after what was
// sent before. The side that sends it is not notified, and the id is unknown
// afterwards.
func TestStreamHangsUp(t *testing.T) {
	rawly(t, func(r rig, open func(...zmq.Option) rawSocket) {
		s := open()
		events, stop := iter.Pull(s.Events(r.ctx))
		defer stop()
		w := r.dialRaw(r.bind(s))
		m, err := s.Recv(r.ctx)
		r.must(err)
		next(r.T, events, event.Accepted)
		body := strings.Repeat("x", 300000)
		r.must(s.Send(r.ctx, zmq.Msg{m[0], []byte(body)}))
		r.must(s.Send(r.ctx, zmq.Msg{m[0], nil}))
		if err := s.Send(r.ctx, zmq.Msg{m[0], []byte("late")}); !errors.Is(err, zmq.ErrHostUnreachable) {
			r.Error(err)
		}
		if got := w.get(len(body)); got != body {
			r.Error("received something else")
		}
		w.gone()
		next(r.T, events, event.Closed)
		r.until(func() bool { return len(s.Stats().Peers) == 0 })
		if m, err := s.TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
			r.Errorf("received %q, %v", m, err)
		}
	})
}

// A connection that the peer closes is made again, under the same id; one that
// we close is not.
func TestStreamConnects(t *testing.T) {
	rawly(t, func(r rig, open func(...zmq.Option) rawSocket) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		r.must(err)
		defer ln.Close()
		s := open(zmq.WithReconnect(time.Millisecond, time.Millisecond))
		events := s.Events(r.ctx)
		r.connect(s, "tcp://"+ln.Addr().String())
		var id string
		for i := range 3 {
			c, err := ln.Accept()
			r.must(err)
			m, err := s.Recv(r.ctx)
			r.must(err)
			if len(m[1]) != 0 || i > 0 && string(m[0]) != id {
				r.Fatalf("connection %d: %q after %q", i, m, id)
			}
			id = string(m[0])
			r.send(s, id, "hello")
			if b := make([]byte, 5); true {
				_, err := io.ReadFull(c, b)
				r.must(err)
			}
			if i == 2 {
				r.send(s, id, "")
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					r.Errorf("reading from a closed connection: %v", err)
				}
			}
			c.Close()
			if i < 2 {
				r.want(s, id, "")
			}
		}
		r.until(func() bool { return len(s.Stats().Peers) == 0 })
		r.must(s.Close())
		retried := 0
		for e := range events {
			if e.Type == event.ConnectRetried {
				retried++
			}
		}
		if retried != 2 {
			r.Errorf("connected again %d times, want 2", retried)
		}

		// The peer does not listen yet: the empty frame ends the attempt to connect.
		s = open(zmq.WithOption("connect_routing_id", "srv"), zmq.WithReconnect(time.Hour, 0))
		addr := ln.Addr().String()
		ln.Close()
		r.connect(s, "tcp://"+addr)
		r.send(s, "srv", "")
		r.until(func() bool { return len(s.Stats().Peers) == 0 })
		if err := s.Send(r.ctx, zmq.NewMsg("srv", "x")); !errors.Is(err, zmq.ErrHostUnreachable) {
			r.Error(err)
		}
	})
}
