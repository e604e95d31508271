package interop_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// testTLS has the TLS options of both ends of wss: httptest's certificate for
// 127.0.0.1 and example.com.
func testTLS() (server, client zmq.Option) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return zmq.WithTLS(&tls.Config{Certificates: srv.TLS.Certificates}),
		zmq.WithTLS(&tls.Config{RootCAs: roots, ServerName: "example.com"})
}

// TestSOCKS connects through microsocks, which resolves the name: to libzmq
// over tcp, to Lintel over ws and wss.
func TestSOCKS(t *testing.T) {
	serverTLS, clientTLS := testTLS()
	for _, scheme := range []string{"tcp", "ws", "wss"} {
		for _, user := range []string{"", "ann"} {
			t.Run(scheme+"/user "+user, func(t *testing.T) {
				proxy, at := peers.Microsocks(t, user, "secret")
				opts := []zmq.Option{clientTLS, zmq.WithOption("socks_proxy", at)}
				if user != "" {
					opts = append(opts, zmq.WithOption("socks_username", user), zmq.WithOption("socks_password", "secret"))
				}
				req := opened[*zmq.Req](t)(zmq.NewReq(opts...))
				var bound string
				var answer func()
				if scheme == "tcp" {
					theirs := newPyzmq(t).socket("REP")
					bound = theirs.bind("tcp://127.0.0.1:*")
					answer = func() { theirs.send(theirs.recv()...) }
				} else {
					rep := opened[*zmq.Rep](t)(zmq.NewRep(serverTLS))
					ep, err := rep.Bind(scheme + "://127.0.0.1:*")
					if err != nil {
						t.Fatal(err)
					}
					bound = ep.Addr()
					answer = func() { sendFrames(t, rep.Send, recvFrames(t, rep.Recv)...) }
				}
				to := strings.Replace(bound, "127.0.0.1", "localhost", 1)
				if _, err := req.Connect(to); err != nil {
					t.Fatal(err)
				}
				for _, m := range messages {
					sendFrames(t, req.Send, m...)
					answer()
					sameFrames(t, recvFrames(t, req.Recv), m)
				}
				proxy.Logs("localhost:" + to[strings.LastIndexByte(to, ':')+1:])
			})
		}
	}
}

// A refusal of the proxy is reported by an event.
func TestSOCKSWrongPassword(t *testing.T) {
	_, at := peers.Microsocks(t, "ann", "secret")
	for _, scheme := range []string{"tcp", "ws"} {
		push := opened[*zmq.Push](t)(zmq.NewPush(zmq.WithLinger(0), zmq.WithOption("socks_proxy", at),
			zmq.WithOption("socks_username", "ann"), zmq.WithOption("socks_password", "guess")))
		events := push.Events(guard(t))
		if _, err := push.Connect(scheme + "://localhost:9"); err != nil {
			t.Fatal(err)
		}
		said := false
		for ev := range events {
			if said = ev.Err != nil && strings.Contains(ev.Err.Error(), "authentication failed"); said {
				break
			}
		}
		if !said {
			t.Errorf("%s: no event says that the password was wrong", scheme)
		}
	}
}
