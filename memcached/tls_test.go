package memcached_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/memcached/listen"
	"lintel.dev/memcached"
)

// authority signs certificates for the tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	next int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.key = a.newKey()
	self := a.template("the authority")
	self.IsCA, self.BasicConstraintsValid, self.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, self, self, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return k
}

func (a *authority) template(name string) *x509.Certificate {
	a.next++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.next),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	data := der
	if kind != "" {
		data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes a certificate and its key, and returns it for a client's use.
func (a *authority) issue(name string) (chain, key, keyDER string, cert tls.Certificate) {
	k := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, a.template(name), a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", kder), a.write(name+".der", "", kder),
		tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

// serveTLS starts a server with TLS on the endpoint text.
func serveTLS(t *testing.T, text string, certs *listen.TLS) string {
	t.Helper()
	srv, err := memcached.New(memcached.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := listen.Parse(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	all, err := e.Listen(context.Background(), 0, certs)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(all[0]) }()
	t.Cleanup(func() {
		srv.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, memcached.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return all[0].Addr().String()
}

// try asks for the version. The error is that of the handshake or of the read.
func try(t *testing.T, addr string, cfg *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return state, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("version\r\n")); err != nil {
		return state, err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return state, err
	}
	if !strings.HasPrefix(string(b[:n]), "VERSION ") {
		t.Errorf("reply %q", b[:n])
	}
	return c.ConnectionState(), nil
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	chain, key, der, _ := a.issue("server")
	_, _, _, mine := a.issue("client")
	_, _, _, foreign := newAuthority(t).issue("foreign")
	ca := filepath.Join(a.dir, "ca.pem")
	with := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: a.pool, Certificates: certs}
	}
	for name, c := range map[string]struct {
		endpoint                string
		opts                    listen.TLSOptions
		none, good, bad, anyOld bool // who gets in: without, with a good, with a foreign certificate; TLS 1.1
	}{
		"plain":      {"127.0.0.1", listen.TLSOptions{Key: key}, true, true, true, false},
		"key in der": {"127.0.0.1", listen.TLSOptions{Key: der, KeyDER: true}, true, true, true, false},
		"if given":   {"127.0.0.1", listen.TLSOptions{Key: key, CA: ca, Verify: listen.VerifyIfGiven}, true, true, false, false},
		"required":   {"127.0.0.1", listen.TLSOptions{Key: key, CA: ca, Verify: listen.VerifyRequired}, false, true, false, false},
		"once":       {"127.0.0.1", listen.TLSOptions{Key: key, CA: ca, Verify: listen.VerifyOnce}, true, true, false, false},
		"mtls":       {"mtls:127.0.0.1", listen.TLSOptions{Key: key, CA: ca}, false, true, false, false},
		"btls":       {"btls:127.0.0.1", listen.TLSOptions{Key: key, CA: ca, Verify: listen.VerifyRequired}, true, true, true, false},
		"old":        {"127.0.0.1", listen.TLSOptions{Key: key, MinVersion: tls.VersionTLS10}, true, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Chain = chain
			certs, err := listen.LoadTLS(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			addr := serveTLS(t, c.endpoint, certs)
			old := with()
			old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			forced := with()
			forced.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign, nil }
			for what, x := range map[string]struct {
				cfg *tls.Config
				in  bool
			}{
				"no certificate":      {with(), c.none},
				"good certificate":    {with(mine), c.good},
				"foreign certificate": {forced, c.bad},
				"TLS 1.1":             {old, c.anyOld},
			} {
				if _, err := try(t, addr, x.cfg); (err == nil) != x.in {
					t.Errorf("%s: %v, want in: %v", what, err, x.in)
				}
			}
		})
	}
}

func TestTLSPlainClientIsClosed(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for text, plain := range map[string]bool{"127.0.0.1": false, "notls:127.0.0.1": true} {
		c, err := net.Dial("tcp", serveTLS(t, text, certs))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		c.Write([]byte("version\r\n"))
		b := make([]byte, 8)
		n, _ := c.Read(b)
		if got := string(b[:n]) == "VERSION "; got != plain {
			t.Errorf("%s: %q", text, b[:n])
		}
	}
}

// TestOnHandshakeError checks that a failed handshake is reported with the address of
// the client.
func TestOnHandshakeError(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	type failure struct {
		client net.Addr
		err    error
	}
	failures := make(chan failure, 1)
	srv, err := memcached.New(memcached.Options{OnHandshakeError: func(client net.Addr, err error) { failures <- failure{client, err} }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(certs.Listener(l)) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("version\r\n")); err != nil {
		t.Fatal(err)
	}
	got := <-failures
	if got.client.String() != c.LocalAddr().String() || !strings.Contains(got.err.Error(), "TLS") {
		t.Errorf("got %v, %v, want client %v", got.client, got.err, c.LocalAddr())
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, memcached.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func TestTLSReload(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, "127.0.0.1", certs)
	serial := func() int64 {
		t.Helper()
		st, err := try(t, addr, &tls.Config{RootCAs: a.pool})
		if err != nil {
			t.Fatal(err)
		}
		return st.PeerCertificates[0].SerialNumber.Int64()
	}
	first, loaded := serial(), certs.Loaded()
	a.issue("server") // over the old files
	if serial() != first {
		t.Error("a new file was used before it was read again")
	}
	if err := certs.Reload(); err != nil {
		t.Fatal(err)
	}
	second := serial()
	if second == first || !certs.Loaded().After(loaded) {
		t.Errorf("serial %d after %d, loaded %v after %v", second, first, certs.Loaded(), loaded)
	}
	if err := os.WriteFile(chain, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certs.Reload(); err == nil {
		t.Error("garbage was taken for a certificate")
	}
	if serial() != second {
		t.Error("a failed reload changed the certificate")
	}
}

// TestTLSResumption: clients resume sessions in both versions, as with memcached.
func TestTLSResumption(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, "127.0.0.1", certs)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := &tls.Config{RootCAs: a.pool, ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: version}
		for i := range 2 {
			st, err := try(t, addr, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if want := i == 1; st.DidResume != want {
				t.Errorf("%s, connection %d: resumed %v", tls.VersionName(version), i, st.DidResume)
			}
		}
	}
}

func TestTLSCiphers(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key, Ciphers: "FOO:ECDHE-ECDSA-CHACHA20-POLY1305"})
	if err != nil {
		t.Fatal(err)
	}
	st, err := try(t, serveTLS(t, "127.0.0.1", certs), &tls.Config{RootCAs: a.pool, MaxVersion: tls.VersionTLS12})
	if err != nil || st.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 {
		t.Errorf("suite %s, %v", tls.CipherSuiteName(st.CipherSuite), err)
	}
}

func TestTLSErrors(t *testing.T) {
	a := newAuthority(t)
	chain, key, der, _ := a.issue("server")
	_, otherKey, _, _ := a.issue("other")
	for name, o := range map[string]listen.TLSOptions{
		"no chain":      {Key: key},
		"missing file":  {Chain: filepath.Join(a.dir, "none")},
		"no key":        {Chain: chain},
		"foreign key":   {Chain: chain, Key: otherKey},
		"der as pem":    {Chain: chain, Key: der},
		"pem as der":    {Chain: chain, Key: key, KeyDER: true},
		"ciphers":       {Chain: chain, Key: key, Ciphers: "NULL"},
		"verify mode":   {Chain: chain, Key: key, Verify: 4},
		"no authority":  {Chain: chain, Key: key, CA: filepath.Join(a.dir, "none")},
		"bad authority": {Chain: chain, Key: key, CA: key},
	} {
		if _, err := listen.LoadTLS(o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTLSStatsConns shows the descriptors of TLS listeners and connections.
func TestTLSStatsConns(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", serveTLS(t, "127.0.0.1", certs), &tls.Config{RootCAs: a.pool})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("stats conns\r\n")); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 4096); !strings.HasSuffix(string(got), "END\r\n"); {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if s := string(got); strings.Contains(s, "STAT -1:") || !strings.Contains(s, ":state conn_listening\r\n") || !strings.Contains(s, ":state conn_parse_cmd\r\n") {
		t.Errorf("stats conns:\n%s", s)
	}
}

// TestTLSHalfHandshakes leaves handshakes unfinished and sends other bytes. Other
// clients are served.
func TestTLSHalfHandshakes(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, "127.0.0.1", certs)
	for i := range 200 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte([]string{"", "\x16", "\x16\x03\x01\x40\x00\x01", "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", "get a\r\n", strings.Repeat("\xff", 5000)}[i%6]))
	}
	if _, err := try(t, addr, &tls.Config{RootCAs: a.pool}); err != nil {
		t.Errorf("among unfinished handshakes: %v", err)
	}
}

