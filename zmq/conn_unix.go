//go:build unix

package zmq

import (
	"net"
	"syscall"
)

// rawConn returns what tryWrite needs, nil if conn has no descriptor.
func rawConn(conn net.Conn) syscall.RawConn {
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ := c.SyscallConn()
		return raw
	case *net.UnixConn:
		raw, _ := c.SyscallConn()
		return raw
	}
	return nil
}

// tryWrite writes what the connection takes without waiting.
func (w *writer) tryWrite(b []byte) (int, error) {
	if w.attempt == nil {
		w.attempt = func(fd uintptr) bool {
			for {
				w.n, w.err = syscall.Write(int(fd), w.try)
				if w.err != syscall.EINTR {
					return true
				}
			}
		}
	}
	w.try = b
	err := w.l.raw.Write(w.attempt)
	w.try = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}
