//go:build unix

package netloop

import (
	"errors"
	"net"
	"syscall"
)

// descriptor returns the file descriptor of nc, or -1.
func descriptor(nc net.Conn) int {
	for {
		t, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = t.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1
	}
	n := -1
	if rc.Control(func(fd uintptr) { n = int(fd) }) != nil {
		return -1
	}
	return n
}

// pauseFor reports whether an error of accept is temporary: it goes away when
// descriptors or memory are freed.
func pauseFor(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
