//go:build !linux

package transport

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// control refuses the options that only Linux has.
func (o Options) control(context.Context, string, string, syscall.RawConn) error {
	if o.BindToDevice != "" {
		return fmt.Errorf("binding to device %s: only Linux can", o.BindToDevice)
	}
	return nil
}

func setBacklog(net.Listener, int) {}
