package zmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/zmtp"
)

// The mechanisms; the empty string is NULL too.
const (
	mechanismNull  = "NULL"
	mechanismPlain = "PLAIN"
	mechanismCurve = "CURVE"
)

// security is how a socket proves its identity and what it demands of its
// peers. The zero value is NULL: nothing.
type security struct {
	Mechanism string
	Server    bool // the peer authenticates itself to this socket

	Username, Password string // of a PLAIN client, each 1 to 255 octets

	PublicKey PublicKey // of CURVE; zero: the one of SecretKey
	SecretKey SecretKey // of CURVE, on both sides
	ServerKey PublicKey // of a CURVE client: the server's key

	// ZAPDomain is sent to the authenticator. NULL peers are only checked when
	// it is set.
	ZAPDomain string
	// ZAPEnforceDomain skips the authenticator when there is no domain, and
	// refuses CURVE peers when there is one and no authenticator.
	ZAPEnforceDomain bool

	// Authenticator, if set, decides about peers instead of a ZAP handler at
	// inproc://zeromq.zap.01.
	Authenticator Authenticator
}

// Authenticator decides whether a peer may connect. ctx ends when the peer
// leaves or the handshake times out. An error is a temporary failure: the
// connection ends without a reason, and the peer may try again. What it returns
// after ctx has ended is ignored.
type Authenticator func(ctx context.Context, r AuthRequest) (AuthResult, error)

// AuthRequest describes a peer that wants to connect (RFC 27).
type AuthRequest struct {
	Domain    string    // of the option zap_domain
	Address   string    // of the peer, without its port; over ipc localhost:USER:GROUP:PROCESS (on Linux)
	Identity  []byte    // the routing id of this socket
	Mechanism string    // "NULL", "PLAIN" or "CURVE"
	Username  string    // of PLAIN
	Password  string    // of PLAIN
	PublicKey PublicKey // of CURVE
}

// AuthResult is the decision of an Authenticator. The zero value refuses.
type AuthResult struct {
	Allow    bool
	UserID   string            // becomes PeerInfo.UserID
	Metadata map[string]string // added to PeerInfo.Properties
}

// PublicKey is a public key of CURVE. Its text form is 40 characters of Z85
// (RFC 32). The zero value is no key.
type PublicKey [32]byte

// ParsePublicKey reads a key of 40 characters of Z85, or of 32 octets.
func ParsePublicKey(s string) (PublicKey, error) {
	k, err := zmtp.ParseKey(s)
	return PublicKey(k), err
}

// String returns the key in Z85.
func (k PublicKey) String() string { return zmtp.Key(k).String() }

// MarshalText returns the key in Z85.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a key as ParsePublicKey does.
func (k *PublicKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePublicKey(string(text))
	return err
}

// SecretKey is a secret key of CURVE. Printing it with any verb of package
// fmt, logging it with log/slog and encoding it as text or JSON show the word
// REDACTED instead; Text returns the key. The zero value is no key.
type SecretKey struct {
	// A function, because package fmt shows what unexported fields hold, and
	// what they point to, without calling their methods.
	pair func() zmtp.KeyPair
}

// NewSecretKey returns a new random key.
func NewSecretKey() SecretKey {
	return secretKey(zmtp.NewKeyPair())
}

func secretKey(p zmtp.KeyPair) SecretKey { return SecretKey{func() zmtp.KeyPair { return p }} }

// ParseSecretKey reads a key of 40 characters of Z85, or of 32 octets. Its
// errors do not show the key.
func ParseSecretKey(s string) (SecretKey, error) {
	k, err := zmtp.ParseKey(s)
	if err != nil {
		return SecretKey{}, fmt.Errorf("zmq: secret key of %d characters, expected 40 of Z85 or 32 octets", len(s))
	}
	return secretKey(zmtp.PairOf(k)), nil
}

// Public returns the public key that belongs to k.
func (k SecretKey) Public() PublicKey { return PublicKey(k.keys().Public) }

// IsZero reports whether k is no key.
func (k SecretKey) IsZero() bool { return k.pair == nil }

func (k SecretKey) keys() zmtp.KeyPair {
	if k.pair == nil {
		return zmtp.PairOf(zmtp.Key{})
	}
	return k.pair()
}

// Text returns the key in Z85, to be stored.
func (k SecretKey) Text() string { return k.keys().Secret.String() }

