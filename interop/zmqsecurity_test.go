package interop_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
	"lintel.dev/zmq/certificate"
	"lintel.dev/zmq/event"
)

// eitherBinds runs a test with either side binding: the server of the mechanism
// need not be the one that binds.
func eitherBinds(t *testing.T, test func(t *testing.T, l link, z *pyzmq)) {
	for _, l := range links[:2] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			test(t, l, newPyzmq(t))
		})
	}
}

// talk sends messages of every shape both ways.
func talk(t *testing.T, ours *zmq.Dealer, theirs *pysock) {
	t.Helper()
	for _, m := range messages {
		sendFrames(t, ours.Send, m...)
		sameFrames(t, theirs.recv(), m)
		theirs.send(m...)
		sameFrames(t, recvFrames(t, ours.Recv), m)
	}
}

func TestPlainTheirServer(t *testing.T) {
	eitherBinds(t, func(t *testing.T, l link, z *pyzmq) {
		z.ask("auth", zmqRequest{"plain": map[string]string{"ada": "engine"}})
		server := z.socket("DEALER", "plain_server", 1)
		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithPlain("ada", "engine")))
		l.join(t, ours, server)
		talk(t, ours, server)
	})
}

func TestPlainOurServer(t *testing.T) {
	eitherBinds(t, func(t *testing.T, l link, z *pyzmq) {
		asked := make(chan zmq.AuthRequest, 10)
		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithOption("plain_server", "1"),
			zmq.WithAuthenticator(func(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
				asked <- r
				return zmq.AuthResult{Allow: r.Username == "ada" && r.Password == "engine"}, nil
			})))
		client := z.socket("DEALER", "plain_username", "ada", "plain_password", "engine")
		l.join(t, ours, client)
		talk(t, ours, client)
		if r := <-asked; r.Mechanism != "PLAIN" || r.Username != "ada" {
			t.Errorf("the authenticator was asked about %+v", r)
		}
	})
}

// TestPlainRefused checks that the client learns of a wrong password, with
// either implementation as the client.
func TestPlainRefused(t *testing.T) {
	t.Run("our client", func(t *testing.T) {
		t.Parallel()
		z := newPyzmq(t)
		z.ask("auth", zmqRequest{"plain": map[string]string{"ada": "engine"}})
		server := z.socket("DEALER", "plain_server", 1)
		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithPlain("ada", "guess")))
		ev := watch(t, ours)
		links[1].join(t, ours, server)
		if e := ev.until(event.HandshakeAuth); e.Status != 400 {
			t.Errorf("refused with status %d, not 400", e.Status)
		}
	})
	t.Run("their client", func(t *testing.T) {
		t.Parallel()
		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithOption("plain_server", "1"),
			zmq.WithAuthenticator(func(context.Context, zmq.AuthRequest) (zmq.AuthResult, error) {
				return zmq.AuthResult{}, nil
			})))
		client := newPyzmq(t).socket("DEALER", "plain_username", "ada", "plain_password", "guess")
		client.do("monitor", nil)
		links[0].join(t, ours, client)
		if e := client.until("HANDSHAKE_FAILED_AUTH"); e.Value != 400 {
			t.Errorf("refused with status %d, not 400", e.Value)
		}
	})
}

func keys(t *testing.T, r zmqReply) (public zmq.PublicKey, secret zmq.SecretKey) {
	t.Helper()
	public, err := zmq.ParsePublicKey(r.Public)
	if err != nil {
		t.Fatal(err)
	}
	secret, err = zmq.ParseSecretKey(r.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return public, secret
}

func TestCurveTheirServer(t *testing.T) {
	eitherBinds(t, func(t *testing.T, l link, z *pyzmq) {
		// The server accepts the clients of a directory of certificates that
		// zmq.auth wrote.
		dir := t.TempDir()
		path := z.ask("certificate", zmqRequest{"dir": dir, "name": "client"}).Secret
		_, secret := keys(t, z.ask("load_certificate", zmqRequest{"path": path}))
		z.ask("auth", zmqRequest{"curve": dir})
		pair := z.ask("keypair", nil)
		serverKey, _ := keys(t, pair)
		server := z.socket("DEALER", "curve_server", 1, "curve_publickey", pair.Public, "curve_secretkey", pair.Secret)

		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithCurve(secret, serverKey)))
		l.join(t, ours, server)
		talk(t, ours, server)

		// A client with other keys is refused.
		intruderSecret := zmq.NewSecretKey()
		if !l.weBind {
			intruder := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithCurve(intruderSecret, serverKey)))
			ev := watch(t, intruder)
			other := z.socketAs("other", "DEALER", "curve_server", 1, "curve_publickey", pair.Public, "curve_secretkey", pair.Secret)
			l.join(t, intruder, other)
			if e := ev.until(event.HandshakeAuth); e.Status != 400 {
				t.Errorf("refused with status %d, not 400", e.Status)
			}
		}
	})
}

