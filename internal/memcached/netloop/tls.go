package netloop

import (
	"context"
	"crypto/tls"
	"net"
)

// TLSListener is a listener whose connections use TLS. Loop.Serve accepts from
// Plain, so that the event loops can serve its connections.
type TLSListener interface {
	net.Listener // Accept returns a *tls.Conn
	// Plain returns the listener below TLS. Closing either closes both.
	Plain() net.Listener
	// Config returns the configuration of the connections.
	Config() *tls.Config
}

// handshaker is implemented by *tls.Conn.
type handshaker interface {
	HandshakeContext(context.Context) error
}
