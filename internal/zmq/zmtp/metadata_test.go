package zmtp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseMetadata(t *testing.T) {
	tests := []struct {
		name, in string
		want     Metadata
		err      bool
	}{
		{name: "none"},
		{name: "one", in: "\x01a\x00\x00\x00\x02bc", want: Metadata{{"a", []byte("bc")}}},
		{name: "two", in: "\x01a\x00\x00\x00\x00\x01b\x00\x00\x00\x01x", want: Metadata{{"a", nil}, {"b", []byte("x")}}},
		{name: "no name", in: "\x00\x00\x00\x00\x00", err: true},
		{name: "name cut", in: "\x05ab", err: true},
		{name: "size cut", in: "\x01a\x00\x00\x00", err: true},
		{name: "value cut", in: "\x01a\x00\x00\x00\x02b", err: true},
		{name: "value of 4 GB", in: "\x01a\xff\xff\xff\xffb", err: true},
		{name: "bytes after", in: "\x01a\x00\x00\x00\x00\x01", err: true},
		{name: "twice", in: "\x01a\x00\x00\x00\x00\x01A\x00\x00\x00\x00", err: true},
		{name: "too much", in: "\x01a\x00\x00\x20\x00" + strings.Repeat("v", 8192), err: true},
		{name: "just not too much", in: "\x01a\x00\x00\x1f\xfa" + strings.Repeat("v", 8186), want: Metadata{{"a", bytes.Repeat([]byte("v"), 8186)}}},
	}
	for _, tt := range tests {
		m, err := ParseMetadata([]byte(tt.in))
		var e *Error
		if tt.err {
			if !errors.As(err, &e) || e.Code != CodeInvalidMetadata {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || len(m) != len(tt.want) {
			t.Errorf("%s: %d properties, %v", tt.name, len(m), err)
			continue
		}
		for i, p := range tt.want {
			if m[i].Name != p.Name || !bytes.Equal(m[i].Value, p.Value) {
				t.Errorf("%s: property %d is %q", tt.name, i, m[i])
			}
		}
		if got := m.append(nil); string(got) != tt.in {
			t.Errorf("%s: written again as %.40q", tt.name, got)
		}
	}
}

func TestMetadataGet(t *testing.T) {
	m := Metadata{{"Socket-Type", []byte("PUB")}, {"Identity", nil}}
	if v, ok := m.Get("socket-TYPE"); !ok || string(v) != "PUB" {
		t.Errorf("socket-TYPE: %q, %v", v, ok)
	}
	if v, ok := m.Get("identity"); !ok || len(v) != 0 {
		t.Errorf("identity: %q, %v", v, ok)
	}
	if _, ok := m.Get("Resource"); ok {
		t.Error("Resource found")
	}
}

// The result must survive the read buffer it came from.
func TestMetadataIsCopied(t *testing.T) {
	b := AppendProperty(nil, "X-name", []byte("value"))
	m, err := ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if m[0].Name != "X-name" || string(m[0].Value) != "value" {
		t.Errorf("%q", m)
	}
}

func TestSocketTypes(t *testing.T) {
	pairs := map[string]string{
		"PAIR": "PAIR", "PUB": "SUB XSUB", "SUB": "PUB XPUB", "REQ": "REP ROUTER", "REP": "REQ DEALER",
		"DEALER": "REP DEALER ROUTER", "ROUTER": "REQ DEALER ROUTER", "PULL": "PUSH", "PUSH": "PULL",
		"XPUB": "SUB XSUB", "XSUB": "PUB XPUB", "STREAM": "", "SERVER": "CLIENT", "CLIENT": "SERVER",
		"RADIO": "DISH", "DISH": "RADIO", "GATHER": "SCATTER", "SCATTER": "GATHER", "DGRAM": "DGRAM", "PEER": "PEER",
		"CHANNEL": "CHANNEL",
	}
	for a := PAIR; a <= CHANNEL; a++ {
		want := strings.Fields(pairs[a.String()])
		var got []string
		for b := PAIR; b <= CHANNEL; b++ {
			if a.Accepts([]byte(b.String())) {
				got = append(got, b.String())
				if !b.Accepts([]byte(a.String())) {
					t.Errorf("%v accepts %v and not the reverse", a, b)
				}
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v accepts %v, want %v", a, got, want)
		}
		for _, w := range want {
			if !a.Accepts([]byte(w)) {
				t.Errorf("%v does not accept %v", a, w)
			}
		}
	}
	if REQ.Accepts([]byte("rep")) || REQ.Accepts(nil) || SocketType(99).Accepts([]byte("PAIR")) || SocketType(99).String() != "unknown" {
		t.Error("a name that is none was accepted")
	}
	if !ROUTER.AnnouncesIdentity() || REP.AnnouncesIdentity() {
		t.Error("the wrong types announce an identity")
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("\x0bSocket-Type\x00\x00\x00\x03PUB\x08Identity\x00\x00\x00\x00"))
	f.Add([]byte("\x01a\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01a\x00\x00\x00\x00\x01A\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		if got := m.append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%q written again as %q", b, got)
		}
	})
}
