//go:build windows

package zmq4

// GetFd returns ENOTSUP: there is no descriptor. A Poller, or the Notify method
// of a zmq.Poller, waits for sockets.
func (soc *Socket) GetFd() (uintptr, error) {
	if _, err := soc.opened(); err != nil {
		return 0, err
	}
	return 0, ENOTSUP
}
