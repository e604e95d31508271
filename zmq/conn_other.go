//go:build !unix

package zmq

import (
	"net"
	"syscall"
)

// rawConn returns nil: a write cannot be tried without waiting here, so
// senders leave all writes to a goroutine.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (w *writer) tryWrite([]byte) (int, error) { return 0, nil }

func (r *reader) readBlock() (int, error) { return r.l.conn.Read(r.buf[r.filled:]) }

func (r *reader) readLarge(p []byte, _ bool) (int, error) {
	n, err := r.l.conn.Read(p)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (r *reader) release() {}
