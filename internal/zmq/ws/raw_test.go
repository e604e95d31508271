package ws_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/ws"
	"lintel.dev/internal/zmq/zmtp"
)

// pipeListener accepts the one connection it is made with.
type pipeListener struct {
	conn chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// rawPeer is a client that writes the octets of WebSocket itself.
type rawPeer struct {
	net.Conn
	in *bufio.Reader
}

// dialRaw returns such a client, and the engine of the server.
func dialRaw(t testing.TB, cfg engine.Config) (*rawPeer, *ws.Engine) {
	t.Helper()
	near, far := net.Pipe()
	l := &pipeListener{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- far
	made := make(chan *ws.Engine, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: ws.Subprotocols("NULL")})
		if err != nil {
			t.Error(err)
			return
		}
		made <- ws.New(ws.NewConn(c, nil, nil), cfg)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	p := &rawPeer{near, bufio.NewReader(near)}
	near.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(near, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ZWS2.0/NULL\r\n\r\n")
	res, err := http.ReadResponse(p.in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	e := <-made
	t.Cleanup(func() {
		near.Close()
		e.Abort(engine.ErrClosed)
		srv.Close()
		serving.Wait()
	})
	return p, e
}

// The octets of RFC 6455 section 5.2.
const (
	fin          = 0x80
	opContinue   = 0x0
	opText       = 0x1
	opBinary     = 0x2
	opClose      = 0x8
	opPing       = 0x9
	opPong       = 0xa
	masked       = 0x80
	closeNormal  = 1000
	closeInvalid = 1002
	closeType    = 1003
	closeTooBig  = 1009
	noWord       = -1 // the connection ends without a close frame
)

// wsFrame is a frame as a client sends it, masked.
func wsFrame(head byte, body string) []byte {
	b := []byte{head}
	switch {
	case len(body) < 126:
		b = append(b, masked|byte(len(body)))
	case len(body) < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(len(body)))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(len(body)))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i := range len(body) {
		b = append(b, body[i]^key[i%4])
	}
	return b
}

// next reads a frame of the server's, which masks none.
func (p *rawPeer) next() (head byte, body []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var l [2]byte
		_, err = io.ReadFull(p.in, l[:])
		n = uint64(binary.BigEndian.Uint16(l[:]))
	case 127:
		var l [8]byte
		_, err = io.ReadFull(p.in, l[:])
		n = binary.BigEndian.Uint64(l[:])
	}
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(p.in, body)
	return h[0], body, err
}

// answer is the frame due; pings of the server's own are passed over.
func (p *rawPeer) answer(t *testing.T, head byte) []byte {
	t.Helper()
	got, body, err := p.next()
	if err != nil || got != head {
		t.Fatalf("frame %#x %q, %v; want %#x", got, body, err, head)
	}
	return body
}

// What section 5 of RFC 6455 allows arrives; what it forbids closes the
// connection with the status of section 7.4 that says why.
func TestRawFrames(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	unmasked := wsFrame(fin|opBinary, "\x00x")
	unmasked[1] &^= masked
	for _, c := range []struct {
		name   string
		send   []byte
		frames []string // messages that arrive
		pongs  []string
		status int // of the close frame; 0: none
	}{
		{name: "one", send: wsFrame(fin|opBinary, "\x00body"), frames: []string{"body"}},
		{
			name: "lengths of two and of eight octets", send: join(
				wsFrame(fin|opBinary, "\x00"+string(make([]byte, 126))), wsFrame(fin|opBinary, "\x00"+string(make([]byte, 1<<16)))),
			frames: []string{string(make([]byte, 126)), string(make([]byte, 1<<16))},
		},
		{
			name: "fragments", send: join(wsFrame(opBinary, ""), wsFrame(opContinue, "\x00a"), wsFrame(opContinue, ""), wsFrame(fin|opContinue, "b")),
			frames: []string{"ab"},
		},
		{
			name: "a ping between fragments", send: join(wsFrame(opBinary, "\x00a"), wsFrame(fin|opPing, "here?"), wsFrame(fin|opContinue, "b")),
			frames: []string{"ab"}, pongs: []string{"here?"},
		},
		{name: "an unsolicited pong", send: join(wsFrame(fin|opPong, "yes"), wsFrame(fin|opBinary, "\x00a")), frames: []string{"a"}},
		{name: "close", send: wsFrame(fin|opClose, "\x03\xe8"), status: closeNormal},
		{name: "close between fragments", send: join(wsFrame(opBinary, "\x00a"), wsFrame(fin|opClose, "\x03\xe8bye")), status: closeNormal},
		{name: "no mask", send: unmasked, status: noWord},
		{name: "a reserved bit", send: wsFrame(fin|0x40|opBinary, "\x00a"), status: closeInvalid},
		{name: "a reserved opcode", send: wsFrame(fin|0x3, "\x00a"), status: closeInvalid},
		{name: "a fragment of nothing", send: wsFrame(fin|opContinue, "\x00a"), status: closeInvalid},
		{name: "a message in a message", send: join(wsFrame(opBinary, "\x00a"), wsFrame(fin|opBinary, "\x00b")), status: closeInvalid},
		{name: "a ping in fragments", send: wsFrame(opPing, "a"), status: closeInvalid},
		{name: "a ping too long", send: wsFrame(fin|opPing, string(make([]byte, 126))), status: closeInvalid},
		{name: "a close of one octet", send: wsFrame(fin|opClose, "\x03"), status: closeInvalid},
		{name: "a close with a reserved status", send: wsFrame(fin|opClose, "\x03\xed"), status: closeInvalid},
		{name: "text", send: wsFrame(fin|opText, "\x00a"), status: closeType},
		{name: "no flags", send: wsFrame(fin|opBinary, ""), status: closeInvalid},
		{name: "too large", send: wsFrame(fin|opBinary, string(make([]byte, 200_000))), status: closeTooBig},
		{name: "a length of 2^62", send: append([]byte{fin | opBinary, masked | 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, make([]byte, 200_000)...), status: closeTooBig},
		{name: "a length of 2^63", send: []byte{fin | opBinary, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, status: noWord},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := enginetest.Config(zmtp.PAIR)
			cfg.MaxFrame = 100_000
			p, e := dialRaw(t, cfg)
			session := shake(t, p, e)
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				p.Write(c.send) // fails when the server closes in the middle of it
			}()
			got := make(chan struct{})
			go func() {
				defer close(got)
				for _, f := range c.frames {
					if m, err := session.Recv(); err != nil || len(m) != 1 || m[0] != f {
						t.Errorf("received %.40q, %v; want %.40q", m, err, f)
					}
				}
			}()
			for _, want := range c.pongs {
				if body := p.answer(t, fin|opPong); string(body) != want {
					t.Errorf("pong %q, want %q", body, want)
				}
			}
			switch c.status {
			case 0:
			case noWord:
				if head, body, err := p.next(); err != io.EOF {
					t.Errorf("frame %#x %q, %v; want the end", head, body, err)
				}
			default:
				if body := p.answer(t, fin|opClose); len(body) < 2 || int(binary.BigEndian.Uint16(body)) != c.status {
					t.Errorf("close %q, want status %d", body, c.status)
				}
			}
			<-got
			if c.status != 0 {
				p.Conn.Close()
			}
			<-wrote
		})
	}
}

