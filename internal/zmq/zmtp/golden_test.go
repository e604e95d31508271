package zmtp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wire is one end of a connection without the connection: greeting, handshake
// and traffic, driven by the bytes that come in.
type wire struct {
	greeting  *Greeting
	mechanism Mechanism
	greeted   bool
	status    int // answers the question for a verdict

	in   []byte   // received and not consumed
	out  []byte   // to be sent
	got  []string // frames of messages received, "+" after those with more
	cmds []string // bodies of the commands received after the handshake
	err  error

	ready func(w *wire) // called once, when traffic may flow
}

func newWire(socketType SocketType, m Mechanism) *wire {
	w := &wire{mechanism: m, status: StatusOK}
	w.greeting = NewGreeting(GreetingConfig{Mechanism: m.Name(), AsServer: m.AsServer(), SocketType: socketType})
	w.feed(nil)
	return w
}

func (w *wire) send(flags byte, body []byte) {
	if s := w.mechanism.Sealer(); s != nil {
		w.out = s.Seal(w.out, flags, body)
		return
	}
	w.out = w.greeting.Framing().Append(w.out, flags, body)
}

// feed takes what arrived. After an error it takes nothing more.
func (w *wire) feed(b []byte) {
	w.in = append(w.in, b...)
	if !w.greeted && w.err == nil {
		var n int
		w.out, n, w.greeted, w.err = w.greeting.Advance(w.out, w.in)
		w.in = w.in[n:]
	}
	for w.greeted && w.err == nil {
		w.handshake()
		max := int64(1 << 20)
		if w.mechanism.State() != StateReady {
			max = MaxHandshake
		}
		h, body, rest, ok, err := w.greeting.Framing().Next(w.in, max)
		if w.err = err; err != nil || !ok {
			return
		}
		w.in = rest
		w.frame(h, body)
	}
}

func (w *wire) handshake() {
	if w.greeting.Version() < ZMTP30 || w.mechanism.State() == StateReady {
		return
	}
	if w.mechanism.State() == StateZAP {
		w.mechanism.Verdict(w.status)
	}
	for {
		body, ok := w.mechanism.Produce(nil)
		if !ok {
			break
		}
		w.out = w.greeting.Framing().Append(w.out, FlagCommand, body)
	}
	w.check()
}

func (w *wire) check() {
	if w.mechanism.State() == StateReady && w.ready != nil {
		w.ready(w)
		w.ready = nil
	}
}

func (w *wire) frame(h Header, body []byte) {
	if w.greeting.Version() >= ZMTP30 && w.mechanism.State() != StateReady {
		if !h.Command() {
			w.err = errorf(CodeUnexpectedCommand, "a message before the handshake was over")
			return
		}
		w.err = w.mechanism.Consume(body)
		w.check()
		return
	}
	if s := w.mechanism.Sealer(); s != nil {
		if h, body, w.err = s.Open(body); w.err != nil {
			return
		}
	}
	switch {
	case h.Command():
		w.cmds = append(w.cmds, string(body))
	case h.More():
		w.got = append(w.got, string(body)+"+")
	default:
		w.got = append(w.got, string(body))
	}
}

// seeded is a source of known bytes, so that keys and nonces come out as they
// did when a golden stream was recorded.
func seeded() func([]byte) {
	var next byte
	return func(b []byte) {
		for i := range b {
			next = next*73 + 41
			b[i] = next
		}
	}
}

// goldenKeys are the long-term pairs of the recorded CURVE streams.
func goldenKeys() (server, client KeyPair) {
	random := seeded()
	return newKeyPair(random), newKeyPair(random)
}

// goldenWire makes our end of a recorded stream. In all of them the connecting
// DEALER sends "hello" and 300 times "x", and the ROUTER sends them back.
func goldenWire(t testing.TB, name string) *wire {
	server, client := goldenKeys()
	dealer := Metadata{{PropertySocketType, []byte("DEALER")}, {PropertyIdentity, []byte("us")}}
	router := Metadata{{PropertySocketType, []byte("ROUTER")}, {PropertyIdentity, nil}}
	hello := func(w *wire) {
		w.send(FlagMore, []byte("hello"))
		w.send(0, []byte(strings.Repeat("x", 300)))
	}
	var w *wire
	switch name {
	case "null-client":
		w = newWire(DEALER, NewNull(dealer, false))
	case "null-server":
		return newWire(ROUTER, NewNull(router, false))
	case "plain-client":
		m, err := NewPlainClient("admin", "secret", dealer)
		if err != nil {
			t.Fatal(err)
		}
		w = newWire(DEALER, m)
	case "plain-server":
		return newWire(ROUTER, NewPlainServer(router))
	case "curve-client":
		m := NewCurveClient(client, server.Public, dealer).(*curveClient)
		m.random = seeded()
		w = newWire(DEALER, m)
	case "curve-server":
		m := NewCurveServer(server, router, true).(*curveServer)
		m.random = seeded()
		return newWire(ROUTER, m)
	default:
		t.Fatalf("no stream %q", name)
	}
	w.ready = hello
	return w
}

// echo sends back the message that a ROUTER has received.
func (w *wire) echo() {
	for _, frame := range w.got {
		var flags byte
		if body, more := strings.CutSuffix(frame, "+"); more {
			frame, flags = body, FlagMore
		}
		w.send(flags, []byte(frame))
	}
}

// Streams recorded between this package and libzmq 4.3.4: the same bytes come
// in, the same have to go out.
func TestGoldenStreams(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.hex")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d streams, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hex")
		t.Run(name, func(t *testing.T) {
			ours, theirs := readGolden(t, file)
			w := goldenWire(t, name)
			w.feed(theirs)
			if w.err != nil {
				t.Fatal(w.err)
			}
			want := []string{"hello+", strings.Repeat("x", 300)}
			if len(w.got) != 2 || w.got[0] != want[0] || w.got[1] != want[1] {
				t.Fatalf("received %.40q", w.got)
			}
			if strings.HasSuffix(name, "-server") {
				w.echo()
			}
			if !bytes.Equal(w.out, ours) {
				t.Errorf("sent\n%x\nwant\n%x", w.out, ours)
			}
			wantType := map[bool]string{true: "DEALER", false: "ROUTER"}[strings.HasSuffix(name, "-server")]
			if got, _ := w.mechanism.Peer().Get(PropertySocketType); string(got) != wantType {
				t.Errorf("peer is %q, want %q", got, wantType)
			}
			if len(w.in) != 0 {
				t.Errorf("%d bytes not understood", len(w.in))
			}
		})
	}
}

// readGolden reads lines of ">" what we sent and "<" what libzmq did.
func readGolden(t testing.TB, file string) (ours, theirs []byte) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		side, text, _ := strings.Cut(s.Text(), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		switch side {
		case ">":
			ours = append(ours, b...)
		case "<":
			theirs = append(theirs, b...)
		default:
			t.Fatalf("%s: line %q", file, s.Text())
		}
	}
	return ours, theirs
}
