package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"lintel.dev/internal/zmq/address"
)

// Options are what a connection or listener is made with. The zero value
// leaves everything to the system.
type Options struct {
	IPv6         bool
	Backlog      int
	SendBuffer   int // octets; 0 or less: the system's
	RecvBuffer   int
	TOS          int
	Priority     int
	BindToDevice string
	KeepAlive    int // 1 on, 0 off, -1: the system's default, which is off
	KeepIdle     time.Duration
	KeepInterval time.Duration
	KeepCount    int
	MaxRT        time.Duration
	// ConnectTimeout, if positive, bounds the attempt to connect, without what a
	// proxy, TLS or WebSocket do on the connection.
	ConnectTimeout time.Duration
	// Dial, if set, makes connections instead of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	WS   WebSocket // ws and wss
}

// Conn is a connection: a net.Conn, or a *ws.Conn.
type Conn interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	Close() error
}

// Listener accepts connections.
type Listener interface {
	Accept() (Conn, error)
	Close() error
	Addr() net.Addr
}

// Streams makes a net.Listener a Listener.
func Streams(ln net.Listener) Listener { return streams{ln} }

type streams struct{ net.Listener }

func (s streams) Accept() (Conn, error) { return s.Listener.Accept() }

// Dial connects to e. Names are looked up anew each time.
func Dial(ctx context.Context, e Endpoint, o Options) (Conn, error) {
	if e.Scheme == "ws" || e.Scheme == "wss" {
		return dialWS(ctx, e, o)
	}
	return dialStream(ctx, e, o)
}

// dialStream is Dial for the schemes without WebSocket.
func dialStream(ctx context.Context, e Endpoint, o Options) (net.Conn, error) {
	if o.ConnectTimeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.ConnectTimeout)
		defer stop()
	}
	network, to := "tcp", e.Address
	switch e.Scheme {
	case "ipc":
		network = "unix"
	case "vsock":
		a, err := parseVSOCK(to, false)
		if err != nil {
			return nil, err
		}
		if o.Dial == nil {
			return dialVSOCK(ctx, a)
		}
		network, to = a.Network(), a.String()
	case "tcp":
		host, port, err := address.Split(to)
		if err != nil {
			return nil, err
		}
		to = net.JoinHostPort(host, port)
		if !o.IPv6 && address.FamilyOf(host, address.IPv4) == address.IPv4 {
			network = "tcp4"
		}
		if e.Source != "" && o.Dial == nil {
			return o.dialFrom(ctx, e.Source, host, port)
		}
	default:
		return nil, fmt.Errorf("transport %s has no connections", e.Scheme)
	}
	if o.Dial != nil {
		return o.Dial(ctx, strings.TrimSuffix(network, "4"), to)
	}
	return o.dialNet(ctx, net.Dialer{ControlContext: o.control}, network, to)
}

// dialNet makes a connection of the system's and sets its options.
func (o Options) dialNet(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	d.KeepAliveConfig = o.keepAlive()
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if network != "unix" && conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// The kernel may pick the destination port as the source port.
		conn.Close()
		return nil, fmt.Errorf("connected to itself at %s", address)
	}
	return conn, o.tune(conn)
}

