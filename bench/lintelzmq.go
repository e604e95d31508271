package bench

import (
	"context"
	"fmt"

	"lintel.dev/zmq"
)

type lintelSocket struct {
	zmq.Socket
	ctx context.Context
	out zmq.Sender
	in  zmq.Receiver
}

func newLintel(ctx context.Context, typ, name string) (socket, error) {
	var s zmq.Socket
	var err error
	switch typ {
	case "PUSH":
		s, err = zmq.NewPush()
	case "PULL":
		s, err = zmq.NewPull()
	case "REQ":
		s, err = zmq.NewReq()
	case "REP":
		s, err = zmq.NewRep()
	case "PUB":
		s, err = zmq.NewPub(zmq.WithHWM(0))
	case "SUB":
		var sub *zmq.Sub
		if sub, err = zmq.NewSub(zmq.WithHWM(0)); err == nil {
			s, err = sub, sub.Subscribe("")
		}
	case "DEALER":
		s, err = zmq.NewDealer(zmq.WithIdentity([]byte(name)))
	case "ROUTER":
		s, err = zmq.NewRouter()
	default:
		err = fmt.Errorf("no %s socket here", typ)
	}
	if err != nil {
		return nil, err
	}
	l := lintelSocket{Socket: s, ctx: ctx}
	l.out, _ = s.(zmq.Sender)
	l.in, _ = s.(zmq.Receiver)
	return l, nil
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

func (l lintelSocket) send(b []byte) error { return l.out.SendBytes(l.ctx, b) }

func (l lintelSocket) recv() ([]byte, error) { return l.in.RecvBytes(l.ctx) }

func (l lintelSocket) sendFrames(m [][]byte) error { return l.out.Send(l.ctx, m) }

func (l lintelSocket) recvFrames() ([][]byte, error) { return l.in.Recv(l.ctx) }
