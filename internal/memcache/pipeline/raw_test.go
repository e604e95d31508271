//go:build unix

package pipeline

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// rawPair is a connection over the loopback and its other end.
func rawPair(t *testing.T) (*rawConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	d, ok := newRawConn(nc).(*rawConn)
	if !ok {
		t.Fatal("a TCP connection is no rawConn")
	}
	return d, peer
}

// TestRawConn sends more than the kernel's buffers hold there and back.
func TestRawConn(t *testing.T) {
	d, peer := rawPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(peer, peer)
		echoed <- errors.Join(err, peer.Close())
	}()
	wrote := make(chan error, 1)
	go func() {
		_, err := d.Write(sent)
		wrote <- errors.Join(err, d.Conn.(*net.TCPConn).CloseWrite())
	}()
	var got []byte
	buf := make([]byte, 32<<10)
	for {
		d.spins = maxSpins
		n, err := d.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(<-wrote, <-echoed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, %d were sent, or others", len(got), len(sent))
	}
}

// TestRawConnEnds: spins are for one read; errors read
// as those of package net.
func TestRawConnEnds(t *testing.T) {
	d, _ := rawPair(t)
	if err := d.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	d.spins = maxSpins
	_, err := d.Read(make([]byte, 1))
	op, ok := errors.AsType[*net.OpError](err)
	if !errors.Is(err, os.ErrDeadlineExceeded) || !ok || op.Op != "read" {
		t.Errorf("read after the deadline: %v", err)
	}
	if d.spins != 0 {
		t.Errorf("%d spins are left after a read", d.spins)
	}
	d.Close()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := d.Write([]byte("mn\r\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}
