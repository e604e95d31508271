package ws_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"lintel.dev/internal/zmq/ws"
	"lintel.dev/internal/zmq/zmtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guard bounds a test that would otherwise hang; it decides nothing.
func guard(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// dial returns the raw WebSocket of a client and the wrapped one of a server.
func dial(t *testing.T, cfg ws.Config, offer ...string) (*websocket.Conn, net.Conn) {
	t.Helper()
	wrapped := make(chan net.Conn, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wc, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: ws.Subprotocols(cfg.Mechanism)})
		if err != nil {
			t.Error(err)
			return
		}
		wrapped <- ws.Wrap(wc, cfg)
	}))
	t.Cleanup(srv.Close)
	wc, _, err := websocket.Dial(guard(t), "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{Subprotocols: offer})
	if err != nil {
		t.Fatal(err)
	}
	wc.SetReadLimit(-1)
	c := <-wrapped
	t.Cleanup(func() { wc.CloseNow(); c.Close(); http.DefaultClient.CloseIdleConnections() })
	return wc, c
}

func expect(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func hello(t *testing.T, c net.Conn, mechanism string) {
	t.Helper()
	want := make([]byte, 64)
	want[0], want[8], want[9], want[10] = 0xff, 1, 0x7f, 3
	copy(want[12:], mechanism)
	expect(t, c, want)
	if _, err := c.Write(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
}

func TestFrames(t *testing.T) {
	ctx := guard(t)
	wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: -1}, "ZWS2.0/NULL")
	hello(t, c, "NULL")
	long := bytes.Repeat([]byte("x"), 70000)
	for _, f := range []struct {
		flags byte // of the message
		frame byte // of ZMTP
		body  []byte
	}{
		{0, 0, []byte("last")},
		{1, zmtp.FlagMore, []byte("more")},
		{0, 0, nil},
		{2, zmtp.FlagCommand, []byte("\x05READYrest")},
		{0, 0, long},
	} {
		message := append([]byte{f.flags}, f.body...)
		frame := zmtp.Framing2.Append(nil, f.frame, f.body)
		if err := wc.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		expect(t, c, frame)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		kind, got, err := wc.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, message) {
			t.Fatalf("%v %v %.20q, want %.20q", err, kind, got, message)
		}
	}
}

// A peer of the bare subprotocol says who it is and no more.
func TestBare(t *testing.T) {
	ctx := guard(t)
	wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.ROUTER, MaxFrame: -1}, "ZWS2.0")
	hello(t, c, "NULL")
	if err := wc.Write(ctx, websocket.MessageBinary, []byte("\x00me")); err != nil {
		t.Fatal(err)
	}
	ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: "Socket-Type", Value: []byte("REQ")}, {Name: "Identity", Value: []byte("me")}})
	expect(t, c, zmtp.Framing2.Append(nil, zmtp.FlagCommand, ready))
	ours := zmtp.AppendReady(nil, zmtp.Metadata{{Name: "Socket-Type", Value: []byte("ROUTER")}, {Name: "Identity", Value: []byte("you")}})
	if _, err := c.Write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, ours)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := wc.Read(ctx); err != nil || string(got) != "\x00you" {
		t.Fatalf("%q %v", got, err)
	}
}

// ZMTP's heartbeat becomes WebSocket's, and the answer comes back as ZMTP's.
func TestHeartbeat(t *testing.T) {
	wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: -1}, "ZWS2.0/NULL")
	hello(t, c, "NULL")
	wc.CloseRead(guard(t)) // answers pings
	if _, err := c.Write(zmtp.Framing2.Append(nil, zmtp.FlagCommand, zmtp.AppendPing(nil, time.Second, []byte("ctx")))); err != nil {
		t.Fatal(err)
	}
	expect(t, c, zmtp.Framing2.Append(nil, zmtp.FlagCommand, zmtp.AppendPong(nil, []byte("ctx"))))
}

func TestBadPeers(t *testing.T) {
	for _, b := range []struct {
		name string
		send func(context.Context, *websocket.Conn) error
	}{
		{"text", func(ctx context.Context, wc *websocket.Conn) error {
			return wc.Write(ctx, websocket.MessageText, []byte("\x00a"))
		}},
		{"no flags", func(ctx context.Context, wc *websocket.Conn) error {
			return wc.Write(ctx, websocket.MessageBinary, nil)
		}},
		{"too large", func(ctx context.Context, wc *websocket.Conn) error {
			return wc.Write(ctx, websocket.MessageBinary, make([]byte, 4096))
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: 1024}, "ZWS2.0/NULL")
			hello(t, c, "NULL")
			if err := b.send(guard(t), wc); err != nil {
				t.Fatal(err)
			}
			wc.CloseRead(guard(t))
			if n, err := c.Read(make([]byte, 100)); err == nil {
				t.Errorf("read %d bytes, want an end", n)
			}
		})
	}
}

// A message in fragments is one message (RFC 6455 section 5.4).
func TestFragments(t *testing.T) {
	ctx := guard(t)
	wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: -1}, "ZWS2.0/NULL")
	hello(t, c, "NULL")
	w, err := wc.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("fragment"), 4000)
	for part := append([]byte{0}, big...); len(part) > 0; part = part[min(len(part), 1000):] {
		if _, err := w.Write(part[:min(len(part), 1000)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, zmtp.Framing2.Append(nil, 0, big))
}

// What was written before Close arrives.
func TestCloseFlushes(t *testing.T) {
	ctx := guard(t)
	wc, c := dial(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: -1}, "ZWS2.0/NULL")
	hello(t, c, "NULL")
	body := bytes.Repeat([]byte("y"), 1<<20)
	closed := make(chan error)
	go func() {
		_, err := c.Write(zmtp.Framing2.Append(nil, 0, body))
		c.Close()
		closed <- err
	}()
	_, got, err := wc.Read(ctx)
	if err != nil || !bytes.Equal(got[1:], body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if _, _, err := wc.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("then %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
