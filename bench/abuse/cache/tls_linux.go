package cache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// ending is how far a client of handshakes goes on a new connection.
type ending func(c net.Conn, hello []byte)

// cut sends the hello and closes the connection.
func cut(c net.Conn, hello []byte) { _, _ = c.Write(hello) }

// cutLater waits for the server's part of the handshake too.
func cutLater(c net.Conn, hello []byte) {
	if _, err := c.Write(hello); err == nil {
		_, _ = c.Read(make([]byte, 1))
	}
}

// complete makes a whole handshake.
func complete(c net.Conn, _ []byte) {
	_ = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
}

// handshakes begins handshakes on n connections at a time, each again and again
// on a new connection.
func handshakes(n int, end ending) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		hello, err := clientHello()
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for i := range n {
			// Closed connections keep their ports for a minute: many addresses
			// have enough of them.
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i))}}
			wg.Go(func() {
				for ctx.Err() == nil {
					c, err := dialer.DialContext(ctx, "tcp", s.tls)
					if err != nil {
						continue // the server has closed others first, or ctx is done
					}
					c.SetDeadline(time.Now().Add(giveUp))
					stop := context.AfterFunc(ctx, func() { c.Close() })
					end(c, hello)
					stop()
					c.Close()
				}
			})
		}
		wg.Wait()
		return nil
	}
}

// halfHandshakes holds n connections open that have sent half of a hello. It
// replaces those that the server closes.
func halfHandshakes(n int) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		hello, err := clientHello()
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				for ctx.Err() == nil {
					c, err := new(net.Dialer).DialContext(ctx, "tcp", s.tls)
					if err != nil {
						continue
					}
					stop := context.AfterFunc(ctx, func() { c.Close() })
					if _, err := c.Write(hello[:len(hello)/2]); err == nil {
						_, _ = c.Read(make([]byte, 1))
					}
					stop()
					c.Close()
				}
			})
		}
		wg.Wait()
		return nil
	}
}

// clientHello returns the first record of a handshake.
func clientHello() ([]byte, error) {
	var r recorder
	err := tls.Client(&r, &tls.Config{InsecureSkipVerify: true}).Handshake()
	if r.sent.Len() == 0 {
		return nil, errors.Join(errors.New("no hello"), err)
	}
	return r.sent.Bytes(), nil
}

// recorder keeps what is written to it, and has nothing to read.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Write(p []byte) (int, error)      { return r.sent.Write(p) }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
