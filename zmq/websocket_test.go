package zmq_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/zmq"
)

// overTLS uses the certificate for 127.0.0.1 that httptest keeps for tests.
func overTLS() (bound, connected []zmq.Option) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return []zmq.Option{zmq.WithTLS(&tls.Config{Certificates: srv.TLS.Certificates})},
		[]zmq.Option{zmq.WithTLS(&tls.Config{RootCAs: roots})}
}

// A socket and pages of a site share one server.
func TestWebSocketHandler(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	rep, err := zmq.NewRep()
	if err != nil {
		t.Fatal(err)
	}
	defer rep.Close()
	h, ep, err := zmq.WebSocketHandler(rep)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/zmq", h)
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("a page")) })
	srv := httptest.NewServer(mux)
	defer srv.Close()

	req, err := zmq.NewReq()
	if err != nil {
		t.Fatal(err)
	}
	defer req.Close()
	if _, err := req.Connect("ws" + strings.TrimPrefix(srv.URL, "http") + "/zmq"); err != nil {
		t.Fatal(err)
	}
	askOnce(ctx, t, req, rep)

	for _, c := range []struct {
		name, path string
		opts       websocket.DialOptions
		status     int
	}{
		{"a page", "/page", websocket.DialOptions{}, http.StatusOK},
		{"no subprotocol", "/zmq", websocket.DialOptions{}, http.StatusBadRequest},
		{"another subprotocol", "/zmq", websocket.DialOptions{Subprotocols: []string{"chat"}}, http.StatusBadRequest},
		{"another mechanism", "/zmq", websocket.DialOptions{Subprotocols: []string{"ZWS2.0/CURVE"}}, http.StatusBadRequest},
		{"a page of elsewhere", "/zmq", websocket.DialOptions{
			Subprotocols: []string{"ZWS2.0/NULL"}, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
		}, http.StatusForbidden},
	} {
		c.opts.HTTPClient = srv.Client()
		ws, res, err := websocket.Dial(ctx, srv.URL+c.path, &c.opts)
		if err == nil {
			ws.CloseNow()
			t.Errorf("%s: connected", c.name)
			continue
		}
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, want status %d", c.name, err, c.status)
		}
	}

	ep.Close()
	res, err := srv.Client().Get(srv.URL + "/zmq")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusBadRequest {
		t.Errorf("closed endpoint: status %d", res.StatusCode)
	}
}

// TLS under the WebSocket, and the mechanisms of ZMTP inside it.
func TestWebSocketSecurity(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	secret := zmq.NewSecretKey()
	public := secret.Public()
	clientSecret := zmq.NewSecretKey()
	tlsServer, tlsClient := overTLS()
	for _, c := range []struct {
		name, at       string
		server, client []zmq.Option
	}{
		{"wss", "wss://127.0.0.1:*", tlsServer, tlsClient},
		{"ws with CURVE", "ws://127.0.0.1:*", []zmq.Option{zmq.WithCurveServer(secret)}, []zmq.Option{zmq.WithCurve(clientSecret, public)}},
		{
			"wss with CURVE", "wss://127.0.0.1:*", append([]zmq.Option{zmq.WithCurveServer(secret)}, tlsServer...),
			append([]zmq.Option{zmq.WithCurve(clientSecret, public)}, tlsClient...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, err := zmq.NewRep(c.server...)
			if err != nil {
				t.Fatal(err)
			}
			defer rep.Close()
			e, err := rep.Bind(c.at)
			if err != nil {
				t.Fatal(err)
			}
			req, err := zmq.NewReq(c.client...)
			if err != nil {
				t.Fatal(err)
			}
			defer req.Close()
			if _, err := req.Connect(e.Addr()); err != nil {
				t.Fatal(err)
			}
			question := zmq.Msg{[]byte("a"), bytes.Repeat([]byte("b"), 70000), nil}
			if err := req.Send(ctx, question); err != nil {
				t.Fatal(err)
			}
			got, err := rep.Recv(ctx)
			if err != nil || len(got) != 3 || !bytes.Equal(got[1], question[1]) {
				t.Fatalf("%.20q %v", got, err)
			}
			if err := rep.SendBytes(ctx, []byte("answer")); err != nil {
				t.Fatal(err)
			}
			if b, err := req.RecvBytes(ctx); err != nil || string(b) != "answer" {
				t.Fatalf("%q %v", b, err)
			}
		})
	}
}

