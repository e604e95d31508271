package pipeline

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"lintel.dev/internal/memcached/mcproto"
)

// errNoMeta: the server has no meta commands, or not the dialect that requests use.
var errNoMeta = errors.New("no meta commands")

// errSilent: no answer to a command of the handshake came in time.
var errSilent = errors.New("no answer")

// errAlert: the server answered with a TLS alert.
var errAlert = errors.New("TLS alert")

// authenticate sends user name and password as memcached -Y expects them.
func (d *Dialer) authenticate(s *Stream) (bool, error) {
	token := d.Username + " " + d.Password
	line, err := ask(s, fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(token), token))
	if err == nil && string(line) != "STORED" {
		err = fmt.Errorf("%w: got %.40q, expected STORED", ErrAuth, line)
	}
	return false, err
}

// proveMeta finds out whether the server speaks the meta commands that requests use.
// memcached 1.6.0 to 1.6.9 answers MN to mn, too, but does not take the data block of
// ms as later versions do: it would execute the bytes of a value as commands. The
// proof is an ms with every flag that stores send, on a key that does not exist and in
// replace mode, so that nothing is stored. Its data block is no command. A server that
// takes the block answers NS, and then MN to the mn behind it.
//
// errNoMeta means that the connection must be replaced by one for classic commands.
func (d *Dialer) proveMeta(s *Stream) (meta bool, err error) {
	line, err := ask(s, "mn\r\n")
	switch {
	case err != nil && (isTimeout(err) || d.Protocol == Meta):
		return false, err
	case err != nil: // some proxies close the connection at a command they do not know
		return false, fmt.Errorf("%w: %w", errNoMeta, err)
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR unauthenticated")):
		return false, ErrAuth
	case string(line) == "MN":
		return true, d.proveStore(s)
	case d.Protocol == Meta:
		return false, fmt.Errorf("%w: %w: mn: got %.40q, expected MN", ErrProtocol, errNoMeta, line)
	case string(line) == "ERROR", bytes.HasPrefix(line, []byte("CLIENT_ERROR")), bytes.HasPrefix(line, []byte("SERVER_ERROR")):
		return false, nil
	}
	return false, fmt.Errorf("%w: mn: %w", errNoMeta, unexpected(line))
}

// proveStore is the second part of proveMeta.
func (d *Dialer) proveStore(s *Stream) error {
	key, flag := fmt.Sprintf("%s:%016x", helloKey, rand.Uint64()), ""
	if d.EncodeKeys {
		key, flag = string(mcproto.EncodeKey(nil, []byte(key))), " b"
	}
	line, err := ask(s, "ms "+key+" 2 F1 T1 C1 MR"+flag+" O1\r\n??\r\nmn\r\n")
	if err == nil {
		r, bad := mcproto.ParseMeta(line)
		refused := string(r.Code[:]) == "NS" || string(r.Code[:]) == "NF"
		if bad != nil || !refused || !r.HasOpaque || r.Opaque != 1 {
			return fmt.Errorf("%w: %w: ms: got %.40q, expected NS O1", ErrProtocol, errNoMeta, line)
		}
		if line, err = s.ReadLine(); err == nil && string(line) != "MN" {
			return fmt.Errorf("%w: %w: mn after ms: got %.40q, expected MN", ErrProtocol, errNoMeta, line)
		}
	}
	if err != nil && !isTimeout(err) {
		return fmt.Errorf("%w: %w", errNoMeta, err)
	}
	return err
}

// proveClassic checks that the server answers classic commands. A proxy answers
// SERVER_ERROR if its server for the key is down; it may have others.
func proveClassic(s *Stream) (bool, error) {
	line, err := ask(s, "get "+helloKey+"\r\n")
	if err == nil && string(line) != "END" && !bytes.HasPrefix(line, []byte("SERVER_ERROR")) {
		err = unexpected(line)
	}
	return false, err
}

// ask sends a request and reads a line.
func ask(s *Stream, request string) ([]byte, error) {
	if _, err := io.WriteString(s, request); err != nil {
		return nil, err
	}
	line, err := s.ReadLine()
	switch {
	case err == nil:
	case s.br.Buffered() >= 2:
		if b, _ := s.br.Peek(2); isAlert(b) {
			return nil, fmt.Errorf("%w: %w", errAlert, err)
		}
	case isTimeout(err):
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	return line, err
}

// isAlert reports whether b begins with the record of a TLS alert.
func isAlert(b []byte) bool { return len(b) >= 2 && b[0] == 0x15 && b[1] == 3 }

const silentHint = "the server may expect TLS: set Options.TLS"

// Hint explains why there is no connection yet, or is empty. A TLS server does not
// answer the first command of a client without TLS: it waits for more of a record.
func (d *Dialer) Hint() string {
	if d.TLS == nil && (d.asking.Load() > 0 || d.silent.Load()) {
		return " (" + silentHint + ")"
	}
	return ""
}

// hint explains errors of a client and a server of which only one uses TLS.
func (d *Dialer) hint(err error) string {
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &notTLS):
		return "the server does not speak TLS on this port; is Options.TLS set by mistake?"
	case errors.Is(err, errAlert):
		return "the server expects TLS: set Options.TLS"
	case errors.Is(err, errSilent) && d.TLS == nil:
		return silentHint
	}
	return ""
}
