// Package plain has the PLAIN mechanism of package zmq4: a user name and a
// password, sent in the clear (RFC 24).
//
// A socket that listens accepts the clients that have the user name and password
// of its own Security.
package plain

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	zmq4 "lintel.dev/compat/gozeromq"
)

type security struct{ user, password string }

// Security returns the PLAIN mechanism with a user name and a password of up to
// 255 octets.
func Security(user, pass string) zmq4.Security { return &security{user, pass} }

func (*security) Type() zmq4.SecurityType { return zmq4.PlainSecurity }

// Credentials returns the user name and the password, for package zmq4.
func (s *security) Credentials() (user, password string) { return s.user, s.password }

// Handshake exchanges HELLO, WELCOME, INITIATE and READY. The server refuses
// other credentials than its own.
func (s *security) Handshake(conn *zmq4.Conn, server bool) error {
	meta, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return fmt.Errorf("security/plain: %w", err)
	}
	if server {
		return s.serve(conn, meta)
	}
	if len(s.user) > 255 || len(s.password) > 255 {
		return errors.New("security/plain: user name or password of more than 255 octets")
	}
	hello := append([]byte{byte(len(s.user))}, s.user...)
	hello = append(append(hello, byte(len(s.password))), s.password...)
	if err := conn.SendCmd(zmq4.CmdHello, hello); err != nil {
		return fmt.Errorf("security/plain: send HELLO: %w", err)
	}
	if _, err := expect(conn, zmq4.CmdWelcome); err != nil {
		return err
	}
	if err := conn.SendCmd(zmq4.CmdInitiate, meta); err != nil {
		return fmt.Errorf("security/plain: send INITIATE: %w", err)
	}
	ready, err := expect(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	return unmarshal(conn, ready)
}

func (s *security) serve(conn *zmq4.Conn, meta []byte) error {
	hello, err := expect(conn, zmq4.CmdHello)
	if err != nil {
		return err
	}
	if !s.matches(hello) {
		refused := errors.New("security/plain: client refused: wrong user name or password")
		return errors.Join(refused, conn.SendCmd(zmq4.CmdError, []byte("\x03400")))
	}
	if err := conn.SendCmd(zmq4.CmdWelcome, nil); err != nil {
		return fmt.Errorf("security/plain: send WELCOME: %w", err)
	}
	initiate, err := expect(conn, zmq4.CmdInitiate)
	if err != nil {
		return err
	}
	if err := unmarshal(conn, initiate); err != nil {
		return err
	}
	if err := conn.SendCmd(zmq4.CmdReady, meta); err != nil {
		return fmt.Errorf("security/plain: send READY: %w", err)
	}
	return nil
}

// matches reports whether the body of a HELLO has the credentials of s.
func (s *security) matches(hello []byte) bool {
	user, rest, ok := field(hello)
	if !ok {
		return false
	}
	password, rest, ok := field(rest)
	same := subtle.ConstantTimeCompare(user, []byte(s.user)) & subtle.ConstantTimeCompare(password, []byte(s.password))
	return ok && len(rest) == 0 && same == 1
}

// field cuts a text with its length in front.
func field(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+int(b[0])], b[1+int(b[0]):], true
}

// expect receives a command.
func expect(conn *zmq4.Conn, name string) ([]byte, error) {
	cmd, err := conn.RecvCmd()
	if err != nil {
		return nil, fmt.Errorf("security/plain: receive %s: %w", name, err)
	}
	if cmd.Name != name {
		return nil, fmt.Errorf("security/plain: got command %q, expected %s: %w", cmd.Name, name, zmq4.ErrBadCmd)
	}
	return cmd.Body, nil
}

func unmarshal(conn *zmq4.Conn, meta []byte) error {
	if err := conn.Peer.Meta.UnmarshalZMTP(meta); err != nil {
		return fmt.Errorf("security/plain: metadata of the peer: %w", err)
	}
	return nil
}

func (*security) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
func (*security) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
