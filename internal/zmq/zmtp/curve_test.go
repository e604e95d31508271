package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"
	"pgregory.net/rapid"
)

// failer is a test, a benchmark or a rapid check.
type failer interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// curvePair returns the two ends of a finished handshake.
func curvePair(t failer) (client, server Sealer) {
	keys := NewKeyPair()
	a, b := NewCurveClient(NewKeyPair(), keys.Public, nil), NewCurveServer(keys, nil, false)
	finishCurve(t, a, b)
	return a.Sealer(), b.Sealer()
}

// finishCurve does a handshake.
func finishCurve(t failer, client, server Mechanism) {
	from, to := client, server
	for range 4 {
		body, ok := from.Produce(nil)
		if !ok {
			t.Fatal("handshake stuck")
		}
		if err := to.Consume(body); err != nil {
			t.Fatal(err)
		}
		from, to = to, from
	}
}

// unframe returns the body of the only frame in b.
func unframe(t failer, b []byte) []byte {
	h, body, rest, ok, err := Framing2.Next(b, -1)
	if err != nil || !ok || len(rest) != 0 || h.Flags != 0 {
		t.Fatalf("header %+v, %d left, %v, %v: a MESSAGE is an ordinary frame", h, len(rest), ok, err)
	}
	return body
}

func TestCurveRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ends [2]Sealer
		ends[0], ends[1] = curvePair(t)
		for range rapid.IntRange(1, 8).Draw(t, "messages") {
			from := rapid.IntRange(0, 1).Draw(t, "from")
			flags := byte(rapid.SampledFrom([]int{0, FlagMore, FlagCommand, FlagMore | FlagCommand}).Draw(t, "flags"))
			payload := rapid.SliceOfN(rapid.Byte(), 0, rapid.SampledFrom([]int{0, 1, 30, 31, 32, 33, 95, 96, 222, 223, 300, 511, 512, 543, 5000}).Draw(t, "size")).Draw(t, "payload")
			sealed := ends[from].Seal([]byte("before"), flags, payload)
			if len(sealed) != len("before")+ends[from].SealedSize(len(payload)) || !bytes.HasPrefix(sealed, []byte("before")) {
				t.Fatalf("%d bytes for %d, SealedSize says %d", len(sealed), len(payload), ends[from].SealedSize(len(payload)))
			}
			body := unframe(t, sealed[len("before"):])
			open := ends[1-from].Open
			if rapid.Bool().Draw(t, "into") {
				open = func(body []byte) (Header, []byte, error) {
					h, out, err := ends[1-from].OpenInto([]byte("before"), body)
					return h, bytes.TrimPrefix(out, []byte("before")), err
				}
			}
			h, got, err := open(body)
			if err != nil || h.Flags != flags || h.Size != len(payload) || !bytes.Equal(got, payload) {
				t.Fatalf("%+v, %q, %v; sent %d, %q", h, got, err, flags, payload)
			}
		}
	})
}

// The boxes are those that everybody else makes with crypto_box.
func TestCurveSealIsCryptoBox(t *testing.T) {
	a, b := NewKeyPair(), NewKeyPair()
	key, ok := a.shared(&b.Public)
	if !ok {
		t.Fatal("no shared key")
	}
	var precomputed [32]byte
	box.Precompute(&precomputed, (*[32]byte)(&b.Public), (*[32]byte)(&a.Secret))
	if precomputed != key {
		t.Fatal("the shared key is not crypto_box's")
	}
	for _, size := range []int{0, 1, 31, 32, 63, 64, 255, 256, 1024, 70000} {
		for _, asServer := range []bool{false, true} {
			payload := bytes.Repeat([]byte{7}, size)
			sealed := newCurveSealer(&key, asServer, 2, 2).Seal(nil, FlagMore, payload)
			prefix := nonceFromClient
			if asServer {
				prefix = nonceFromServer
			}
			want := append([]byte("\x07MESSAGE"), 0, 0, 0, 0, 0, 0, 0, 3)
			want = box.SealAfterPrecomputation(want, append([]byte{curveMore}, payload...), nonce(prefix, want[8:]), &precomputed)
			if got := unframe(t, sealed); !bytes.Equal(got, want) {
				t.Errorf("%d bytes, server %v: not the box that crypto_box makes", size, asServer)
			}
		}
	}
}

func TestCurveOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(body, earlier []byte) []byte
		code Code
	}{
		{"empty", func(_, _ []byte) []byte { return nil }, CodeMalformedMessage},
		{"32 bytes", func(b, _ []byte) []byte { return b[:32] }, CodeMalformedMessage},
		{"another command", func(b, _ []byte) []byte { b[1] = 'X'; return b }, CodeMalformedMessage},
		{"READY again", func(b, _ []byte) []byte { copy(b, "\x05READY"); return b }, CodeMalformedMessage},
		{"replayed", func(_, earlier []byte) []byte { return earlier }, CodeInvalidSequence},
		{"nonce 0", func(b, _ []byte) []byte { clear(b[8:16]); return b }, CodeInvalidSequence},
		{"nonce moved", func(b, _ []byte) []byte { b[8] = 1; return b }, CodeCryptographic},
		{"tag", func(b, _ []byte) []byte { b[16] ^= 1; return b }, CodeCryptographic},
		{"flags", func(b, _ []byte) []byte { b[32] ^= curveCommand; return b }, CodeCryptographic},
		{"payload", func(b, _ []byte) []byte { b[len(b)-1] ^= 1; return b }, CodeCryptographic},
		{"cut", func(b, _ []byte) []byte { return b[:len(b)-1] }, CodeCryptographic},
		{"longer", func(b, _ []byte) []byte { return append(b, 0) }, CodeCryptographic},
	}
	for _, tt := range tests {
		client, server := curvePair(t)
		first := unframe(t, client.Seal(nil, 0, []byte("first")))
		earlier := bytes.Clone(first)
		if _, _, err := server.Open(first); err != nil {
			t.Fatal(err)
		}
		second := unframe(t, client.Seal(nil, 0, []byte("second")))
		_, _, err := server.Open(tt.edit(bytes.Clone(second), earlier))
		_, out, into := server.OpenInto([]byte("x"), tt.edit(bytes.Clone(second), earlier))
		for _, err := range []error{err, into} {
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("%s: %v, want code %#x", tt.name, err, uint32(tt.code))
			}
		}
		if string(out) != "x" {
			t.Errorf("%s: a forgery was written as %q", tt.name, out)
		}
		// A forgery changes no state: the real message still opens.
		if _, payload, err := server.Open(second); err != nil || string(payload) != "second" {
			t.Errorf("%s: then %q, %v", tt.name, payload, err)
		}
	}
	client, _ := curvePair(t)
	if _, _, err := client.Open(unframe(t, client.Seal(nil, 0, []byte("mine")))); err == nil {
		t.Error("a message sent back to its sender opened")
	}
}

// Each piece of INITIATE and READY is bound to its connection.
func TestCurveTamperedHandshake(t *testing.T) {
	keys, clientKeys := NewKeyPair(), NewKeyPair()
	tests := []struct {
		name  string
		step  int // 1 WELCOME, 2 INITIATE, 3 READY
		edit  func(b []byte) []byte
		code  Code
		steal bool // INITIATE of another connection
	}{
		{name: "WELCOME nonce", step: 1, edit: func(b []byte) []byte { b[8] ^= 1; return b }, code: CodeCryptographic},
		{name: "WELCOME box", step: 1, edit: func(b []byte) []byte { b[167] ^= 1; return b }, code: CodeCryptographic},
		{name: "cookie nonce", step: 2, edit: func(b []byte) []byte { b[9] ^= 1; return b }, code: CodeCryptographic},
		{name: "cookie", step: 2, edit: func(b []byte) []byte { b[104] ^= 1; return b }, code: CodeCryptographic},
		{name: "INITIATE nonce", step: 2, edit: func(b []byte) []byte { b[112]++; return b }, code: CodeCryptographic},
		{name: "INITIATE nonce again", step: 2, edit: func(b []byte) []byte { b[112] = 1; return b }, code: CodeInvalidSequence},
		{name: "INITIATE box", step: 2, edit: func(b []byte) []byte { b[200] ^= 1; return b }, code: CodeCryptographic},
		{name: "INITIATE short", step: 2, edit: func(b []byte) []byte { return b[:256] }, code: CodeMalformedInitiate},
		{name: "INITIATE beyond any metadata", step: 2, edit: func(b []byte) []byte { return append(b, make([]byte, MaxMetadata+1)...) }, code: CodeMalformedInitiate},
		{name: "INITIATE of another connection", step: 2, steal: true, code: CodeCryptographic},
		{name: "READY short", step: 3, edit: func(b []byte) []byte { return b[:29] }, code: CodeMalformedReady},
		{name: "READY long", step: 3, edit: func(b []byte) []byte { return append(b, make([]byte, MaxMetadata+1)...) }, code: CodeMalformedReady},
		{name: "READY box", step: 3, edit: func(b []byte) []byte { b[29] ^= 1; return b }, code: CodeCryptographic},
		{name: "READY nonce", step: 3, edit: func(b []byte) []byte { b[13]++; return b }, code: CodeCryptographic},
	}
	// run carries the commands, editing the one of the given step.
	run := func(step int, edit func([]byte) []byte) (Mechanism, error) {
		client, server := NewCurveClient(clientKeys, keys.Public, nil), NewCurveServer(keys, nil, false)
		from, to := client, server
		for i := range step + 1 {
			body, ok := from.Produce(nil)
			if !ok {
				t.Fatal("handshake stuck")
			}
			if i == step {
				body = edit(body)
			}
			if err := to.Consume(body); err != nil {
				return to, err
			}
			from, to = to, from
		}
		return from, nil
	}
	for _, tt := range tests {
		edit := tt.edit
		if tt.steal {
			var other []byte
			if _, err := run(2, func(b []byte) []byte { other = bytes.Clone(b); return b }); err != nil {
				t.Fatal(err)
			}
			edit = func([]byte) []byte { return other }
		}
		victim, err := run(tt.step, edit)
		var e *Error
		if !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: %v, want code %#x", tt.name, err, uint32(tt.code))
			continue
		}
		if victim.State() != StateFailed || victim.Sealer() != nil {
			t.Errorf("%s: state %v", tt.name, victim.State())
		}
	}
}

