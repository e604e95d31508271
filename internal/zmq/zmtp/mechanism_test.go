package zmtp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// properties is what a socket of that type would say of itself.
func properties(socketType string) Metadata {
	return Metadata{{PropertySocketType, []byte(socketType)}, {PropertyIdentity, []byte("id of " + socketType)}}
}

// exchange carries commands between two mechanisms until neither has more, with
// ask as the ZAP handler of both. It returns the first error of a Consume.
func exchange(t *testing.T, a, b Mechanism, ask func(m Mechanism) int) error {
	t.Helper()
	for range 20 {
		moved := false
		for _, pair := range [][2]Mechanism{{a, b}, {b, a}} {
			from, to := pair[0], pair[1]
			if from.State() == StateZAP && ask != nil {
				from.Verdict(ask(from))
				moved = true
			}
			for {
				body, ok := from.Produce([]byte("before"))
				if !ok {
					break
				}
				moved = true
				if !bytes.HasPrefix(body, []byte("before")) {
					t.Fatalf("%s: Produce wrote over what was before", from.Name())
				}
				if err := to.Consume(body[len("before"):]); err != nil {
					return err
				}
			}
		}
		if !moved {
			return nil
		}
	}
	t.Fatal("the handshake does not end")
	return nil
}

// pairs makes both sides of each mechanism.
func pairs(t *testing.T) map[string]func(zap bool) (client, server Mechanism) {
	t.Helper()
	serverKeys, clientKeys := NewKeyPair(), NewKeyPair()
	return map[string]func(bool) (client, server Mechanism){
		"NULL": func(zap bool) (client, server Mechanism) {
			return NewNull(properties("DEALER"), false), NewNull(properties("ROUTER"), zap)
		},
		"PLAIN": func(bool) (client, server Mechanism) {
			client, err := NewPlainClient("admin", "secret", properties("DEALER"))
			if err != nil {
				t.Fatal(err)
			}
			return client, NewPlainServer(properties("ROUTER"))
		},
		"CURVE": func(zap bool) (client, server Mechanism) {
			return NewCurveClient(clientKeys, serverKeys.Public, properties("DEALER")), NewCurveServer(serverKeys, properties("ROUTER"), zap)
		},
	}
}

func TestHandshakes(t *testing.T) {
	for name, make := range pairs(t) {
		for _, zap := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s zap %v", name, zap), func(t *testing.T) {
				client, server := make(zap)
				asked := 0
				err := exchange(t, client, server, func(m Mechanism) int {
					if m != server {
						t.Error("the client asked for a verdict")
					}
					asked++
					return StatusOK
				})
				if err != nil || client.State() != StateReady || server.State() != StateReady {
					t.Fatalf("client %v, server %v, %v", client.State(), server.State(), err)
				}
				if want := zap || name == "PLAIN"; (asked == 1) != want {
					t.Errorf("asked %d times", asked)
				}
				if client.Name() != name || server.Name() != name || client.AsServer() || server.AsServer() != (name != "NULL") {
					t.Errorf("names %s, %s, server bits %v, %v", client.Name(), server.Name(), client.AsServer(), server.AsServer())
				}
				for m, want := range map[Mechanism]string{client: "ROUTER", server: "DEALER"} {
					v, _ := m.Peer().Get(PropertySocketType)
					id, _ := m.Peer().Get(PropertyIdentity)
					if string(v) != want || string(id) != "id of "+want {
						t.Errorf("%s peer: %q, %q", want, v, id)
					}
					if sealed := m.Sealer() != nil; sealed != (name == "CURVE") {
						t.Errorf("sealer: %v", sealed)
					}
					if out, ok := m.Produce(nil); ok {
						t.Errorf("%q produced after the handshake", out)
					}
				}
			})
		}
	}
}

func TestVerdicts(t *testing.T) {
	for name, make := range pairs(t) {
		for status, reason := range map[int]string{StatusRetry: "", StatusDenied: "400", StatusInternal: "500", 0: "500"} {
			t.Run(fmt.Sprintf("%s %d", name, status), func(t *testing.T) {
				client, server := make(true)
				err := exchange(t, client, server, func(Mechanism) int { return status })
				if server.State() != StateFailed {
					t.Errorf("server in %v", server.State())
				}
				var refused *PeerError
				if reason == "" {
					if err != nil || client.State() != StateHandshake {
						t.Errorf("client in %v, %v; want silence", client.State(), err)
					}
				} else if !errors.As(err, &refused) || refused.Reason != reason || client.State() != StateFailed {
					t.Errorf("client in %v, %v; want %s", client.State(), err, reason)
				}
				server.Verdict(StatusOK)
				if server.State() != StateFailed {
					t.Error("a second verdict was heard")
				}
				if _, ok := server.Produce(nil); ok {
					t.Error("something follows the ERROR")
				}
			})
		}
	}
}

