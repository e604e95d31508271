package zmqcli

import (
	"bufio"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// A reply that comes after --timeout is printed all the same: the requests in
// between are refused, and the socket goes on.
func TestLateReply(t *testing.T) {
	at := "ipc://" + filepath.Join(t.TempDir(), "s")
	router := newSession(t, "router", "--bind", at)
	router.after("bound ")
	req := newSession(t, "req", "--connect", at, "--timeout", "300ms")
	req.send("question")
	request := router.line()
	req.after("lintel: receive: no reply")
	router.send(strings.TrimSuffix(request, "question") + "late")
	req.repeat("late", req)
}

// A socket that sends and receives does not end for silence while it has a line that
// is neither sent nor reported: the exit status would be 0, and the line lost.
func TestSilenceWhileSending(t *testing.T) {
	s, err := zmq.NewDealer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bind("ipc://" + filepath.Join(t.TempDir(), "s")); err != nil {
		t.Fatal(err)
	}
	r := &socketRun{
		socket: s, send: s, recv: s, wait: 10 * time.Millisecond, lines: textLines, stderr: io.Discard,
		in: bufio.NewReader(strings.NewReader("a\nb\n")), out: bufio.NewWriter(io.Discard),
	}
	done := make(chan error, 1)
	go func() { done <- r.sendLines(t.Context()) }()
	for !r.sending.Load() && r.failed.Load() == 0 {
		runtime.Gosched()
	}
	if _, err := r.receive(t.Context()); !errors.Is(err, errSilence) {
		t.Errorf("receive: %v", err)
	}
	if r.failed.Load() == 0 {
		t.Error("it ended before the first line was reported")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := r.failed.Load(); n != 2 {
		t.Errorf("%d lines reported, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