// dialFrom connects to host and port from a source address, which is of the family
// of host. A name may have addresses of both.
func (o Options) dialFrom(ctx context.Context, source, host, port string) (net.Conn, error) {
	d := net.Dialer{ControlContext: func(ctx context.Context, network, address string, c syscall.RawConn) error {
		// A fixed source port may still be in TIME_WAIT, or used to another peer.
		if err := reuseAddress(c); err != nil {
			return err
		}
		return o.control(ctx, network, address, c)
	}}
	families := []address.Family{address.FamilyOf(host, address.IPv4)}
	if o.IPv6 && address.FamilyOf(host, address.Any) == address.Any {
		families = append(families, address.IPv6)
	}
	var failed error
	for _, f := range families {
		local, err := resolveSource(source, f)
		if err == nil {
			d.LocalAddr = local
			var conn net.Conn
			if conn, err = o.dialNet(ctx, d, f.Network("tcp"), net.JoinHostPort(host, port)); err == nil {
				return conn, nil
			}
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// tune sets what can be set on any connection, also an accepted one.
func (o Options) tune(conn net.Conn) error {
	c, ok := conn.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	})
	if !ok {
		return nil
	}
	if o.SendBuffer > 0 {
		if err := c.SetWriteBuffer(o.SendBuffer); err != nil {
			conn.Close()
			return err
		}
	}
	if o.RecvBuffer > 0 {
		if err := c.SetReadBuffer(o.RecvBuffer); err != nil {
			conn.Close()
			return err
		}
	}
	return nil
}

// keepAlive translates the keep-alive options. libzmq, unlike Go, leaves
// keep-alive off by default.
func (o Options) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{
		Enable: o.KeepAlive == 1, Idle: ifSet(o.KeepIdle), Interval: ifSet(o.KeepInterval), Count: max(o.KeepCount, -1),
	}
}

func ifSet(d time.Duration) time.Duration {
	if d <= 0 {
		return -1
	}
	return d
}

// resolveSource returns the address of a family to connect from.
func resolveSource(source string, f address.Family) (*net.TCPAddr, error) {
	host, port, err := address.Split(source)
	if err != nil {
		return nil, err
	}
	if host, err = address.Local(host, f); err != nil {
		return nil, err
	}
	if port == "*" {
		port = "0"
	}
	return net.ResolveTCPAddr(f.Network("tcp"), net.JoinHostPort(host, port))
}

// Listen listens at e. The endpoint it returns is resolved: it can be
// connected to as far as wildcards allow.
func Listen(ctx context.Context, e Endpoint, o Options) (Listener, Endpoint, error) {
	var ln net.Listener
	var err error
	switch e.Scheme {
	case "ws", "wss":
		return listenWS(ctx, e, o)
	case "ipc":
		ln, e, err = listenIPC(ctx, e, o)
	case "vsock":
		ln, e, err = listenAtVSOCK(e, o)
	default:
		ln, e, err = listenTCP(ctx, e, o)
	}
	if err != nil {
		return nil, e, err
	}
	return Streams(ln), e, nil
}

func listenAtVSOCK(e Endpoint, o Options) (net.Listener, Endpoint, error) {
	a, err := parseVSOCK(e.Address, true)
	if err != nil {
		return nil, e, err
	}
	ln, err := listenVSOCK(a, o.Backlog)
	if err != nil {
		return nil, e, err
	}
	e.Address = ln.Addr().String()
	return ln, e, nil
}

func listenTCP(ctx context.Context, e Endpoint, o Options) (net.Listener, Endpoint, error) {
	host, port, err := address.Split(e.Address)
	if err != nil {
		return nil, e, err
	}
	f := address.IPv4
	if o.IPv6 {
		f = address.Any
	}
	if host, err = address.Local(host, f); err != nil {
		return nil, e, err
	}
	if port == "*" {
		port = "0"
	}
	// Go listens at both wildcard addresses when it is asked for either.
	network := "tcp"
	if address.FamilyOf(host, f) == address.IPv4 {
		network = "tcp4"
	}
	lc := net.ListenConfig{KeepAliveConfig: o.keepAlive(), Control: func(network, address string, c syscall.RawConn) error {
		return o.control(ctx, network, address, c)
	}}
	ln, err := lc.Listen(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, e, err
	}
	setBacklog(ln, o.Backlog)
	e.Address = address.Bound(ln.Addr().String(), host)
	return &tuned{ln, o}, e, nil
}

// tuned is a listener whose connections get the options.
type tuned struct {
	net.Listener
	o Options
}

func (t *tuned) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, t.o.tune(conn)
}

// wsaInUse is EADDRINUSE of Windows. No other system uses this number.
const wsaInUse = syscall.Errno(10048)

// InUse reports whether Listen failed because the address is in use.
func InUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaInUse)
}
