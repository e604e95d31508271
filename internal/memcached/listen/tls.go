package listen

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// VerifyMode is how client certificates are verified, with the numbers of
// memcached's ssl_verify_mode.
type VerifyMode int

// The modes.
const (
	VerifyNone     VerifyMode = 0 // no certificate is requested
	VerifyIfGiven  VerifyMode = 1 // a certificate that is sent must be valid
	VerifyRequired VerifyMode = 2 // a valid certificate must be sent
	VerifyOnce     VerifyMode = 3 // like VerifyIfGiven: Go does not renegotiate
)

// TLSOptions are the certificates and rules of TLS endpoints.
type TLSOptions struct {
	Chain   string // PEM file of the certificate chain; required
	Key     string // file of the private key; empty: the key is in Chain
	KeyDER  bool   // Key is DER, not PEM
	CA      string // PEM file of the authorities of client certificates; empty: the system's
	Verify  VerifyMode
	Ciphers string // OpenSSL names separated by colons, for TLS up to 1.2; empty: Go's default

	MinVersion uint16 // a version of package crypto/tls; 0 is TLS 1.2
}

// TLS adds TLS to listeners. Its files can be read again while the listeners
// are in use. It is safe for concurrent use.
type TLS struct {
	opts    TLSOptions
	current atomic.Pointer[tlsState]
}

// tlsState is the result of reading the files once.
type tlsState struct {
	basic, mutual, configured *tls.Config
	at                        time.Time
}

// LoadTLS reads the files named by opts.
func LoadTLS(opts TLSOptions) (*TLS, error) {
	t := &TLS{opts: opts}
	if err := t.Reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// Reload reads the files again. New connections use the result. After an error
// the old certificates stay in use.
func (t *TLS) Reload() error {
	cfg, err := t.opts.config()
	if err != nil {
		return err
	}
	with := func(auth tls.ClientAuthType) *tls.Config {
		c := cfg.Clone()
		c.ClientAuth = auth
		return c
	}
	state := &tlsState{
		basic:  with(tls.NoClientCert),
		mutual: with(tls.RequireAndVerifyClientCert),
		at:     time.Now(),
	}
	switch t.opts.Verify {
	case VerifyNone:
		state.configured = state.basic
	case VerifyRequired:
		state.configured = state.mutual
	default:
		state.configured = with(tls.VerifyClientCertIfGiven)
	}
	t.current.Store(state)
	return nil
}

// Loaded returns when the files were last read.
func (t *TLS) Loaded() time.Time { return t.current.Load().at }

// Listener returns l with TLS.
func (t *TLS) Listener(l net.Listener) net.Listener {
	return t.listener(l, func(s *tlsState) *tls.Config { return s.configured })
}

func pickBasic(s *tlsState) *tls.Config  { return s.basic }
func pickMutual(s *tlsState) *tls.Config { return s.mutual }

func (t *TLS) listener(l net.Listener, pick func(*tlsState) *tls.Config) net.Listener {
	config := &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return pick(t.current.Load()), nil },
	}
	return tlsListener{tls.NewListener(l, config), l, config}
}

// tlsListener is a TLS listener that gives access to the listener below it.
type tlsListener struct {
	net.Listener
	plain  net.Listener
	config *tls.Config
}

// Plain returns the listener below TLS, which has the file descriptor.
func (l tlsListener) Plain() net.Listener { return l.plain }

// Config returns the configuration of the connections.
func (l tlsListener) Config() *tls.Config { return l.config }

// config converts o to a tls.Config without ClientAuth.
func (o *TLSOptions) config() (*tls.Config, error) {
	if o.Verify < VerifyNone || o.Verify > VerifyOnce {
		return nil, fmt.Errorf("listen: ssl_verify_mode %d, expected 0 to 3", o.Verify)
	}
	cert, err := o.certificate()
	if err != nil {
		return nil, fmt.Errorf("listen: TLS: %w", err)
	}
	// Session tickets stay on, as in memcached, with or without ssl_session_cache:
	// a client resumes a session for less CPU.
	cfg := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   cmp.Or(o.MinVersion, tls.VersionTLS12),
		// A reply is read whole, so that a part of it is of no use to the client.
		DynamicRecordSizingDisabled: true,
	}
	if o.CA != "" {
		text, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("listen: TLS: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("listen: TLS: %s has no PEM certificate", o.CA)
		}
	}
	if cfg.CipherSuites, err = ciphers(o.Ciphers); err != nil {
		return nil, err
	}
	return cfg, nil
}

func (o *TLSOptions) certificate() (tls.Certificate, error) {
	chain, err := os.ReadFile(o.Chain)
	if err != nil {
		return tls.Certificate{}, err
	}
	key := chain
	if o.Key != "" {
		if key, err = os.ReadFile(o.Key); err != nil {
			return tls.Certificate{}, err
		}
		if o.KeyDER {
			// X509KeyPair accepts every key format under this name.
			key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
		}
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil && o.Key != "" {
		return cert, fmt.Errorf("certificate %s, key %s: %w", o.Chain, o.Key, err)
	}
	if err != nil {
		return cert, fmt.Errorf("%s: %w", o.Chain, err)
	}
	return cert, nil
}

// ciphers returns the suites of a list such as
// ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305. It ignores names
// that Go does not support, and fails if no other is left.
func ciphers(list string) ([]uint16, error) {
	if list == "" {
		return nil, nil
	}
	var ids []uint16
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if name == s.Name || name == opensslName(s.Name) {
				ids = append(ids, s.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("listen: ssl_ciphers %q: no supported cipher, expected names such as ECDHE-RSA-AES128-GCM-SHA256", list)
	}
	return ids, nil
}

// opensslName converts TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 to OpenSSL's
// ECDHE-RSA-AES128-GCM-SHA256.
func opensslName(name string) string {
	name = strings.TrimPrefix(name, "TLS_")
	name = strings.NewReplacer("_WITH", "", "AES_", "AES", "POLY1305_SHA256", "POLY1305", "3DES_EDE_CBC", "DES-CBC3").Replace(name)
	if strings.HasSuffix(name, "_CBC_SHA") || strings.HasSuffix(name, "_CBC_SHA256") {
		name = strings.Replace(name, "_CBC", "", 1)
	}
	name = strings.TrimPrefix(name, "RSA_")
	return strings.ReplaceAll(name, "_", "-")
}

var errNoTLS = errors.New("listen: notls:, btls: and mtls: need TLS (-Z)")
