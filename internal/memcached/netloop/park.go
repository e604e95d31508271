package netloop

import (
	"errors"
	"io"
	"os"
	"time"
)

// longAgo is a deadline that interrupts a Read.
var longAgo = time.Unix(1, 0)

func (c *netConn) Wake() {
	c.smu.Lock()
	defer c.smu.Unlock()
	select {
	case c.wakeup <- struct{}{}:
	default:
	}
	if c.reads {
		c.nc.SetReadDeadline(longAgo)
	}
}

// park waits for Wake. Meanwhile it reads on behind buf, up to Config.MaxInput
// bytes, to notice the end of the peer. It returns the extended buffer, and
// false when the connection has ended.
func (c *netConn) park(s Session, buf []byte) ([]byte, bool) {
	for c.startRead() {
		if len(buf) >= c.loop.cfg.MaxInput {
			break
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, max(2*cap(buf), readSmall)), buf...)
		}
		n, err := c.nc.Read(buf[len(buf):min(cap(buf), c.loop.cfg.MaxInput)])
		c.read.Add(uint64(n))
		buf = buf[:len(buf)+n]
		if n > 0 {
			c.active.Store(c.loop.seconds())
		}
		switch {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case !errors.Is(err, io.EOF):
			return buf, false
		case !c.loop.halfClosed(s):
			return buf, false
		}
		break
	}
	<-c.wakeup
	c.smu.Lock()
	c.reads = false
	c.smu.Unlock()
	c.nc.SetReadDeadline(time.Time{})
	return buf, c.why.Load() == 0
}

// startRead makes Wake interrupt the next Read. It returns false if Wake has
// been called already.
func (c *netConn) startRead() bool {
	c.smu.Lock()
	defer c.smu.Unlock()
	if len(c.wakeup) > 0 {
		return false
	}
	c.reads = true
	c.nc.SetReadDeadline(time.Time{})
	return true
}