func TestCurveOurServer(t *testing.T) {
	eitherBinds(t, func(t *testing.T, l link, z *pyzmq) {
		serverSecret := zmq.NewSecretKey()
		serverPublic := serverSecret.Public()
		pair := z.ask("keypair", nil)
		clientKey, _ := keys(t, pair)
		ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithCurveServer(serverSecret),
			zmq.WithAuthenticator(func(_ context.Context, r zmq.AuthRequest) (zmq.AuthResult, error) {
				return zmq.AuthResult{Allow: r.PublicKey == clientKey}, nil
			})))
		client := z.socket("DEALER", "curve_publickey", pair.Public, "curve_secretkey", pair.Secret,
			"curve_serverkey", serverPublic.String())
		l.join(t, ours, client)
		talk(t, ours, client)
	})
}

// TestCurveOnly checks that both implementations refuse a NULL peer where CURVE
// is set.
func TestCurveOnly(t *testing.T) {
	secret := zmq.NewSecretKey()
	ours := opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithCurveServer(secret)))
	client := newPyzmq(t).socket("DEALER")
	client.do("monitor", nil)
	links[0].join(t, ours, client)
	if e := client.nextEvent(func(event string) bool {
		return event == "HANDSHAKE_SUCCEEDED" || event == "DISCONNECTED" || len(event) > 16 && event[:16] == "HANDSHAKE_FAILED"
	}); e.Event == "HANDSHAKE_SUCCEEDED" {
		t.Error("a NULL client spoke with our CURVE server")
	}
}

// TestCertificates checks that zmq.auth reads the files of lintel zmq keygen,
// in czmq's format.
func TestCertificates(t *testing.T) {
	z := newPyzmq(t)
	dir := t.TempDir()
	out, status := peers.Run(t, exec.Command(lintel(t), "zmq", "keygen", filepath.Join(dir, "mine.key")))
	if status != 0 {
		t.Fatalf("keygen: %s", out)
	}
	for _, name := range []string{"mine.key", "mine.key_secret"} {
		pair := z.ask("load_certificate", zmqRequest{"path": filepath.Join(dir, name)})
		public, err := zmq.ParsePublicKey(pair.Public)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if pair.Secret == "" {
			continue
		}
		secret, err := zmq.ParseSecretKey(pair.Secret)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if secret.Public() != public {
			t.Errorf("%s: the keys do not belong together", name)
		}
	}
}

// TestCertificateFiles checks that zmq.auth reads the files of lintel zmq
// keygen, and Lintel those of zmq.auth, with the same keys.
func TestCertificateFiles(t *testing.T) {
	z := newPyzmq(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "ours")
	if out, err := exec.Command(lintel(t), "zmq", "keygen", "--meta", "name=Ada L", path).CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v\n%s", err, out)
	}
	theirs := z.ask("certificate", zmqRequest{"dir": dir, "name": "theirs"})
	for _, file := range []string{path, path + "_secret", theirs.Public, theirs.Secret} {
		cert, err := certificate.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		r := z.ask("load_certificate", zmqRequest{"path": file})
		if r.Public != cert.PublicKey.String() {
			t.Errorf("%s: public key %s, zmq.auth reads %s", file, cert.PublicKey, r.Public)
		}
		secret := ""
		if !cert.SecretKey.IsZero() {
			secret = cert.SecretKey.Text()
		}
		if r.Secret != secret {
			t.Errorf("%s: zmq.auth reads another secret key", file)
		}
		if ours := strings.HasPrefix(file, path); ours && cert.Metadata["name"] != "Ada L" {
			t.Errorf("%s: metadata %q", file, cert.Metadata)
		}
	}
}
