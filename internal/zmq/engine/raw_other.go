//go:build !unix

package engine

import (
	"net"
	"syscall"
)

// rawConn returns nil: goroutines do all reads and writes here.
func rawConn(net.Conn) syscall.RawConn { return nil }

type rawWrite struct{}

func (*rawWrite) tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }

type rawRead struct{ noWait bool }

func (r *reader) readRaw([]byte, bool) (int, error) { return 0, nil }

func (r *reader) release() {}
