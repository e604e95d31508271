// Package enginetest is what the tests of engines share: a session without a
// socket.
package enginetest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Session sends and receives messages by an engine.
type Session struct {
	eng engine.Conn
	out *flow.Queue

	mu sync.Mutex
	// The fields below are protected by mu.
	changed  *sync.Cond
	received [][]string
	commands []string
	ended    bool
	err      error // that Run returned
}

// Run runs c, after a handshake. It ends with the connection.
func Run(ctx context.Context, c engine.Conn) (*Session, engine.Peer, error) {
	return RunAs(ctx, c, func(s *Session) engine.Session { return s })
}

// RunAs is Run with the session that wrap returns.
func RunAs(ctx context.Context, c engine.Conn, wrap func(s *Session) engine.Session) (*Session, engine.Peer, error) {
	s := &Session{eng: c, out: flow.NewQueue(0)}
	s.changed = sync.NewCond(&s.mu)
	s.out.UseBlocks()
	peer, err := c.Handshake(ctx)
	if err != nil {
		c.Abort(err)
		return nil, peer, err
	}
	c.Plug(wrap(s))
	if s.out.Attach() {
		c.KickLater()
	}
	go func() {
		err := c.Run()
		s.mu.Lock()
		s.ended, s.err = true, err
		s.changed.Broadcast()
		s.mu.Unlock()
	}()
	return s, peer, nil
}

// Close closes the connection and waits for its end.
func (s *Session) Close() {
	s.eng.Close(engine.ErrClosed)
	_ = s.Wait()
}

// Wait waits for the end of the connection and returns its reason.
func (s *Session) Wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		s.changed.Wait()
	}
	return s.err
}

// Send sends a message. It fails once the connection has ended.
func (s *Session) Send(frames ...string) error {
	m := flow.Message{}
	for _, f := range frames {
		m.Parts = append(m.Parts, []byte(f))
	}
	if s.out.Append(&m) == flow.Wake {
		s.eng.Kick()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Recv receives a message. After the end of the connection, and of what arrived
// before, it returns the reason.
func (s *Session) Recv() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.received) == 0 {
		if s.ended {
			return nil, s.err
		}
		s.changed.Wait()
	}
	m := s.received[0]
	s.received = s.received[1:]
	return m, nil
}

// Commands waits for n subscriptions and the like, or for the end, and returns
// those that arrived, each as its kind and topic.
func (s *Session) Commands(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.commands) < n && !s.ended {
		s.changed.Wait()
	}
	return s.commands
}

// Out returns the outgoing queue.
func (s *Session) Out() *flow.Queue { return s.out }

// Push keeps messages for Recv.
func (s *Session) Push(batches []flow.Batch) (full bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batches {
		for c := flow.NewCursor(b); !c.Done(); {
			var m []string
			for more := true; more; {
				flags, p := c.Next()
				m = append(m, string(p))
				more = flags&flow.More != 0
			}
			s.received = append(s.received, m)
		}
	}
	s.changed.Broadcast()
	return false, nil
}

// Command keeps a command for Commands.
func (s *Session) Command(c zmtp.Command, topic []byte) {
	names := map[zmtp.Command]string{
		zmtp.CommandSubscribe: "SUBSCRIBE", zmtp.CommandCancel: "CANCEL", zmtp.CommandJoin: "JOIN", zmtp.CommandLeave: "LEAVE",
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, strings.TrimSpace(names[c]+" "+string(topic)))
	s.changed.Broadcast()
}

// Ready returns true.
func (s *Session) Ready() bool { return true }

// Prepare does nothing.
func (s *Session) Prepare(*flow.Batch) {}

// Writable does nothing.
func (s *Session) Writable() {}

// Flushed does nothing.
func (s *Session) Flushed() {}

// Unsent puts b back.
func (s *Session) Unsent(b flow.Batch) { s.out.Unread(b) }

// Stranded does nothing: nothing is counted.
func (s *Session) Stranded(int) {}

// Borrow borrows nothing.
func (s *Session) Borrow(r *engine.DirectReader) (cancelled <-chan struct{}, ok bool) {
	r.Offered()
	return nil, false
}

// Recall does nothing.
func (s *Session) Recall(*engine.DirectReader) {}

// Null is the engine.Security of a socket without security.
type Null struct {
	Type     zmtp.SocketType
	Identity string
}

// Mechanism returns NULL.
func (n Null) Mechanism() (zmtp.Mechanism, error) {
	return zmtp.NewNull(zmtp.Metadata{
		{Name: zmtp.PropertySocketType, Value: []byte(n.Type.String())}, {Name: zmtp.PropertyIdentity, Value: []byte(n.Identity)},
	}, false), nil
}

// Authenticate accepts every peer.
func (Null) Authenticate(context.Context, zmtp.Mechanism) (int, error) { return zmtp.StatusOK, nil }

// Config is that of a socket without security and limits.
func Config(t zmtp.SocketType) engine.Config {
	return engine.Config{SocketType: t, Security: Null{Type: t}, Limits: Unlimited, LastWrite: new(atomic.Int64)}
}

// Unlimited allows messages of any size.
var Unlimited = engine.Limits{MaxFrame: -1, MaxMessage: -1}
