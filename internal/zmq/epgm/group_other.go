//go:build !linux

package epgm

import (
	"errors"
	"syscall"
)

// listenGroup is the socket of a receiver: bound to any address, for not every
// system binds a group's.
func (c Config) listenGroup() (packetConn, error) {
	return c.open("0.0.0.0", int(c.Group.Port()))
}

func forceReadBuffer(syscall.RawConn, int) error { return errors.ErrUnsupported }
