package zmq4

import (
	"fmt"
	"strings"
)

// MsgType tells messages of the application from commands of the protocol.
type MsgType byte

// The message types. Sockets receive only UsrMsg.
const (
	UsrMsg MsgType = 0
	CmdMsg MsgType = 1
)

// Msg is a message of one or more frames.
type Msg struct {
	Frames [][]byte
	Type   MsgType

	err error
}

// NewMsg returns a message of one frame. The frame is not copied.
func NewMsg(frame []byte) Msg { return Msg{Frames: [][]byte{frame}} }

// NewMsgFrom returns a message of the frames. They are not copied.
func NewMsgFrom(frames ...[]byte) Msg { return Msg{Frames: frames} }

// NewMsgString returns a message of one frame.
func NewMsgString(frame string) Msg { return NewMsg([]byte(frame)) }

// NewMsgFromString returns a message of the frames.
func NewMsgFromString(frames []string) Msg {
	m := Msg{Frames: make([][]byte, len(frames))}
	for i, f := range frames {
		m.Frames[i] = []byte(f)
	}
	return m
}

// Err returns the error that the message stands for. It is nil for messages
// that were received.
func (msg Msg) Err() error { return msg.err }

// Bytes returns the frames as one slice, a copy.
func (msg Msg) Bytes() []byte {
	n := 0
	for _, f := range msg.Frames {
		n += len(f)
	}
	b := make([]byte, 0, n)
	for _, f := range msg.Frames {
		b = append(b, f...)
	}
	return b
}

// String returns the quoted frames, for logs.
func (msg Msg) String() string {
	var b strings.Builder
	b.WriteString("Msg{Frames:{")
	for i, f := range msg.Frames {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", f)
	}
	b.WriteString("}}")
	return b.String()
}

// Clone returns a deep copy of the frames.
func (msg Msg) Clone() Msg {
	m := Msg{Frames: make([][]byte, len(msg.Frames))}
	for i, f := range msg.Frames {
		m.Frames[i] = append(make([]byte, 0, len(f)), f...)
	}
	return m
}
