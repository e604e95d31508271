package zmq4

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"

	"lintel.dev/zmq"
)

// SecurityType is the name of a ZMTP security mechanism.
type SecurityType string

// The security mechanisms. The packages security/null and security/plain
// implement the first two.
const (
	NullSecurity  SecurityType = "NULL"
	PlainSecurity SecurityType = "PLAIN"
	CurveSecurity SecurityType = "CURVE"
)

// Security is a ZMTP security mechanism.
type Security interface {
	// Type returns the name of the mechanism.
	Type() SecurityType

	// Handshake exchanges the commands of the mechanism, after the greeting. It
	// sends conn.Meta and sets conn.Peer.Meta.
	Handshake(conn *Conn, server bool) error

	// Encrypt writes the encrypted form of data to w.
	Encrypt(w io.Writer, data []byte) (int, error)

	// Decrypt writes the decrypted form of data to w.
	Decrypt(w io.Writer, data []byte) (int, error)
}

// credentials is implemented by the Security of package security/plain.
type credentials interface {
	Credentials() (user, password string)
}

// plain returns the credentials of a socket with the PLAIN mechanism. ok is
// false for NULL. Other mechanisms are an error.
func (s *socket) plain() (user, password string, ok bool, err error) {
	if s.sec == nil || s.sec.Type() == NullSecurity {
		return "", "", false, nil
	}
	if c, is := s.sec.(credentials); is && s.sec.Type() == PlainSecurity {
		user, password = c.Credentials()
		return user, password, true, nil
	}
	return "", "", false, fmt.Errorf("zmq4: security %s (%T): sockets have only those of security/null and security/plain", s.sec.Type(), s.sec)
}

// open opens an endpoint for Listen (server) or Dial, with the mechanism of the
// socket. The events of the endpoint are read from then on.
func (s *socket) open(server bool, open func() error) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.closing {
		return context.Canceled
	}
	s.watch()
	if err := s.secure(server); err != nil {
		return err
	}
	return open()
}

// secure sets the mechanism of the next endpoint.
func (s *socket) secure(server bool) error {
	user, password, ok, err := s.plain()
	if err != nil || !ok {
		return err
	}
	if server {
		return s.z.SetOption("plain_server", "1")
	}
	if err := s.z.SetOption("plain_username", user); err != nil {
		return err
	}
	return s.z.SetOption("plain_password", password)
}

// authenticate accepts the clients that have the credentials of the socket.
func (s *socket) authenticate(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
	user, password, ok, err := s.plain()
	if err != nil || !ok {
		return zmq.AuthResult{Allow: err == nil}, err
	}
	same := subtle.ConstantTimeCompare([]byte(user), []byte(r.Username)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(r.Password))
	return zmq.AuthResult{Allow: r.Mechanism == "PLAIN" && same == 1, UserID: user}, nil
}
