package zmtp

import (
	"bytes"
	"testing"
)

func FuzzNullClient(f *testing.F)  { fuzzWire(f, "null-client") }
func FuzzNullServer(f *testing.F)  { fuzzWire(f, "null-server") }
func FuzzPlainClient(f *testing.F) { fuzzWire(f, "plain-client") }
func FuzzPlainServer(f *testing.F) { fuzzWire(f, "plain-server") }
func FuzzCurveClient(f *testing.F) { fuzzWire(f, "curve-client") }
func FuzzCurveServer(f *testing.F) { fuzzWire(f, "curve-server") }

// fuzzWire feeds one end of a connection with whatever comes: nothing panics,
// cuts make no difference, and what is kept and sent stays in proportion to what
// came. The recorded stream is among the seeds, and the keys are known, so that
// mutations get past the first command.
func fuzzWire(f *testing.F, name string) {
	_, theirs := readGolden(f, "testdata/golden/"+name+".hex")
	for _, n := range []int{0, 1, GreetingSize, GreetingSize + 30, len(theirs) - 350, len(theirs)} {
		f.Add(theirs[:n], uint16(n))
	}
	greeting := theirs[:GreetingSize:GreetingSize]
	for _, frame := range []string{
		"\x04\x00", "\x04\x01\x00", "\x04\x05\x05READ", "\x04\x06\x05READY", "\x04\x0a\x05ERROR\x03400", "\x04\x06\x05HELLO",
		"\x04\x08\x07WELCOME", "\x04\x09\x08INITIATE", "\x00\x05hello", "\x06\xff\xff\xff\xff\xff\xff\xff\xff", "\x06\x00\x00\x00\x00\x7f\xff\xff\xff",
	} {
		f.Add(append(greeting, frame...), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		at := min(int(cut), len(in))
		whole, parts := goldenWire(t, name), goldenWire(t, name)
		whole.feed(bytes.Clone(in))
		parts.feed(bytes.Clone(in[:at]))
		parts.feed(bytes.Clone(in[at:]))
		if !bytes.Equal(whole.out, parts.out) || (whole.err == nil) != (parts.err == nil) {
			t.Fatalf("cut at %d: sent %d bytes, %v; whole: %d, %v", at, len(parts.out), parts.err, len(whole.out), whole.err)
		}
		if len(whole.out) > 4096 {
			t.Fatalf("%d bytes sent for %d", len(whole.out), len(in))
		}
		if whole.err == nil && len(whole.in) > len(in) {
			t.Fatalf("%d bytes kept of %d", len(whole.in), len(in))
		}
	})
}

// FuzzCurveOpen mutates a sealed message: only the one that was sealed opens.
func FuzzCurveOpen(f *testing.F) {
	pair := PairOf(Key{1})
	key, _ := pair.shared(&Key{9})
	real := Framing2.sealed(&key, "payload of the message")
	f.Add(real)
	f.Add(real[:33])
	f.Add(real[:8])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		_, payload, err := newCurveSealer(&key, true, 1, 2).Open(bytes.Clone(body))
		if (err == nil) != bytes.Equal(body, real) {
			t.Fatalf("%q opened as %q, %v", body, payload, err)
		}
	})
}

// sealed returns the body of the first MESSAGE of a client with that key.
func (f Framing) sealed(key *Key, payload string) []byte {
	b := newCurveSealer(key, false, 2, 1).Seal(nil, 0, []byte(payload))
	return b[f.HeaderSize(len(payload)+curveMessageSize):]
}
