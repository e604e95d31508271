package zmq_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// socksServer is a SOCKS5 proxy (RFC 1928, with the passwords of RFC 1929)
// that takes every name for this host.
type socksServer struct {
	user, password string // user "": anybody may
	ln             net.Listener
	running        sync.WaitGroup

	mu     sync.Mutex
	wanted []string // what was asked for, host:port
	conns  []net.Conn
}

func newSOCKS(t *testing.T, user, password string) *socksServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socksServer{user: user, password: password, ln: ln}
	s.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

func (s *socksServer) keep(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
}

func (s *socksServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.wanted...)
}

func (s *socksServer) serve(client net.Conn) {
	defer client.Close()
	s.keep(client)
	r := bufio.NewReader(client)
	to, err := s.negotiate(client, r)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.wanted = append(s.wanted, to)
	s.mu.Unlock()
	_, port, _ := net.SplitHostPort(to)
	server, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		client.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer server.Close()
	s.keep(server)
	client.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	s.running.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	io.Copy(server, r)
}

// text reads a length and as many octets.
func text(r *bufio.Reader) (string, error) {
	n, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

func (s *socksServer) negotiate(w io.Writer, r *bufio.Reader) (to string, err error) {
	r.ReadByte() // the version
	methods, err := text(r)
	if err != nil {
		return "", err
	}
	method := byte(0)
	if s.user != "" {
		method = 2
	}
	if !strings.Contains(methods, string(rune(method))) {
		w.Write([]byte{5, 0xff})
		return "", fmt.Errorf("method %d not offered", method)
	}
	w.Write([]byte{5, method})
	if method == 2 {
		r.ReadByte() // the version
		user, _ := text(r)
		password, err := text(r)
		if err != nil || user != s.user || password != s.password {
			w.Write([]byte{1, 1})
			return "", fmt.Errorf("%s may not", user)
		}
		w.Write([]byte{1, 0})
	}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	var host string
	switch head[3] {
	case 1:
		var ip [4]byte
		_, err = io.ReadFull(r, ip[:])
		host = net.IP(ip[:]).String()
	case 3:
		host, err = text(r)
	default:
		err = fmt.Errorf("address type %d", head[3])
	}
	var port [2]byte
	if err == nil {
		_, err = io.ReadFull(r, port[:])
	}
	return fmt.Sprintf("%s:%d", host, binary.BigEndian.Uint16(port[:])), err
}

// TestSOCKSProxy connects through a proxy by tcp, ws and wss. Only the proxy
// can resolve the name.
func TestSOCKSProxy(t *testing.T) {
	tlsServer, tlsClient := overTLS()
	for _, c := range []struct {
		scheme         string
		server, client []zmq.Option
	}{{"tcp", nil, nil}, {"ws", nil, nil}, {"wss", tlsServer, tlsClient}} {
		for _, user := range []string{"", "ann"} {
			t.Run(c.scheme+" user "+user, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), limit)
				defer stop()
				proxy := newSOCKS(t, user, "secret")
				rep, err := zmq.NewRep(c.server...)
				if err != nil {
					t.Fatal(err)
				}
				defer rep.Close()
				e, err := rep.Bind(c.scheme + "://127.0.0.1:*")
				if err != nil {
					t.Fatal(err)
				}
				_, port, _ := strings.Cut(e.Addr(), "127.0.0.1:")
				opts := append([]zmq.Option{zmq.WithOption("socks_proxy", proxy.ln.Addr().String())}, c.client...)
				if user != "" {
					opts = append(opts, zmq.WithOption("socks_username", user), zmq.WithOption("socks_password", "secret"))
				}
				req, err := zmq.NewReq(opts...)
				if err != nil {
					t.Fatal(err)
				}
				defer req.Close()
				// The certificate is also for this name, which does not resolve.
				if _, err := req.Connect(c.scheme + "://www.example.com:" + port); err != nil {
					t.Fatal(err)
				}
				askOnce(ctx, t, req, rep)
				if got := proxy.asked(); len(got) != 1 || got[0] != "www.example.com:"+port {
					t.Errorf("the proxy was asked for %q", got)
				}
			})
		}
	}
}

// A refusal of the proxy is reported, and the connection tried again.
func TestSOCKSProxyRefuses(t *testing.T) {
	for _, c := range []struct{ scheme, user, password, says string }{
		{"tcp", "ann", "wrong", "username/password authentication failed"},
		{"ws", "ann", "wrong", "username/password authentication failed"},
		{"tcp", "", "", "no acceptable authentication methods"},
		{"ws", "", "", "no acceptable authentication methods"},
		{"tcp", "ann", "secret", "connection refused"}, // no listener
		{"ws", "ann", "secret", "connection refused"},
	} {
		t.Run(c.scheme+" "+c.says, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			proxy := newSOCKS(t, "ann", "secret")
			closed, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			to := c.scheme + "://" + closed.Addr().String()
			closed.Close()
			push, err := zmq.NewPush(zmq.WithLinger(0), zmq.WithOption("socks_proxy", proxy.ln.Addr().String()),
				zmq.WithOption("socks_username", c.user), zmq.WithOption("socks_password", c.password))
			if err != nil {
				t.Fatal(err)
			}
			defer push.Close()
			events := push.Events(ctx)
			if _, err := push.Connect(to); err != nil {
				t.Fatal(err)
			}
			retried := 0
			for ev := range events {
				if ev.Err != nil && !strings.Contains(ev.Err.Error(), c.says) {
					t.Errorf("%v: %v, want %q", ev.Type, ev.Err, c.says)
				}
				if ev.Type == event.ConnectRetried {
					if retried++; retried == 2 {
						break
					}
				}
			}
			if ctx.Err() != nil {
				t.Error("not tried again")
			}
		})
	}
}
