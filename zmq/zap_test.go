package zmq_test

import (
	"context"
	"fmt"
	"iter"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// security is a mechanism with its two sides, and what the handler receives
// about the client.
type security struct {
	name           string
	server, client zmq.Option
	credentials    []string
}

func mechanisms() []security {
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	cpub := csec.Public()
	none := zmq.WithLinger(0)
	return []security{
		{"NULL", none, none, nil},
		{"PLAIN", zmq.WithOption("plain_server", "1"), zmq.WithPlain("ann", "secret"), []string{"ann", "secret"}},
		{"CURVE", zmq.WithCurveServer(ssec), zmq.WithCurve(csec, spub), []string{string(cpub[:])}},
	}
}

// TestZAPRequest: what a handler, a REP or a ROUTER, is asked (RFC 27), and that
// what it answers stays with the peer's messages. It refuses by address and lets
// the next one in.
func TestZAPRequest(t *testing.T) {
	for _, n := range networks()[:2] {
		for _, m := range mechanisms() {
			for _, typ := range []string{"REP", "ROUTER"} {
				t.Run(fmt.Sprintf("%s/%s/%v", n.name, m.name, typ), func(t *testing.T) {
					r := over(t, n)
					s, err := zmq.New(typ, r.opts()...)
					r.socket(s, err)
					handler := s.(interface {
						zmq.Sender
						zmq.Receiver
					})
					_, err = handler.Bind("inproc://zeromq.zap.01")
					r.must(err)
					server := made(r, zmq.NewDealer, m.server, zmq.WithOption("zap_domain", "home"), zmq.WithOption("zap_enforce_domain", "1"), zmq.WithIdentity([]byte("srv")))
					events, stop := iter.Pull(server.Events(r.ctx))
					defer stop()
					ep := r.bind(server)
					address := "127.0.0.1"
					if n.name == "ipc" {
						address = "localhost"
						if runtime.GOOS == "linux" {
							address = fmt.Sprintf("localhost:%d:%d:%d", os.Getuid(), os.Getgid(), os.Getpid())
						}
					}

					verdict := func(status, user string, metadata string) {
						t.Helper()
						q, err := handler.Recv(r.ctx)
						r.must(err)
						var envelope zmq.Msg
						if typ == "ROUTER" {
							envelope, q = q[:2:2], q[2:]
						}
						want := append([]string{"1.0", string(q[1]), "home", address, "srv", m.name}, m.credentials...)
						if got := fmt.Sprintf("%q", [][]byte(q)); got != fmt.Sprintf("%q", want) {
							t.Errorf("the handler was asked %s, want %q", got, want)
						}
						r.must(handler.Send(r.ctx, append(envelope, zmq.NewMsg("1.0", string(q[1]), status, "", user, metadata)...)))
					}

					refused := made(r, zmq.NewDealer, m.client, zmq.WithReconnect(-1, 0), zmq.WithLinger(0))
					r.connect(refused, ep)
					verdict("400", "", "")
					if e := next(t, events, event.HandshakeAuth); e.Status != 400 {
						t.Errorf("refused with status %d", e.Status)
					}

					client := made(r, zmq.NewDealer, m.client)
					r.connect(client, ep)
					verdict("200", "Ann", "\x04Role\x00\x00\x00\x05admin")
					next(t, events, event.HandshakeSucceeded)
					r.send(client, "hello")
					_, p, err := server.RecvFrom(r.ctx)
					r.must(err)
					if p.UserID != "Ann" || p.Properties["Role"] != "admin" || p.SocketType != "DEALER" || p.Properties["Peer-Address"] != address || p.Properties["User-Id"] != "Ann" {
						t.Errorf("the peer is %+v", p)
					}
				})
			}
		}
	}
}

// from is a listener whose connections come from the addresses given, in turn.
type from struct {
	net.Listener
	addresses chan string
}

type connFrom struct {
	net.Conn
	address string
}

func (l from) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return connFrom{c, <-l.addresses}, nil
}

func (c connFrom) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.address), Port: 1}
}

