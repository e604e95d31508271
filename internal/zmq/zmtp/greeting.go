package zmtp

import "encoding/binary"

// Version is the protocol version of a connection.
type Version uint8

// The versions, oldest first. Version 3.1 is used with a peer that announces a
// later one.
const (
	ZMTP10 Version = iota + 1
	ZMTP20
	ZMTP30
	ZMTP31
)

func (v Version) String() string {
	switch v {
	case ZMTP10:
		return "1.0"
	case ZMTP20:
		return "2.0"
	case ZMTP30:
		return "3.0"
	case ZMTP31:
		return "3.1"
	}
	return "unknown"
}

const (
	signatureSize = 10
	revisionAt    = 10
	minorAt       = 11
	mechanismAt   = 12
	mechanismSize = 20
	asServerAt    = 32
	greeting2Size = 12

	// GreetingSize is the length of a ZMTP 3 greeting, and the most bytes that
	// Advance ever asks for.
	GreetingSize = 64
)

// GreetingConfig is what one side announces before any message.
type GreetingConfig struct {
	Mechanism  string     // "NULL", "PLAIN" or "CURVE"
	AsServer   bool       // this side is the server of the mechanism
	SocketType SocketType // sent to a ZMTP 2.0 peer
	Identity   []byte     // sent to a ZMTP 1.0 or 2.0 peer; at most 255 bytes

	// RequireV3 refuses older peers, which have no security, even if the
	// mechanism is NULL. Set it together with a ZAP domain. Any other mechanism
	// refuses them anyway.
	RequireV3 bool
}

// Greeting is one side of the greeting (RFC 23 section 3). It is sent in
// stages, so that an older peer is recognised before version 3 is announced.
type Greeting struct {
	cfg         GreetingConfig
	sent        int // bytes of our greeting handed out so far
	version     Version
	unversioned bool
}

// NewGreeting returns a greeting. It keeps cfg.Identity.
func NewGreeting(cfg GreetingConfig) *Greeting { return &Greeting{cfg: cfg} }

// Advance looks at in, everything received on the connection so far, and
// appends to dst what is to be sent now. Call it once with an empty in when the
// connection opens and again whenever more bytes arrived; until done, nothing
// of in is consumed and the caller keeps it (at most GreetingSize bytes are
// needed). When done, the first n bytes of in are the greeting and the rest is
// traffic. An *Error means that the connection must be closed; what was
// appended to dst may still be sent.
//
// To peers older than ZMTP 3 the appended bytes include our identity message,
// and the first message of such a peer is its identity.
func (g *Greeting) Advance(dst, in []byte) (out []byte, n int, done bool, err error) {
	if g.sent == 0 {
		dst = append(dst, 0xff)
		dst = binary.BigEndian.AppendUint64(dst, uint64(len(g.cfg.Identity))+1)
		dst = append(dst, 0x7f)
		g.sent = signatureSize
	}
	if len(in) == 0 {
		return dst, 0, false, nil
	}
	if in[0] != 0xff || len(in) >= signatureSize && in[signatureSize-1]&1 == 0 {
		if err := g.refuseOld("1.0"); err != nil {
			return dst, 0, false, err
		}
		// The signature is the header of a ZMTP 1.0 identity message; its body
		// completes it.
		g.version, g.unversioned = ZMTP10, true
		return append(dst, g.cfg.Identity...), 0, true, nil
	}
	if len(in) < signatureSize {
		return dst, 0, false, nil
	}
	if g.sent == revisionAt {
		dst = append(dst, 3)
		g.sent++
	}
	if len(in) <= revisionAt {
		return dst, 0, false, nil
	}
	if in[revisionAt] < 2 {
		return g.advance2(dst, in)
	}
	return g.advance3(dst, in)
}

func (g *Greeting) advance2(dst, in []byte) (out []byte, n int, done bool, err error) {
	version := ZMTP10
	if in[revisionAt] == 1 {
		version = ZMTP20
	}
	if err := g.refuseOld(version.String()); err != nil {
		return dst, 0, false, err
	}
	if g.sent == minorAt {
		dst = append(dst, byte(g.cfg.SocketType))
		g.sent++
	}
	if len(in) < greeting2Size {
		return dst, 0, false, nil
	}
	g.version = version
	// libzmq does not check the socket type at minorAt either.
	return g.Framing().Append(dst, 0, g.cfg.Identity), greeting2Size, true, nil
}

func (g *Greeting) advance3(dst, in []byte) (out []byte, n int, done bool, err error) {
	if g.sent == minorAt {
		var rest [GreetingSize - minorAt]byte
		rest[0] = 1
		copy(rest[mechanismAt-minorAt:asServerAt-minorAt], g.cfg.Mechanism)
		if g.cfg.AsServer {
			rest[asServerAt-minorAt] = 1
		}
		dst = append(dst, rest[:]...)
		g.sent = GreetingSize
	}
	if len(in) < GreetingSize {
		return dst, 0, false, nil
	}
	g.version = ZMTP31
	if in[revisionAt] == 3 && in[minorAt] == 0 {
		g.version = ZMTP30
	}
	// libzmq never sets the bit at asServerAt, so nothing may depend on it.
	name := in[mechanismAt:asServerAt]
	end := 0
	for end < len(name) && name[end] != 0 {
		end++
	}
	mechanism := string(name[:end])
	for _, c := range name[end:] {
		if c != 0 {
			return dst, 0, false, errorf(CodeMechanismMismatch, "mechanism name %q is not padded with zeros", name)
		}
	}
	if mechanism != g.cfg.Mechanism {
		return dst, 0, false, errorf(CodeMechanismMismatch, "the peer speaks mechanism %q, expected %q", mechanism, g.cfg.Mechanism)
	}
	return dst, GreetingSize, true, nil
}

func (g *Greeting) refuseOld(version string) error {
	if g.cfg.RequireV3 || g.cfg.Mechanism != "NULL" {
		return errorf(CodeUnspecified, "the peer speaks ZMTP %s, which has no security, expected 3.0 or later", version)
	}
	return nil
}

// Version returns the protocol agreed on, valid when Advance is done.
func (g *Greeting) Version() Version { return g.version }

// Framing returns the layout of the frames that follow the greeting.
func (g *Greeting) Framing() Framing {
	if g.version == ZMTP10 {
		return Framing1
	}
	return Framing2
}

// Unversioned reports whether the peer is so old that it sends no greeting at
// all. Such a peer does not forward subscriptions, so a publisher sends it
// everything.
func (g *Greeting) Unversioned() bool { return g.unversioned }
