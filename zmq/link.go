package zmq

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// link carries the queues of a pipe over a connection. One goroutine reads;
// whoever finds the outgoing queue idle writes, and only then is there a
// second one: an idle link costs one goroutine and a small buffer.
type link struct {
	s             *core
	ep            *Endpoint
	p             *pipe // set once the handshake is over
	conn          net.Conn
	raw           syscall.RawConn // nil where a write cannot be tried without waiting
	local, remote string

	peer    peerInfo
	status  uint32 // of a refusal
	framing zmtp.Framing
	sealer  zmtp.Sealer
	legacy  bool // subscriptions travel as messages
	stream  bool // bytes as they are, no ZMTP

	w       writer
	writing sync.Mutex
	writers int           // goroutines and senders at work on w; protected by writing
	retired chan struct{} // set when no more may start, closed by the last one
	heard   atomic.Bool   // something arrived since the last write by a sender

	room   chan struct{} // the receiver has taken enough to go on reading
	back   chan struct{} // a receiver reads the connection no longer: see lone
	dead   chan struct{} // closed when the link is over
	once   sync.Once
	reason atomic.Pointer[error]
	beat   heartbeat
}

// peerInfo is what a handshake tells about a peer.
type peerInfo struct {
	version  zmtp.Version
	identity []byte
	metadata zmtp.Metadata // as the peer sent it
	granted  zmtp.Metadata // as the authenticator gave it
	userID   string
	catchAll bool // too old to subscribe: wants everything
}

func newLink(s *core, ep *Endpoint, conn net.Conn) *link {
	l := &link{
		s: s, ep: ep, conn: conn,
		room: make(chan struct{}, 1), back: make(chan struct{}, 1), dead: make(chan struct{}),
	}
	if a := conn.LocalAddr(); a != nil {
		l.local = a.String()
	}
	if a := conn.RemoteAddr(); a != nil {
		l.remote = a.String()
	}
	l.raw = rawConn(conn)
	l.w.l = l
	return l
}

// close ends the link for a reason; the first one counts.
func (l *link) close(why error) {
	l.once.Do(func() {
		l.reason.Store(&why)
		close(l.dead)
		l.beat.stop()
		l.conn.Close()
	})
}

// why is the reason the link ended, err if nobody gave one before.
func (l *link) why(err error) error {
	l.close(err)
	return *l.reason.Load()
}

// resume lets the reader go on after the receiver made room.
func (l *link) resume() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}

// event reports something about this connection.
func (l *link) event(t event.Type, err error) {
	l.s.emit(event.Event{Type: t, Endpoint: l.ep.addr, Local: l.local, Remote: l.remote, Err: err})
}

// subscribe sends a subscription in the form the peer knows.
func (l *link) subscribe(add bool, topic []byte) {
	var body []byte
	flags := byte(0)
	switch {
	case l.s.typ == zmtp.DISH && add:
		body, flags = zmtp.AppendJoin(nil, string(topic)), flow.Command
	case l.s.typ == zmtp.DISH:
		body, flags = zmtp.AppendLeave(nil, string(topic)), flow.Command
	case l.legacy && add:
		body = append([]byte{1}, topic...)
	case l.legacy:
		body = append([]byte{0}, topic...)
	case add:
		body, flags = zmtp.AppendSubscribe(nil, topic), flow.Command
	default:
		body, flags = zmtp.AppendCancel(nil, topic), flow.Command
	}
	l.control(flags, body)
}

// control sends a frame ahead of all messages.
func (l *link) control(flags byte, body []byte) {
	if l.p.out.AppendControl(flow.AppendFrame(nil, flags, body)) == flow.Wake {
		l.spawn()
	}
}

// carry runs the link from the end of the handshake to the end of the
// connection. rest is what has been read already.
func (l *link) carry(rest []byte) error {
	l.p.info.Store(l.info())
	l.p.link.Store(l)
	if l.p.out.Attach() {
		l.spawn()
	} else if l.p.out.Finished() {
		l.p.setFlushed()
	}
	if x, ok := l.s.pat.(publisherSide); ok && l.peer.catchAll {
		x.subscription(l.p, true, nil)
	}
	l.s.joined(l.p)
	l.beat.start(l)
	err := l.why(newReader(l, rest).run())
	l.stopWriters()
	l.p.link.Store(nil)
	l.p.out.Detach()
	return err
}

// info is what the application may know of the peer.
func (l *link) info() *PeerInfo {
	i := &PeerInfo{Address: l.remote, RoutingID: l.peer.identity, UserID: l.peer.userID, Properties: map[string]string{}}
	for _, m := range []zmtp.Metadata{l.peer.metadata, l.peer.granted} {
		for _, p := range m {
			i.Properties[p.Name] = string(p.Value)
		}
	}
	i.SocketType = i.Properties[zmtp.PropertySocketType]
	i.Properties["Peer-Address"] = l.address()
	if i.UserID != "" {
		i.Properties["User-Id"] = i.UserID
	}
	return i
}

// enter counts a writer in; it reports false when the link is over. What is
// in the queue then waits for the next link.
func (l *link) enter() bool {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.retired != nil {
		return false
	}
	l.writers++
	return true
}

func (l *link) leave() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.writers--
	if l.writers == 0 && l.retired != nil {
		close(l.retired)
	}
}

// stopWriters waits until nobody writes and nobody will.
func (l *link) stopWriters() {
	l.writing.Lock()
	over := make(chan struct{})
	l.retired = over
	if l.writers == 0 {
		close(over)
	}
	l.writing.Unlock()
	<-over
}
