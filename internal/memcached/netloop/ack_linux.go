package netloop

import "golang.org/x/sys/unix"

// acknowledge sends the acknowledgement of what was read. The kernel delays it for
// a server that answers, up to 40 ms, and a client with Nagle's algorithm holds
// its first request back until the last record of its TLS handshake is
// acknowledged.
func acknowledge(fd int) {
	if fd >= 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) // only TCP has it
	}
}
