package transport

import (
	"context"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// control sets the options that must be set before a socket is connected or
// bound.
func (o Options) control(_ context.Context, network, _ string, c syscall.RawConn) error {
	var err error
	set := func(fd, level, name, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, name, value)
		}
	}
	ctl := c.Control(func(d uintptr) {
		fd := int(d)
		if !strings.HasPrefix(network, "tcp") {
			return
		}
		if o.TOS != 0 {
			if strings.HasSuffix(network, "6") {
				set(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, o.TOS)
			} else {
				set(fd, unix.IPPROTO_IP, unix.IP_TOS, o.TOS)
			}
		}
		if o.Priority != 0 {
			set(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, o.Priority)
		}
		if o.BindToDevice != "" && err == nil {
			err = unix.BindToDevice(fd, o.BindToDevice)
		}
		if o.MaxRT > 0 {
			set(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.MaxRT.Milliseconds()))
		}
	})
	if ctl != nil {
		return ctl
	}
	return err
}

// setBacklog changes the backlog of a listener: Go asks for the system's
// maximum.
func setBacklog(ln net.Listener, n int) {
	s, ok := ln.(syscall.Conn)
	if !ok || n <= 0 {
		return
	}
	if raw, err := s.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.Listen(int(fd), n) })
	}
}
