package memcached

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

// opLater is the opcode of the command that waits.
const opLater mcproto.Opcode = 0x60

// startWaiting starts a server with a command that waits: later KEY in the text
// protocol, mz in the meta protocol, opLater in the binary one. Its calls are sent
// to the channel.
func startWaiting(t *testing.T) (*Server, chan *exec.Call) {
	t.Helper()
	calls := make(chan *exec.Call, 100)
	start := func(c *exec.Call) { calls <- c }
	opts, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(opts, map[string]func(*exec.Call){"later": start, "mz": start, "0x60": start})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, calls
}

// certificate returns a self-signed one.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// transports are the ways to reach a server.
var transports = map[string]func(t *testing.T, s *Server) func() net.Conn{
	"tcp": func(t *testing.T, s *Server) func() net.Conn {
		return dialer(t, s, listenLocal(t, "tcp", "127.0.0.1:0"), net.Dial)
	},
	"unix": func(t *testing.T, s *Server) func() net.Conn {
		return dialer(t, s, listenLocal(t, "unix", filepath.Join(t.TempDir(), "s")), net.Dial)
	},
	"tls": func(t *testing.T, s *Server) func() net.Conn {
		l := tls.NewListener(listenLocal(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
		return dialer(t, s, l, func(network, addr string) (net.Conn, error) {
			return tls.Dial(network, addr, &tls.Config{InsecureSkipVerify: true})
		})
	},
}

func listenLocal(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	if network == "unix" && runtime.GOOS == "windows" {
		t.Skip("needs unix sockets")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dialer serves s on l and returns what connects to it.
func dialer(t *testing.T, s *Server, l net.Listener, dial func(network, addr string) (net.Conn, error)) func() net.Conn {
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return func() net.Conn {
		c, err := dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// dialect is what the same commands look like in one of the protocols.
type dialect struct {
	set     func(key, value string) (request, reply string)
	get     func(key, value string) (request, reply string)
	later   func(key string) (request string)
	found   func(request, key, value string) (reply string)
	missing func(request, key string) (reply string)
	failed  func(request, why string) (reply string)
}

var dialects = map[string]dialect{
	"text": {
		set: func(key, value string) (string, string) {
			return "set " + key + " 0 0 1\r\n" + value + "\r\n", "STORED\r\n"
		},
		get: func(key, value string) (string, string) {
			return "get " + key + "\r\n", "VALUE " + key + " 0 1\r\n" + value + "\r\nEND\r\n"
		},
		later:   func(key string) string { return "later " + key + "\r\n" },
		found:   func(_, key, value string) string { return "VALUE " + key + " 7 1\r\n" + value + "\r\nEND\r\n" },
		missing: func(_, _ string) string { return "END\r\n" },
		failed:  func(_, why string) string { return "SERVER_ERROR " + why + "\r\n" },
	},
	"meta": {
		set:     func(key, value string) (string, string) { return "ms " + key + " 1\r\n" + value + "\r\n", "HD\r\n" },
		get:     func(key, value string) (string, string) { return "mg " + key + " v\r\n", "VA 1\r\n" + value + "\r\n" },
		later:   func(key string) string { return "mz " + key + " v f k Oabc\r\n" },
		found:   func(_, key, value string) string { return "VA 1 f7 k" + key + " Oabc\r\n" + value + "\r\n" },
		missing: func(_, key string) string { return "EN k" + key + " Oabc\r\n" },
		failed:  func(_, why string) string { return "SERVER_ERROR " + why + "\r\n" },
	},
	"binary": {
		set: func(key, value string) (string, string) {
			return binReq(mcproto.OpSetQ, 0, be32(0, 0), key, value) + binReq(mcproto.OpNoop, 0, "", "", ""), binReply(mcproto.OpNoop, 0, 0, "")
		},
		get: func(key, value string) (string, string) {
			return binReq(mcproto.OpGetKQ, 0, "", "no such key", "") + binReq(mcproto.OpIncr, 0, be64(0, 0)+be32(0), key, ""),
				binReply(mcproto.OpIncr, 0, 0, string(binary.BigEndian.AppendUint64(nil, uint64(value[0]-'0'))))
		},
		later:   func(key string) string { return binReq(opLater, 0, "", key, "") },
		found:   func(_, _, value string) string { return binReply(opLater, 0, 4, be32(7)+value) },
		missing: func(_, _ string) string { return binReply(opLater, mcproto.StatusNotFound, 0, "Not found") },
		failed:  func(_, why string) string { return binReply(opLater, 0x84, 0, why) },
	},
}

// binReply is a response without a CAS value.
func binReply(op mcproto.Opcode, status mcproto.Status, extras int, body string) string {
	h := mcproto.ParseHeader([]byte(binReq(op, 0, "", "", "")))
	return string(mcproto.AppendResponse(nil, &h, status, extras, 0, len(body), 0)) + body
}

// reader reads replies of a known length.
type reader struct {
	t *testing.T
	c net.Conn
}

// want reads a reply. It ignores the CAS value of a binary response.
func (r reader) want(reply string) {
	r.t.Helper()
	got := make([]byte, len(reply))
	n, err := io.ReadFull(r.c, got)
	if len(got) >= mcproto.HeaderLen && got[0] == mcproto.MagicResponse {
		clear(got[16:24]) // a counter has a CAS value
	}
	if err != nil || string(got) != reply {
		r.t.Fatalf("got %q (%v)\nwant %q", got[:n], err, reply)
	}
}

func (r reader) send(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.c, text); err != nil {
		r.t.Fatal(err)
	}
}

// TestWait has commands wait for an answer from another goroutine, in each
// protocol over each transport, with commands before and behind them in one
// packet. Replies keep the order of the requests, and nothing behind a command
// that waits is executed.
func TestWait(t *testing.T) {
	for network, listen := range transports {
		for protocol, d := range dialects {
			t.Run(network+"/"+protocol, func(t *testing.T) {
				s, calls := startWaiting(t)
				dial := listen(t, s)
				r, other := reader{t, dial()}, reader{t, dial()}
				set1, setReply := d.set("a", "1")
				set2, _ := d.set("a", "2")
				get1, is1 := d.get("a", "1")
				get2, is2 := d.get("a", "2")
				later := d.later("k")
				r.send(set1 + later + get1 + set2 + d.later("l") + d.later("m") + get2)
				r.want(setReply) // is sent although the next command waits

				k := <-calls
				if string(k.Key) != "k" || k.Context().Err() != nil {
					t.Fatalf("call for %q, context %v", k.Key, k.Context().Err())
				}
				other.send(get1)
				other.want(is1)
				go k.Answer(exec.Result{Found: true, Value: []byte("v"), Flags: 7})
				r.want(d.found(later, "k", "v"))
				if k.Context().Err() == nil {
					t.Error("the context outlives the answer")
				}
				r.want(is1)
				r.want(setReply)

				l := <-calls
				select {
				case c := <-calls:
					t.Fatalf("call for %q while the one for %q waits", c.Key, l.Key)
				default:
				}
				go l.Answer(exec.Result{})
				r.want(d.missing(later, "l"))
				m := <-calls
				m.Answer(exec.Result{Err: errors.New("disk is gone")})
				m.Answer(exec.Result{Found: true}) // too late
				r.want(d.failed(later, "disk is gone"))
				r.want(is2)
			})
		}
	}
}

// TestWaitAnsweredAtOnce answers before the session has been parked.
func TestWaitAnsweredAtOnce(t *testing.T) {
	opts, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(opts, map[string]func(*exec.Call){"later": func(c *exec.Call) {
		c.Answer(exec.Result{Found: true, Value: []byte("v"), Flags: 7})
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := reader{t, transports["tcp"](t, s)()}
	const n = 200
	r.send(strings.Repeat("later k\r\nmn\r\n", n))
	r.want(strings.Repeat("VALUE k 7 1\r\nv\r\nEND\r\nMN\r\n", n))
}

// TestWaitCancelled closes the connection of a command that waits.
func TestWaitCancelled(t *testing.T) {
	for network, listen := range transports {
		t.Run(network, func(t *testing.T) {
			s, calls := startWaiting(t)
			c := listen(t, s)()
			reader{t, c}.send("later k\r\nlater l\r\n")
			k := <-calls
			plain := c
			if tc, ok := c.(*tls.Conn); ok {
				plain = tc.NetConn()
			}
			if tc, ok := plain.(*net.TCPConn); ok {
				tc.SetLinger(0) // a half-closed connection would get its reply
			}
			plain.Close()
			<-k.Context().Done()
			k.Answer(exec.Result{Found: true}) // is ignored
			for s.engine.Conns() != 0 {
				runtime.Gosched()
			}
		})
	}
}

// TestWaitHalfClosed sends a command that waits and closes the sending side, as nc
// -N does. The reply still arrives.
func TestWaitHalfClosed(t *testing.T) {
	s, calls := startWaiting(t)
	c := transports["tcp"](t, s)()
	reader{t, c}.send("later k\r\n")
	c.(*net.TCPConn).CloseWrite()
	(<-calls).Answer(exec.Result{Found: true, Value: []byte("v"), Flags: 7})
	reader{t, c}.want("VALUE k 7 1\r\nv\r\nEND\r\n")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}

// TestWaitShutdown shuts a server down while commands wait.
func TestWaitShutdown(t *testing.T) {
	for network, listen := range transports {
		t.Run(network, func(t *testing.T) {
			s, calls := startWaiting(t)
			c := listen(t, s)()
			reader{t, c}.send("later k\r\nlater l\r\n")
			k := <-calls
			if err := s.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			<-k.Context().Done()
			k.Answer(exec.Result{Found: true}) // is ignored
		})
	}
}

// TestWaitUDP has a request wait while others are answered.
func TestWaitUDP(t *testing.T) {
	s, calls := startWaiting(t)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServePacket(p) }()
	c, err := net.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(id byte, request string) {
		t.Helper()
		if _, err := c.Write(append([]byte{0, id, 0, 0, 0, 1, 0, 0}, request...)); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(id byte, reply string) {
		t.Helper()
		b := make([]byte, 2000)
		n, err := c.Read(b)
		if err != nil || b[1] != id || string(b[8:n]) != reply {
			t.Fatalf("%q (%v), want reply %d, %q", b[:n], err, id, reply)
		}
	}
	ask(1, "later k\r\nmn\r\n")
	k := <-calls
	ask(2, "mn\r\n")
	answer(2, "MN\r\n")
	k.Answer(exec.Result{Found: true, Value: []byte("v"), Flags: 7})
	answer(1, "VALUE k 7 1\r\nv\r\nEND\r\nMN\r\n")
	ask(3, dialects["binary"].later("x"))
	(<-calls).Answer(exec.Result{})
	answer(3, dialects["binary"].missing("", "x"))

	ask(4, "later k\r\n")
	k = <-calls
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Errorf("ServePacket returned %v", err)
	}
	<-k.Context().Done()
	k.Answer(exec.Result{})
}