// A client proves its long-term key with a vouch. One made with another key, for
// another server or another connection is worth nothing, though the rest of the
// INITIATE is in order.
func TestCurveVouch(t *testing.T) {
	intruder := NewKeyPair()
	for _, tt := range []struct {
		name  string
		forge func(c *curveClient)
	}{
		{"another's public key", func(c *curveClient) { c.keys.Public = intruder.Public }},
		{"vouched for another server", func(c *curveClient) { c.server = intruder.Public }},
		{"vouched for another short-term key", func(c *curveClient) { c.short.Public = intruder.Public }},
		{"a key of low order", func(c *curveClient) { c.keys.Public = Key{} }},
	} {
		keys := NewKeyPair()
		client := NewCurveClient(NewKeyPair(), keys.Public, nil).(*curveClient)
		server := NewCurveServer(keys, nil, false)
		hello, _ := client.Produce(nil)
		if err := server.Consume(hello); err != nil {
			t.Fatal(err)
		}
		welcome, _ := server.Produce(nil)
		if err := client.Consume(welcome); err != nil {
			t.Fatal(err)
		}
		tt.forge(client)
		initiate, _ := client.Produce(nil)
		if err := server.Consume(initiate); err == nil || server.State() != StateFailed {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCurveServerKeyOfLowOrder(t *testing.T) {
	client := NewCurveClient(NewKeyPair(), Key{}, nil)
	if _, ok := client.Produce(nil); ok || client.State() != StateFailed {
		t.Errorf("state %v, HELLO %v", client.State(), ok)
	}
}

func TestCurveSizes(t *testing.T) {
	keys := NewKeyPair()
	client, server := NewCurveClient(NewKeyPair(), keys.Public, nil), NewCurveServer(keys, nil, false)
	from, to := client, server
	for _, want := range []struct {
		name string
		size int
	}{{"\x05HELLO", 200}, {"\x07WELCOME", 168}, {"\x08INITIATE", 257}, {"\x05READY", 30}} {
		body, _ := from.Produce(nil)
		if len(body) != want.size || !strings.HasPrefix(string(body), want.name) {
			t.Errorf("%q of %d bytes, want %q of %d", body[:9], len(body), want.name, want.size)
		}
		if err := to.Consume(body); err != nil {
			t.Fatal(err)
		}
		from, to = to, from
	}
	sealed := client.Sealer().Seal(nil, 0, nil)
	if len(sealed) != 2+33 || binary.BigEndian.Uint64(sealed[10:]) != 3 {
		t.Errorf("first MESSAGE of %d bytes with nonce %d, want 35 and 3", len(sealed), binary.BigEndian.Uint64(sealed[10:]))
	}
}

func TestCurveAllocations(t *testing.T) {
	client, server := curvePair(t)
	payload := bytes.Repeat([]byte("x"), 64)
	buf := make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		buf = client.Seal(buf[:0], 0, payload)
		if _, _, err := server.Open(unframe(t, buf)); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations to seal and open", n)
	}
}

// BenchmarkCurveHandshake measures both sides of a handshake. The server does
// four multiplications on the curve, the client as many.
func BenchmarkCurveHandshake(b *testing.B) {
	server, client := NewKeyPair(), NewKeyPair()
	for b.Loop() {
		finishCurve(b, NewCurveClient(client, server.Public, nil), NewCurveServer(server, nil, false))
	}
}

func BenchmarkCurve(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		payload := make([]byte, size)
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			client, _ := curvePair(b)
			var buf []byte
			b.SetBytes(int64(size))
			for b.Loop() {
				buf = client.Seal(buf[:0], 0, payload)
			}
		})
		b.Run(fmt.Sprintf("seal+open/%d", size), func(b *testing.B) {
			client, server := curvePair(b)
			var buf []byte
			b.SetBytes(int64(size))
			for b.Loop() {
				buf = client.Seal(buf[:0], 0, payload)
				if _, _, err := server.Open(unframe(b, buf)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
