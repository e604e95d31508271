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
