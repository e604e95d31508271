// Package null has the NULL mechanism of package zmq4: connections without
// authentication and encryption (RFC 23).
package null

import (
	"fmt"
	"io"

	zmq4 "lintel.dev/compat/gozeromq"
)

type security struct{}

// Security returns the NULL mechanism, which is the default of sockets.
func Security() zmq4.Security { return security{} }

func (security) Type() zmq4.SecurityType { return zmq4.NullSecurity }

// Handshake exchanges READY commands.
func (security) Handshake(conn *zmq4.Conn, _ bool) error {
	meta, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return fmt.Errorf("security/null: %w", err)
	}
	if err := conn.SendCmd(zmq4.CmdReady, meta); err != nil {
		return fmt.Errorf("security/null: send READY: %w", err)
	}
	cmd, err := conn.RecvCmd()
	if err != nil {
		return fmt.Errorf("security/null: receive READY: %w", err)
	}
	if cmd.Name != zmq4.CmdReady {
		return fmt.Errorf("security/null: got command %q, expected READY: %w", cmd.Name, zmq4.ErrBadCmd)
	}
	if err := conn.Peer.Meta.UnmarshalZMTP(cmd.Body); err != nil {
		return fmt.Errorf("security/null: metadata of the peer: %w", err)
	}
	return nil
}

func (security) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
func (security) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