// TestPlainErrorNames: a PLAIN server refuses in libzmq's spelling, and a client
// understands that and the RFC's.
func TestPlainErrorNames(t *testing.T) {
	server := NewPlainServer(Metadata{})
	if err := server.Consume([]byte("\x05HELLO\x03ada\x05guess")); err != nil {
		t.Fatal(err)
	}
	server.Verdict(StatusDenied)
	if out, ok := server.Produce([]byte("before")); !ok || string(out) != "before^RROR\x03400" {
		t.Errorf("the server says %q", out)
	}
	for _, body := range []string{"^RROR\x03400", "\x05ERROR\x03400"} {
		client, err := NewPlainClient("ada", "guess", Metadata{})
		if err != nil {
			t.Fatal(err)
		}
		client.Produce(nil)
		var refused *PeerError
		if err := client.Consume([]byte(body)); !errors.As(err, &refused) || refused.Reason != "400" {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	all := pairs(t)
	var key []byte
	for name, make := range all {
		client, server := make(true)
		if c, ok := client.(*curveClient); ok {
			key = c.keys.Public[:]
		}
		err := exchange(t, client, server, func(m Mechanism) int {
			var want [][]byte
			switch name {
			case "PLAIN":
				want = [][]byte{[]byte("admin"), []byte("secret")}
			case "CURVE":
				want = [][]byte{key}
			}
			got := m.Credentials()
			if len(got) != len(want) {
				t.Fatalf("%s: %d credentials, want %d", name, len(got), len(want))
			}
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("%s: credential %d is %q, want %q", name, i, got[i], want[i])
				}
			}
			return StatusOK
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Both READYs of NULL cross on the wire: a side takes its peer's while it waits
// for its own verdict.
func TestNullReadyBeforeVerdict(t *testing.T) {
	n := NewNull(nil, true)
	if err := n.Consume(AppendReady(nil, properties("SUB"))); err != nil || n.State() != StateZAP {
		t.Fatalf("%v in %v", err, n.State())
	}
	if _, ok := n.Produce(nil); ok {
		t.Fatal("READY was sent before the verdict")
	}
	n.Verdict(StatusOK)
	if body, ok := n.Produce(nil); !ok || string(body) != "\x05READY" || n.State() != StateReady {
		t.Fatalf("%q, %v in %v", body, ok, n.State())
	}
}

func TestPlainOnTheWire(t *testing.T) {
	client, err := NewPlainClient("admin", "secret", Metadata{{"Socket-Type", []byte("DEALER")}})
	if err != nil {
		t.Fatal(err)
	}
	server := NewPlainServer(Metadata{{"Socket-Type", []byte("ROUTER")}})
	var wire []string
	step := func(from, to Mechanism) {
		body, ok := from.Produce(nil)
		if !ok {
			t.Fatalf("nothing after %q", wire)
		}
		wire = append(wire, string(body))
		if err := to.Consume(body); err != nil {
			t.Fatal(err)
		}
	}
	step(client, server)
	server.Verdict(StatusOK)
	step(server, client)
	step(client, server)
	step(server, client)
	want := []string{
		"\x05HELLO\x05admin\x06secret",
		"\x07WELCOME",
		"\x08INITIATE\x0bSocket-Type\x00\x00\x00\x06DEALER",
		"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER",
	}
	for i := range want {
		if wire[i] != want[i] {
			t.Errorf("command %d: %q, want %q", i, wire[i], want[i])
		}
	}
	long := strings.Repeat("x", 256)
	for _, c := range [][2]string{{long, ""}, {"", long}} {
		if _, err := NewPlainClient(c[0], c[1], nil); err == nil {
			t.Errorf("credentials of %d and %d bytes accepted", len(c[0]), len(c[1]))
		}
	}
}

// Each side of each mechanism, before its first command, gets what it must not
// take.
func TestBadHandshakes(t *testing.T) {
	curveHello := func(edit func(b []byte) []byte) func(Mechanism) []byte {
		return func(peer Mechanism) []byte {
			body, _ := peer.Produce(nil)
			return edit(body)
		}
	}
	fixed := func(s string) func(Mechanism) []byte { return func(Mechanism) []byte { return []byte(s) } }
	tests := []struct {
		name, mechanism string
		toServer        bool
		command         func(peer Mechanism) []byte
		code            Code
	}{
		{"empty", "NULL", true, fixed(""), CodeMalformedCommand},
		{"name beyond the body", "NULL", true, fixed("\x06READY"), CodeMalformedCommand},
		{"not READY", "NULL", true, fixed("\x05HELLO"), CodeUnexpectedCommand},
		{"a message's body", "NULL", true, fixed("\x01x"), CodeUnexpectedCommand},
		{"metadata cut", "NULL", true, fixed("\x05READY\x04Name\x00\x00\x00\x01"), CodeInvalidMetadata},
		{"ERROR cut", "NULL", true, fixed("\x05ERROR\x05400"), CodeMalformedError},
		{"ERROR without a reason", "NULL", true, fixed("\x05ERROR"), CodeMalformedError},
		{"READY first", "PLAIN", true, fixed("\x05READY"), CodeUnexpectedCommand},
		{"INITIATE first", "PLAIN", true, fixed("\x08INITIATE"), CodeUnexpectedCommand},
		{"HELLO without a user", "PLAIN", true, fixed("\x05HELLO"), CodeMalformedHello},
		{"HELLO without a password", "PLAIN", true, fixed("\x05HELLO\x01u"), CodeMalformedHello},
		{"HELLO with a user cut", "PLAIN", true, fixed("\x05HELLO\x05u"), CodeMalformedHello},
		{"HELLO with a password cut", "PLAIN", true, fixed("\x05HELLO\x01u\x02p"), CodeMalformedHello},
		{"HELLO with bytes after", "PLAIN", true, fixed("\x05HELLO\x01u\x01pp"), CodeMalformedHello},
		{"READY for a WELCOME", "PLAIN", false, fixed("\x05READY"), CodeUnexpectedCommand},
		{"WELCOME with data", "PLAIN", false, fixed("\x07WELCOME!"), CodeMalformedWelcome},
		{"HELLO short", "CURVE", true, curveHello(func(b []byte) []byte { return b[:199] }), CodeMalformedHello},
		{"HELLO long", "CURVE", true, curveHello(func(b []byte) []byte { return append(b, 0) }), CodeMalformedHello},
		{"HELLO version", "CURVE", true, curveHello(func(b []byte) []byte { b[6] = 2; return b }), CodeMalformedHello},
		{"HELLO box", "CURVE", true, curveHello(func(b []byte) []byte { b[199] ^= 1; return b }), CodeCryptographic},
		{"HELLO nonce", "CURVE", true, curveHello(func(b []byte) []byte { b[119] ^= 1; return b }), CodeCryptographic},
		{"HELLO key of low order", "CURVE", true, curveHello(func(b []byte) []byte { clear(b[80:112]); return b }), CodeKeyExchange},
		{"INITIATE first", "CURVE", true, fixed("\x08INITIATE" + strings.Repeat("\x00", 248)), CodeUnexpectedCommand},
		{"MESSAGE first", "CURVE", true, fixed("\x07MESSAGE" + strings.Repeat("\x00", 25)), CodeUnexpectedCommand},
		{"READY for a WELCOME", "CURVE", false, fixed("\x05READY" + strings.Repeat("\x00", 30)), CodeUnexpectedCommand},
		{"WELCOME short", "CURVE", false, fixed("\x07WELCOME"), CodeMalformedWelcome},
		{"WELCOME made up", "CURVE", false, fixed("\x07WELCOME" + strings.Repeat("\x00", 160)), CodeCryptographic},
	}
	all := pairs(t)
	for _, tt := range tests {
		t.Run(tt.mechanism+" "+tt.name, func(t *testing.T) {
			client, server := all[tt.mechanism](true)
			victim, peer := client, server
			if tt.toServer {
				victim, peer = server, client
			}
			if !victim.AsServer() {
				victim.Produce(nil)
			}
			err := victim.Consume(tt.command(peer))
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Fatalf("%v, want code %#x", err, uint32(tt.code))
			}
			if victim.State() != StateFailed || victim.Sealer() != nil {
				t.Errorf("state %v", victim.State())
			}
			victim.Verdict(StatusOK)
			if out, ok := victim.Produce(nil); ok || victim.State() != StateFailed {
				t.Errorf("goes on with %q", out)
			}
		})
	}
}

// A command out of its turn ends the handshake, at every step.
func TestHandshakeOutOfTurn(t *testing.T) {
	for name, make := range pairs(t) {
		for steps := range 4 {
			client, server := make(false)
			var last []byte
			var lastTo Mechanism
			from, to := client, server
			for range steps + 1 {
				if from.State() == StateZAP {
					from.Verdict(StatusOK)
				}
				body, ok := from.Produce(nil)
				if !ok {
					break
				}
				last, lastTo = bytes.Clone(body), to
				if err := to.Consume(body); err != nil {
					t.Fatal(name, err)
				}
				from, to = to, from
			}
			if lastTo.State() == StateReady {
				continue
			}
			if err := lastTo.Consume(last); err == nil || lastTo.State() != StateFailed {
				t.Errorf("%s: command %d, %.10q, taken twice", name, steps, last)
			}
		}
	}
}
