package zmq4

import (
	"fmt"
	"syscall"
	"testing"
)

// resetAuth forgets all rules after the test.
func resetAuth(t *testing.T) {
	t.Cleanup(func() {
		AuthStop()
		auth.mu.Lock()
		defer auth.mu.Unlock()
		clear(auth.allow)
		clear(auth.deny)
		clear(auth.users)
		clear(auth.keys)
		auth.metadata = nil
	})
}

// zap asks the handler about a peer and returns the status of its reply.
func zap(domain, address, mechanism string, credentials ...string) string {
	return auth.reply(append([]string{"1.0", "1", domain, address, "id", mechanism}, credentials...))[2]
}

func TestAuthRules(t *testing.T) {
	resetAuth(t)
	public, _, err := NewCurveKeypair()
	check(t, err)
	key := Z85decode(public)
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, expected %s", what, got, want)
		}
	}
	expect("NULL without rules", zap("d", "10.0.0.1", "NULL"), "200")
	expect("PLAIN without users", zap("d", "10.0.0.1", "PLAIN", "u", "p"), "400")
	expect("PLAIN of an unknown user with an empty password", zap("d", "10.0.0.1", "PLAIN", "u", ""), "400")
	expect("CURVE without keys", zap("d", "10.0.0.1", "CURVE", key), "400")
	AuthPlainAdd("d", "u", "p")
	expect("known user", zap("d", "10.0.0.1", "PLAIN", "u", "p"), "200")
	expect("wrong password", zap("d", "10.0.0.1", "PLAIN", "u", "q"), "400")
	expect("unknown user, empty password", zap("d", "10.0.0.1", "PLAIN", "v", ""), "400")
	expect("other domain", zap("e", "10.0.0.1", "PLAIN", "u", "p"), "400")
	AuthPlainRemove("d", "u")
	expect("removed user", zap("d", "10.0.0.1", "PLAIN", "u", "p"), "400")
	AuthCurveAdd("*", public)
	expect("known key", zap("d", "10.0.0.1", "CURVE", key), "200")
	AuthCurveRemove("*", public)
	expect("removed key", zap("d", "10.0.0.1", "CURVE", key), "400")
	AuthCurveAdd("d", CURVE_ALLOW_ANY)
	expect("any key", zap("d", "10.0.0.1", "CURVE", key), "200")
	expect("a key of 31 octets", zap("e", "10.0.0.1", "CURVE", key[1:]), "400")
	AuthCurveRemoveAll("d")
	AuthPlainRemoveAll("d")
	expect("no keys", zap("d", "10.0.0.1", "CURVE", key), "400")

	AuthDeny("d", "10.0.0.0/8")
	expect("denied network", zap("d", "10.0.0.1", "NULL"), "400")
	expect("other network", zap("d", "11.0.0.1", "NULL"), "200")
	AuthAllow("d", "10.0.0.1", "no address")
	expect("an allow list beats a deny list", zap("d", "10.0.0.1", "NULL"), "200")
	expect("not on the allow list", zap("d", "11.0.0.1", "NULL"), "400")
	expect("no address", zap("d", "", "NULL"), "400")
	AuthAllow("192.168.0.1", "192.168.0.2")
	expect("an address in place of the domain", zap("x", "192.168.0.2", "NULL"), "200")
	expect("any domain", zap("x", "192.168.0.3", "NULL"), "400")
	AuthAllow("d", "127.0.0.1")
	expect("PLAIN needs a user too", zap("d", "127.0.0.1", "PLAIN", "u", "p"), "400")
	expect("GSSAPI", zap("d", "127.0.0.1", "GSSAPI", "x"), "400")

	for _, malformed := range [][]string{nil, {"1.0"}, {"2.0", "1", "d", "127.0.0.1", "", "NULL"}} {
		if got := auth.reply(malformed); got[2] != "500" {
			t.Errorf("malformed request %q: %q", malformed, got)
		}
	}
}

