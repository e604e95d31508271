//go:build unix

package zmq_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	"lintel.dev/zmq"
)

// test_use_fd: a descriptor that is listening already.
func TestAdoptedDescriptor(t *testing.T) {
	r := overTCP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	f, err := ln.(*net.TCPListener).File()
	r.must(err)
	at := "tcp://" + ln.Addr().String()
	ln.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	r.must(err)
	f.Close()
	pull := made(r, zmq.NewPull, zmq.WithOption("use_fd", fmt.Sprint(fd)))
	ep, err := pull.Bind("tcp://127.0.0.1:9999")
	r.must(err)
	if ep.Addr() != at {
		t.Errorf("bound %s, want %s", ep.Addr(), at)
	}
	push := made(r, zmq.NewPush)
	r.connect(push, at)
	r.send(push, "hello")
	r.want(pull, "hello")
	s := made(r, zmq.NewPull, zmq.WithOption("use_fd", "2147483647"))
	if _, err := s.Bind("tcp://127.0.0.1:*"); err == nil {
		t.Error("a descriptor that is none was taken")
	}
}
