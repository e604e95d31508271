package memcached

import (
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

// VerifyMode says what is asked of a client's certificate, by the numbers of
// memcached's ssl_verify_mode.
type VerifyMode int

const (
	VerifyNone     VerifyMode = 0 // none is asked for
	VerifyIfGiven  VerifyMode = 1 // one that is sent must be good
	VerifyRequired VerifyMode = 2 // a good one must be sent
	VerifyOnce     VerifyMode = 3 // as VerifyIfGiven: there is no renegotiation
)

// TLSOptions say how a TLS endpoint shows itself and whom it lets in.
type TLSOptions struct {
	Chain   string // PEM file of the certificate and those that vouch for it; required
	Key     string // file of the private key; empty: in Chain
	KeyDER  bool   // Key is DER and not PEM
	CA      string // PEM file of the authorities for clients' certificates; empty: the system's
	Verify  VerifyMode
	Ciphers string // OpenSSL's names, separated by colons, for TLS up to 1.2; empty: Go's choice

	MinVersion   uint16 // of package crypto/tls; 0 is TLS 1.2
	SessionCache bool   // clients may resume sessions
}

// TLS makes TLS listeners of plain ones. Its files can be read again while
// they serve.
type TLS struct {
	opts    TLSOptions
	current atomic.Pointer[tlsState]
}

// tlsState is what one reading of the files gave.
type tlsState struct {
	basic, mutual, configured *tls.Config
	at                        time.Time
}

// LoadTLS reads the files that opts name.
func LoadTLS(opts TLSOptions) (*TLS, error) {
	t := &TLS{opts: opts}
	if err := t.Reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// Reload reads the files again, for connections made from now on. On an error
// nothing changes.
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

// Loaded is when the files were last read.
func (t *TLS) Loaded() time.Time { return t.current.Load().at }

// Listener is l behind TLS.
func (t *TLS) Listener(l net.Listener) net.Listener {
	return t.listener(l, func(s *tlsState) *tls.Config { return s.configured })
}

func pickBasic(s *tlsState) *tls.Config  { return s.basic }
func pickMutual(s *tlsState) *tls.Config { return s.mutual }

func (t *TLS) listener(l net.Listener, pick func(*tlsState) *tls.Config) net.Listener {
	return tlsListener{tls.NewListener(l, &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return pick(t.current.Load()), nil },
	}), l}
}

// tlsListener is a listener behind TLS that still knows the one in front.
type tlsListener struct {
	net.Listener
	plain net.Listener
}

// config is opts as crypto/tls has them, but for ClientAuth.
func (o *TLSOptions) config() (*tls.Config, error) {
	if o.Verify < VerifyNone || o.Verify > VerifyOnce {
		return nil, fmt.Errorf("memcached: ssl_verify_mode %d, want 0 to 3", o.Verify)
	}
	cert, err := o.certificate()
	if err != nil {
		return nil, fmt.Errorf("memcached: TLS: %w", err)
	}
	cfg := &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             or(o.MinVersion, tls.VersionTLS12),
		SessionTicketsDisabled: !o.SessionCache,
	}
	if o.CA != "" {
		text, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("memcached: TLS: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("memcached: TLS: %s: no PEM certificate in it", o.CA)
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
			// X509KeyPair takes any form of key under this name.
			key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
		}
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return cert, fmt.Errorf("%s: %w", o.Chain, err)
	}
	return cert, nil
}

// ciphers finds the suites of a list such as
// ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305. Names that Go does
// not offer are passed over, as long as one is left.
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
		return nil, fmt.Errorf("memcached: ssl_ciphers %q: none of them is known, want names such as ECDHE-RSA-AES128-GCM-SHA256", list)
	}
	return ids, nil
}

// opensslName turns TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 into OpenSSL's
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

var errNoTLS = errors.New("memcached: notls:, btls: and mtls: need TLS")
