package zmq4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// The names of ZMTP commands (RFC 23).
const (
	CmdCancel      = "CANCEL"
	CmdError       = "ERROR"
	CmdHello       = "HELLO"
	CmdInitiate    = "INITIATE"
	CmdPing        = "PING"
	CmdPong        = "PONG"
	CmdReady       = "READY"
	CmdSubscribe   = "SUBSCRIBE"
	CmdUnsubscribe = "UNSUBSCRIBE"
	CmdWelcome     = "WELCOME"
)

// The bits of the first octet of a frame, and the limits of what is received.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	greetingSize = 64
	maxMessage   = 1 << 30
	maxFrames    = 1 << 16
)

// Cmd is a ZMTP command.
type Cmd struct {
	Name string
	Body []byte
}

// Conn is a ZMTP connection, for programs that speak ZMTP without a socket. One
// goroutine may send and another receive.
type Conn struct {
	Server bool     // this side is the server of the security mechanism
	Meta   Metadata // that this side sends
	Peer   struct {
		Server bool
		Meta   Metadata
	}

	typ     SocketType
	rw      net.Conn
	sec     Security
	closed  atomic.Bool
	onClose func(c *Conn)
}

// Open makes a ZMTP connection of rw: it exchanges greetings, runs the
// handshake of the mechanism, and checks the socket types. Deadlines of rw bound
// it. If onCloseErrorCB is not nil, it is called once when the connection ends
// by an error or by SetClosed.
func Open(rw net.Conn, sec Security, sockType SocketType, sockID SocketIdentity, server bool, onCloseErrorCB func(c *Conn)) (*Conn, error) {
	switch {
	case rw == nil:
		return nil, errors.New("zmq4: invalid nil read-writer")
	case sec == nil:
		return nil, errors.New("zmq4: invalid nil security")
	}
	c := &Conn{
		Server: server, Meta: Metadata{sysSocketType: string(sockType), sysIdentity: sockID.String()},
		typ: sockType, rw: rw, sec: sec, onClose: onCloseErrorCB,
	}
	c.Peer.Meta = make(Metadata)
	if err := c.initialize(); err != nil {
		return nil, fmt.Errorf("zmq4: could not initialize ZMTP connection: %w", err)
	}
	return c, nil
}

func (c *Conn) initialize() error {
	if err := c.greet(); err != nil {
		return fmt.Errorf("zmq4: could not exchange greetings: %w", err)
	}
	if err := c.sec.Handshake(c, c.Server); err != nil {
		return fmt.Errorf("zmq4: could not perform security handshake: %w", err)
	}
	if peer := SocketType(c.Peer.Meta[sysSocketType]); !peer.IsCompatible(c.typ) {
		return fmt.Errorf("zmq4: peer=%q not compatible with %q", peer, c.typ)
	}
	return nil
}

// greet exchanges greetings. A peer may wait for the beginning of the other
// greeting before it sends the rest of its own, so both directions run at once.
func (c *Conn) greet() error {
	name := string(c.sec.Type())
	if len(name) > 20 {
		return fmt.Errorf("zmq4: mechanism %q: got %d octets, expected at most 20", name, len(name))
	}
	var out, in [greetingSize]byte
	out[0], out[9], out[10] = 0xff, 0x7f, 3
	copy(out[12:32], name)
	if c.Server {
		out[32] = 1
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.rw.Write(out[:])
		sent <- err
	}()
	_, err := io.ReadFull(c.rw, in[:])
	if err != nil {
		c.rw.Close() // ends the write
		return errors.Join(c.ended(err), <-sent)
	}
	if err := <-sent; err != nil {
		return c.ended(err)
	}
	mechanism, _, _ := bytes.Cut(in[12:32], []byte{0})
	switch {
	case in[0] != 0xff || in[9]&1 == 0:
		return errors.New("zmq4: the peer does not speak ZMTP")
	case in[10] < 3:
		return fmt.Errorf("zmq4: got ZMTP version %d, expected 3 or later", in[10])
	case string(mechanism) != name:
		return fmt.Errorf("zmq4: got mechanism %q, expected %q", mechanism, name)
	case in[32] > 1:
		return fmt.Errorf("zmq4: server flag: got %d, expected 0 or 1", in[32])
	}
	c.Peer.Server = in[32] == 1
	return nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.rw.Close() }

// Closed reports whether the connection ended by an error or by SetClosed.
func (c *Conn) Closed() bool { return c.closed.Load() }

// SetClosed marks the connection as ended: later calls return ErrClosedConn.
func (c *Conn) SetClosed() {
	if !c.closed.Swap(true) && c.onClose != nil {
		c.onClose(c)
	}
}

// ended marks the connection as ended unless err is nil or a timeout. It
// returns err.
func (c *Conn) ended(err error) error {
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		c.SetClosed()
	}
	return err
}

// Read fills p with octets of the connection, below the framing.
func (c *Conn) Read(p []byte) (int, error) {
	if c.Closed() {
		return 0, ErrClosedConn
	}
	n, err := io.ReadFull(c.rw, p)
	return n, c.ended(err)
}

// Write writes octets to the connection, below the framing.
func (c *Conn) Write(p []byte) (int, error) {
	if c.Closed() {
		return 0, ErrClosedConn
	}
	n, err := c.rw.Write(p)
	return n, c.ended(err)
}

