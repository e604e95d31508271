package zmq_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"lintel.dev/zmq"
)

// stuck is a connection whose writes, once it is stuck, wait for its end.
type stuck struct {
	net.Conn
	is            atomic.Bool
	writes, ended chan struct{}
	once          sync.Once
}

func (c *stuck) Write(b []byte) (int, error) {
	if !c.is.Load() {
		return c.Conn.Write(b)
	}
	close(c.writes)
	<-c.ended
	return 0, net.ErrClosed
}

func (c *stuck) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

// What a writer had taken and could not write is lost too, when it gives that
// back after the end.
func TestLostByAWriter(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	at := r.bind(pull)
	c := &stuck{writes: make(chan struct{}), ended: make(chan struct{})}
	push := made(r, zmq.NewPush, zmq.WithLinger(0), zmq.WithDialer(func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		c.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return c, err
	}))
	r.connect(push, at)
	r.send(push, "arrives")
	r.want(pull, "arrives")
	c.is.Store(true)
	for range 3 {
		r.send(push, "lost")
	}
	<-c.writes
	r.must(push.Close())
	if st := push.Stats(); st.MessagesSent != 4 || st.DroppedLost != 3 {
		t.Errorf("%d messages sent and %d lost, want 4 and 3", st.MessagesSent, st.DroppedLost)
	}
}

// What is sent to a peer that is there since a moment ago, by a socket that is
// closed at once, arrives.
func TestClosedAtOnce(t *testing.T) {
	r := overTCP(t)
	for range 100 {
		push := made(r, zmq.NewPush, zmq.WithLinger(-1))
		at := r.bind(push)
		pull := made(r, zmq.NewPull, zmq.WithReconnect(-1, 0))
		r.connect(pull, at)
		r.send(push, "a")
		r.send(push, "b")
		r.must(push.Close())
		if st := push.Stats(); st.DroppedLost != 0 {
			t.Fatalf("%d messages lost", st.DroppedLost)
		}
		r.want(pull, "a")
		r.want(pull, "b")
		r.must(pull.Close())
	}
}
