package zmq

import (
	"context"
	"errors"
	"fmt"
	"net"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/zmtp"
)

// Mechanism is how peers prove who they are.
type Mechanism string

// The mechanisms. The empty Mechanism is NULL too.
const (
	MechanismNull  Mechanism = "NULL"
	MechanismPlain Mechanism = "PLAIN"
	MechanismCurve Mechanism = "CURVE"
)

// Security says how a socket proves who it is and what it asks of its peers.
// The zero value is NULL: nothing.
type Security struct {
	Mechanism Mechanism
	Server    bool // the peer has to convince us

	Username, Password string // of a PLAIN client, each 1 to 255 octets

	PublicKey, SecretKey CurveKey // of CURVE: ours, on both sides
	ServerKey            CurveKey // of a CURVE client: the server's public key

	// ZAPDomain is what the authenticator is asked about. NULL peers are only
	// checked when it is set.
	ZAPDomain string
	// ZAPEnforceDomain asks nobody when there is no domain, and refuses CURVE
	// peers when there is one and nobody to ask.
	ZAPEnforceDomain bool

	// Authenticator, if set, decides about peers instead of a ZAP handler at
	// inproc://zeromq.zap.01.
	Authenticator Authenticator
}

// Authenticator decides whether a peer may connect. An error is a temporary
// failure: the peer is told nothing and may try again.
type Authenticator func(ctx context.Context, r AuthRequest) (AuthResult, error)

// AuthRequest is a peer that wants to connect (RFC 27).
type AuthRequest struct {
	Domain    string
	Address   string // of the peer, without its port; over ipc localhost:USER:GROUP:PROCESS (on Linux)
	Identity  []byte // our routing id
	Mechanism Mechanism
	Username  string   // of PLAIN
	Password  string   // of PLAIN
	PublicKey CurveKey // of CURVE
}

// AuthResult is the decision. The zero value refuses.
type AuthResult struct {
	Allow    bool
	UserID   string            // shown with the peer's messages
	Metadata map[string]string // likewise
}

// CurveKey is a key of CURVE, public or secret. Its text is Z85.
type CurveKey [32]byte

// ParseCurveKey reads a key: 40 characters of Z85, or 32 octets as they are.
func ParseCurveKey(s string) (CurveKey, error) {
	k, err := zmtp.ParseKey(s)
	return CurveKey(k), err
}

// String is the key in Z85.
func (k CurveKey) String() string { return zmtp.Key(k).String() }

