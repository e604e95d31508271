package pipeline

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Protocol chooses the commands that a connection uses.
type Protocol int

// The protocols.
const (
	Auto    Protocol = iota // meta commands if the server has them, else classic ones
	Meta                    // meta commands only
	Classic                 // classic commands only; no meta command is ever sent
)

// Dialer makes connections to one server. Its fields must not be changed after the
// first use.
type Dialer struct {
	Host string // a name or an IP address
	Port int
	Path string // of a unix socket; Host and Port are unused if it is set

	Dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	Resolver interface {
		LookupHost(ctx context.Context, host string) (addrs []string, err error)
	}
	TLS                *tls.Config // nil: not encrypted
	Username, Password string      // both empty: no authentication
	Protocol           Protocol
	EncodeKeys         bool // keys may be sent in base64

	DialTimeout, ReadTimeout, WriteTimeout time.Duration
	MaxItemSize                            int

	classic atomic.Bool  // learnt: the server has no meta commands
	asking  atomic.Int32 // steps of handshakes that wait for an answer
	silent  atomic.Bool  // the last step had none in time
}

// Connect returns a connection that is ready for requests. Its goroutines are counted
// in wg. onDown is called once, when the connection ended.
//
// Errors match ErrTimeout, ErrAuth, ErrProtocol or ErrServerDown.
func (d *Dialer) Connect(ctx context.Context, wg *sync.WaitGroup, onDown func(*Conn, error)) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.DialTimeout)
	defer cancel()
	s, meta, err := d.negotiate(ctx)
	if err != nil {
		return nil, d.dialError(ctx, err)
	}
	return newConn(s.Conn, s.br, meta, s.ip, d, wg, onDown), nil
}

// negotiate connects and finds out whether the server speaks meta commands.
func (d *Dialer) negotiate(ctx context.Context) (s *Stream, meta bool, err error) {
	if d.Protocol == Classic || d.classic.Load() {
		s, err = d.open(ctx)
		return s, false, err
	}
	if s, err = d.open(ctx); err != nil {
		return nil, false, err
	}
	meta, err = d.within(ctx, s, d.proveMeta)
	if !errors.Is(err, errNoMeta) || d.Protocol == Meta {
		return s, meta, err
	}
	// The server closed the connection, or may be out of step: start again.
	hungUp := !errors.Is(err, ErrProtocol)
	if s, err = d.open(ctx); err != nil {
		return nil, false, err
	}
	if _, err = d.within(ctx, s, proveClassic); err == nil && hungUp {
		d.classic.Store(true)
	}
	return s, false, err
}

// Downgrade makes further connections use classic commands.
func (d *Dialer) Downgrade() { d.classic.Store(true) }

// Open returns a connection for commands of the caller's own, without pipelining.
func (d *Dialer) Open(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, d.DialTimeout)
	defer cancel()
	s, err := d.open(ctx)
	if err != nil {
		return nil, d.dialError(ctx, err)
	}
	return s, nil
}

// OpenConn is Open with a net.Conn for its result.
func (d *Dialer) OpenConn(ctx context.Context) (net.Conn, error) {
	s, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// dialError classifies an error of connecting.
func (d *Dialer) dialError(ctx context.Context, err error) error {
	if hint := d.hint(err); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	switch {
	case errors.Is(err, ErrAuth), errors.Is(err, ErrProtocol):
		return err
	case ctx.Err() == context.DeadlineExceeded || isTimeout(err):
		return fmt.Errorf("%w: connecting: %w", ErrTimeout, err)
	}
	return &DownError{err}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// DownError is the reason why a server is down. It matches ErrServerDown.
type DownError struct{ Cause error }

func (e *DownError) Error() string {
	return ErrServerDown.Error() + ": " + strings.TrimPrefix(e.Cause.Error(), "memcache: ")
}

// Is reports whether target is ErrServerDown.
func (e *DownError) Is(target error) bool { return target == ErrServerDown }

func (e *DownError) Unwrap() error { return e.Cause }

// Stream is an encrypted and authenticated connection.
type Stream struct {
	net.Conn
	br *bufio.Reader
	ip string
}

// ReadLine returns the next line without its ending. It is valid until the next call.
// Lines of more than 32 KiB are an error.
func (s *Stream) ReadLine() ([]byte, error) {
	p := parser{br: s.br}
	return p.line()
}

// Read reads from the connection's buffer.
func (s *Stream) Read(b []byte) (int, error) { return s.br.Read(b) }

// open connects, encrypts and authenticates.
func (d *Dialer) open(ctx context.Context) (*Stream, error) {
	sock, ip, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	nc := newRawConn(sock)
	if d.TLS != nil && d.Path == "" {
		cfg := d.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = d.Host
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			sock.Close()
			return nil, err
		}
		nc = tc
	}
	s := &Stream{Conn: nc, br: bufio.NewReaderSize(nc, readBuffer), ip: ip}
	if d.Username != "" || d.Password != "" {
		if _, err := d.within(ctx, s, d.authenticate); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// within runs a step of the handshake that ends with ctx. It closes the connection if
// the step fails.
func (d *Dialer) within(ctx context.Context, s *Stream, step func(*Stream) (bool, error)) (result bool, err error) {
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	d.asking.Add(1)
	result, err = step(s)
	d.silent.Store(errors.Is(err, errSilent))
	d.asking.Add(-1)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Close()
	}
	return result, err
}

// connect tries the host's addresses in turn.
func (d *Dialer) connect(ctx context.Context) (nc net.Conn, ip string, err error) {
	if d.Path != "" {
		nc, err = d.Dial(ctx, "unix", d.Path)
		return nc, "", err
	}
	ips := []string{d.Host}
	if net.ParseIP(d.Host) == nil {
		if ips, err = d.Resolver.LookupHost(ctx, d.Host); err != nil {
			return nil, "", err
		}
	}
	err = fmt.Errorf("no address for host %s", d.Host)
	for _, ip := range ips {
		nc, err = d.Dial(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(d.Port)))
		if err == nil || ctx.Err() != nil {
			return nc, ip, err
		}
	}
	return nil, "", err
}
