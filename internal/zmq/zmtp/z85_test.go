package zmtp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestZ85(t *testing.T) {
	for _, tt := range []struct{ binary, text string }{
		{"", ""},
		{"864fd26fb559f75b", "HelloWorld"}, // the example of RFC 32
		{"00000000", "00000"},
		{"ffffffff", "%nSc0"},
	} {
		b, _ := hex.DecodeString(tt.binary)
		if got, err := EncodeZ85(b); err != nil || got != tt.text {
			t.Errorf("%s: %q, %v", tt.binary, got, err)
		}
		if got, err := DecodeZ85(tt.text); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q: %x, %v", tt.text, got, err)
		}
	}
	for _, bad := range []string{"0", "0000", "000000", "0000 ", "0000\\", "000\x80\x81", "%nSc1", "#####", "~~~~~"} {
		if got, err := DecodeZ85(bad); err == nil {
			t.Errorf("%q read as %x", bad, got)
		}
	}
	if _, err := EncodeZ85([]byte{1, 2, 3}); err == nil {
		t.Error("3 bytes encoded")
	}
}

func TestZ85RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		b = b[:len(b)/4*4]
		s, err := EncodeZ85(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeZ85(s); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x by way of %q: %x, %v", b, s, got, err)
		}
	})
}

// The pair is the one that the manual of zmq_curve shows as its test keys.
func TestKeys(t *testing.T) {
	const public, secret = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
	s, err := ParseKey(secret)
	if err != nil || s.String() != secret {
		t.Fatal(s, err)
	}
	if got := PairOf(s).Public.String(); got != public {
		t.Errorf("public key %s, want %s", got, public)
	}
	if nul, err := ParseKey(secret + "\x00"); err != nil || nul != s {
		t.Errorf("with a NUL: %v, %v", nul, err)
	}
	if raw, err := ParseKey(string(s[:])); err != nil || raw != s {
		t.Errorf("binary: %v, %v", raw, err)
	}
	for _, bad := range []string{"", secret[1:], secret + "0", strings.Repeat("#", 40), strings.Repeat("~", 40)} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%q read as %v", bad, k)
		}
	}
	a, b := NewKeyPair(), NewKeyPair()
	if a == b || a.Public != PairOf(a.Secret).Public {
		t.Error("key pairs are not random pairs")
	}
}

func FuzzZ85(f *testing.F) {
	f.Add("HelloWorld")
	f.Add("#####")
	f.Add("0000\x00")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := DecodeZ85(s)
		if err != nil {
			return
		}
		if again, err := EncodeZ85(b); err != nil || again != s {
			t.Fatalf("%q by way of %x: %q, %v", s, b, again, err)
		}
	})
}
