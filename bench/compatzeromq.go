package bench

import (
	"context"
	"fmt"
	"strings"

	zmq4 "lintel.dev/compat/gozeromq"
)

// compatZeroMQ is goZeroMQ with the import changed.
type compatZeroMQ struct{ s zmq4.Socket }

func newCompatZeroMQ(ctx context.Context, typ, name string) (socket, error) {
	var s zmq4.Socket
	switch typ {
	case "PUSH":
		s = zmq4.NewPush(ctx)
	case "PULL":
		s = zmq4.NewPull(ctx)
	case "REQ":
		s = zmq4.NewReq(ctx)
	case "REP":
		s = zmq4.NewRep(ctx)
	case "PUB":
		s = zmq4.NewPub(ctx)
		if err := s.SetOption(zmq4.OptionHWM, 0); err != nil { // go-zeromq's default
			return nil, err
		}
	case "SUB":
		s = zmq4.NewSub(ctx)
		if err := s.SetOption(zmq4.OptionSubscribe, ""); err != nil {
			return nil, err
		}
	case "DEALER":
		s = zmq4.NewDealer(ctx, zmq4.WithID(zmq4.SocketIdentity(name)))
	case "ROUTER":
		s = zmq4.NewRouter(ctx)
	default:
		return nil, fmt.Errorf("no %s socket here", typ)
	}
	return compatZeroMQ{s}, nil
}

func (g compatZeroMQ) bind(endpoint string) (string, error) {
	if err := g.s.Listen(endpoint); err != nil {
		return "", err
	}
	if strings.HasPrefix(endpoint, "tcp:") {
		return "tcp://" + g.s.Addr().String(), nil
	}
	return endpoint, nil
}

func (g compatZeroMQ) connect(addr string) error { return g.s.Dial(addr) }

func (g compatZeroMQ) send(b []byte) error { return g.s.Send(zmq4.NewMsg(b)) }

func (g compatZeroMQ) recv() ([]byte, error) {
	m, err := g.s.Recv()
	if err != nil {
		return nil, err
	}
	return m.Bytes(), nil
}

func (g compatZeroMQ) sendFrames(m [][]byte) error { return g.s.SendMulti(zmq4.NewMsgFrom(m...)) }

func (g compatZeroMQ) recvFrames() ([][]byte, error) {
	m, err := g.s.Recv()
	return m.Frames, err
}

func (g compatZeroMQ) Close() error { return g.s.Close() }
