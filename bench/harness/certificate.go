package harness

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate is a self-signed certificate for 127.0.0.1, in files that cache
// servers read.
type Certificate struct {
	Chain, Key string // PEM files
	roots      *x509.CertPool
}

// NewRSA returns a key whose signatures cost a server most among the kinds in
// common use.
func NewRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// NewECDSA returns a key of P-256.
func NewECDSA() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewCertificate writes the files to dir, with a key made by newKey.
func NewCertificate(dir string, newKey func() (crypto.Signer, error)) (*Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{Chain: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem"), roots: x509.NewCertPool()}
	c.roots.AddCert(cert)
	for name, block := range map[string]*pem.Block{c.Chain: {Type: "CERTIFICATE", Bytes: der}, c.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Option returns the argument of memcached's -o that names the files.
func (c *Certificate) Option() string {
	return fmt.Sprintf("ssl_chain_cert=%s,ssl_key=%s", c.Chain, c.Key)
}

// Client returns the configuration of a client of 127.0.0.1 that accepts only c.
func (c *Certificate) Client() *tls.Config {
	return &tls.Config{RootCAs: c.roots, ServerName: "127.0.0.1"}
}
