package zmq

import (
	"sync/atomic"
)

// Stats holds the counters of a socket since it was made.
type Stats struct {
	Type string // of the socket, such as "PUSH"
	// Sums over all peers, also those that have disconnected. Bytes count
	// frames with their headers.
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64

	DroppedFull   uint64 // not queued: the peer's queue was at its high-water mark
	DroppedNoPeer uint64 // no peer had the routing id, or the peer of a request had disconnected
	// DroppedLost were queued for a peer that disconnected, or arrived and were not
	// received before Close. On Linux it includes what the kernel had of a tcp
	// connection that broke and the peer did not acknowledge.
	DroppedLost      uint64
	DroppedMalformed uint64 // received without the envelope the socket type needs, or datagrams that are not messages
	DroppedConflated uint64 // replaced by a newer one (options conflate and conflate_topics)
	DroppedNotices   uint64 // subscriptions that were not received from an XPUB in time

	MulticastLost uint64 // multicast packets that cannot be repaired (event.MulticastLoss)

	HandshakesFailed uint64
	Accepted         uint64 // connections
	Reconnects       uint64 // connections that were made again

	Peers []PeerStats
}

// PeerStats holds the counters of one peer that is connected, or that the
// socket connects to.
type PeerStats struct {
	Endpoint  string // as Endpoint.Addr returns it
	Remote    string // the address of the peer, empty while there is no connection
	RoutingID []byte
	Connected bool

	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	SendQueue, RecvQueue           int // messages queued in each direction
	DroppedFull                    uint64
	DroppedConflated               uint64
	Reconnects                     uint64
}

// socketCounters are what is counted for the whole socket.
type socketCounters struct {
	noPeer, lost, malformed, noteDropped atomic.Uint64
	multicastLost                        atomic.Uint64
	handshakesFailed, accepted           atomic.Uint64
	// Sums over the pipes that are gone.
	sent, received, sentBytes, receivedBytes, dropped, conflated, reconnects atomic.Uint64
}

// retire adds the figures of a pipe that goes away.
func (c *socketCounters) retire(p *pipe) {
	st := p.figures()
	c.sent.Add(st.MessagesSent)
	c.received.Add(st.MessagesReceived)
	c.sentBytes.Add(st.BytesSent)
	c.receivedBytes.Add(st.BytesReceived)
	c.dropped.Add(st.DroppedFull)
	c.conflated.Add(st.DroppedConflated)
	c.reconnects.Add(st.Reconnects)
}

// figures are the counts of one pipe; a lock of the socket is held.
func (p *pipe) figures() PeerStats {
	sent, _ := p.out.Counters()
	got, _ := p.in.Counters()
	st := PeerStats{
		RoutingID:    p.id,
		MessagesSent: sent.Msgs, BytesSent: sent.Bytes,
		MessagesReceived: got.Msgs, BytesReceived: got.Bytes,
		SendQueue: p.out.Len(), RecvQueue: p.in.Len(),
		DroppedFull:      p.stats.dropped.Load(),
		DroppedConflated: sent.Replaced + got.Replaced,
		Reconnects:       p.stats.reconnects.Load(),
	}
	if p.ep != nil {
		st.Endpoint = p.ep.addr
	}
	if e := p.engine.Load(); e != nil {
		st.Connected, st.Remote = true, (*e).Remote()
	}
	return st
}

func (s *core) stats() Stats {
	c := &s.counter
	st := Stats{
		Type:         s.typ.String(),
		MessagesSent: c.sent.Load(), MessagesReceived: c.received.Load(),
		BytesSent: c.sentBytes.Load(), BytesReceived: c.receivedBytes.Load(),
		DroppedFull: c.dropped.Load(), DroppedConflated: c.conflated.Load(), DroppedNoPeer: c.noPeer.Load(), DroppedLost: c.lost.Load(),
		DroppedMalformed: c.malformed.Load(), DroppedNotices: c.noteDropped.Load(), MulticastLost: c.multicastLost.Load(),
		HandshakesFailed: c.handshakesFailed.Load(), Accepted: c.accepted.Load(), Reconnects: c.reconnects.Load(),
	}
	s.lockBoth()
	defer s.unlockBoth()
	for p := range s.pipes {
		f := p.figures()
		st.MessagesSent += f.MessagesSent
		st.MessagesReceived += f.MessagesReceived
		st.BytesSent += f.BytesSent
		st.BytesReceived += f.BytesReceived
		st.DroppedFull += f.DroppedFull
		st.DroppedConflated += f.DroppedConflated
		st.Reconnects += f.Reconnects
		st.Peers = append(st.Peers, f)
	}
	return st
}