// shake does the handshake of a PAIR with the engine, which then runs.
func shake(t testing.TB, p *rawPeer, e *ws.Engine) *enginetest.Session {
	t.Helper()
	type result struct {
		s   *enginetest.Session
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, _, err := enginetest.Run(context.Background(), e)
		done <- result{s, err}
	}()
	ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte("PAIR")}})
	if head, body, err := p.next(); err != nil || head != fin|opBinary || !bytes.HasPrefix(body, []byte("\x02\x05READY")) {
		t.Fatalf("frame %#x %q, %v; want READY", head, body, err)
	}
	if _, err := p.Write(wsFrame(fin|opBinary, "\x02"+string(ready))); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() {
		p.Conn.Close()
		r.s.Close()
	})
	return r.s
}

// FuzzWebSocket gives an engine any octets after the handshake. Whatever they
// are, nothing panics or stays, and no message is larger than the limit.
func FuzzWebSocket(f *testing.F) {
	f.Add(wsFrame(fin|opBinary, "\x00body"))
	f.Add(append(wsFrame(opBinary, "\x01a"), wsFrame(fin|opContinue, "b")...))
	f.Add(append(wsFrame(fin|opPing, "ping"), wsFrame(fin|opClose, "\x03\xe8")...))
	f.Add([]byte{fin | opBinary, masked | 127, 0xff, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		const bound = 1 << 10
		cfg := enginetest.Config(zmtp.PAIR)
		cfg.MaxMessage = bound
		p, e := dialRaw(t, cfg)
		session := shake(t, p, e)
		go io.Copy(io.Discard, p.in)
		go func() {
			p.Write(in)
			p.Conn.Close()
		}()
		for {
			m, err := session.Recv()
			if err != nil {
				return
			}
			size := 0
			for _, frame := range m {
				size += len(frame)
			}
			if size > bound {
				t.Fatalf("message of %d octets", size)
			}
		}
	})
}
