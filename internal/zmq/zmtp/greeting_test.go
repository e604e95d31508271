package zmtp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// padded3 is the last 53 bytes of a ZMTP 3 greeting.
func padded3(minor byte, mechanism string, asServer byte) string {
	return string(minor) + mechanism + strings.Repeat("\x00", 20-len(mechanism)) + string(asServer) + strings.Repeat("\x00", 31)
}

const (
	ourSignature   = "\xff\x00\x00\x00\x00\x00\x00\x00\x03\x7f" // identity "me"
	plainSignature = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
)

func TestGreetingByPeer(t *testing.T) {
	long := strings.Repeat("i", 255)
	tests := []struct {
		name        string
		cfg         GreetingConfig
		peer        string // the peer's bytes, traffic included
		sent        string // all that we send
		traffic     string
		version     Version
		framing     Framing
		unversioned bool
		err         string
		code        Code
	}{
		{
			name: "3.1", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(1, "NULL", 0) + "next", traffic: "next",
			sent: plainSignature + "\x03" + padded3(1, "NULL", 0), version: ZMTP31, framing: Framing2,
		},
		{
			name: "3.0", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(0, "NULL", 0),
			sent: plainSignature + "\x03" + padded3(1, "NULL", 0), version: ZMTP30, framing: Framing2,
		},
		{
			name: "3.9 is 3.1", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(9, "NULL", 0),
			sent: plainSignature + "\x03" + padded3(1, "NULL", 0), version: ZMTP31, framing: Framing2,
		},
		{
			name: "4.0 is 3.1", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x04" + padded3(0, "NULL", 0),
			sent: plainSignature + "\x03" + padded3(1, "NULL", 0), version: ZMTP31, framing: Framing2,
		},
		{
			name: "server bit", cfg: GreetingConfig{Mechanism: "CURVE", AsServer: true},
			peer: plainSignature + "\x03" + padded3(1, "CURVE", 0),
			sent: plainSignature + "\x03" + padded3(1, "CURVE", 1), version: ZMTP31, framing: Framing2,
		},
		{
			name: "2.0", cfg: GreetingConfig{Mechanism: "NULL", SocketType: DEALER, Identity: []byte("me")},
			peer: plainSignature + "\x01\x05" + "\x00\x02id", traffic: "\x00\x02id",
			sent: ourSignature + "\x03\x05" + "\x00\x02me", version: ZMTP20, framing: Framing2,
		},
		{
			name: "1.0 with a revision", cfg: GreetingConfig{Mechanism: "NULL", SocketType: DEALER, Identity: []byte("me")},
			peer: plainSignature + "\x00\x05" + "\x03\x00id", traffic: "\x03\x00id",
			sent: ourSignature + "\x03\x05" + "\x03\x00me", version: ZMTP10, framing: Framing1,
		},
		{
			name: "1.0 unversioned", cfg: GreetingConfig{Mechanism: "NULL", Identity: []byte("me")},
			peer: "\x03\x00id\x06\x00hello", traffic: "\x03\x00id\x06\x00hello",
			sent: ourSignature + "me", version: ZMTP10, framing: Framing1, unversioned: true,
		},
		{
			name: "1.0 unversioned, long identity", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: "\xff\x00\x00\x00\x00\x00\x00\x01\x00\x00" + long, traffic: "\xff\x00\x00\x00\x00\x00\x00\x01\x00\x00" + long,
			sent: plainSignature, version: ZMTP10, framing: Framing1, unversioned: true,
		},
		{
			name: "mechanisms differ", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(1, "CURVE", 0), sent: plainSignature + "\x03" + padded3(1, "NULL", 0),
			err: `the peer speaks mechanism "CURVE", expected "NULL"`, code: CodeMechanismMismatch,
		},
		{
			name: "mechanism with a longer name", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(1, "NULLX", 0), sent: plainSignature + "\x03" + padded3(1, "NULL", 0),
			err: `"NULLX", expected "NULL"`, code: CodeMechanismMismatch,
		},
		{
			name: "mechanism not padded", cfg: GreetingConfig{Mechanism: "NULL"},
			peer: plainSignature + "\x03" + padded3(1, "NULL\x00x", 0), sent: plainSignature + "\x03" + padded3(1, "NULL", 0),
			err: "not padded", code: CodeMechanismMismatch,
		},
		{
			name: "2.0 refused with security", cfg: GreetingConfig{Mechanism: "CURVE"},
			peer: plainSignature + "\x01\x05", sent: plainSignature + "\x03",
			err: "ZMTP 2.0, which has no security", code: CodeUnspecified,
		},
		{
			name: "1.0 refused with a ZAP domain", cfg: GreetingConfig{Mechanism: "NULL", RequireV3: true},
			peer: plainSignature + "\x00\x05", sent: plainSignature + "\x03",
			err: "ZMTP 1.0, which has no security", code: CodeUnspecified,
		},
		{
			name: "unversioned refused with security", cfg: GreetingConfig{Mechanism: "PLAIN"},
			peer: "\x01\x00", sent: plainSignature,
			err: "ZMTP 1.0, which has no security", code: CodeUnspecified,
		},
	}
	for _, tt := range tests {
		// A peer's bytes may arrive in any pieces.
		for _, step := range []int{1, 3, 10, 11, 12, 64, 1000} {
			g := NewGreeting(tt.cfg)
			sent, n, done, err := g.Advance(nil, nil)
			if string(sent) != plainSignature && string(sent) != ourSignature {
				t.Fatalf("%s: %q sent before anything came, want the signature alone", tt.name, sent)
			}
			for got := 0; !done && err == nil && got < len(tt.peer); {
				got = min(got+step, len(tt.peer))
				sent, n, done, err = g.Advance(sent, []byte(tt.peer[:got]))
			}
			if string(sent) != tt.sent {
				t.Errorf("%s by %d: sent %q, want %q", tt.name, step, sent, tt.sent)
			}
			if tt.err != "" {
				var e *Error
				if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Text, tt.err) {
					t.Errorf("%s by %d: error %v, want %q", tt.name, step, err, tt.err)
				}
				continue
			}
			if err != nil || !done {
				t.Errorf("%s by %d: done %v, %v", tt.name, step, done, err)
				continue
			}
			if tt.peer[n:] != tt.traffic || g.Version() != tt.version || g.Framing() != tt.framing || g.Unversioned() != tt.unversioned {
				t.Errorf("%s by %d: traffic %q, version %v, framing %v, unversioned %v", tt.name, step, tt.peer[n:], g.Version(), g.Framing(), g.Unversioned())
			}
		}
	}
}

