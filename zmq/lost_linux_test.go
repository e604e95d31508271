package zmq_test

import (
	"net"
	"testing"

	"lintel.dev/zmq"
)

// What the kernel had of a connection that broke, and the peer did not acknowledge, is
// counted.
func TestUnacknowledgedIsCounted(t *testing.T) {
	r := overTCP(t)
	push := made(r, zmq.NewPush)
	w := r.dialRaw(r.bind(push))
	w.shake(1, "PULL")
	const n = 900
	body := make([]byte, 1000)
	for range n {
		r.must(push.SendBytes(r.ctx, body))
	}
	// The peer reads nothing: its kernel acknowledges what fits into its buffer.
	r.must(w.c.(*net.TCPConn).SetLinger(0))
	r.must(w.c.Close())
	r.until(func() bool { return len(push.Stats().Peers) == 0 })
	r.must(push.Close())
	if lost := push.Stats().DroppedLost; lost > n || lost < n/2 {
		t.Errorf("%d of %d messages counted as lost", lost, n)
	}
}
