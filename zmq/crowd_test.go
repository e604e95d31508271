package zmq_test

import (
	"net"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// crowd is how many connections TestHalfOpen makes, if the system allows as
// many.
const crowd = 10000

// TestHalfOpen: connections that say nothing, or begin a greeting and stop,
// do not keep a good peer out, before or after they came.
func TestHalfOpen(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	at := r.bind(pull)
	early := made(r, zmq.NewPush)
	r.connect(early, at)
	r.send(early, "first")
	r.want(pull, "first")

	// Both ends of each are in this process; some descriptors are left for the
	// good ones.
	n := crowd
	if limit := descriptorLimit(); limit > 0 {
		n = min(n, max(limit-200, 0)/2)
	}
	if raceEnabled {
		n = min(n, 2000)
	}
	greeting := []string{"", "\xff", "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03"}
	var dialer net.Dialer
	for i := range n {
		c, err := dialer.DialContext(r.ctx, "tcp", strings.TrimPrefix(at, "tcp://"))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.(*net.TCPConn).SetLinger(0) // leaves no port in TIME_WAIT
		defer c.Close()
		if _, err := c.Write([]byte(greeting[i%len(greeting)])); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	late := made(r, zmq.NewPush)
	r.connect(late, at)
	r.send(late, "still there")
	r.want(pull, "still there")
	r.send(early, "and here")
	r.want(pull, "and here")
	// The good connection after the crowd was accepted after all of it.
	if got := pull.Stats().Accepted; got != uint64(n)+2 {
		t.Errorf("%d connections accepted, want %d", got, n+2)
	}
}

// TestGoneUnread checks that peers which connect and disconnect leave nothing
// but their messages in a socket that does not receive.
func TestGoneUnread(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		for _, pair := range [][2]string{{"REQ", "REP"}, {"DEALER", "DEALER"}} {
			s, err := zmq.New(pair[0], r.opts()...)
			r.socket(s, err)
			e, err := s.Bind(r.net.bind(t))
			r.must(err)
			for range 5 {
				peer, err := zmq.New(pair[1], r.opts()...)
				r.socket(peer, err)
				r.connect(peer, e.Addr())
				r.ready(s, 1)
				peer.Close()
				r.until(func() bool { return zmq.Kept(s) == 0 })
			}
			r.must(e.Close()) // the name of inproc is free again
		}
		dealer, peer := made(r, zmq.NewDealer), made(r, zmq.NewDealer)
		r.connect(peer, r.bind(dealer))
		r.send(peer, "read", "later")
		r.must(peer.Close())
		r.want(dealer, "read", "later")
	})
}
