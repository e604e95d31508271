package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
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
	network, address := "tcp", e.Address
	switch e.Scheme {
	case "ipc":
		network = "unix"
	case "vsock":
		a, err := parseVSOCK(address, false)
		if err != nil {
			return nil, err
		}
		if o.Dial == nil {
			return dialVSOCK(ctx, a)
		}
		network, address = a.Network(), a.String()
	case "tcp":
		host, port, err := splitHostPort(address)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, port)
		if !o.IPv6 && !isIPv6(host) {
			network = "tcp4"
		}
	default:
		return nil, fmt.Errorf("transport %s has no connections", e.Scheme)
	}
	if o.Dial != nil {
		return o.Dial(ctx, strings.TrimSuffix(network, "4"), address)
	}
	d := net.Dialer{KeepAliveConfig: o.keepAlive(), ControlContext: o.control}
	if e.Source != "" {
		d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
			// A fixed source port may still be in TIME_WAIT, or used to another peer.
			if err := reuseAddress(c); err != nil {
				return err
			}
			return o.control(ctx, network, address, c)
		}
		local, err := resolveSource(e.Source, o.IPv6)
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
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

func isIPv4(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is4()
}

func isIPv6(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is6()
}

func resolveSource(source string, v6 bool) (*net.TCPAddr, error) {
	host, port, err := splitHostPort(source)
	if err != nil {
		return nil, err
	}
	if host, err = interfaceAddr(host, v6); err != nil {
		return nil, err
	}
	if port == "*" {
		port = "0"
	}
	return net.ResolveTCPAddr("tcp", net.JoinHostPort(host, port))
}

// interfaceAddr turns * into the wildcard address and the name of an
// interface into its first address; anything else is left as it is.
func interfaceAddr(host string, v6 bool) (string, error) {
	if host == "*" {
		if v6 {
			return "::", nil
		}
		return "0.0.0.0", nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	i, err := net.InterfaceByName(host)
	if err != nil {
		return host, nil
	}
	addrs, err := i.Addrs()
	if err != nil {
		return "", err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (v6 || n.IP.To4() != nil) {
			if n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
				return n.IP.String() + "%" + host, nil
			}
			return n.IP.String(), nil
		}
	}
	return "", fmt.Errorf("interface %s has no usable address", host)
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
	host, port, err := splitHostPort(e.Address)
	if err != nil {
		return nil, e, err
	}
	if host, err = interfaceAddr(host, o.IPv6); err != nil {
		return nil, e, err
	}
	if port == "*" {
		port = "0"
	}
	// Go listens at both wildcard addresses when it is asked for either.
	network := "tcp"
	if isIPv4(host) || !o.IPv6 && !isIPv6(host) {
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
	e.Address = ln.Addr().String()
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