// TestZAPByAddress: a handler, and an authenticator in Go, that let in by
// address alone, whatever the mechanism.
func TestZAPByAddress(t *testing.T) {
	const allowed = "192.0.2.1"
	for _, m := range mechanisms() {
		for _, callback := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", m.name, callback), func(t *testing.T) {
				r := overTCP(t)
				options := []zmq.Option{m.server, zmq.WithOption("zap_domain", "home"), zmq.WithOption("zap_enforce_domain", "1")}
				if callback {
					options = append(options, zmq.WithAuthenticator(func(_ context.Context, q zmq.AuthRequest) (zmq.AuthResult, error) {
						return zmq.AuthResult{Allow: q.Address == allowed}, nil
					}))
				} else {
					handler := made(r, zmq.NewRep)
					_, err := handler.Bind("inproc://zeromq.zap.01")
					r.must(err)
					serving(r, handler.Serve, func(_ context.Context, q zmq.Msg) (zmq.Msg, error) {
						status := "400"
						if string(q[3]) == allowed {
							status = "200"
						}
						return zmq.NewMsg("1.0", string(q[1]), status, "", "", ""), nil
					})
				}
				server := made(r, zmq.NewPull, options...)
				events, stop := iter.Pull(server.Events(r.ctx))
				defer stop()
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				r.must(err)
				addresses := make(chan string, 1)
				ep, err := server.BindListener(from{ln, addresses})
				r.must(err)
				for _, address := range []string{"192.0.2.2", allowed, "2001:db8::1", allowed} {
					addresses <- address
					client := made(r, zmq.NewPush, m.client, zmq.WithReconnect(-1, 0), zmq.WithLinger(0))
					r.connect(client, ep.Addr())
					e := next(t, events, event.HandshakeSucceeded, event.HandshakeAuth)
					if let := e.Type == event.HandshakeSucceeded; let != (address == allowed) {
						t.Errorf("%s: %v", address, e.Type)
					} else if let {
						r.send(client, address)
						r.want(server, address)
					}
				}
			})
		}
	}
}

// TestZAPDomains: which mechanisms ask, with and without a domain.
func TestZAPDomains(t *testing.T) {
	for _, m := range mechanisms() {
		for _, domain := range []string{"", "home"} {
			for _, enforce := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%q/%v", m.name, domain, enforce), func(t *testing.T) {
					r := overTCP(t)
					handler := made(r, zmq.NewRep)
					_, err := handler.Bind("inproc://zeromq.zap.01")
					r.must(err)
					asked := make(chan string, 10)
					serving(r, handler.Serve, func(_ context.Context, q zmq.Msg) (zmq.Msg, error) {
						asked <- string(q[2])
						return zmq.NewMsg("1.0", string(q[1]), "200", "", "", ""), nil
					})
					server := made(r, zmq.NewDealer, m.server, zmq.WithOption("zap_domain", domain),
						zmq.WithOption("zap_enforce_domain", strconv.FormatBool(enforce)))
					client := made(r, zmq.NewDealer, m.client)
					r.connect(client, r.bind(server))
					r.send(client, "hello")
					r.want(server, "hello")
					want := 1
					if m.name == "NULL" && domain == "" || m.name == "CURVE" && domain == "" && enforce {
						want = 0
					}
					if len(asked) != want {
						t.Fatalf("the handler was asked %d times, want %d", len(asked), want)
					}
					if want == 1 {
						if d := <-asked; d != domain {
							t.Errorf("the handler was asked about %q", d)
						}
					}
				})
			}
		}
	}
}

// relay stands between two peers and can cease to pass anything on.
type relay struct {
	ln     net.Listener
	passed [2]atomic.Int64 // reads, in each direction
	frozen atomic.Bool
}

func newRelay(r rig, to string) *relay {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	y := &relay{ln: ln}
	r.Cleanup(func() { ln.Close() })
	go func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				return
			}
			r.Cleanup(func() { a.Close(); b.Close() })
			go y.pass(0, a, b)
			go y.pass(1, b, a)
		}
	}()
	return y
}

func (y *relay) pass(direction int, from, to net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		y.passed[direction].Add(1)
		if !y.frozen.Load() {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
}

// TestHeartbeatsEverywhere: heartbeats go both ways on a connection where
// nothing else does, and find out that the peer can no longer be heard.
func TestHeartbeatsEverywhere(t *testing.T) {
	ns := append(networks(), network{"wss", func(*testing.T) string { return "wss://127.0.0.1:*/zmq" }, overTLS})
	for _, n := range ns {
		if n.name == "inproc" || n.name == "ipc" {
			continue // nothing between the two that could fail
		}
		t.Run(n.name, func(t *testing.T) {
			r := over(t, n)
			bound, connected := n.opts()
			server := made(r, zmq.NewDealer, append(bound, zmq.WithHeartbeat(5*time.Millisecond, time.Second, 0))...)
			events, stop := iter.Pull(server.Events(r.ctx))
			defer stop()
			u, err := url.Parse(r.bind(server))
			r.must(err)
			y := newRelay(r, u.Host)
			u.Host = y.ln.Addr().String()
			client := made(r, zmq.NewDealer, append(connected, zmq.WithLinger(0))...)
			r.connect(client, u.String())
			r.send(client, "hello")
			r.want(server, "hello")
			before := [2]int64{y.passed[0].Load(), y.passed[1].Load()}
			r.until(func() bool {
				return y.passed[0].Load() > before[0]+5 && y.passed[1].Load() > before[1]+5
			})
			r.send(server, "and back")
			r.want(client, "and back")
			y.frozen.Store(true)
			for {
				if e := next(t, events, event.Disconnected); e.Err != nil && strings.Contains(e.Err.Error(), "heartbeat") {
					break
				}
			}
			client.Close()
		})
	}
}
