package zmtp

import "encoding/binary"

type curveClient struct {
	keys        KeyPair // C, c
	server      Key     // S
	local, peer Metadata
	random      func([]byte)

	state    State
	step     curveStep
	short    KeyPair // C', c'
	theirs   Key     // S'
	cookie   [curveCookieSize]byte
	helloKey Key // C' with S
	key      Key // C' with S'
	sealer   *curveSealer
}

// curveStep is the command that comes next in a CURVE handshake.
type curveStep uint8

const (
	curveHello curveStep = iota
	curveWelcome
	curveInitiate
	curveReady
)

// Counters of the client: HELLO is its first box, INITIATE its second.
const (
	counterHello    = 1
	counterInitiate = 2
)

// NewCurveClient returns the client side of CURVE. keys is its long-term pair,
// server the public key that it expects of the server.
func NewCurveClient(keys KeyPair, server Key, local Metadata) Mechanism {
	return &curveClient{keys: keys, server: server, local: local, random: randomBytes}
}

func (c *curveClient) Name() string          { return "CURVE" }
func (c *curveClient) AsServer() bool        { return false }
func (c *curveClient) State() State          { return c.state }
func (c *curveClient) Credentials() [][]byte { return nil }
func (c *curveClient) Verdict(int)           {}
func (c *curveClient) Peer() Metadata        { return c.peer }

func (c *curveClient) Sealer() Sealer {
	if c.sealer == nil {
		return nil
	}
	return c.sealer
}

func (c *curveClient) Produce(dst []byte) (out []byte, ok bool) {
	if c.state != StateHandshake {
		return dst, false
	}
	switch c.step {
	case curveHello:
		c.step = curveWelcome
		return c.hello(dst)
	case curveInitiate:
		c.step = curveReady
		return c.initiate(dst)
	}
	return dst, false
}

func (c *curveClient) hello(dst []byte) (out []byte, ok bool) {
	c.short = newKeyPair(c.random)
	if c.helloKey, ok = c.short.shared(&c.server); !ok {
		// A server key of low order protects nothing: stop before anything is
		// sent.
		c.state = StateFailed
		return dst, false
	}
	var zeros [72]byte
	dst = append(dst, "\x05HELLO\x01\x00"...)
	dst = append(dst, zeros[:]...)
	dst = append(dst, c.short.Public[:]...)
	dst = binary.BigEndian.AppendUint64(dst, counterHello)
	return seal(dst, zeros[:64], nonceHello, dst[len(dst)-8:], &c.helloKey), true
}

func (c *curveClient) initiate(dst []byte) (out []byte, ok bool) {
	vouchKey, ok := c.keys.shared(&c.theirs)
	if !ok {
		c.state = StateFailed
		return dst, false
	}
	var vouchNonce [16]byte
	c.random(vouchNonce[:])
	vouched := append(append(make([]byte, 0, 64), c.short.Public[:]...), c.server[:]...)

	plain := append(make([]byte, 0, 128+64), c.keys.Public[:]...)
	plain = append(plain, vouchNonce[:]...)
	plain = seal(plain, vouched, nonceVouch, vouchNonce[:], &vouchKey)
	plain = c.local.append(plain)

	dst = append(dst, "\x08INITIATE"...)
	dst = append(dst, c.cookie[:]...)
	dst = binary.BigEndian.AppendUint64(dst, counterInitiate)
	return seal(dst, plain, nonceInitiate, dst[len(dst)-8:], &c.key), true
}

func (c *curveClient) Consume(body []byte) error {
	err := c.consume(body)
	if err != nil {
		c.state = StateFailed
	}
	return err
}

func (c *curveClient) consume(body []byte) error {
	command, _, err := parseHandshake(body)
	switch {
	case err != nil:
		return err
	case c.step == curveWelcome && command == CommandWelcome:
		return c.welcome(body)
	case c.step == curveReady && command == CommandReady && c.state == StateHandshake:
		return c.ready(body)
	case c.step == curveWelcome:
		return unexpected("CURVE", body, "WELCOME")
	}
	return unexpected("CURVE", body, "READY")
}

func (c *curveClient) welcome(body []byte) error {
	if len(body) != curveWelcomeSize {
		return errorf(CodeMalformedWelcome, "CURVE: WELCOME of %d bytes, expected %d", len(body), curveWelcomeSize)
	}
	plain, ok := open(nil, body[24:], nonceWelcome, body[8:24], &c.helloKey)
	if !ok {
		return errorf(CodeCryptographic, "CURVE: WELCOME does not open with the server's key")
	}
	copy(c.theirs[:], plain)
	copy(c.cookie[:], plain[KeySize:])
	if c.key, ok = c.short.shared(&c.theirs); !ok {
		return errorf(CodeKeyExchange, "CURVE: the server's short-term key is of low order")
	}
	c.step = curveInitiate
	return nil
}

func (c *curveClient) ready(body []byte) error {
	if len(body) < curveReadySize || len(body) > curveReadySize+MaxMetadata {
		return errorf(CodeMalformedReady, "CURVE: READY of %d bytes, expected %d to %d", len(body), curveReadySize, curveReadySize+MaxMetadata)
	}
	plain, ok := open(nil, body[14:], nonceReady, body[6:14], &c.key)
	if !ok {
		return errorf(CodeCryptographic, "CURVE: READY does not open")
	}
	peer, err := ParseMetadata(plain)
	if err != nil {
		return err
	}
	c.peer = peer
	c.sealer = newCurveSealer(&c.key, false, counterInitiate, binary.BigEndian.Uint64(body[6:]))
	c.state = StateReady
	return nil
}