// A peer that waits for each of our bytes before it sends more must not starve:
// that is what the staged sending is for.
func TestGreetingIsStaged(t *testing.T) {
	g := NewGreeting(GreetingConfig{Mechanism: "NULL", SocketType: PUSH})
	peer := []byte(plainSignature + "\x03" + padded3(1, "NULL", 0))
	for _, stage := range []struct{ received, sent int }{{0, 10}, {9, 10}, {10, 11}, {11, 64}, {63, 64}, {64, 64}} {
		out, _, done, err := g.Advance(nil, peer[:stage.received])
		if err != nil {
			t.Fatal(err)
		}
		if g.sent != stage.sent || done != (stage.received == 64) {
			t.Errorf("after %d bytes: %d sent (now %d), done %v; want %d sent", stage.received, g.sent, len(out), done, stage.sent)
		}
	}
}

func TestTwoGreetings(t *testing.T) {
	a := NewGreeting(GreetingConfig{Mechanism: "CURVE", AsServer: true})
	b := NewGreeting(GreetingConfig{Mechanism: "CURVE"})
	var toA, toB []byte
	var doneA, doneB bool
	for range 10 {
		var err error
		var out []byte
		if !doneA {
			if out, _, doneA, err = a.Advance(nil, toA); err != nil {
				t.Fatal(err)
			}
			toB = append(toB, out...)
		}
		if !doneB {
			if out, _, doneB, err = b.Advance(nil, toB); err != nil {
				t.Fatal(err)
			}
			toA = append(toA, out...)
		}
	}
	if !doneA || !doneB {
		t.Errorf("done %v %v", doneA, doneB)
	}
	if len(toA) != GreetingSize || len(toB) != GreetingSize {
		t.Fatalf("greetings of %d and %d bytes", len(toA), len(toB))
	}
	if toB[asServerAt] != 1 || toA[asServerAt] != 0 {
		t.Errorf("the server sends %d, the client %d as the server flag", toB[asServerAt], toA[asServerAt])
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte(plainSignature+"\x03"+padded3(1, "NULL", 0)+"rest"), uint8(7), false)
	f.Add([]byte(plainSignature+"\x01\x05\x00\x00"), uint8(1), false)
	f.Add([]byte(plainSignature+"\x00\x05\x01\x00"), uint8(2), true)
	f.Add([]byte("\x01\x00\x06\x00hello"), uint8(3), false)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(64), true)
	f.Fuzz(func(t *testing.T, peer []byte, step uint8, secure bool) {
		cfg := GreetingConfig{Mechanism: "NULL", Identity: []byte("me"), RequireV3: secure}
		whole := NewGreeting(cfg)
		wantSent, wantN, wantDone, wantErr := whole.Advance(nil, peer)

		g := NewGreeting(cfg)
		sent, n, done, err := g.Advance(nil, nil)
		for got := 0; !done && err == nil && got < len(peer); {
			got = min(got+int(step)+1, len(peer))
			sent, n, done, err = g.Advance(sent, peer[:got])
		}
		if !bytes.Equal(sent, wantSent) || n != wantN || done != wantDone || (err == nil) != (wantErr == nil) {
			t.Fatalf("by %d: sent %q n %d done %v %v; at once: sent %q n %d done %v %v", step, sent, n, done, err, wantSent, wantN, wantDone, wantErr)
		}
		if done && (n > GreetingSize || n > len(peer)) || len(peer) >= GreetingSize && !done && err == nil {
			t.Fatalf("done %v after %d of %d bytes, %v", done, n, len(peer), err)
		}
		if done && secure && g.Version() < ZMTP30 {
			t.Fatalf("version %v with security on", g.Version())
		}
	})
}