// MarshalText is the key in Z85.
func (k CurveKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a key as ParseCurveKey does.
func (k *CurveKey) UnmarshalText(text []byte) error {
	key, err := ParseCurveKey(string(text))
	if err == nil {
		*k = key
	}
	return err
}

// NewCurveKeys makes a random pair of keys.
func NewCurveKeys() (public, secret CurveKey) {
	p := zmtp.NewKeyPair()
	return CurveKey(p.Public), CurveKey(p.Secret)
}

// CurvePublicKey is the public key that belongs to a secret one.
func CurvePublicKey(secret CurveKey) CurveKey { return CurveKey(zmtp.PublicKey(zmtp.Key(secret))) }

// WithPlain makes the socket a PLAIN client.
func WithPlain(username, password string) Option {
	return func(o *Options) error {
		if n := len(username); n < 1 || n > 255 {
			return fmt.Errorf("zmq: PLAIN user name of %d octets, expected 1 to 255", n)
		}
		if n := len(password); n < 1 || n > 255 {
			return fmt.Errorf("zmq: PLAIN password of %d octets, expected 1 to 255", n)
		}
		o.Security.Mechanism, o.Security.Server = MechanismPlain, false
		o.Security.Username, o.Security.Password = username, password
		return nil
	}
}

// WithPlainServer makes the socket a PLAIN server. Without an authenticator
// or a ZAP handler nobody gets in.
func WithPlainServer() Option {
	return set(func(o *Options) { o.Security.Mechanism, o.Security.Server = MechanismPlain, true })
}

// WithCurve makes the socket a CURVE client with the keys given, of a server
// known by its public key.
func WithCurve(public, secret, server CurveKey) Option {
	return set(func(o *Options) {
		o.Security.Mechanism, o.Security.Server = MechanismCurve, false
		o.Security.PublicKey, o.Security.SecretKey, o.Security.ServerKey = public, secret, server
	})
}

// WithCurveServer makes the socket a CURVE server. Without an authenticator or
// a ZAP handler every client that knows the public key gets in.
func WithCurveServer(secret CurveKey) Option {
	return set(func(o *Options) {
		o.Security.Mechanism, o.Security.Server = MechanismCurve, true
		o.Security.PublicKey, o.Security.SecretKey = CurvePublicKey(secret), secret
	})
}

// WithAuthenticator lets f decide about every peer that connects to the
// socket, whatever the mechanism.
func WithAuthenticator(f Authenticator) Option {
	return set(func(o *Options) { o.Security.Authenticator = f })
}

// WithZAP sets the domain that a ZAP handler is asked about, and whether
// there must be a handler.
func WithZAP(domain string, enforce bool) Option {
	return set(func(o *Options) { o.Security.ZAPDomain, o.Security.ZAPEnforceDomain = domain, enforce })
}

// zapEndpoint is where a ZAP handler is bound.
const zapEndpoint = "inproc://zeromq.zap.01"

// secures says why the endpoint cannot have the mechanism that the socket is
// set to, nil if it can. In process nothing is to be secured.
func (e *Endpoint) secures() error {
	m := e.o.Security.Mechanism
	switch {
	case m == "" || m == MechanismNull || e.at.Scheme == "inproc":
		return nil
	case e.at.Group():
		return fmt.Errorf("zmq: %s has no handshake, %s cannot secure it: %w", e.at.Scheme, m, ErrNotSupported)
	case e.s.typ == TypeStream, e.s.typ == TypeRouter && e.o.RouterRaw:
		return fmt.Errorf("zmq: a STREAM or raw ROUTER speaks no ZMTP, %s cannot secure it: %w", m, ErrNotSupported)
	}
	return e.o.Security.complete()
}

// complete says which key is missing: without it every handshake would fail.
func (sec *Security) complete() error {
	switch {
	case sec.Mechanism != MechanismCurve:
	case sec.SecretKey == (CurveKey{}):
		return errors.New("zmq: CURVE without curve_secretkey, expected the socket's own key")
	case !sec.Server && sec.ServerKey == (CurveKey{}):
		return errors.New("zmq: CURVE client without curve_serverkey, expected the server's public key")
	}
	return nil
}

// asks tells whether an authenticator decides about the peers of a server.
func (sec *Security) asks(handler bool) bool {
	if sec.Authenticator != nil {
		return true
	}
	switch sec.Mechanism {
	case MechanismPlain:
		return true
	case MechanismCurve:
		if sec.ZAPEnforceDomain {
			return sec.ZAPDomain != ""
		}
		return handler
	}
	return sec.ZAPDomain != "" && (handler || sec.ZAPEnforceDomain)
}

// mechanism makes our side of the handshake.
func (l *link) mechanism() (zmtp.Mechanism, error) {
	sec := &l.ep.o.Security
	zap := sec.asks(l.s.ctx.hasZAP())
	keys := zmtp.KeyPair{Public: zmtp.Key(sec.PublicKey), Secret: zmtp.Key(sec.SecretKey)}
	if sec.Mechanism == MechanismCurve && keys.Public == (zmtp.Key{}) {
		keys.Public = zmtp.PublicKey(keys.Secret)
	}
	switch {
	case sec.Mechanism == MechanismPlain && sec.Server:
		return zmtp.NewPlainServer(l.metadata()), nil
	case sec.Mechanism == MechanismPlain:
		return zmtp.NewPlainClient(sec.Username, sec.Password, l.metadata())
	case sec.Mechanism == MechanismCurve && sec.Server:
		return zmtp.NewCurveServer(keys, l.metadata(), zap), nil
	case sec.Mechanism == MechanismCurve:
		return zmtp.NewCurveClient(keys, zmtp.Key(sec.ServerKey), l.metadata()), nil
	}
	return zmtp.NewNull(l.metadata(), zap), nil
}

func (c *Context) hasZAP() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inproc["zeromq.zap.01"] != nil
}