// SendCmd sends a command.
func (c *Conn) SendCmd(name string, body []byte) error {
	if c.Closed() {
		return ErrClosedConn
	}
	if len(name) > 255 {
		return ErrBadCmd
	}
	data := append(append([]byte{byte(len(name))}, name...), body...)
	frame, err := c.frame(flagCommand, data)
	if err != nil {
		return err
	}
	_, err = frame.WriteTo(c.rw)
	return c.ended(err)
}

// SendMsg sends a message.
func (c *Conn) SendMsg(msg Msg) error {
	if c.Closed() {
		return ErrClosedConn
	}
	var all net.Buffers
	for i, f := range msg.Frames {
		var flags byte
		if i < len(msg.Frames)-1 {
			flags = flagMore
		}
		frame, err := c.frame(flags, f)
		if err != nil {
			return fmt.Errorf("zmq4: could not encrypt frame %d/%d: %w", i+1, len(msg.Frames), err)
		}
		all = append(all, frame...)
	}
	_, err := all.WriteTo(c.rw)
	return c.ended(err)
}

// frame returns a frame with its header.
func (c *Conn) frame(flags byte, body []byte) (net.Buffers, error) {
	if c.sec.Type() != NullSecurity {
		var sealed bytes.Buffer
		if _, err := c.sec.Encrypt(&sealed, body); err != nil {
			return nil, err
		}
		body = sealed.Bytes()
	}
	header := []byte{flags, byte(len(body))}
	if len(body) > 255 {
		header = binary.BigEndian.AppendUint64([]byte{flags | flagLong}, uint64(len(body)))
	}
	return net.Buffers{header, body}, nil
}

// RecvMsg receives a message. It answers PING. Another command is returned as a
// message of the type CmdMsg whose frame is the body of the command, if it has
// one.
func (c *Conn) RecvMsg() (Msg, error) {
	for {
		msg, err := c.receive()
		if err != nil {
			msg.err = fmt.Errorf("zmq4: could not read message: %w", err)
			return msg, msg.err
		}
		if msg.Type != CmdMsg {
			return msg, nil
		}
		cmd, err := command(msg)
		switch {
		case err != nil:
			msg.err = err
			return msg, err
		case cmd.Name == CmdPing:
			var context []byte // which follows the TTL
			if len(cmd.Body) > 2 {
				context = cmd.Body[2:]
			}
			if err := c.SendCmd(CmdPong, context); err != nil {
				msg.err = err
				return msg, err
			}
			continue
		case len(cmd.Body) == 0:
			return Msg{Type: CmdMsg}, nil
		}
		return Msg{Type: CmdMsg, Frames: [][]byte{cmd.Body}}, nil
	}
}

// RecvCmd receives a command. It returns ErrBadFrame for a message.
func (c *Conn) RecvCmd() (Cmd, error) {
	msg, err := c.receive()
	if err != nil {
		return Cmd{}, fmt.Errorf("zmq4: could not read command: %w", err)
	}
	if msg.Type != CmdMsg {
		return Cmd{}, ErrBadFrame
	}
	return command(msg)
}

// command parses a command.
func command(msg Msg) (Cmd, error) {
	if len(msg.Frames) != 1 || len(msg.Frames[0]) == 0 {
		return Cmd{}, fmt.Errorf("%w: got %d frames, expected one that is not empty", ErrBadCmd, len(msg.Frames))
	}
	data := msg.Frames[0]
	n := 1 + int(data[0])
	if n > len(data) {
		return Cmd{}, ErrBadCmd
	}
	return Cmd{Name: string(data[1:n]), Body: data[n:]}, nil
}

// receive reads the frames of a message or command.
func (c *Conn) receive() (Msg, error) {
	if c.Closed() {
		return Msg{}, ErrClosedConn
	}
	var msg Msg
	for room := uint64(maxMessage); ; {
		flags, size, err := c.header()
		if err != nil {
			return Msg{}, c.ended(err)
		}
		if size > room || len(msg.Frames) == maxFrames {
			c.SetClosed()
			return Msg{}, fmt.Errorf("zmq4: message too large: expected at most %d octets and %d frames", maxMessage, maxFrames)
		}
		room -= size
		// The buffer grows with what arrives, not with what is announced.
		var body bytes.Buffer
		if _, err := io.CopyN(&body, c.rw, int64(size)); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Msg{}, c.ended(err)
		}
		if c.sec.Type() != NullSecurity {
			var opened bytes.Buffer
			if _, err := c.sec.Decrypt(&opened, body.Bytes()); err != nil {
				return Msg{}, err
			}
			body = opened
		}
		msg.Frames = append(msg.Frames, append([]byte{}, body.Bytes()...))
		if flags&flagCommand != 0 {
			msg.Type = CmdMsg
		}
		if flags&flagMore == 0 {
			return msg, nil
		}
	}
}

// header reads the header of a frame.
func (c *Conn) header() (flags byte, size uint64, err error) {
	var b [9]byte
	if _, err := io.ReadFull(c.rw, b[:2]); err != nil {
		return 0, 0, err
	}
	if b[0]&flagLong == 0 {
		return b[0], uint64(b[1]), nil
	}
	if _, err := io.ReadFull(c.rw, b[2:]); err != nil {
		return 0, 0, err
	}
	return b[0], binary.BigEndian.Uint64(b[1:]), nil
}
