package zmq

import (
	"fmt"
	"strings"

	"lintel.dev/internal/zmq/flow"
)

// Msg is a message: its frames in order. It has at least one frame; a frame
// may be empty.
type Msg [][]byte

// NewMsg returns a message with one frame for each string.
func NewMsg(frames ...string) Msg {
	m := make(Msg, len(frames))
	for i, f := range frames {
		m[i] = []byte(f)
	}
	return m
}

// Size returns the number of octets in all frames.
func (m Msg) Size() (n int) {
	for _, f := range m {
		n += len(f)
	}
	return n
}

// Clone returns a deep copy of the message.
func (m Msg) Clone() Msg {
	c := make(Msg, len(m))
	for i, f := range m {
		c[i] = append([]byte{}, f...)
	}
	return c
}

// String returns the frames with a vertical bar between them, for logs and
// terminals. Octets outside printable ASCII and the backslash are shown as
// \xNN.
func (m Msg) String() string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i, f := range m {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, c := range f {
			if c < ' ' || c > '~' || c == '\\' {
				b.WriteString(`\x`)
				b.WriteByte(digits[c>>4])
				c = digits[c&15]
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Release returns the memory of a received message's large frames for reuse.
// Neither the message nor a part of it may be used afterwards. Calling it is
// optional: the garbage collector frees what is not released.
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

// PeerInfo describes the peer that sent a message. The zero value means that
// nothing is known of it.
type PeerInfo struct {
	Address    string // of the peer's end of the connection; empty in process
	SocketType string // of the peer, such as "DEALER"
	RoutingID  []byte // that the peer chose, not the automatic one; must not be changed
	UserID     string // AuthResult.UserID
	// Properties are the metadata of the connection: what the peer sent
	// (Socket-Type, Identity, X-... and others) and AuthResult.Metadata. Over a
	// network they include Peer-Address, without a port, and User-Id, as in
	// libzmq. The map is shared by the messages of the connection and must not
	// be changed.
	Properties map[string]string
}

// String returns a description of the peer for logs and terminals. Names that the
// peer chose are quoted.
func (p PeerInfo) String() string {
	s := fmt.Sprintf("%q", p.SocketType)
	if len(p.RoutingID) > 0 {
		s += fmt.Sprintf(" %q", p.RoutingID)
	}
	if p.Address != "" {
		s += fmt.Sprintf(" at %q", p.Address)
	}
	if p.UserID != "" {
		s += fmt.Sprintf(", user %q", p.UserID)
	}
	return s
}
