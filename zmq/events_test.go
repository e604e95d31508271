package zmq_test

import (
	"bytes"
	"errors"
	"iter"
	"log/slog"
	"net"
	"strings"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// Bind and an event report an address that is in use.
func TestBindFailed(t *testing.T) {
	r := overTCP(t)
	ep := r.bind(made(r, zmq.NewPull))
	second := made(r, zmq.NewPull)
	events, stop := iter.Pull(second.Events(r.ctx))
	defer stop()
	_, err := second.Bind(ep)
	if !errors.Is(err, zmq.ErrAddressInUse) {
		t.Errorf("bound twice: %v", err)
	}
	if e := next(t, events, event.BindFailed); e.Endpoint != ep || e.Err == nil {
		t.Errorf("%+v does not say where and why", e)
	}
}

// stubborn is a listener that does not close without a complaint.
type stubborn struct{ net.Listener }

var errStubborn = errors.New("not now")

func (l stubborn) Close() error { return errors.Join(errStubborn, l.Listener.Close()) }

func TestCloseFailed(t *testing.T) {
	r := overTCP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	pull := made(r, zmq.NewPull)
	events, stop := iter.Pull(pull.Events(r.ctx))
	defer stop()
	ep, err := pull.BindListener(stubborn{ln})
	r.must(err)
	r.must(ep.Close())
	if e := next(t, events, event.CloseFailed); e.Endpoint != ep.Addr() || !errors.Is(e.Err, errStubborn) {
		t.Errorf("%+v does not say where and why", e)
	}
}

// A logger gets every event, failures at level Warn.
func TestLogger(t *testing.T) {
	r := overTCP(t)
	ep := r.bind(made(r, zmq.NewPull))
	for _, c := range []struct {
		level slog.Level
		want  []string
	}{
		{slog.LevelWarn, []string{"WARN zmq: bind failed"}},
		{slog.LevelDebug, []string{"WARN zmq: bind failed", "DEBUG zmq: listening", "DEBUG zmq: closed"}},
	} {
		var text bytes.Buffer
		s, err := zmq.NewPair(zmq.WithLogger(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: c.level}))))
		r.must(err)
		if _, err := s.Bind(ep); err == nil {
			t.Fatal("bound twice")
		}
		_, err = s.Bind("tcp://127.0.0.1:*")
		r.must(err)
		r.must(s.Close())
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		if len(lines) != len(c.want) {
			t.Fatalf("%v: got %q, want %q", c.level, lines, c.want)
		}
		for i, want := range c.want {
			level, msg, _ := strings.Cut(want, " ")
			if !strings.Contains(lines[i], "level="+level+` msg="`+msg+`" socket=PAIR endpoint=`) {
				t.Errorf("%v: line %q, want %q", c.level, lines[i], want)
			}
		}
		if !strings.Contains(lines[0], "endpoint="+ep+" error=") {
			t.Errorf("%q does not say where and why", lines[0])
		}
	}
}
