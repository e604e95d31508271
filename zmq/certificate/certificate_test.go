package certificate_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/zmq"
	"lintel.dev/zmq/certificate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func certificateFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	secret := zmq.NewSecretKey()
	public := secret.Public()
	other := zmq.NewSecretKey().Public()
	keys := "curve\n    public-key = \"" + public.String() + "\"\n"
	for _, c := range []struct {
		name, text string
		secret     bool
		meta       map[string]string
		fails      string // part of the error
	}{
		{name: "public", text: "# note\n\nmetadata\n" + keys},
		{name: "secret", text: keys + "    secret-key = '" + secret.Text() + "'\n", secret: true},
		{
			name: "metadata",
			text: "metadata\n    name = \"Ada = L\" # who\n    city = 'Lon\"don'\n    year = 1843 # when\n    none =\n" + keys,
			meta: map[string]string{"name": "Ada = L", "city": "Lon\"don", "year": "1843", "none": ""},
		},
		{name: "without quotes, CRLF", text: "metadata\r\ncurve\r\n    public-key = " + public.String() + "\r\n"},
		{name: "unknown sections", text: "extra\n    public-key = no\n        deep = er\n" + keys},
		{name: "empty", text: "", fails: "no public-key"},
		{name: "key elsewhere", text: "metadata\n    public-key = \"x\"\n", fails: "no public-key"},
		{name: "short key", text: "curve\n    public-key = \"abc\"\n", fails: "line 2: public-key of 3 characters"},
		{name: "no Z85", text: "curve\n    public-key = \"" + strings.Repeat("~", 40) + "\"\n", fails: "line 2: public-key"},
		{name: "open quotes", text: "metadata\n    name = \"Ada\n" + keys, fails: "line 2: "},
		{name: "no property", text: "some words\n" + keys, fails: "line 1: "},
		{name: "wrong pair", text: "curve\n    public-key = \"" + other.String() + "\"\n    secret-key = \"" + secret.Text() + "\"\n", fails: "belong together"},
		{name: "huge", text: strings.Repeat("# x\n", 20000) + keys, fails: "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := certificateFile(t, filepath.Join(t.TempDir(), "cert"), c.text)
			got, err := certificate.Load(path)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want one with %q and the path", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.PublicKey != public || (got.SecretKey.Text() == secret.Text()) != c.secret {
				t.Errorf("keys %v and %v", got.PublicKey, got.SecretKey)
			}
			if len(got.Metadata) != len(c.meta) {
				t.Errorf("metadata %q, want %q", got.Metadata, c.meta)
			}
			for name, want := range c.meta {
				if got.Metadata[name] != want {
					t.Errorf("metadata %s is %q, want %q", name, got.Metadata[name], want)
				}
			}
		})
	}
	if _, err := certificate.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// TestCurveDirectory: a key counts from the moment its file is there to the
// moment it is gone.
func TestDirectory(t *testing.T) {
	if _, err := certificate.Directory(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there was accepted")
	}
	dir := t.TempDir()
	certificateFile(t, filepath.Join(dir, "README"), "nothing of interest")
	auth, err := certificate.Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	public := zmq.NewSecretKey().Public()
	allowed := func(m string) zmq.AuthResult {
		t.Helper()
		res, err := auth(t.Context(), zmq.AuthRequest{Mechanism: m, PublicKey: public})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if allowed("CURVE").Allow {
		t.Error("an unknown key was accepted")
	}
	text := "metadata\n    name = \"Ada\"\ncurve\n    public-key = \"" + public.String() + "\"\n"
	certificateFile(t, filepath.Join(dir, "ada_secret"), text)
	if allowed("CURVE").Allow {
		t.Error("a secret certificate was accepted")
	}
	path := certificateFile(t, filepath.Join(dir, "ada"), text)
	if res := allowed("CURVE"); !res.Allow || res.UserID != public.String() || res.Metadata["name"] != "Ada" {
		t.Errorf("after its file was added: %+v", res)
	}
	if allowed("PLAIN").Allow {
		t.Error("a PLAIN peer was accepted")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if allowed("CURVE").Allow {
		t.Error("a key was accepted after its file was removed")
	}
}

func TestDirectoryOnSocket(t *testing.T) {
	dir := t.TempDir()
	serverSecret := zmq.NewSecretKey()
	serverKey := serverSecret.Public()
	secret := zmq.NewSecretKey()
	public := secret.Public()
	certificateFile(t, filepath.Join(dir, "c"), "metadata\n    X-name = \"Ada\"\ncurve\n    public-key = \""+public.String()+"\"\n")
	auth, err := certificate.Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	pull, err := zmq.NewPull(zmq.WithCurveServer(serverSecret), zmq.WithAuthenticator(auth))
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	push, err := zmq.NewPush(zmq.WithCurve(secret, serverKey))
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	at, err := pull.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push.Connect(at.Addr()); err != nil {
		t.Fatal(err)
	}
	if err := push.Send(t.Context(), zmq.NewMsg("hello")); err != nil {
		t.Fatal(err)
	}
	_, peer, err := pull.RecvFrom(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if peer.UserID != public.String() || peer.Properties["X-name"] != "Ada" {
		t.Errorf("peer %+v", peer)
	}
}