const redacted = "REDACTED"

// String returns REDACTED.
func (SecretKey) String() string { return redacted }

// Format writes REDACTED for every verb.
func (SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns REDACTED.
func (SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (SecretKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads a key as ParseSecretKey does.
func (k *SecretKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParseSecretKey(string(text))
	return err
}

// WithPlain makes the socket a PLAIN client. Name and password have 1 to 255
// octets. They are sent unencrypted. The option plain_server makes a server.
func WithPlain(username, password string) Option {
	return func(o *options) error {
		if n := len(username); n < 1 || n > 255 {
			return fmt.Errorf("zmq: PLAIN user name of %d octets, expected 1 to 255", n)
		}
		if n := len(password); n < 1 || n > 255 {
			return fmt.Errorf("zmq: PLAIN password of %d octets, expected 1 to 255", n)
		}
		o.Security.Mechanism, o.Security.Server = mechanismPlain, false
		o.Security.Username, o.Security.Password = username, password
		return nil
	}
}

// WithCurve makes the socket a CURVE client with the given secret key, of the
// server that has the given public key.
func WithCurve(secret SecretKey, serverPublic PublicKey) Option {
	return set(func(o *options) {
		o.Security.Mechanism, o.Security.Server = mechanismCurve, false
		o.Security.PublicKey, o.Security.SecretKey, o.Security.ServerKey = secret.Public(), secret, serverPublic
	})
}

// WithCurveServer makes the socket a CURVE server with the given secret key.
// Without an Authenticator or a ZAP handler it accepts every client that knows
// the public key.
func WithCurveServer(secret SecretKey) Option {
	return set(func(o *options) {
		o.Security.Mechanism, o.Security.Server = mechanismCurve, true
		o.Security.PublicKey, o.Security.SecretKey = secret.Public(), secret
	})
}

// WithAuthenticator lets f decide about every peer that connects to the
// socket, with any mechanism. f may be called by several goroutines at once.
// Without it, a REP or ROUTER bound to inproc://zeromq.zap.01 in the same
// Context decides, as RFC 27 has it; the options zap_domain and
// zap_enforce_domain belong to it.
func WithAuthenticator(f Authenticator) Option {
	return set(func(o *options) { o.Security.Authenticator = f })
}

// zapEndpoint is where a ZAP handler is bound.
const zapEndpoint = "inproc://zeromq.zap.01"

// secures returns why the endpoint cannot have the mechanism of the socket, nil if it
// can. In-process endpoints need none.
func (e *Endpoint) secures() error {
	m := e.o.Security.Mechanism
	switch {
	case m == "" || m == mechanismNull || e.at.Scheme == "inproc":
		return nil
	case e.at.Group():
		return fmt.Errorf("zmq: %s has no handshake, %s cannot secure it: %w", e.at.Scheme, m, ErrNotSupported)
	case e.s.typ == zmtp.STREAM, e.s.typ == zmtp.ROUTER && e.o.RouterRaw:
		return fmt.Errorf("zmq: a STREAM or raw ROUTER speaks no ZMTP, %s cannot secure it: %w", m, ErrNotSupported)
	}
	return e.o.Security.complete()
}

// complete returns an error that names a missing key, without which every handshake
// would fail.
func (sec *security) complete() error {
	switch {
	case sec.Mechanism != mechanismCurve:
	case sec.SecretKey.IsZero():
		return errors.New("zmq: CURVE without curve_secretkey, expected the socket's own key")
	case !sec.Server && sec.ServerKey == (PublicKey{}):
		return errors.New("zmq: CURVE client without curve_serverkey, expected the server's public key")
	}
	return nil
}

// asks reports whether an authenticator decides about the peers of a server. handler
// reports whether the Context has a ZAP handler.
func (sec *security) asks(handler bool) bool {
	if sec.Authenticator != nil {
		return true
	}
	switch sec.Mechanism {
	case mechanismPlain:
		return true
	case mechanismCurve:
		if sec.ZAPEnforceDomain {
			return sec.ZAPDomain != ""
		}
		return handler
	}
	return sec.ZAPDomain != "" && (handler || sec.ZAPEnforceDomain)
}

// Mechanism returns this side of the security handshake.
func (x *session) Mechanism() (zmtp.Mechanism, error) {
	sec := &x.ep.o.Security
	zap := sec.asks(x.s.ctx.hasZAP())
	switch {
	case sec.Mechanism == mechanismPlain && sec.Server:
		return zmtp.NewPlainServer(x.metadata()), nil
	case sec.Mechanism == mechanismPlain:
		return zmtp.NewPlainClient(sec.Username, sec.Password, x.metadata())
	case sec.Mechanism == mechanismCurve && sec.Server:
		return zmtp.NewCurveServer(sec.keys(), x.metadata(), zap), nil
	case sec.Mechanism == mechanismCurve:
		return zmtp.NewCurveClient(sec.keys(), zmtp.Key(sec.ServerKey), x.metadata()), nil
	}
	return zmtp.NewNull(x.metadata(), zap), nil
}

// keys returns the pair of CURVE, with the public key that was set.
func (sec *security) keys() zmtp.KeyPair {
	keys := sec.SecretKey.keys()
	if sec.PublicKey != (PublicKey{}) {
		keys.Public = zmtp.Key(sec.PublicKey)
	}
	return keys
}

func (c *Context) hasZAP() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inproc["zeromq.zap.01"] != nil
}

// metadata is what the handshake announces.
func (x *session) metadata() zmtp.Metadata {
	t := x.s.typ
	m := zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(t.String())}}
	if t.AnnouncesIdentity() {
		m = append(m, zmtp.Property{Name: zmtp.PropertyIdentity, Value: x.ep.o.Identity})
	}
	if x.s.drains() {
		m = append(m, zmtp.Property{Name: zmtp.PropertyDrain, Value: []byte("1")})
	}
	for name, value := range x.ep.o.Metadata {
		m = append(m, zmtp.Property{Name: name, Value: []byte(value)})
	}
	return m
}

