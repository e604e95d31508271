package zmq_test

import (
	"errors"
	"iter"
	"net"
	"testing"

	"lintel.dev/zmq"
)

// An address that is taken is told by Bind and by an event.
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
	if e := next(t, events, zmq.EventBindFailed); e.Endpoint != ep || e.Err == nil {
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
	if e := next(t, events, zmq.EventCloseFailed); e.Endpoint != ep.Addr() || !errors.Is(e.Err, errStubborn) {
		t.Errorf("%+v does not say where and why", e)
	}
}
