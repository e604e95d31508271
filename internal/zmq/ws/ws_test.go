package ws_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/engine/enginetest"
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

// dial returns the WebSocket of a client, and the engine of the server.
func dial(t *testing.T, cfg engine.Config, mechanism string, offer ...string) (*websocket.Conn, *ws.Engine) {
	t.Helper()
	made := make(chan *ws.Engine, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: ws.Subprotocols(mechanism)})
		if err != nil {
			t.Error(err)
			return
		}
		made <- ws.New(ws.NewConn(c, nil, nil), cfg)
	}))
	t.Cleanup(srv.Close)
	client, _, err := websocket.Dial(guard(t), "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{Subprotocols: offer})
	if err != nil {
		t.Fatal(err)
	}
	client.SetReadLimit(-1)
	e := <-made
	t.Cleanup(func() { client.CloseNow(); e.Abort(engine.ErrClosed); http.DefaultClient.CloseIdleConnections() })
	return client, e
}

// open is dial, and the handshake of a PAIR.
func open(t *testing.T, cfg engine.Config) (*websocket.Conn, *enginetest.Session) {
	t.Helper()
	client, e := dial(t, cfg, "NULL", "ZWS2.0/NULL")
	ctx := guard(t)
	ready := zmtp.AppendReady([]byte{2}, zmtp.Metadata{{Name: "Socket-Type", Value: []byte("PAIR")}})
	if err := client.Write(ctx, websocket.MessageBinary, ready); err != nil {
		t.Fatal(err)
	}
	s, _, err := enginetest.Run(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CloseNow()
		s.Close()
	})
	if got := receive(t, client); !bytes.HasPrefix(got, []byte("\x02\x05READY")) {
		t.Fatalf("%q for READY", got)
	}
	return client, s
}

func receive(t *testing.T, c *websocket.Conn) []byte {
	t.Helper()
	kind, got, err := c.Read(guard(t))
	if err != nil || kind != websocket.MessageBinary {
		t.Fatal(kind, err)
	}
	return got
}

func TestFrames(t *testing.T) {
	client, s := open(t, enginetest.Config(zmtp.PAIR))
	for _, message := range [][]string{
		{"last"},
		{"more", ""},
		{""},
		{strings.Repeat("x", 70_000)},
		{strings.Repeat("x", 300), strings.Repeat("y", 70_000), "z"},
	} {
		for i, f := range message {
			flags := byte(1)
			if i == len(message)-1 {
				flags = 0
			}
			if err := client.Write(guard(t), websocket.MessageBinary, append([]byte{flags}, f...)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Recv(); err != nil || !slices.Equal(got, message) {
			t.Fatalf("received %.40q, %v; want %.40q", got, err, message)
		}
		s.Send(message...)
		for i, f := range message {
			flags := byte(1)
			if i == len(message)-1 {
				flags = 0
			}
			if got := receive(t, client); string(got) != string(flags)+f {
				t.Fatalf("sent %.40q, want %d and %.40q", got, flags, f)
			}
		}
	}
}

// A peer of the bare subprotocol says who it is and no more.
func TestBare(t *testing.T) {
	cfg := enginetest.Config(zmtp.ROUTER)
	cfg.Security = enginetest.Null{Type: zmtp.ROUTER, Identity: "you"}
	client, e := dial(t, cfg, "NULL", "ZWS2.0")
	if err := client.Write(guard(t), websocket.MessageBinary, []byte("\x00me")); err != nil {
		t.Fatal(err)
	}
	s, peer, err := enginetest.Run(guard(t), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CloseNow()
		s.Close()
	})
	if name, _ := peer.Metadata.Get("Socket-Type"); string(peer.Identity) != "me" || string(name) != "REQ" {
		t.Errorf("peer %q of type %q, want me of type REQ", peer.Identity, name)
	}
	if got := receive(t, client); string(got) != "\x00you" {
		t.Errorf("%q for the identity", got)
	}
}

// A heartbeat is a PING of WebSocket, and its PONG keeps the connection alive.
func TestHeartbeat(t *testing.T) {
	cfg := enginetest.Config(zmtp.PAIR)
	cfg.HeartbeatInterval, cfg.HeartbeatTimeout = time.Millisecond, time.Minute
	pinged := make(chan struct{}, 1)
	e := dialPinged(t, cfg, pinged)
	s, _, err := enginetest.Run(guard(t), e)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-pinged
	}
	s.Close()
	// Nothing answers: the watchdog closes the connection.
	cfg.HeartbeatTimeout = time.Millisecond
	_, s = open(t, cfg)
	if err := s.Wait(); err == nil || errors.Is(err, engine.ErrClosed) {
		t.Errorf("ended with %v, want the missing answer to a heartbeat", err)
	}
}

