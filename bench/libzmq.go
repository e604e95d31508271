//go:build libzmq

package bench

import (
	"context"
	"errors"
	"fmt"

	zmq "github.com/pebbe/zmq4"
)

// cgoSockets is libzmq itself; it needs libzmq3-dev to build.
var cgoSockets = []socketMaker{{"libzmq", newLibzmq}}

type libzmqSocket struct{ s *zmq.Socket }

func newLibzmq(_ context.Context, typ, name string) (socket, error) {
	types := map[string]string{
		"PUSH": zmq.PUSH, "PULL": zmq.PULL, "REQ": zmq.REQ, "REP": zmq.REP,
		"PUB": zmq.PUB, "SUB": zmq.SUB, "DEALER": zmq.DEALER, "ROUTER": zmq.ROUTER,
	}
	t, ok := types[typ]
	if !ok {
		return nil, fmt.Errorf("no %s socket here", typ)
	}
	s, err := zmq.NewSocket(t)
	if err != nil {
		return nil, err
	}
	switch typ {
	case "PUB":
		err = s.SetSndhwm(0)
	case "SUB":
		err = errors.Join(s.SetRcvhwm(0), s.SetSubscribe(""))
	case "DEALER":
		err = s.SetIdentity(name)
	}
	return libzmqSocket{s}, errors.Join(err, s.SetLinger(0))
}

func (l libzmqSocket) bind(endpoint string) (string, error) {
	if err := l.s.Bind(endpoint); err != nil {
		return "", err
	}
	return l.s.GetLastEndpoint()
}

func (l libzmqSocket) connect(addr string) error { return l.s.Connect(addr) }

func (l libzmqSocket) send(b []byte) error {
	_, err := l.s.SendBytes(b, 0)
	return err
}

func (l libzmqSocket) recv() ([]byte, error) { return l.s.RecvBytes(0) }

func (l libzmqSocket) sendFrames(m [][]byte) error {
	for i, frame := range m {
		var more zmq.Flag
		if i < len(m)-1 {
			more = zmq.SNDMORE
		}
		if _, err := l.s.SendBytes(frame, more); err != nil {
			return err
		}
	}
	return nil
}

func (l libzmqSocket) recvFrames() ([][]byte, error) { return l.s.RecvMessageBytes(0) }

func (l libzmqSocket) Close() error { return l.s.Close() }
