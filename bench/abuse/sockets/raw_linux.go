package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// endpoints are those of a target, by the names of its sockets.
type endpoints map[string]string

// address returns host and port of a socket.
func (e endpoints) address(name string) string {
	_, at, _ := strings.Cut(e[name], "://")
	return strings.TrimSuffix(at, "/")
}

// greeting announces ZMTP 3.1.
func greeting(mechanism string) []byte {
	b := make([]byte, zmtp.GreetingSize)
	b[0], b[9], b[10], b[11] = 0xff, 0x7f, 3, 1
	copy(b[12:32], mechanism)
	return b
}

// frame appends a frame: flags are zmtp.FlagMore, zmtp.FlagCommand or 0.
func frame(b []byte, flags byte, body []byte) []byte { return zmtp.Framing2.Append(b, flags, body) }

// command appends a command.
func command(b, body []byte) []byte { return frame(b, zmtp.FlagCommand, body) }

// ready is the command with which a NULL peer of a socket type is established.
func ready(socketType string) []byte {
	return zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte(socketType)}})
}

// dial connects and sends the first octets of the connection. While the target's
// queue of connections is full, an attempt is repeated after 1, 3 and 7 seconds.
func dial(ctx context.Context, address string, first []byte) (net.Conn, error) {
	d := net.Dialer{Timeout: 15 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(first); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// join makes a connection to a socket without security, as one of socketType.
func join(ctx context.Context, address, socketType string) (net.Conn, error) {
	c, err := dial(ctx, address, command(greeting("NULL"), ready(socketType)))
	if err != nil {
		return nil, err
	}
	// The answer is a greeting, and READY in a short frame.
	head := make([]byte, zmtp.GreetingSize+2)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err = io.ReadFull(c, head); err == nil {
		_, err = io.CopyN(io.Discard, c, int64(head[len(head)-1]))
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("handshake with %s: %w", address, err)
	}
	c.SetReadDeadline(time.Time{})
	return c, nil
}

// pause is how long an attacker waits before it replaces a connection that was
// closed, so that the machine does not run out of ports.
const pause = 2 * time.Millisecond

// crowd runs n attackers until ctx is done. Each has a connection made by open,
// and a new one when use returns.
func crowd(ctx context.Context, n int, open func(ctx context.Context) (net.Conn, error), use func(c net.Conn)) error {
	var made atomic.Int64
	var mu sync.Mutex
	var last error
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := open(ctx)
				if err == nil {
					made.Add(1)
					stop := context.AfterFunc(ctx, func() { c.Close() })
					use(c)
					stop()
					c.Close()
				} else if ctx.Err() == nil {
					mu.Lock()
					last = err
					mu.Unlock()
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
	if made.Load() == 0 {
		return errors.Join(errors.New("no attacker connected"), last)
	}
	return nil
}

// repeat writes block until the connection fails.
func repeat(block []byte) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
}
