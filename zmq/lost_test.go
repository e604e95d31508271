package zmq_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// Messages that a socket received and the application did not are counted when it
// is closed.
func TestUnreadIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		for i := range 10 {
			r.send(push, fmt.Sprint(i))
		}
		r.want(pull, "0")
		r.want(pull, "1")
		r.until(func() bool { return pull.Stats().MessagesReceived == 10 })
		r.must(pull.Close())
		if n := pull.Stats().DroppedLost; n != 8 {
			t.Errorf("%d messages lost, want 8", n)
		}
	})
}

// A socket that is closed does not wait for a peer that refuses it, whatever the
// linger time.
func TestRefusedDoesNotLinger(t *testing.T) {
	r := overTCP(t)
	router := made(r, zmq.NewRouter)
	at := r.bind(router)
	first := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("x")))
	r.connect(first, at)
	r.send(first, "here")
	r.want(router, "x", "here")
	second := made(r, zmq.NewDealer, zmq.WithIdentity([]byte("x")), zmq.WithLinger(-1), zmq.WithReconnect(time.Millisecond, 0))
	r.connect(second, at)
	r.send(second, "lost")
	r.must(second.Close())
	if n := second.Stats().DroppedLost; n != 1 {
		t.Errorf("%d messages lost, want 1", n)
	}
}