// TestTLSCloseNotify ends TLS connections in every way. The client receives
// close_notify, without which it cannot tell the end from an attack.
func TestTLSCloseNotify(t *testing.T) {
	a := newAuthority(t)
	chain, key, _, _ := a.issue("server")
	certs, err := listen.LoadTLS(listen.TLSOptions{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		send     string
		opts     memcached.Options
		shutdown bool
	}{
		"quit":               {send: "quit\r\n"},
		"protocol violation": {send: "POST / HTTP/1.1\r\n"},
		"line too long":      {send: strings.Repeat("x", 3000)},
		"idle":               {send: "mn\r\n", opts: memcached.Options{IdleTimeout: 50 * time.Millisecond}},
		"idle in a command":  {send: "set a 0 0 10\r\nx", opts: memcached.Options{IdleTimeout: 50 * time.Millisecond}},
		"shutdown":           {send: "mn\r\n", shutdown: true},
		"shutdown, watching": {send: "watch\r\n", shutdown: true},
		"binary violation":   {send: "\x80" + strings.Repeat("\xff", 300)},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := memcached.New(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			all, err := listen.Endpoint{Host: "127.0.0.1"}.Listen(t.Context(), 0, certs)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(all[0]) }()
			conn, err := tls.Dial("tcp", all[0].Addr().String(), &tls.Config{RootCAs: a.pool})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Write([]byte(c.send)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			if c.shutdown {
				if _, err := conn.Read(buf); err != nil { // the reply: the session has begun
					t.Fatal(err)
				}
				go srv.Shutdown(context.Background())
			}
			for err = nil; err == nil; {
				_, err = conn.Read(buf)
			}
			if err != io.EOF {
				t.Errorf("%v, want io.EOF after close_notify", err)
			}
			srv.Shutdown(context.Background())
			if err := <-served; !errors.Is(err, memcached.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}
