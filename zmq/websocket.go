package zmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// WithTLS sets the TLS configuration of wss endpoints. To bind one, it needs
// a certificate.
func WithTLS(cfg *tls.Config) Option { return set(func(o *options) { o.TLS = cfg }) }

// ownTLS is a TLS configuration that no other socket has.
func (o *options) ownTLS() *tls.Config {
	if o.TLS == nil {
		o.TLS = new(tls.Config)
	}
	o.TLS = o.TLS.Clone()
	return o.TLS
}

func setWSSKey(o *options, v string) error {
	o.wssKey = v
	return o.wssPair()
}

func setWSSCert(o *options, v string) error {
	o.wssCert = v
	return o.wssPair()
}

// wssPair takes over a certificate and its key once both are there.
func (o *options) wssPair() error {
	if o.wssKey == "" || o.wssCert == "" {
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(o.wssCert), []byte(o.wssKey))
	if err == nil {
		o.ownTLS().Certificates = []tls.Certificate{pair}
	}
	return err
}

// setWSSTrust adds certificates in PEM to those that sign a server's.
func setWSSTrust(o *options, v string) error {
	cfg := o.ownTLS()
	if cfg.RootCAs == nil {
		cfg.RootCAs = x509.NewCertPool()
	}
	cfg.RootCAs = cfg.RootCAs.Clone()
	if !cfg.RootCAs.AppendCertsFromPEM([]byte(v)) {
		return errors.New("no certificate in it, expected PEM")
	}
	return nil
}

// setWSSTrustSystem lets the certificates that the system trusts sign a
// server's; without wss_trust_pem they do anyway.
func setWSSTrustSystem(o *options, v string) error {
	on, err := parseFlag(v)
	if err != nil || !on {
		return err
	}
	if pool, err := x509.SystemCertPool(); err == nil {
		o.ownTLS().RootCAs = pool
	}
	return nil
}

func setWSSHostname(o *options, v string) error {
	if len(v) > maxOctets {
		return fmt.Errorf("%d octets, expected at most %d", len(v), maxOctets)
	}
	o.ownTLS().ServerName = v
	return nil
}

func getWSSHostname(o *options) string {
	if o.TLS == nil {
		return ""
	}
	return o.TLS.ServerName
}

// webSocket is what the ws transport must know of the socket.
// mechanism returns the name of the security mechanism.
func (e *Endpoint) mechanism() string {
	if m := e.o.Security.Mechanism; m != "" {
		return m
	}
	return mechanismNull
}

func (e *Endpoint) webSocket() transport.WebSocket {
	ws := transport.WebSocket{
		Mechanism: e.mechanism(), TLS: e.o.TLS, Origins: e.o.WebSocketOrigins,
		Failed: func(err error) { e.s.emit(event.Event{Type: event.AcceptFailed, Endpoint: e.addr, Err: err}) },
	}
	if e.o.SocksProxy != "" {
		ws.DialTCP = func(ctx context.Context, to transport.Endpoint) (net.Conn, error) {
			o := e.transportOptions()
			return transport.DialSOCKS(ctx, to, o, e.socksProxy())
		}
	}
	return ws
}

func (e *Endpoint) socksProxy() transport.Proxy {
	return transport.Proxy{Address: e.o.SocksProxy, Username: e.o.SocksUsername, Password: e.o.SocksPassword}
}

// WebSocketHandler binds s to an http.Handler: peers connect by WebSocket
// (ZWS 2.0, RFC 45) to the address at which the caller serves the handler.
// The handler refuses requests after the Endpoint or the socket is closed.
// It returns ErrNotSupported for a STREAM.
func WebSocketHandler(s Socket) (http.Handler, *Endpoint, error) {
	c := s.base()
	if c.typ == zmtp.STREAM {
		return nil, nil, fmt.Errorf("zmq: WebSocket handler of a STREAM: %w", ErrNotSupported)
	}
	if err := c.alive(); err != nil {
		return nil, nil, err
	}
	at := transport.Endpoint{Scheme: "ws", Address: "handler"}
	e := c.newEndpoint(at.String(), at, true)
	u := transport.NewUpgrader(e.webSocket(), &net.TCPAddr{})
	e, err := c.listen(e, u)
	if err != nil {
		return nil, nil, err
	}
	return u, e, nil
}
