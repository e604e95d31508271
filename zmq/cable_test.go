package zmq_test

import (
	"context"
	"fmt"
	"iter"
	"net"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// cable is a network that carries nothing between two moments. Connections stay
// open, and a SYN is not answered. As in Linux it is repeated 1, 3, 7, 15 and 31 s
// after the attempt to connect began.
type cable struct {
	cut, back time.Time
	m         *memory
}

func (c *cable) broken() bool { return time.Now().After(c.cut) && time.Now().Before(c.back) }

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	for wait := time.Second; c.broken(); wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := c.m.dial(ctx, network, address)
	return &cableConn{Conn: conn, cable: c, begun: time.Now(), closed: make(chan struct{})}, err
}

// cableConn is a connection over a cable. After the cut it carries nothing more.
type cableConn struct {
	net.Conn
	cable  *cable
	begun  time.Time
	once   sync.Once
	closed chan struct{}
}

func (c *cableConn) dead() bool { return c.begun.Before(c.cable.cut) && time.Now().After(c.cable.cut) }

func (c *cableConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.dead() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cableConn) Write(b []byte) (int, error) {
	if c.dead() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *cableConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A connection is made again within 2 s after a cable that was cut for a minute is
// back, at whichever moment that is.
func TestReconnectAfterCableCut(t *testing.T) {
	for phase := range 25 {
		out := time.Minute + time.Duration(phase)*100*time.Millisecond
		t.Run(fmt.Sprint(out), func(t *testing.T) {
			falseTime(t, func(r rig, m *memory) {
				beat := zmq.WithHeartbeat(time.Second, time.Second, 3*time.Second)
				c := &cable{m: m, cut: time.Now().Add(10 * time.Second)}
				c.back = c.cut.Add(out)
				pull, push := made(r, zmq.NewPull, beat), made(r, zmq.NewPush, beat, zmq.WithDialer(c.dial))
				events, stop := iter.Pull(push.Events(r.ctx))
				defer stop()
				r.join(m, pull, push)
				next(t, events, event.HandshakeSucceeded)
				next(t, events, event.Disconnected)
				if d := time.Since(c.cut); d > 3*time.Second {
					t.Errorf("the cut was noticed after %v, want at most 3s", d)
				}
				next(t, events, event.HandshakeSucceeded)
				if d := time.Since(c.back); d < 0 || d > 2*time.Second {
					t.Errorf("connected %v after the cable was back, want at most 2s", d)
				}
				r.send(push, "x")
				r.want(pull, "x")
			})
		})
	}
}
