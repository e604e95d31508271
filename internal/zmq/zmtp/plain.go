package zmtp

import (
	"bytes"
	"slices"
)

// plainClient and plainServer are RFC 24: the client sends a user name and a
// password in the clear. The commands are HELLO, WELCOME, INITIATE and READY.
type plainClient struct {
	username, password string
	local, peer        Metadata
	state              State
	step               plainStep
}

type plainStep uint8

const (
	plainHello    plainStep = iota // HELLO is to be sent, or received by the server
	plainWelcome                   // WELCOME is
	plainInitiate                  // INITIATE is
	plainReady                     // READY is
)

// NewPlainClient returns the client side of PLAIN. The user name and the
// password have at most 255 bytes each; longer ones are an error.
func NewPlainClient(username, password string, local Metadata) (Mechanism, error) {
	if len(username) > 255 || len(password) > 255 {
		return nil, errorf(CodeUnspecified, "PLAIN user name of %d and password of %d bytes, expected at most 255 each", len(username), len(password))
	}
	return &plainClient{username: username, password: password, local: local}, nil
}

func (p *plainClient) Name() string          { return "PLAIN" }
func (p *plainClient) AsServer() bool        { return false }
func (p *plainClient) State() State          { return p.state }
func (p *plainClient) Credentials() [][]byte { return nil }
func (p *plainClient) Verdict(int)           {}
func (p *plainClient) Peer() Metadata        { return p.peer }
func (p *plainClient) Sealer() Sealer        { return nil }

func (p *plainClient) Produce(dst []byte) (out []byte, ok bool) {
	if p.state != StateHandshake {
		return dst, false
	}
	switch p.step {
	case plainHello:
		p.step = plainWelcome
		dst = append(dst, "\x05HELLO"...)
		dst = append(append(dst, byte(len(p.username))), p.username...)
		return append(append(dst, byte(len(p.password))), p.password...), true
	case plainInitiate:
		p.step = plainReady
		return p.local.append(append(dst, "\x08INITIATE"...)), true
	}
	return dst, false
}

func (p *plainClient) Consume(body []byte) error {
	err := p.consume(body)
	if err != nil {
		p.state = StateFailed
	}
	return err
}

func (p *plainClient) consume(body []byte) error {
	if reason, ok := bytes.CutPrefix(body, []byte(libzmqError)); ok {
		body = append([]byte("\x05ERROR"), reason...)
	}
	c, data, err := parseHandshake(body)
	if err != nil {
		return err
	}
	switch {
	case p.step == plainWelcome && c == CommandWelcome:
		if len(data) != 0 {
			return errorf(CodeMalformedWelcome, "PLAIN: WELCOME with %d bytes of data, expected none", len(data))
		}
		p.step = plainInitiate
		return nil
	case p.step == plainReady && c == CommandReady:
		if p.peer, err = ParseMetadata(data); err != nil {
			return err
		}
		p.state = StateReady
		return nil
	case p.step == plainWelcome:
		return unexpected("PLAIN", body, "WELCOME")
	}
	return unexpected("PLAIN", body, "READY")
}

// libzmqError is the name of ERROR in libzmq's PLAIN, with its length octet: a
// C compiler reads "\x05ERROR" of its source as 0x5E and RROR. libzmq's clients
// accept only this form; the right one is a protocol error to them. A client
// that follows the RFC closes the connection in both cases.
const libzmqError = "^RROR"

type plainServer struct {
	local, peer Metadata
	credentials [][]byte
	state       State
	step        plainStep
	verdict     verdict
}

// NewPlainServer returns the server side of PLAIN. It always needs a ZAP reply,
// because nothing else checks the password.
func NewPlainServer(local Metadata) Mechanism { return &plainServer{local: local} }

func (p *plainServer) Name() string          { return "PLAIN" }
func (p *plainServer) AsServer() bool        { return true }
func (p *plainServer) State() State          { return p.state }
func (p *plainServer) Credentials() [][]byte { return p.credentials }
func (p *plainServer) Peer() Metadata        { return p.peer }
func (p *plainServer) Sealer() Sealer        { return nil }

func (p *plainServer) Produce(dst []byte) (out []byte, ok bool) {
	switch {
	case p.state == StateFailed:
		start := len(dst)
		if dst, ok = p.verdict.produce(dst); ok {
			dst = slices.Replace(dst, start, start+len("\x05ERROR"), []byte(libzmqError)...)
		}
		return dst, ok
	case p.state != StateHandshake:
	case p.step == plainWelcome:
		p.step = plainInitiate
		return append(dst, "\x07WELCOME"...), true
	case p.step == plainReady:
		p.state = StateReady
		return AppendReady(dst, p.local), true
	}
	return dst, false
}

func (p *plainServer) Consume(body []byte) error {
	err := p.consume(body)
	if err != nil {
		p.state = StateFailed
	}
	return err
}

func (p *plainServer) consume(body []byte) error {
	c, data, err := parseHandshake(body)
	if err != nil {
		return err
	}
	switch {
	case p.state != StateHandshake:
		return unexpected("PLAIN", body, "nothing before WELCOME")
	case p.step == plainHello && c == CommandHello:
		username, rest, ok := cutShort(data)
		password, rest, ok2 := cutShort(rest)
		if !ok || !ok2 || len(rest) != 0 {
			return errorf(CodeMalformedHello, "PLAIN: HELLO of %d bytes, expected a user name and a password, each after its length", len(data))
		}
		p.credentials = [][]byte{username, password}
		p.step, p.state = plainWelcome, StateZAP
		return nil
	case p.step == plainInitiate && c == CommandInitiate:
		if p.peer, err = ParseMetadata(data); err != nil {
			return err
		}
		p.step = plainReady
		return nil
	case p.step == plainHello:
		return unexpected("PLAIN", body, "HELLO")
	}
	return unexpected("PLAIN", body, "INITIATE")
}

func (p *plainServer) Verdict(status int) {
	if p.state == StateZAP {
		p.state = p.verdict.settle(status, StateHandshake)
	}
}

// cutShort removes a string with its length octet from b and returns a copy.
func cutShort(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return append([]byte{}, b[1:n]...), b[n:], true
}
