//go:build !linux

package transport

import (
	"context"
	"errors"
	"net"
)

// HasVSOCK reports whether this system has vsock.
const HasVSOCK = false

func dialVSOCK(context.Context, VSOCKAddr) (net.Conn, error) { return nil, errors.ErrUnsupported }

func listenVSOCK(VSOCKAddr, int) (net.Listener, error) { return nil, errors.ErrUnsupported }