func TestWebSocketNeedsCertificate(t *testing.T) {
	s, err := zmq.NewPull()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Bind("wss://127.0.0.1:*"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want an error that asks for a certificate", err)
	}
}

// Another path of the server is no endpoint.
func TestWebSocketPath(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	pull, err := zmq.NewPull()
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	e, err := pull.Bind("ws://127.0.0.1:*/right")
	if err != nil {
		t.Fatal(err)
	}
	url := "http" + strings.TrimPrefix(strings.TrimSuffix(e.Addr(), "/right"), "ws")
	for path, want := range map[string]int{"/wrong": http.StatusNotFound, "/right": http.StatusSwitchingProtocols} {
		ws, res, err := websocket.Dial(ctx, url+path, &websocket.DialOptions{Subprotocols: []string{"ZWS2.0/NULL"}})
		if err == nil {
			ws.CloseNow()
		}
		if res == nil || res.StatusCode != want {
			t.Errorf("%s: %v, want status %d", path, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Pages of other hosts connect where they may.
func TestWebSocketOrigins(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	pull, err := zmq.NewPull(zmq.WithOption("ws_origins", "*.friend.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	e, err := pull.Bind("ws://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	url := "http" + strings.TrimPrefix(e.Addr(), "ws")
	for origin, want := range map[string]int{"https://a.friend.example": http.StatusSwitchingProtocols, "https://other.example": http.StatusForbidden} {
		ws, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{
			Subprotocols: []string{"ZWS2.0/NULL"}, HTTPHeader: http.Header{"Origin": {origin}},
		})
		if err == nil {
			ws.CloseNow()
		}
		if res == nil || res.StatusCode != want {
			t.Errorf("%s: %v, want status %d", origin, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A text message ends its connection only.
func TestWebSocketTextMessage(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	pull, err := zmq.NewPull()
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	e, err := pull.Bind("ws://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(ctx, "http"+strings.TrimPrefix(e.Addr(), "ws"), &websocket.DialOptions{Subprotocols: []string{"ZWS2.0/NULL"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, bytes.Repeat([]byte("text"), 10)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			break
		}
	}
	push, err := zmq.NewPush()
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Connect(e.Addr()); err != nil {
		t.Fatal(err)
	}
	if err := push.SendBytes(ctx, []byte("still served")); err != nil {
		t.Fatal(err)
	}
	if b, err := pull.RecvBytes(ctx); err != nil || string(b) != "still served" {
		t.Fatalf("%q %v", b, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// testCertificate is the one that httptest has, in PEM.
var testCertificate = func() string {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}()

// wss by libzmq's options, as the command line has them.
func TestWebSocketOptions(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"lintel.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	r := over(t, network{"wss", func(*testing.T) string { return "wss://127.0.0.1:*/" }, plain})
	pull := made(r, zmq.NewPull, zmq.WithOption("wss_key_pem", secret), zmq.WithOption("wss_cert_pem", cert))
	push := made(r, zmq.NewPush, zmq.WithOption("wss_trust_pem", cert), zmq.WithOption("wss_hostname", "lintel.test"))
	r.connect(push, r.bind(pull))
	r.send(push, "hello")
	r.want(pull, "hello")
	if err := pull.SetOption("wss_cert_pem", testCertificate); err == nil {
		t.Error("a certificate and the key of another were taken")
	}
}
