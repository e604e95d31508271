package memcache

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// dial connects and finds out what the server speaks.
func (s *server) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	ask := askMeta
	if s.classic.Load() {
		ask = askNothing
	}
	c, err := s.dialOnce(ctx, ask)
	if errors.Is(err, errNoMeta) {
		// Some proxies close the connection at a command they do not know;
		// but a server that is going down does so too.
		if c, err = s.dialOnce(ctx, askGet); err == nil {
			s.classic.Store(true)
		}
	}
	if err == nil || errors.Is(err, ErrAuth) || errors.Is(err, ErrProtocol) {
		return c, err
	}
	if ctx.Err() == context.DeadlineExceeded || isTimeout(err) {
		return nil, fmt.Errorf("%w: connecting: %w", ErrTimeout, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrServerDown, err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func (s *server) dialOnce(ctx context.Context, ask question) (*conn, error) {
	nc, br, meta, ip, err := s.open(ctx, ask)
	if err != nil {
		return nil, err
	}
	return newConn(nc, br, meta, ip, s.opts, s.wg, s.down), nil
}

// question is what a new connection's server is asked before its first request.
type question int

const (
	askMeta question = iota // whether it has meta commands
	askGet                  // whether it has classic ones
	askNothing
)

// open connects, encrypts, authenticates and asks.
func (s *server) open(ctx context.Context, ask question) (nc net.Conn, br *bufio.Reader, meta bool, ip string, err error) {
	nc, ip, err = s.connect(ctx)
	if err != nil {
		return nil, nil, false, "", err
	}
	raw := nc
	nc = direct(nc)
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.opts.TLS != nil && s.Path == "" {
		cfg := s.opts.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = s.Host
		}
		tc := tls.Client(nc, cfg)
		if err = tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, nil, false, "", err
		}
		nc = tc
	}
	br = bufio.NewReaderSize(nc, readBuffer)
	meta, err = s.greet(nc, br, ask)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, nil, false, "", err
	}
	return nc, br, meta, ip, nil
}

// connect tries the host's addresses in turn.
func (s *server) connect(ctx context.Context) (nc net.Conn, ip string, err error) {
	if s.Path != "" {
		nc, err = s.opts.Dial(ctx, "unix", s.Path)
		return nc, "", err
	}
	if net.ParseIP(s.Host) != nil {
		nc, err = s.opts.Dial(ctx, "tcp", s.addr)
		return nc, s.Host, err
	}
	ips, err := s.opts.Resolver.LookupHost(ctx, s.Host)
	if err != nil {
		return nil, "", err
	}
	err = fmt.Errorf("no address for %s", s.Host)
	for _, ip := range ips {
		nc, err = s.opts.Dial(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(s.Port)))
		if err == nil || ctx.Err() != nil {
			return nc, ip, err
		}
	}
	return nil, "", err
}

// errNoMeta: the server hung up on a meta command.
var errNoMeta = errors.New("memcache: no meta commands")

// greet authenticates and asks; meta is the answer.
func (s *server) greet(nc net.Conn, br *bufio.Reader, ask question) (meta bool, err error) {
	w := wire{br: br}
	if s.opts.Username != "" || s.opts.Password != "" {
		token := s.opts.Username + " " + s.opts.Password
		if _, err := fmt.Fprintf(nc, "set auth 0 0 %d\r\n%s\r\n", len(token), token); err != nil {
			return false, err
		}
		line, err := w.line()
		if err != nil {
			return false, err
		}
		if !bytes.Equal(line, lineStored) {
			return false, fmt.Errorf("%w: %.40q", ErrAuth, line)
		}
	}
	switch ask {
	case askNothing:
		return false, nil
	case askGet:
		if _, err := nc.Write([]byte("get lintel:hello\r\n")); err != nil {
			return false, err
		}
		line, err := w.line()
		if err == nil && !bytes.Equal(line, lineEnd) {
			err = unexpected(line)
		}
		return false, err
	}
	if _, err := nc.Write([]byte("mn\r\n")); err != nil {
		return false, err
	}
	line, err := w.line()
	if err != nil {
		if s.opts.Protocol == ProtocolAuto && !isTimeout(err) {
			err = fmt.Errorf("%w: %w", errNoMeta, err)
		}
		return false, err
	}
	switch {
	case bytes.Equal(line, []byte("MN")):
		return true, nil
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR unauthenticated")):
		return false, ErrAuth
	case s.opts.Protocol == ProtocolMeta:
		return false, fmt.Errorf("%w: meta commands wanted, server answered %.40q", ErrProtocol, line)
	case bytes.Equal(line, []byte("ERROR")), bytes.HasPrefix(line, []byte("CLIENT_ERROR")), bytes.HasPrefix(line, []byte("SERVER_ERROR")):
		return false, nil
	}
	return false, unexpected(line)
}