// TestAuthStart: the server's socket is in the default context, as the handler.
func TestAuthStart(t *testing.T) {
	resetAuth(t)
	check(t, AuthStart())
	if AuthStart() == nil {
		t.Error("AuthStart twice: no error")
	}
	AuthSetMetadataHandler(func(version, request_id, domain, address, identity, mechanism string, credentials ...string) map[string]string {
		return map[string]string{
			"User-Id": "me", "Hello": "World", "Identity": identity,
			"Seen": fmt.Sprint(version, domain, address, mechanism, len(credentials)),
		}
	})
	clientPublic, clientSecret, err := NewCurveKeypair()
	check(t, err)
	serverPublic, serverSecret, err := NewCurveKeypair()
	check(t, err)
	AuthCurveAdd("d", clientPublic)
	server, err := NewSocket(DEALER)
	check(t, err)
	defer server.Close()
	check(t, server.SetLinger(0))
	check(t, server.SetIdentity("server"))
	check(t, server.ServerAuthCurve("d", serverSecret))
	check(t, server.Bind(anyPort))
	end, err := server.GetLastEndpoint()
	check(t, err)
	client := newRig(t).socket(DEALER)
	check(t, client.ClientAuthCurve(serverPublic, clientPublic, clientSecret))
	check(t, client.Connect(end))
	send(t, client, "a", "b")
	msg, props, err := server.RecvMessageWithMetadata(0, "User-Id", "Hello", "Identity", "Seen")
	check(t, err)
	want := map[string]string{"User-Id": "me", "Hello": "World", "Identity": "server", "Seen": "1.0 d 127.0.0.1 CURVE 1"}
	want["Seen"] = fmt.Sprint("1.0", "d", "127.0.0.1", "CURVE", 1)
	if len(msg) != 2 || fmt.Sprint(props) != fmt.Sprint(want) {
		t.Errorf("got %q %v, expected %v", msg, props, want)
	}
	AuthStop()
	AuthStop()
	check(t, AuthStart())
}

func TestClientAuthCurveErrors(t *testing.T) {
	soc := newRig(t).socket(DEALER)
	public, secret, err := NewCurveKeypair()
	check(t, err)
	einval := Errno(syscall.EINVAL)
	wantErr(t, "server key", soc.ClientAuthCurve("x", public, secret), einval)
	wantErr(t, "public key", soc.ClientAuthCurve(public, "x", secret), einval)
	wantErr(t, "secret key", soc.ClientAuthCurve(public, public, "x"), einval)
	check(t, soc.ClientAuthCurve(public, public, secret))
	if m, err := soc.GetMechanism(); m != CURVE || err != nil {
		t.Errorf("GetMechanism: %v %v", m, err)
	}
	for _, get := range []struct {
		z85, raw func() (string, error)
		want     string
	}{
		{soc.GetCurvePublickeykeyZ85, soc.GetCurvePublickeyRaw, public},
		{soc.GetCurveSecretkeyZ85, soc.GetCurveSecretkeyRaw, secret},
		{soc.GetCurveServerkeyZ85, soc.GetCurveServerkeyRaw, public},
	} {
		text, err := get.z85()
		check(t, err)
		octets, err := get.raw()
		check(t, err)
		if text != get.want || octets != Z85decode(get.want) {
			t.Errorf("got %q %q, expected %q", text, octets, get.want)
		}
	}
}

func TestCurveKeys(t *testing.T) {
	public, err := AuthCurvePublic("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
	if public != "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID" || err != nil {
		t.Errorf("got %q %v", public, err)
	}
	if _, err := AuthCurvePublic("blabla"); err != Errno(syscall.EINVAL) {
		t.Errorf("a bad key: %v", err)
	}
	if got := Z85encode("\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B"); got != "HelloWorld" { // RFC 32
		t.Errorf("Z85encode: %q", got)
	}
	if got := Z85decode("HelloWorld"); got != "\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B" {
		t.Errorf("Z85decode: %q", got)
	}
	for _, f := range []func(){func() { Z85encode("abc") }, func() { Z85decode("abcd") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a bad length: no panic")
				}
			}()
			f()
		}()
	}
	blob, err := AuthMetaBlob("key", "value")
	if string(blob) != "\x03key\x00\x00\x00\x05value" || err != nil {
		t.Errorf("AuthMetaBlob: %q %v", blob, err)
	}
	if _, err := AuthMetaBlob(string(make([]byte, 256)), ""); err == nil {
		t.Error("AuthMetaBlob of a long key: no error")
	}
}
