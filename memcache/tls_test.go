package memcache_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// certificate is selfSigned for tests.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	pair, pool, err := selfSigned(name)
	if err != nil {
		t.Fatal(err)
	}
	return pair, pool
}

// selfSigned makes a certificate that its holder may use as client and server,
// and that is its own authority.
func selfSigned(name string) (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}

func TestTLS(t *testing.T) {
	server, serverCA := certificate(t, "cache.test")
	client, clientCA := certificate(t, "client.test")
	for _, mutual := range []bool{false, true} {
		cfg := &tls.Config{Certificates: []tls.Certificate{server}}
		if mutual {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, clientCA
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := memcachetest.New(nil)
		done := make(chan struct{})
		go func() { defer close(done); s.Serve(tls.NewListener(ln, cfg)) }()
		t.Cleanup(func() { s.Close(); <-done })

		good := &tls.Config{RootCAs: serverCA, ServerName: "cache.test", Certificates: []tls.Certificate{client}}
		c := dial(t, &memcache.Options{TLS: good}, ln.Addr().String())
		if err := c.Set(t.Context(), &memcache.Item{Key: "k", Value: make([]byte, 300_000)}); err != nil {
			t.Error(err)
		}
		if it, err := c.Get(t.Context(), "k"); err != nil || len(it.Value) != 300_000 {
			t.Error(err)
		}
		bad := map[string]*tls.Config{
			"unknown authority": {ServerName: "cache.test"},
			"another name":      {RootCAs: serverCA},
		}
		if mutual {
			bad["no certificate"] = &tls.Config{RootCAs: serverCA, ServerName: "cache.test"}
		}
		for what, cfg := range bad {
			c := dial(t, &memcache.Options{TLS: cfg}, ln.Addr().String())
			if err := c.Set(t.Context(), &memcache.Item{Key: "k"}); !errors.Is(err, memcache.ErrServerDown) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
