package netloop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"
)

// tlsLine answers each line with itself.
type tlsLine struct{}

func (tlsLine) Data(in []byte, w *Writer) (int, Step) {
	n := bytes.LastIndexByte(in, '\n') + 1
	w.B = append(w.B, in[:n]...)
	return n, NeedMore
}

func (tlsLine) Closed(Reason) {}

// tlsTestListener is a TLSListener.
type tlsTestListener struct {
	net.Listener
	config *tls.Config
}

func (l tlsTestListener) Plain() net.Listener { return l.Listener }
func (l tlsTestListener) Config() *tls.Config { return l.config }

// serveBoth serves tlsLine with TLS and without until the test ends.
func serveBoth(t *testing.T, cfg Config) (l *epollLoop, secure, plain string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	cfg.Threads, cfg.NewSession = 2, func(Conn) Session { return tlsLine{} }
	made, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l = made.(*epollLoop)
	addrs := make([]string, 2)
	served := make(chan error, 2)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = ln.Addr().String()
		if i == 0 {
			ln = tlsTestListener{ln, config}
		}
		go func() { served <- l.Serve(ln) }()
	}
	t.Cleanup(func() {
		if err := l.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		for range addrs {
			if err := <-served; !errors.Is(err, ErrClosed) {
				t.Errorf("Serve: %v, want ErrClosed", err)
			}
		}
	})
	return l, addrs[0], addrs[1]
}

func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// echo sends a line and reads it back.
func echo(t *testing.T, c net.Conn) {
	t.Helper()
	const line = "hello\n"
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		t.Fatalf("got %q, %v, want %q", got, err, line)
	}
}

func awaitStats(l Loop, done func(Stats) bool) {
	for !done(l.Stats()) {
		runtime.Gosched()
	}
}

// hello returns the first record of a handshake.
func hello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	record := append(head, make([]byte, int(head[3])<<8|int(head[4]))...)
	if _, err := io.ReadFull(server, record[5:]); err != nil {
		t.Fatal(err)
	}
	return record
}

// While no slot is free, handshakes wait, other connections are served, and a peer
// that leaves after its hello costs no computation.
func TestHandshakesWaitForSlot(t *testing.T) {
	l, secure, plain := serveBoth(t, Config{})
	slots := handshakeSlots(2)
	established := tls.Client(dialTCP(t, secure), &tls.Config{InsecureSkipVerify: true})
	echo(t, established)
	for range slots {
		l.pacer.resume()
	}
	const cut, whole = 20, 5
	record := hello(t)
	for i := range cut {
		c := dialTCP(t, secure)
		if _, err := c.Write(record[:len(record)-i%2*100]); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	done := make(chan error, whole)
	var clients []*tls.Conn
	for range whole {
		c := tls.Client(dialTCP(t, secure), &tls.Config{InsecureSkipVerify: true})
		clients = append(clients, c)
		go func() { done <- c.Handshake() }()
	}
	awaitStats(l, func(s Stats) bool { return s.BadHandshakes == cut })
	echo(t, dialTCP(t, plain))
	echo(t, established)
	awaitStats(l, func(Stats) bool {
		l.pacer.mu.Lock()
		defer l.pacer.mu.Unlock()
		waiting := 0
		for _, h := range l.pacer.fresh {
			if !h.(*handshake).c.dead.Load() {
				waiting++
			}
		}
		return waiting == whole
	})
	if n := l.Stats().Handshakes; n != 1 {
		t.Errorf("%d handshakes without a free slot, want 1 from before", n)
	}
	for range slots {
		l.pacer.release()
	}
	for range whole {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, c := range clients {
		echo(t, c)
	}
	l.pacer.mu.Lock()
	defer l.pacer.mu.Unlock()
	if l.pacer.held != 0 || l.pacer.pending.Len() != 0 {
		t.Errorf("%d bytes of %d handshakes held after the last", l.pacer.held, l.pacer.pending.Len())
	}
}

// A handshake that waits for its peer holds no slot.
func TestWaitingHandshakeHoldsNoSlot(t *testing.T) {
	_, secure, _ := serveBoth(t, Config{})
	record := hello(t)
	for range handshakeSlots(2) + 3 {
		c := dialTCP(t, secure)
		if _, err := c.Write(record); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil { // the server's part has begun
			t.Fatal(err)
		}
	}
	echo(t, tls.Client(dialTCP(t, secure), &tls.Config{InsecureSkipVerify: true}))
}

// A handshake that does not go on ends after Config.HandshakeTimeout, in whatever
// state it is.
func TestHandshakeTimeout(t *testing.T) {
	failed := make(chan error, 10)
	_, secure, _ := serveBoth(t, Config{
		HandshakeTimeout: 20 * time.Millisecond,
		OnHandshakeError: func(_ net.Addr, err error) { failed <- err },
	})
	record := hello(t)
	for _, part := range [][]byte{nil, record[:1], record[:len(record)-1], record} {
		c := dialTCP(t, secure)
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := <-failed; err == nil {
			t.Error("OnHandshakeError without an error")
		}
	}
}

// Records may arrive in any pieces, and many of them at once.
func TestRecordsInPieces(t *testing.T) {
	_, secure, _ := serveBoth(t, Config{})
	for _, size := range []int{1, 2, 3, 7, 100, 1 << 20} {
		c := &pieces{Conn: dialTCP(t, secure), size: size}
		client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatalf("in pieces of %d: %v", size, err)
		}
		c.held = new(bytes.Buffer) // several records in one write
		line := append(bytes.Repeat([]byte{'x'}, 50), '\n')
		for range 50 {
			if _, err := client.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		all := c.held.Bytes()
		c.held = nil
		go c.Write(all)
		got := make([]byte, 50*len(line))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, bytes.Repeat(line, 50)) {
			t.Fatalf("in pieces of %d: %v", size, err)
		}
	}
}

// pieces is a connection that writes a few bytes at a time, or holds them.
type pieces struct {
	net.Conn
	size int
	held *bytes.Buffer
}

func (c *pieces) Write(b []byte) (int, error) {
	if c.held != nil {
		return c.held.Write(b)
	}
	for n := 0; n < len(b); n += c.size {
		if _, err := c.Conn.Write(b[n:min(n+c.size, len(b))]); err != nil {
			return n, err
		}
	}
	return len(b), nil
}

// The ends of records are found however they are received.
func TestBounds(t *testing.T) {
	var stream []byte
	ends := map[int]bool{0: true}
	for _, size := range []int{1, 300, 0, 5, 17, 0, 256} {
		stream = append(stream, 23, 3, 3, byte(size>>8), byte(size))
		stream = append(stream, make([]byte, size)...)
		ends[len(stream)] = true
	}
	for step := 1; step <= len(stream); step++ {
		var r bounds
		total := 0
		for from := 0; from < len(stream); from += step {
			to := min(from+step, len(stream))
			records, whole := r.scan(stream[from:to])
			total += records
			if whole != ends[to] {
				t.Fatalf("in steps of %d: after %d bytes whole is %v", step, to, whole)
			}
		}
		if total != 5 { // empty records return nothing to a reader
			t.Fatalf("in steps of %d: %d records with content, want 5", step, total)
		}
	}
}
