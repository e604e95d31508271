package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/internal/zmq/address"
	"lintel.dev/internal/zmq/ws"
)

// WebSocket is what ws and wss need besides the options of tcp.
type WebSocket struct {
	Mechanism string      // NULL, PLAIN or CURVE
	TLS       *tls.Config // wss; a listener needs a certificate
	Origins   []string    // hosts whose pages may connect, * for all; empty: the host of the endpoint
	// Failed, if set, is called when a TLS handshake or an HTTP request of a client
	// fails before there is a connection.
	Failed func(err error)
	// DialTCP, if set, makes the connection under the WebSocket.
	DialTCP func(ctx context.Context, e Endpoint) (net.Conn, error)
}

// headerTimeout bounds the time for the header of an upgrade request.
const headerTimeout = 30 * time.Second

func dialWS(ctx context.Context, e Endpoint, o Options) (Conn, error) {
	var conn net.Conn
	dial := o.WS.DialTCP
	if dial == nil {
		dial = func(ctx context.Context, e Endpoint) (net.Conn, error) { return dialStream(ctx, e, o) }
	}
	t := &http.Transport{
		TLSClientConfig: o.WS.TLS,
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
			c, err := dial(ctx, Endpoint{Scheme: "tcp", Address: to})
			conn = c
			return c, err
		},
	}
	defer t.CloseIdleConnections()
	host, port, err := address.Split(e.Address)
	if err != nil {
		return nil, err
	}
	to, err := e.request()
	if err != nil {
		return nil, err
	}
	to.Scheme, to.Host = e.Scheme, net.JoinHostPort(host, port)
	c, resp, err := websocket.Dial(ctx, to.String(), &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: t},
		Subprotocols: ws.Subprotocols(o.WS.Mechanism),
	})
	if err != nil {
		if resp != nil && resp.Body != nil {
			reason, _ := io.ReadAll(resp.Body) // at most 1,024 octets
			err = fmt.Errorf("%w: %q", err, strings.TrimSpace(string(reason)))
		}
		return nil, err
	}
	if c.Subprotocol() == "" {
		c.CloseNow()
		return nil, fmt.Errorf("the server at %s does not speak %s", e, strings.Join(ws.Subprotocols(o.WS.Mechanism), " or "))
	}
	return ws.NewConn(c, conn.LocalAddr(), conn.RemoteAddr()), nil
}

// request returns the path and the query that a client asks for.
func (e Endpoint) request() (*url.URL, error) {
	u, err := url.Parse("//host" + e.Path)
	if err == nil && u.Path == "" {
		u.Path = "/"
	}
	return u, err
}

// listenWS serves upgrades at one path of a new tcp listener.
func listenWS(ctx context.Context, e Endpoint, o Options) (Listener, Endpoint, error) {
	if e.Scheme == "wss" && (o.WS.TLS == nil || len(o.WS.TLS.Certificates) == 0 && o.WS.TLS.GetCertificate == nil && o.WS.TLS.GetConfigForClient == nil) {
		return nil, e, errors.New("wss needs a TLS configuration with a certificate")
	}
	want, err := e.request()
	if err != nil {
		return nil, e, err
	}
	tcp, at, err := listenTCP(ctx, Endpoint{Scheme: "tcp", Address: e.Address}, o)
	if err != nil {
		return nil, e, err
	}
	e.Address = at.Address
	l := NewUpgrader(o.WS, tcp.Addr())
	l.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != want.Path || want.RawQuery != "" && r.URL.RawQuery != want.RawQuery {
				l.ws.failed(fmt.Errorf("%s asks for the path %q, expected %q", r.RemoteAddr, r.URL.RequestURI(), want.RequestURI()))
				http.NotFound(w, r)
				return
			}
			l.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout,
		TLSConfig:         o.WS.TLS,
		ErrorLog:          log.New(failures{o.WS}, "", 0), // by default, that is standard error
	}
	l.tcp = tcp
	l.serve = func() { l.server.Serve(tcp) }
	if e.Scheme == "wss" {
		l.serve = func() { l.server.ServeTLS(tcp, "", "") }
	}
	return l, e, nil
}

// failures reports each line that is written.
type failures struct{ ws WebSocket }

func (f failures) Write(line []byte) (int, error) {
	f.ws.failed(errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}

// failed calls Failed.
func (w *WebSocket) failed(err error) {
	if w.Failed != nil {
		w.Failed(err)
	}
}

// Upgrader is an http.Handler whose upgraded connections are accepted like a
// listener's.
type Upgrader struct {
	ws      WebSocket
	addr    net.Addr
	server  *http.Server // nil if the application serves the Upgrader
	tcp     net.Listener // of server
	serve   func()       // runs server; called by the first Accept
	started sync.Once
	running sync.WaitGroup
	conns   chan Conn
	done    chan struct{}
	closing func()
}

// NewUpgrader returns an Upgrader whose Addr is addr.
func NewUpgrader(ws WebSocket, addr net.Addr) *Upgrader {
	u := &Upgrader{ws: ws, addr: addr, conns: make(chan Conn), done: make(chan struct{})}
	u.closing = sync.OnceFunc(func() {
		close(u.done)
		if u.server != nil {
			u.started.Do(func() {})
			u.server.Close()
			u.tcp.Close()
		}
	})
	return u
}

// ServeHTTP upgrades the request to a connection and hands it to Accept.
func (u *Upgrader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-u.done:
		http.Error(w, "the socket is closed", http.StatusServiceUnavailable)
		return
	default:
	}
	offers := ws.Subprotocols(u.ws.Mechanism)
	if !slices.ContainsFunc(offered(r), func(p string) bool { return slices.Contains(offers, p) }) {
		reason := "expected a WebSocket with subprotocol " + strings.Join(offers, " or ")
		u.ws.failed(fmt.Errorf("%s offers %q, %s", r.RemoteAddr, offered(r), reason))
		http.Error(w, reason, http.StatusBadRequest)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: offers, OriginPatterns: u.ws.Origins})
	if err != nil {
		u.ws.failed(fmt.Errorf("%s: %w", r.RemoteAddr, err))
		return // Accept has answered the request
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	conn := ws.NewConn(c, local, textAddr(r.RemoteAddr))
	select {
	case u.conns <- conn:
	case <-u.done:
		conn.Close()
	}
}

// offered returns the subprotocols that the client offers.
func offered(r *http.Request) []string {
	var all []string
	for _, h := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(h, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}

// Accept waits for a connection.
func (u *Upgrader) Accept() (Conn, error) {
	if u.server != nil {
		u.started.Do(func() { u.running.Go(u.serve) })
	}
	select {
	case c := <-u.conns:
		return c, nil
	case <-u.done:
		return nil, net.ErrClosed
	}
}

// Close ends the server, if the Upgrader has one, and makes it refuse further
// requests.
func (u *Upgrader) Close() error {
	u.closing()
	u.running.Wait()
	return nil
}

// Addr returns the address that NewUpgrader was given.
func (u *Upgrader) Addr() net.Addr { return u.addr }

// textAddr is an address in text form.
type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }
