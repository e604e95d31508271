// Package certificate reads the CURVE certificate files that czmq, pyzmq and
// lintel zmq keygen write, and makes an authenticator of a directory of them.
//
// # Examples
//
// Example in example_test.go is a server that lets in the clients whose certificates
// are in a directory.
package certificate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// maxCertificate bounds the file of a certificate, in octets.
const maxCertificate = 64 << 10

// Certificate is the contents of a certificate file: CURVE keys and properties.
type Certificate struct {
	PublicKey zmq.PublicKey
	SecretKey zmq.SecretKey     // zero in a public certificate
	Metadata  map[string]string // the properties of the section metadata; never nil
}

// Load reads a certificate file, public or secret, of at most 64 KiB. Errors
// name the file, and the line if one is wrong.
func Load(path string) (*Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCertificate+1))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("certificate: %s: %w", path, err)
	}
	return c, nil
}

// parseCertificate reads the format of RFC 4, ZPL: sections at the margin and
// their properties, name = value, indented by four spaces. Deeper ones and
// other sections mean nothing here.
func parseCertificate(text []byte) (*Certificate, error) {
	if len(text) > maxCertificate {
		return nil, fmt.Errorf("more than %d octets", maxCertificate)
	}
	c := &Certificate{Metadata: make(map[string]string)}
	var section string
	var public bool
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxCertificate+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		body := strings.TrimLeft(line, " \t")
		if body == "" || body[0] == '#' {
			continue
		}
		depth := len(line) - len(body)
		name, value, err := property(body)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case depth == 0:
			section = name
		case depth > 4:
		case section == "metadata":
			c.Metadata[name] = value
		case section == "curve" && (name == "public-key" || name == "secret-key"):
			if len(value) != 40 {
				return nil, fmt.Errorf("line %d: %s of %d characters, expected 40 of Z85", n, name, len(value))
			}
			if name == "secret-key" {
				c.SecretKey, err = zmq.ParseSecretKey(value)
			} else {
				public = true
				c.PublicKey, err = zmq.ParsePublicKey(value)
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", n, name, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if !public {
		return nil, errNoPublicKey
	}
	if !c.SecretKey.IsZero() && c.SecretKey.Public() != c.PublicKey {
		return nil, errors.New("its two keys do not belong together")
	}
	return c, nil
}

var errNoPublicKey = errors.New("no public-key in a section curve")

// property splits name = value; the value may be in quotes of either kind.
func property(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsAny(name, " \t") {
		return "", "", fmt.Errorf("%.40q, expected NAME or NAME = VALUE", line)
	}
	if !ok {
		return name, "", nil
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return name, "", nil
	}
	if q := value[0]; q == '"' || q == '\'' {
		end := strings.IndexByte(value[1:], q)
		if end < 0 {
			return "", "", fmt.Errorf("%.40q, expected a closing %c", value, q)
		}
		return name, value[1 : 1+end], nil
	}
	if i := strings.Index(value, " #"); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	return name, value, nil
}

// Directory returns an Authenticator that accepts the CURVE peers whose public
// keys are in the certificate files of a directory, and refuses all others. It
// ignores names that start with a dot or end in _secret, and files that are not
// certificates. The user id of a peer is its key in Z85; the certificate's
// metadata becomes properties of the peer. Files that are added, changed or
// removed take effect for the next peer that connects. Directory fails when dir
// cannot be read; if dir becomes unreadable later, peers may try again.
func Directory(dir string) (zmq.Authenticator, error) {
	d := &keyDirectory{path: dir, files: make(map[string]keyFile)}
	if err := d.refresh(); err != nil {
		return nil, err
	}
	return d.authenticate, nil
}

// keyDirectory keeps what it read of each file until the file changes.
type keyDirectory struct {
	path string

	mu    sync.Mutex
	files map[string]keyFile         // by name
	known map[zmq.PublicKey]*keyFile // those that are certificates
}

type keyFile struct {
	size     int64
	modified time.Time
	cert     *Certificate // nil: the file is none
}

func (d *keyDirectory) authenticate(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
	if r.Mechanism != "CURVE" {
		return zmq.AuthResult{}, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refresh(); err != nil {
		return zmq.AuthResult{}, err
	}
	f := d.known[r.PublicKey]
	if f == nil {
		return zmq.AuthResult{}, nil
	}
	return zmq.AuthResult{Allow: true, UserID: r.PublicKey.String(), Metadata: f.cert.Metadata}, nil
}

func (d *keyDirectory) refresh() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("certificate: directory: %w", err)
	}
	files := make(map[string]keyFile, len(entries))
	known := make(map[zmq.PublicKey]*keyFile, len(entries))
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_secret") {
			continue
		}
		path := filepath.Join(d.path, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("certificate: directory: %w", err)
		case !info.Mode().IsRegular():
			continue
		}
		f, ok := d.files[name]
		if !ok || f.size != info.Size() || !f.modified.Equal(info.ModTime()) {
			f = keyFile{size: info.Size(), modified: info.ModTime()}
			f.cert, _ = Load(path)
		}
		files[name] = f
		if f.cert != nil {
			known[f.cert.PublicKey] = &f
		}
	}
	d.files, d.known = files, known
	return nil
}