// address is the address of the peer as authenticators get it.
func (x *session) address() string {
	if c, ok := x.conn.(net.Conn); ok && x.ep.at.Scheme == "ipc" {
		return transport.PeerName(c)
	}
	remote := x.eng.Remote()
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// Authenticate asks the authenticator, or the ZAP handler, about the peer.
func (x *session) Authenticate(ctx context.Context, m zmtp.Mechanism) (status int, err error) {
	sec := &x.ep.o.Security
	address := x.address()
	credentials := m.Credentials()
	if sec.Authenticator != nil {
		r := AuthRequest{Domain: sec.ZAPDomain, Address: address, Identity: x.ep.o.Identity, Mechanism: m.Name()}
		switch {
		case r.Mechanism == mechanismPlain && len(credentials) == 2:
			r.Username, r.Password = string(credentials[0]), string(credentials[1])
		case r.Mechanism == mechanismCurve && len(credentials) == 1:
			copy(r.PublicKey[:], credentials[0])
		}
		res, err := inTime(ctx, func() (AuthResult, error) { return sec.Authenticator(ctx, r) }, nil)
		switch {
		case err != nil:
			status = zmtp.StatusRetry
		case !res.Allow:
			status = zmtp.StatusDenied
		default:
			status = zmtp.StatusOK
			x.userID = res.UserID
			for name, value := range res.Metadata {
				x.granted = append(x.granted, zmtp.Property{Name: name, Value: []byte(value)})
			}
		}
	} else {
		if !x.s.ctx.hasZAP() {
			return 0, ErrNoAuthenticator
		}
		reply, err := x.s.ctx.askZAP(ctx, zmtp.ZAPRequest{
			Domain: sec.ZAPDomain, Address: address, Identity: x.ep.o.Identity,
			Mechanism: m.Name(), Credentials: credentials,
		})
		if err != nil {
			return 0, err
		}
		status = reply.Status
		x.userID, x.granted = reply.UserID, reply.Metadata
	}
	return status, nil
}

// inTime returns what f returns, or the error of ctx when that is done first. A
// function of the application that ignores its context delays only itself. late,
// if not nil, gets the result that came too late without an error.
func inTime[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		if late != nil {
			go func() {
				if r := <-done; r.err == nil {
					late(r.v)
				}
			}()
		}
		var none T
		return none, ctx.Err()
	}
}

// askZAP sends one request to the ZAP handler and waits for the reply.
func (c *Context) askZAP(ctx context.Context, r zmtp.ZAPRequest) (zmtp.ZAPReply, error) {
	d, err := NewDealer(InContext(c), WithLinger(0))
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
