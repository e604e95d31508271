package zmq4

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"lintel.dev/zmq"
)

// Listen binds the socket to an endpoint.
func (s *socket) Listen(ep string) error {
	if s.err != nil {
		return s.err
	}
	trans, addr, err := resolve(ep)
	if err != nil {
		return err
	}
	ln, err := trans.Listen(s.ctx, addr)
	if err == nil && ln == nil {
		err = errors.New("the transport returned no listener")
	}
	if err != nil {
		return fmt.Errorf("zmq4: could not listen to %q: %w", ep, err)
	}
	err = s.open(true, func() error {
		_, err := s.z.BindListener(ln)
		return err
	})
	if err != nil {
		ln.Close()
		return fmt.Errorf("zmq4: could not listen to %q: %w", ep, s.reason(err))
	}
	s.peers.listening()
	s.mu.Lock()
	s.addr = ln.Addr()
	s.mu.Unlock()
	return nil
}

// Dial connects the socket to an endpoint, and returns when the handshake is
// complete.
func (s *socket) Dial(ep string) error {
	if s.err != nil {
		return s.err
	}
	trans, addr, err := resolve(ep)
	if err != nil {
		return err
	}
	t := &target{trans: trans, addr: addr}
	if t.first, err = s.try(t); err != nil {
		return fmt.Errorf("zmq4: could not dial to %q (retry=%v): %w", ep, s.retry, err)
	}
	if t.first == nil {
		return fmt.Errorf("zmq4: got a nil dial-conn to %q", ep)
	}
	if err := s.connect(t); err != nil {
		return fmt.Errorf("zmq4: could not open a ZMTP connection: %w", err)
	}
	return nil
}

// try makes a connection, and tries again as the options say.
func (s *socket) try(t *target) (net.Conn, error) {
	for retries := 0; ; retries++ {
		conn, err := t.trans.Dial(s.ctx, &s.dialer, t.addr)
		if err == nil || s.maxRetries >= 0 && retries >= s.maxRetries {
			return conn, err
		}
		wait := time.NewTimer(s.retry)
		select {
		case <-wait.C:
		case <-s.ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("%w: %w", s.ctx.Err(), err)
		}
	}
}

// connect gives a connection to the socket below and waits for the end of the
// handshake. The socket below knows the endpoint by an address of its own, for
// which it asks dial.
func (s *socket) connect(t *target) error {
	address := "/zmq4/" + strconv.FormatUint(s.nr.Add(1), 10)
	endpoint := "ipc://" + address
	done := s.peers.expect(endpoint)
	defer s.peers.forget(endpoint)

	s.mu.Lock()
	s.targets[address] = t
	s.mu.Unlock()
	var opened *zmq.Endpoint
	err := s.open(false, func() (err error) {
		opened, err = s.peers.connect(endpoint)
		return err
	})
	if err != nil {
		s.drop(address)
		return s.reason(err)
	}
	select {
	case err = <-done:
	case <-s.ctx.Done():
		err = s.ctx.Err()
	}
	if err != nil {
		opened.Close()
		s.drop(address)
	}
	return err
}

// dial makes the connections of the socket below.
func (s *socket) dial(ctx context.Context, _, address string) (net.Conn, error) {
	s.mu.Lock()
	t := s.targets[address]
	var conn net.Conn
	if t != nil {
		conn, t.first = t.first, nil
	}
	s.mu.Unlock()
	switch {
	case t == nil:
		return nil, net.ErrClosed
	case conn != nil:
		return conn, nil
	}
	conn, err := t.trans.Dial(ctx, &s.dialer, t.addr)
	if err == nil && conn == nil {
		err = errors.New("zmq4: the transport returned no connection")
	}
	return conn, err
}

// drop forgets a target whose endpoint is closed.
func (s *socket) drop(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[address]; t != nil && t.first != nil {
		t.first.Close()
	}
	delete(s.targets, address)
}
