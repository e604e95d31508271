package bench

import (
	"context"
	"fmt"

	"lintel.dev/zmq"
)

// lintelEnd is what sockets of every type have.
type lintelEnd interface {
	Bind(string) (*zmq.Endpoint, error)
	Connect(string) (*zmq.Endpoint, error)
	Close() error
}

type lintelSocket struct {
	lintelEnd
	ctx       context.Context
	sendBytes func(context.Context, []byte) error
	recvBytes func(context.Context) ([]byte, error)
}

func newLintel(ctx context.Context, typ string) (socket, error) {
	switch typ {
	case "PUSH":
		s, err := zmq.NewPush()
		if err != nil {
			return nil, err
		}
		return lintelSocket{s, ctx, s.SendBytes, nil}, nil
	case "PULL":
		s, err := zmq.NewPull()
		if err != nil {
			return nil, err
		}
		return lintelSocket{s, ctx, nil, s.RecvBytes}, nil
	case "REQ":
		s, err := zmq.NewReq()
		if err != nil {
			return nil, err
		}
		return lintelSocket{s, ctx, s.SendBytes, s.RecvBytes}, nil
	case "REP":
		s, err := zmq.NewRep()
		if err != nil {
			return nil, err
		}
		return lintelSocket{s, ctx, s.SendBytes, s.RecvBytes}, nil
	}
	return nil, fmt.Errorf("no %s socket here", typ)
}

func (l lintelSocket) bind(endpoint string) (string, error) {
	ep, err := l.Bind(endpoint)
	if err != nil {
		return "", err
	}
	return ep.Addr(), nil
}

func (l lintelSocket) connect(addr string) error {
	_, err := l.Connect(addr)
	return err
}

func (l lintelSocket) send(b []byte) error { return l.sendBytes(l.ctx, b) }

func (l lintelSocket) recv() ([]byte, error) { return l.recvBytes(l.ctx) }
