//go:build !linux

package transport

import (
	"context"
	"errors"
	"net"
)

// HasVSOCK tells the systems on which vsock can be dialled and listened at.
const HasVSOCK = false

func dialVSOCK(context.Context, VSOCKAddr) (net.Conn, error) { return nil, errors.ErrUnsupported }

func listenVSOCK(VSOCKAddr, int) (net.Listener, error) { return nil, errors.ErrUnsupported }
