package epgm

import (
	"net"
	"syscall"
	"testing"
)

// RCVBUF sets the buffer of the socket of a receiver. Without it the buffer is
// larger than the default of the system.
func TestReceiveBuffer(t *testing.T) {
	size := func(bytes int) int {
		cfg := loopback(t)
		cfg.RecvBuffer = bytes
		pc, err := openReceive(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		raw, err := pc.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if err := raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	// Linux doubles the size, for its bookkeeping.
	few := size(20_000)
	if few < 20_000 || few > 40_000 {
		t.Errorf("a buffer of %d bytes, asked for 20000", few)
	}
	if usual := size(0); usual <= few {
		t.Errorf("a buffer of %d bytes by itself", usual)
	}
}
