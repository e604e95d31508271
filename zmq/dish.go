package zmq

import (
	"fmt"
	"sync"

	"lintel.dev/internal/zmq/flow"
)

// dish is the pattern of DISH.
type dish struct {
	s *core

	// mu keeps the groups and the peers they are told to in one order. It is
	// taken before any lock of a socket.
	mu    sync.Mutex
	peers map[*pipe]struct{}

	groups map[string]struct{} // changed under mu and the receive lock
}

func (x *dish) change(join bool, group string) error {
	if err := checkGroup([]byte(group)); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	_, joined := x.groups[group]
	if joined == join {
		if join {
			return fmt.Errorf("zmq: group %q is joined already", group)
		}
		return fmt.Errorf("zmq: group %q is not joined", group)
	}
	x.s.recv.Lock()
	if join {
		x.groups[group] = struct{}{}
	} else {
		delete(x.groups, group)
	}
	x.s.recv.Unlock()
	for p := range x.peers {
		p.subscribe(join, []byte(group))
	}
	return nil
}

// connected tells every group to a RADIO that is new or back.
func (x *dish) connected(p *pipe) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peers[p] = struct{}{}
	for group := range x.groups {
		p.subscribe(true, []byte(group))
	}
}

func (x *dish) lost(p *pipe) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.peers, p)
}

func (x *dish) attach(p *pipe) { x.s.fq.Add(&p.inSeat) }
func (x *dish) detach(*pipe)   {}

func (x *dish) sendMsg(flow.Message) (*pipe, error) { return nil, ErrNotSupported }

// recvMsg drops what is of no group that was joined, or is no group and body.
func (x *dish) recvMsg() (one []byte, parts Msg, err error) {
	for {
		p, flags, group, ok := x.s.fairFrame()
		if !ok {
			return nil, nil, errAgain
		}
		if _, joined := x.groups[string(group)]; !joined || flags&flow.More == 0 {
			x.s.skip(p, flags)
			continue
		}
		flags, body := p.cur.Next()
		if flags&flow.More != 0 {
			x.s.skip(p, flags)
			x.s.counter.malformed.Add(1)
			continue
		}
		x.s.finish(p)
		return nil, Msg{group, body}, nil
	}
}

func (x *dish) canSendNow() bool { return false }

// canRecvNow drops what is not wanted until something is.
func (x *dish) canRecvNow() bool {
	for x.s.fairReady() {
		seat, _ := x.s.fq.Current()
		c := seat.V.cur
		flags, group := c.Next()
		if _, joined := x.groups[string(group)]; joined && flags&flow.More != 0 {
			return true
		}
		c.SkipMessage(flags)
		seat.V.cur = c
		x.s.finish(seat.V)
	}
	return false
}
