package sockets

import (
	"bytes"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The attackers get as far as they mean to: one whose handshake fails attacks
// nothing.
func TestAttackersJoin(t *testing.T) {
	plain, err := zmq.NewRouter()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var secret zmq.SecretKey
	if err := secret.UnmarshalText([]byte(serverSecret)); err != nil {
		t.Fatal(err)
	}
	secure, err := zmq.NewRouter(zmq.WithCurveServer(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	at := endpoints{}
	for name, s := range map[string]*zmq.Router{"router": plain, "curve": secure} {
		ep, err := s.Bind(anyPort)
		if err != nil {
			t.Fatal(err)
		}
		at[name] = ep.Addr()
	}

	c, err := join(t.Context(), at.address("router"), "DEALER")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(command(nil, zmtp.AppendPing(nil, 0, nil))); err != nil {
		t.Fatal(err)
	}
	pong := command(nil, zmtp.AppendPong(nil, nil))
	got := make([]byte, len(pong))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, pong) {
		t.Errorf("answer %q, %v, want PONG", got, err)
	}

	c, err = dial(t.Context(), at.address("curve"), greeting("CURVE"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if welcome, err := hello(c); err != nil || !bytes.HasPrefix(welcome, []byte("\x07WELCOME")) {
		t.Errorf("answer %.20q, %v, want WELCOME", welcome, err)
	}
}

// A message of the good peer says when it was made.
func TestStamp(t *testing.T) {
	before := time.Now().UnixNano()
	made, err := stamped(stamp(nil))
	if after := time.Now().UnixNano(); err != nil || made.UnixNano() < before || made.UnixNano() > after {
		t.Errorf("made at %v, %v", made, err)
	}
	for _, b := range []string{"", "good", "goodx", "other1"} {
		if _, err := stamped([]byte(b)); err == nil {
			t.Errorf("%q is from the good peer", b)
		}
	}
}
