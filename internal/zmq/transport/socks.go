package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Proxy is a SOCKS5 proxy (RFC 1928), with a user name and password
// (RFC 1929) if it has one.
type Proxy struct {
	Address            string // host:port
	Username, Password string
}

// DialSOCKS connects to e through a proxy, which looks the name up.
func DialSOCKS(ctx context.Context, e Endpoint, o Options, p Proxy) (net.Conn, error) {
	conn, err := Dial(ctx, Endpoint{Scheme: "tcp", Address: p.Address, Source: e.Source}, o)
	if err != nil {
		return nil, fmt.Errorf("SOCKS proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = p.connect(conn, e.Address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("SOCKS proxy %s: %w", p.Address, err)
	}
	return conn, nil
}

// The octets of SOCKS5.
const (
	socks5       = 5
	noAuth       = 0
	userPass     = 2
	cmdConnect   = 1
	addrIPv4     = 1
	addrName     = 3
	addrIPv6     = 4
	userPassVers = 1
)

func (p Proxy) connect(conn net.Conn, address string) error {
	method := byte(noAuth)
	if p.Username != "" {
		method = userPass
	}
	if _, err := conn.Write([]byte{socks5, 1, method}); err != nil {
		return err
	}
	var b [262]byte
	if _, err := io.ReadFull(conn, b[:2]); err != nil {
		return err
	}
	if b[0] != socks5 || b[1] != method {
		return fmt.Errorf("chose method %d of version %d, expected %d of 5", b[1], b[0], method)
	}
	if method == userPass {
		if len(p.Username) > 255 || len(p.Password) > 255 {
			return fmt.Errorf("user name and password of %d and %d octets, expected at most 255", len(p.Username), len(p.Password))
		}
		req := append([]byte{userPassVers, byte(len(p.Username))}, p.Username...)
		req = append(append(req, byte(len(p.Password))), p.Password...)
		if _, err := conn.Write(req); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, b[:2]); err != nil {
			return err
		}
		if b[1] != 0 {
			return fmt.Errorf("refused the user name or password with status %d", b[1])
		}
	}
	host, portText, err := splitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}
	req := []byte{socks5, cmdConnect, 0}
	if ip := net.ParseIP(host); ip == nil {
		if len(host) > 255 {
			return fmt.Errorf("host name of %d octets, expected at most 255", len(host))
		}
		req = append(append(req, addrName, byte(len(host))), host...)
	} else if v4 := ip.To4(); v4 != nil {
		req = append(append(req, addrIPv4), v4...)
	} else {
		req = append(append(req, addrIPv6), ip...)
	}
	if _, err := conn.Write(append(req, byte(port>>8), byte(port))); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, b[:5]); err != nil {
		return err
	}
	if b[0] != socks5 || b[1] != 0 {
		return fmt.Errorf("answered %d, expected 0 (granted)", b[1])
	}
	rest := 0
	switch b[3] {
	case addrIPv4:
		rest = 4 + 2 - 1
	case addrIPv6:
		rest = 16 + 2 - 1
	case addrName:
		rest = int(b[4]) + 2
	default:
		return fmt.Errorf("answered with address type %d", b[3])
	}
	_, err = io.ReadFull(conn, b[:rest])
	return err
}
