package transport

import "syscall"

// reuseAddress does nothing: on Windows SO_REUSEADDR lets any process take the
// address of a listener.
func reuseAddress(syscall.RawConn) error { return nil }
