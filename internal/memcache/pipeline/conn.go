package pipeline

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// readBuffer is the size of a connection's read buffer in bytes.
const readBuffer = 32 << 10

// errUnasked: the server sent bytes while no request was waiting for a reply.
var errUnasked = fmt.Errorf("%w: bytes without a request", ErrProtocol)

// Conn is a connection to one server, shared by all callers.
type Conn struct {
	// Meta reports whether the server speaks meta commands.
	Meta bool
	// IP is the address behind the server's host name, "" for unix sockets.
	IP string

	blind  bool // no handshake has shown that the server speaks the protocol
	nc     net.Conn
	queue  sendQueue
	reader replyReader
	dog    watchdog

	proven   atomic.Uint32 // modeBits of the classic commands whose data block the server takes
	answered atomic.Bool   // at least one reply was read
	failed   atomic.Bool   // fail was called
	done     chan struct{} // closed when the reader goroutine ends
	onDown   func(c *Conn, err error)
}

// newConn starts a connection over nc. br may hold bytes that were received already.
// The goroutines are counted in wg. onDown is called once, when the connection ended.
func newConn(nc net.Conn, br *bufio.Reader, meta bool, ip string, o *Dialer, wg *sync.WaitGroup, onDown func(*Conn, error)) *Conn {
	c := &Conn{Meta: meta, IP: ip, blind: o.Protocol == Classic, nc: nc, done: make(chan struct{}), onDown: onDown}
	c.queue.init(c)
	c.reader.init(c, br, o.MaxItemSize)
	c.dog.init(c, o.ReadTimeout, o.WriteTimeout)
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn, *tls.Conn, *rawConn:
		c.queue.inline = true
	}
	wg.Go(c.reader.run)
	wg.Go(c.queue.run)
	return c
}

// Answered reports whether the connection has delivered a reply.
func (c *Conn) Answered() bool { return c.answered.Load() }

// Close fails the calls in flight with err and ends the connection. Only the first
// error counts.
func (c *Conn) Close(err error) { c.fail(err) }

// fail closes the socket; the reader goroutine does the rest. Only the first error
// is kept.
func (c *Conn) fail(err error) {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	if c.queue.err != nil {
		return
	}
	c.queue.closed, c.queue.err = true, err
	c.nc.Close()
	c.failed.Store(true)
	c.reader.wake()
}

// lost converts an error of the socket. Errors of the protocol stay as they are.
func lost(err error) error {
	if errors.Is(err, ErrServerDown) || errors.Is(err, ErrServer) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrConnLost, err)
}

// hint explains the failure of a connection that is not encrypted, began without a
// handshake and never had a reply.
func (c *Conn) hint() string {
	if _, encrypted := c.nc.(*tls.Conn); encrypted || !c.blind || c.answered.Load() {
		return ""
	}
	return " (does it expect TLS? set Options.TLS)"
}

// Drain ends the connection after the replies to the requests in flight. It accepts
// no further requests.
func (c *Conn) Drain() {
	c.queue.mu.Lock()
	c.queue.closed = true
	c.queue.draining.Store(true)
	idle := c.queue.inflight.Load() == 0
	c.queue.mu.Unlock()
	if idle {
		c.fail(ErrUnsent)
	}
}

// end fails every call without a reply. The reader goroutine calls it last.
func (c *Conn) end(batch []*Call) {
	c.dog.timer.Stop()
	rest, err := c.queue.end()
	close(c.done)
	c.onDown(c, err)
	wrote := c.queue.wrote.Load()
	for _, calls := range [][]*Call{batch, rest} {
		for _, cl := range calls {
			cl.Sent = cl.start < wrote
			cl.finish(err)
		}
	}
}
