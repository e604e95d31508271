package memcached

import (
	"context"
	"net"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

// fakeConn is a connection without a socket.
type fakeConn struct {
	id   int
	loop int
	sent strings.Builder
	full bool // Send refuses

	woken chan struct{} // holds one wake-up
}

func (c *fakeConn) ID() int   { return c.id }
func (c *fakeConn) Loop() int { return c.loop }
func (c *fakeConn) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 11211}
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000 + c.id}
}
func (c *fakeConn) Active() int64        { return 0 }
func (c *fakeConn) Close(netloop.Reason) {}
func (c *fakeConn) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *fakeConn) Send(b []byte) bool {
	if c.full {
		return false
	}
	c.sent.Write(b)
	return true
}

// client calls one session with input, as an event loop does.
type client struct {
	t      testing.TB
	srv    *Server
	conn   *fakeConn
	s      netloop.Session
	in     []byte
	closed bool
	stream bool
}

// startServer makes a server that is shut down at the end of the test.
func startServer(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

var nextConn = 30

// dial makes a session on s.
func dial(t testing.TB, s *Server) *client {
	nextConn++
	c := &client{t: t, srv: s, conn: &fakeConn{id: nextConn, woken: make(chan struct{}, 1)}}
	c.s = s.newSession(c.conn)
	t.Cleanup(c.hangUp)
	return c
}

func (c *client) hangUp() {
	if c.s != nil {
		c.s.Closed(netloop.Normal)
		c.s = nil
	}
}

// send calls the session with more input and returns the replies.
func (c *client) send(input string) string {
	c.t.Helper()
	var out strings.Builder
	c.in = append(c.in, input...)
	for range 1 << 20 {
		if c.closed || c.stream {
			return out.String()
		}
		w := netloop.NewWriter(1 << 16)
		// The session must not keep its input.
		in := []byte(string(c.in))
		p := c.s.(netloop.Prefetcher)
		p.PrefetchRest(p.Prefetch(in))
		n, next := c.s.Data(in, w)
		for i := range in {
			in[i] = 0xdb
		}
		c.in = c.in[n:]
		out.Write(w.Drain(nil))
		switch next {
		case netloop.NeedMore:
			return out.String()
		case netloop.Wait:
			<-c.conn.woken
		case netloop.Close:
			c.closed = true
		case netloop.Stream:
			c.stream = true
		}
	}
	c.t.Fatal("the session never stops yielding")
	return ""
}

// want sends input and compares the replies.
func (c *client) want(input, reply string) {
	c.t.Helper()
	if got := c.send(input); got != reply {
		c.t.Errorf("sent %q\n got %q\nwant %q", clip(input), clip(got), clip(reply))
	}
}

func clip(s string) string {
	if len(s) > 600 {
		return s[:600] + "..."
	}
	return s
}
