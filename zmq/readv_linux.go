package zmq

import "golang.org/x/sys/unix"

// readv fills a, then b, with what there is.
func readv(fd int, a, b []byte) (int, error) {
	if len(b) == 0 {
		return unix.Read(fd, a)
	}
	return unix.Readv(fd, [][]byte{a, b})
}
