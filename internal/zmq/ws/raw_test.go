package ws_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

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

// dialRaw returns such a client, and the server's end as its engine has it.
func dialRaw(t *testing.T, cfg ws.Config) (*rawPeer, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	l := &pipeListener{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- far
	wrapped := make(chan net.Conn, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wc, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: ws.Subprotocols(cfg.Mechanism)})
		if err != nil {
			t.Error(err)
			return
		}
		wrapped <- ws.Wrap(wc, cfg)
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
	c := <-wrapped
	t.Cleanup(func() {
		near.Close()
		c.Close()
		srv.Close()
		serving.Wait()
	})
	return p, c
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
		frames []string // what the engine gets, each a last frame
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
		{name: "a pong nobody asked for", send: join(wsFrame(fin|opPong, "yes"), wsFrame(fin|opBinary, "\x00a")), frames: []string{"a"}},
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
		{name: "a close with a status nobody may send", send: wsFrame(fin|opClose, "\x03\xed"), status: closeInvalid},
		{name: "text", send: wsFrame(fin|opText, "\x00a"), status: closeType},
		{name: "no flags", send: wsFrame(fin|opBinary, ""), status: closeInvalid},
		{name: "too large", send: wsFrame(fin|opBinary, string(make([]byte, 200_000))), status: closeTooBig},
		{name: "a length of 2^62", send: append([]byte{fin | opBinary, masked | 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, make([]byte, 200_000)...), status: closeTooBig},
		{name: "a length of 2^63", send: []byte{fin | opBinary, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, status: noWord},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, engine := dialRaw(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: 100_000})
			hello(t, engine, "NULL")
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				p.Write(c.send) // fails when the server closes in the middle of it
			}()
			got := make(chan struct{})
			go func() {
				defer close(got)
				for _, f := range c.frames {
					want := zmtp.Framing2.Append(nil, 0, []byte(f))
					b := make([]byte, len(want))
					if _, err := io.ReadFull(engine, b); err != nil || !bytes.Equal(b, want) {
						t.Errorf("the engine gets %.40q, %v; want %.40q", b, err, want)
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

// FuzzWebSocket gives a connection any octets after the upgrade. Whatever they
// are, nothing panics or stays, and no frame reaches the engine that is larger
// than it takes.
func FuzzWebSocket(f *testing.F) {
	f.Add(wsFrame(fin|opBinary, "\x00body"))
	f.Add(append(wsFrame(opBinary, "\x01a"), wsFrame(fin|opContinue, "b")...))
	f.Add(append(wsFrame(fin|opPing, "ping"), wsFrame(fin|opClose, "\x03\xe8")...))
	f.Add([]byte{fin | opBinary, masked | 127, 0xff, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		const bound = 1 << 10
		p, engine := dialRaw(t, ws.Config{Mechanism: "NULL", SocketType: zmtp.PAIR, MaxFrame: bound})
		go io.Copy(io.Discard, p.in)
		go func() {
			p.Write(in)
			p.Conn.Close()
		}()
		r := bufio.NewReader(engine)
		r.Discard(zmtp.GreetingSize)
		for {
			head, err := r.Peek(2)
			if err == nil && head[0]&zmtp.FlagLong != 0 {
				head, err = r.Peek(9)
			}
			if err != nil {
				return
			}
			h, n, err := zmtp.Framing2.ParseHeader(head, -1)
			if err != nil || h.Size > bound+64 {
				t.Fatalf("frame of %d bytes, %v", h.Size, err)
			}
			if _, err := r.Discard(n + int(h.Size)); err != nil {
				return
			}
		}
	})
}
