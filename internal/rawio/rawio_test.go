//go:build unix

package rawio

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two ends of a connection that do not block.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
	}
	return fds[0], fds[1]
}

func TestSendRecv(t *testing.T) {
	a, b := pair(t)
	var in [64]byte
	if n, err := Recv(b, in[:]); !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("Recv of nothing: %d, %v, want EAGAIN", n, err)
	}
	for _, size := range []int{1, 63, 20 << 10} {
		out := bytes.Repeat([]byte{byte(size)}, size)
		var got []byte
		for rest := out; len(got) < size; {
			if len(rest) > 0 {
				n, err := Send(a, rest)
				if err != nil && !errors.Is(err, syscall.EAGAIN) {
					t.Fatal(err)
				}
				rest = rest[max(n, 0):]
			}
			n, err := Recv(b, in[:])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, in[:n]...)
		}
		if !bytes.Equal(got, out) {
			t.Fatalf("%d bytes arrived as others", size)
		}
	}
}

func TestFull(t *testing.T) {
	a, _ := pair(t)
	b := make([]byte, 8<<10)
	for range 10_000 {
		if _, err := Send(a, b); err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				t.Fatalf("Send to a full socket: %v, want EAGAIN", err)
			}
			return
		}
	}
	t.Fatal("80 MB were written to a socket that is not read")
}

func TestClosed(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := fds[0], fds[1]
	defer syscall.Close(a)
	syscall.Close(b)
	if n, err := Recv(a, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("Recv after the peer has closed: %d, %v, want 0, nil", n, err)
	}
	if _, err := Send(a, []byte{1}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Send after the peer has closed: %v, want EPIPE", err)
	}
}
