package bridge

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"lintel.dev/bridge/internal/protocol"
	"lintel.dev/zmq"
)

// counter counts events.
type counter = atomic.Uint64

// Bounds of a received message. The engine has a smaller one, and answers it; a
// peer that exceeds these is disconnected.
const (
	maxOctets = 64 << 20
	maxFrames = 4096
)

// The connections of a peer that vanishes without closing them end after
// heartbeatTimeout.
const (
	heartbeat        = 5 * time.Second
	heartbeatTimeout = 10 * time.Second
)

// with appends options to those of the user. The user's come later, and win.
func with(user []zmq.Option, own ...zmq.Option) []zmq.Option {
	own = append(own, zmq.WithMaxMessage(maxOctets, maxFrames), zmq.WithHeartbeat(heartbeat, heartbeatTimeout, 0), zmq.WithLinger(time.Second))
	return append(own, user...)
}

// newRouter returns a ROUTER whose TrySend reports what it cannot send.
func newRouter(user []zmq.Option, own ...zmq.Option) (*zmq.Router, error) {
	return zmq.NewRouter(append(with(user, own...), zmq.WithOption("router_mandatory", "1"))...)
}

// bindAll binds s to endpoints and calls bound for each with its address.
func bindAll(s zmq.Socket, endpoints []string, what string, bound func(what, addr string)) error {
	for _, e := range endpoints {
		ep, err := s.Bind(e)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		bound(what, ep.Addr())
	}
	return nil
}

// producerSocket is a ROUTER of producers with the protocol of their type.
type producerSocket struct {
	router *zmq.Router
	parse  func(content [][]byte) (protocol.Put, error)
	named  bool // replies have the id of the put
}

// bindProducers makes the sockets of producers. pull is nil without endpoints.
func bindProducers(req, dealer, push []string, options []zmq.Option, bound func(what, addr string)) (routers []producerSocket, pull *zmq.Pull, err error) {
	for _, p := range []struct {
		socket    producerSocket
		what      string
		endpoints []string
	}{
		{producerSocket{nil, protocol.ParseRequest, false}, "in REQ", req},
		{producerSocket{nil, protocol.ParsePut, true}, "in DEALER", dealer},
	} {
		if len(p.endpoints) == 0 {
			continue
		}
		if p.socket.router, err = newRouter(options, zmq.WithOption("sndhwm", strconv.Itoa(replyHWM))); err != nil {
			return routers, nil, err
		}
		routers = append(routers, p.socket)
		if err := bindAll(p.socket.router, p.endpoints, p.what, bound); err != nil {
			return routers, nil, err
		}
	}
	if len(push) > 0 {
		// The mark is small: what waits in the socket is lost with the bridge.
		if pull, err = zmq.NewPull(with(options, zmq.WithHWM(pullHWM))...); err != nil {
			return routers, nil, err
		}
		if err := bindAll(pull, push, "in PUSH", bound); err != nil {
			return routers, pull, err
		}
	}
	return routers, pull, nil
}

// replyHWM is the send mark of the sockets of REQ and DEALER producers, for each of
// them: more replies than any sensible window has. A producer may have its whole
// window answered before it reads the first reply.
const replyHWM = 16384

// pullHWM is the receive mark of the socket of PUSH producers, for each of them.
const pullHWM = 64
