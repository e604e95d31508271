package zmq

import (
	"strings"

	"lintel.dev/internal/zmq/flow"
)

// Msg is a message: its frames in order. It has at least one frame; a frame
// may be empty.
type Msg [][]byte

// NewMsg makes a message of one frame for each string.
func NewMsg(frames ...string) Msg {
	m := make(Msg, len(frames))
	for i, f := range frames {
		m[i] = []byte(f)
	}
	return m
}

// Size is the number of bytes in all frames.
func (m Msg) Size() (n int) {
	for _, f := range m {
		n += len(f)
	}
	return n
}

// Clone copies the message and its bytes.
func (m Msg) Clone() Msg {
	c := make(Msg, len(m))
	for i, f := range m {
		c[i] = append([]byte{}, f...)
	}
	return c
}

// String joins the frames with a vertical bar, for logs.
func (m Msg) String() string {
	var b strings.Builder
	for i, f := range m {
		if i > 0 {
			b.WriteByte('|')
		}
		b.Write(f)
	}
	return b.String()
}

// Release gives the memory of a received message's large frames back for
// reuse. Neither the message nor a part of it may be used afterwards. It is
// optional: what is not released is left to the garbage collector.
func (m Msg) Release() {
	for i, f := range m {
		release(f)
		m[i] = nil
	}
}

func release(frame []byte) {
	if len(frame) >= flow.LargeFrame {
		flow.PutBuffer(frame)
	}
}

// PeerInfo is what is known of a peer.
type PeerInfo struct {
	Address    string // of its end of the connection; empty in process
	SocketType string
	RoutingID  []byte
	UserID     string // as the authenticator gave it
	// Properties are what the peer said of itself and what the authenticator
	// added: Socket-Type, Identity, X-..., and others; over a network also
	// Peer-Address and User-Id as libzmq has them, the former without a port.
	Properties map[string]string
}
