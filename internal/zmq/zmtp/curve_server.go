package zmtp

import "encoding/binary"

type curveServer struct {
	keys        KeyPair // S, s
	local, peer Metadata
	zap         bool
	random      func([]byte)

	state     State
	step      curveStep
	short     KeyPair // S', s'
	theirs    Key     // C'
	client    Key     // C
	cookieKey Key
	helloKey  Key    // C' with S
	key       Key    // C' with S'
	counter   uint64 // the client's last
	verdict   verdict
	sealer    *curveSealer
}

// counterReady is the first counter of the server: READY is its first box under
// the key of the traffic.
const counterReady = 1

// NewCurveServer returns the server side of CURVE with its long-term pair.
// Without zap it accepts every client that knows the server's key.
func NewCurveServer(keys KeyPair, local Metadata, zap bool) Mechanism {
	return &curveServer{keys: keys, local: local, zap: zap, random: randomBytes}
}

func (c *curveServer) Name() string   { return "CURVE" }
func (c *curveServer) AsServer() bool { return true }
func (c *curveServer) State() State   { return c.state }
func (c *curveServer) Peer() Metadata { return c.peer }

func (c *curveServer) Credentials() [][]byte {
	if c.step != curveReady {
		return nil
	}
	return [][]byte{append([]byte(nil), c.client[:]...)}
}

func (c *curveServer) Sealer() Sealer {
	if c.sealer == nil {
		return nil
	}
	return c.sealer
}

func (c *curveServer) Verdict(status int) {
	if c.state == StateZAP {
		c.state = c.verdict.settle(status, StateHandshake)
	}
}

func (c *curveServer) Produce(dst []byte) (out []byte, ok bool) {
	switch {
	case c.state == StateFailed:
		return c.verdict.produce(dst)
	case c.state != StateHandshake:
	case c.step == curveWelcome:
		c.step = curveInitiate
		return c.welcome(dst), true
	case c.step == curveReady:
		dst = append(dst, "\x05READY"...)
		dst = binary.BigEndian.AppendUint64(dst, counterReady)
		dst = seal(dst, c.local.append(nil), nonceReady, dst[len(dst)-8:], &c.key)
		c.sealer = newCurveSealer(&c.key, true, counterReady, c.counter)
		c.state = StateReady
		return dst, true
	}
	return dst, false
}

func (c *curveServer) welcome(dst []byte) []byte {
	c.short = newKeyPair(c.random)
	c.random(c.cookieKey[:])
	var cookieNonce, welcomeNonce [16]byte
	c.random(cookieNonce[:])
	c.random(welcomeNonce[:])

	secret := append(append(make([]byte, 0, 64), c.theirs[:]...), c.short.Secret[:]...)
	plain := append(make([]byte, 0, 128), c.short.Public[:]...)
	plain = append(plain, cookieNonce[:]...)
	plain = seal(plain, secret, nonceCookie, cookieNonce[:], &c.cookieKey)

	dst = append(dst, "\x07WELCOME"...)
	dst = append(dst, welcomeNonce[:]...)
	return seal(dst, plain, nonceWelcome, welcomeNonce[:], &c.helloKey)
}

func (c *curveServer) Consume(body []byte) error {
	err := c.consume(body)
	if err != nil {
		c.state = StateFailed
	}
	return err
}

func (c *curveServer) consume(body []byte) error {
	command, _, err := parseHandshake(body)
	switch {
	case err != nil:
		return err
	case c.state != StateHandshake:
		return unexpected("CURVE", body, "nothing before READY")
	case c.step == curveHello && command == CommandHello:
		return c.hello(body)
	case c.step == curveInitiate && command == CommandInitiate:
		return c.initiate(body)
	case c.step == curveHello:
		return unexpected("CURVE", body, "HELLO")
	}
	return unexpected("CURVE", body, "INITIATE")
}

func (c *curveServer) hello(body []byte) error {
	if len(body) != curveHelloSize {
		return errorf(CodeMalformedHello, "CURVE: HELLO of %d bytes, expected %d", len(body), curveHelloSize)
	}
	if body[6] != 1 || body[7] != 0 {
		return errorf(CodeMalformedHello, "CURVE: HELLO of version %d.%d, expected 1.0", body[6], body[7])
	}
	copy(c.theirs[:], body[80:])
	key, ok := c.keys.shared(&c.theirs)
	if !ok {
		return errorf(CodeKeyExchange, "CURVE: the client's short-term key is of low order")
	}
	plain, ok := open(nil, body[120:], nonceHello, body[112:120], &key)
	if !ok {
		return errorf(CodeCryptographic, "CURVE: HELLO does not open: the client has another key for this server")
	}
	var zeros [64]byte
	if !equal(plain, zeros[:]) {
		return errorf(CodeMalformedHello, "CURVE: HELLO whose box is not 64 zeros")
	}
	c.counter = binary.BigEndian.Uint64(body[112:])
	c.helloKey = key
	c.step = curveWelcome
	return nil
}

func (c *curveServer) initiate(body []byte) error {
	if len(body) < curveInitiateSize || len(body) > curveInitiateSize+MaxMetadata {
		return errorf(CodeMalformedInitiate, "CURVE: INITIATE of %d bytes, expected %d to %d",
			len(body), curveInitiateSize, curveInitiateSize+MaxMetadata)
	}
	cookie := body[9:105]
	secret, ok := open(nil, cookie[16:], nonceCookie, cookie[:16], &c.cookieKey)
	if !ok || !equal(secret[:KeySize], c.theirs[:]) || !equal(secret[KeySize:], c.short.Secret[:]) {
		return errorf(CodeCryptographic, "CURVE: INITIATE with a cookie that is not ours")
	}
	number := binary.BigEndian.Uint64(body[105:])
	if number <= c.counter {
		return errorf(CodeInvalidSequence, "CURVE: nonce %d after %d, expected it to grow", number, c.counter)
	}
	key, ok := c.short.shared(&c.theirs)
	if !ok {
		return errorf(CodeKeyExchange, "CURVE: the client's short-term key is of low order")
	}
	plain, ok := open(nil, body[113:], nonceInitiate, body[105:113], &key)
	if !ok {
		return errorf(CodeCryptographic, "CURVE: INITIATE does not open")
	}
	copy(c.client[:], plain)
	vouchKey, ok := c.short.shared(&c.client)
	if !ok {
		return errorf(CodeKeyExchange, "CURVE: the client's key is of low order")
	}
	vouched, ok := open(nil, plain[48:128], nonceVouch, plain[32:48], &vouchKey)
	if !ok || !equal(vouched[:KeySize], c.theirs[:]) || !equal(vouched[KeySize:], c.keys.Public[:]) {
		return errorf(CodeCryptographic, "CURVE: INITIATE with a vouch that is not for this connection")
	}
	peer, err := ParseMetadata(plain[128:])
	if err != nil {
		return err
	}
	c.peer, c.key, c.counter = peer, key, number
	c.step = curveReady
	if c.zap {
		c.state = StateZAP
	}
	return nil
}