// dialPinged is dial for a client that reports pings and answers them.
func dialPinged(t *testing.T, cfg engine.Config, pinged chan struct{}) *ws.Engine {
	t.Helper()
	made := make(chan *ws.Engine, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: ws.Subprotocols("NULL")})
		if err != nil {
			t.Error(err)
			return
		}
		made <- ws.New(ws.NewConn(c, nil, nil), cfg)
	}))
	t.Cleanup(srv.Close)
	client, _, err := websocket.Dial(guard(t), "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{
		Subprotocols: []string{"ZWS2.0/NULL"},
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pinged <- struct{}{}:
			default:
			}
			return true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := zmtp.AppendReady([]byte{2}, zmtp.Metadata{{Name: "Socket-Type", Value: []byte("PAIR")}})
	if err := client.Write(guard(t), websocket.MessageBinary, ready); err != nil {
		t.Fatal(err)
	}
	answerClose(t, client)
	e := <-made
	t.Cleanup(func() {
		client.CloseNow()
		e.Abort(engine.ErrClosed)
		http.DefaultClient.CloseIdleConnections()
	})
	return e
}

// answerClose reads until the connection is closed.
func answerClose(t *testing.T, c *websocket.Conn) {
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			if _, _, err := c.Read(context.Background()); err != nil {
				return
			}
		}
	})
	t.Cleanup(reading.Wait)
}

// What a peer sends that the protocol forbids ends the connection, during the
// handshake and after it.
func TestBadPeers(t *testing.T) {
	for name, send := range map[string]func(context.Context, *websocket.Conn) error{
		"text": func(ctx context.Context, c *websocket.Conn) error {
			return c.Write(ctx, websocket.MessageText, []byte("\x00a"))
		},
		"no flags": func(ctx context.Context, c *websocket.Conn) error {
			return c.Write(ctx, websocket.MessageBinary, nil)
		},
		"too large": func(ctx context.Context, c *websocket.Conn) error {
			return c.Write(ctx, websocket.MessageBinary, make([]byte, 4096))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := enginetest.Config(zmtp.PAIR)
			cfg.MaxFrame = 1024
			client, s := open(t, cfg)
			if err := send(guard(t), client); err != nil {
				t.Fatal(err)
			}
			answerClose(t, client)
			if m, err := s.Recv(); err == nil {
				t.Errorf("received %q, want an end", m)
			}
			client, e := dial(t, cfg, "NULL", "ZWS2.0/NULL")
			if err := send(guard(t), client); err != nil {
				t.Fatal(err)
			}
			answerClose(t, client)
			if _, _, err := enginetest.Run(guard(t), e); err == nil {
				t.Error("the handshake succeeded")
			}
		})
	}
}

// A message in fragments is one message (RFC 6455 section 5.4).
func TestFragments(t *testing.T) {
	client, s := open(t, enginetest.Config(zmtp.PAIR))
	w, err := client.Writer(guard(t), websocket.MessageBinary)
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
	if m, err := s.Recv(); err != nil || len(m) != 1 || m[0] != string(big) {
		t.Fatalf("received %.40q, %v", m, err)
	}
}

// What was sent before Close arrives, and then a normal closure.
func TestCloseFlushes(t *testing.T) {
	client, s := open(t, enginetest.Config(zmtp.PAIR))
	body := strings.Repeat("y", 1<<20)
	s.Send(body)
	if got := receive(t, client); string(got[1:]) != body {
		t.Fatalf("%d bytes", len(got))
	}
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	if _, _, err := client.Read(guard(t)); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("then %v", err)
	}
	<-closed
}