var errNoZAP = errors.New("zmq: no authenticator and no ZAP handler to ask about the peer")

// address is what authenticators know the peer by.
func (l *link) address() string {
	if l.ep.at.Scheme == "ipc" {
		return transport.PeerName(l.conn)
	}
	if host, _, err := net.SplitHostPort(l.remote); err == nil {
		return host
	}
	return l.remote
}

// authenticate asks about the peer and tells m the verdict.
func (l *link) authenticate(ctx context.Context, m zmtp.Mechanism) error {
	sec := &l.ep.o.Security
	address := l.address()
	credentials := m.Credentials()
	var status int
	if sec.Authenticator != nil {
		r := AuthRequest{Domain: sec.ZAPDomain, Address: address, Identity: l.ep.o.Identity, Mechanism: Mechanism(m.Name())}
		switch {
		case r.Mechanism == MechanismPlain && len(credentials) == 2:
			r.Username, r.Password = string(credentials[0]), string(credentials[1])
		case r.Mechanism == MechanismCurve && len(credentials) == 1:
			copy(r.PublicKey[:], credentials[0])
		}
		res, err := sec.Authenticator(ctx, r)
		switch {
		case err != nil:
			status = zmtp.StatusRetry
		case !res.Allow:
			status = zmtp.StatusDenied
		default:
			status = zmtp.StatusOK
			l.peer.userID = res.UserID
			for name, value := range res.Metadata {
				l.peer.granted = append(l.peer.granted, zmtp.Property{Name: name, Value: []byte(value)})
			}
		}
	} else {
		if !l.s.ctx.hasZAP() {
			return errNoZAP
		}
		reply, err := l.s.ctx.askZAP(ctx, zmtp.ZAPRequest{
			Domain: sec.ZAPDomain, Address: address, Identity: l.ep.o.Identity,
			Mechanism: m.Name(), Credentials: credentials,
		})
		if err != nil {
			return err
		}
		status = reply.Status
		l.peer.userID, l.peer.granted = reply.UserID, reply.Metadata
	}
	if status != zmtp.StatusOK {
		l.status = uint32(status)
	}
	m.Verdict(status)
	return nil
}

// askZAP puts one question to the ZAP handler.
func (c *Context) askZAP(ctx context.Context, r zmtp.ZAPRequest) (zmtp.ZAPReply, error) {
	d, err := NewDealer(WithContext(c), WithLinger(0))
	if err != nil {
		return zmtp.ZAPReply{}, err
	}
	defer d.Close()
	if _, err := d.Connect(zapEndpoint); err != nil {
		return zmtp.ZAPReply{}, err
	}
	if err := d.out.sendMsg(ctx, flow.Message{Parts: append([][]byte{nil}, r.Frames()...)}); err != nil {
		return zmtp.ZAPReply{}, err
	}
	m, err := d.Recv(ctx)
	if err != nil {
		return zmtp.ZAPReply{}, fmt.Errorf("zmq: ZAP handler: %w", err)
	}
	if len(m[0]) != 0 {
		return zmtp.ZAPReply{}, &zmtp.Error{Code: zmtp.CodeZAPMalformed, Text: "ZAP reply without an empty frame in front"}
	}
	return zmtp.ParseZAPReply(m[1:], "")
}
