package engine

import (
	"context"
	"net"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Connectionless is the engine of a datagram socket or a multicast group. There
// is no handshake, there are no heartbeats, and subscriptions stay here.
type Connectionless struct {
	cfg           ConnectionlessConfig
	local, remote string
	session       Session
	in            Input
	out           Output
	end           Ending
}

// ConnectionlessConfig is what differs between datagrams and groups.
type ConnectionlessConfig struct {
	Local, Remote net.Addr
	Limits        Limits
	// Release closes the sockets, which makes Read and Write return.
	Release func()
	// Read hands over what arrives until the sockets are closed. Nil: nothing
	// arrives.
	Read func(in *Input) error
	// Write sends the messages of a batch. done is closed when the sockets are.
	// Nil: they are dropped.
	Write func(b flow.Batch, done <-chan struct{}) error
	// SubscribeAll makes a publisher send everything.
	SubscribeAll bool
}

// NewConnectionless makes the engine of open sockets.
func NewConnectionless(cfg ConnectionlessConfig) *Connectionless {
	e := &Connectionless{cfg: cfg, local: addrText(cfg.Local), remote: addrText(cfg.Remote)}
	e.end.Init()
	return e
}

// Local returns the address of the socket.
func (e *Connectionless) Local() string { return e.local }

// Remote returns the address that is sent to or bound.
func (e *Connectionless) Remote() string { return e.remote }

// Handshake does nothing.
func (e *Connectionless) Handshake(context.Context) (Peer, error) { return Peer{}, nil }

// Plug binds the engine to the session that it serves.
func (e *Connectionless) Plug(s Session) {
	e.session = s
	e.in.Init(s, e.cfg.Limits, nil, e.end.Done())
	e.out.Init(s, e.write, e.Close)
}

func (e *Connectionless) write(b flow.Batch) (sent int, err error) {
	if e.cfg.Write == nil {
		return b.Msgs, nil
	}
	return 0, e.cfg.Write(b, e.end.Done())
}

// Run reads until the sockets are closed.
func (e *Connectionless) Run() error {
	if e.cfg.SubscribeAll {
		e.session.Command(zmtp.CommandSubscribe, nil)
	}
	if e.cfg.Read != nil {
		e.Close(e.cfg.Read(&e.in))
	}
	<-e.end.Done()
	e.out.Stop()
	return e.end.Reason()
}

// Close closes the sockets.
func (e *Connectionless) Close(reason error) { e.end.Begin(reason, e.cfg.Release) }

// Abort closes the sockets.
func (e *Connectionless) Abort(reason error) { e.Close(reason) }

// Kick starts sending.
func (e *Connectionless) Kick() { e.out.Kick() }

// KickLater starts sending.
func (e *Connectionless) KickLater() { e.out.Kick() }

// Resume continues input.
func (e *Connectionless) Resume() { e.in.Resume() }

// Drain does nothing: the peers are not known.
func (e *Connectionless) Drain() bool { return false }

// Subscribe does nothing: the socket filters what arrives.
func (e *Connectionless) Subscribe(bool, []byte) {}
