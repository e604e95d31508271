// Package event describes what happens to the connections and listeners of a
// zmq socket.
//
// Socket.Events and the logger of WithLogger report events. The values and
// meanings of Type are those of libzmq's socket monitor, except for the two
// that libzmq does not have.
//
// Every connection begins with one event, Connected or Accepted, and ends with
// exactly one, which is the last with its Local and Remote addresses:
// Disconnected if the peer or the network ended it, or the handshake failed;
// Closed if this socket did. The sequences are:
//
//	Connected or Accepted, HandshakeSucceeded, Disconnected   the peer left
//	Connected or Accepted, HandshakeSucceeded, Closed         the endpoint or socket was closed
//	Connected or Accepted, HandshakeFailed, Disconnected      no handshake in time, or cut
//	Connected or Accepted, HandshakeProtocol, Disconnected    the peer does not speak ZMTP, or another socket type
//	Connected or Accepted, HandshakeAuth, Disconnected        refused by the authenticator of either side
//	Connected or Accepted, Closed                             closed by this socket during the handshake
//	Accepted, DuplicateID, Closed                             the routing id is in use
//	Connected or Accepted, HandshakeSucceeded, Closed         the second peer of a PAIR or CHANNEL
//
// A STREAM has no handshake. An attempt to connect begins with ConnectDelayed.
// If it fails, Closed follows, with Err and without a Remote address. Between
// two attempts there is ConnectRetried. A listener begins with Listening and
// ends with Closed, without a Remote address. Connections within the process
// have no events.
//
// # Examples
//
// Example in example_test.go prints the events of a socket until a peer is connected.
package event

import "time"

// Type is the kind of an event.
type Type uint32

// The types of events.
const (
	Connected          Type = 0x0001 // a connection was made
	ConnectDelayed     Type = 0x0002 // an attempt to connect has begun and is not complete yet
	ConnectRetried     Type = 0x0004 // Interval passes before the next attempt
	Listening          Type = 0x0008 // a listener was bound
	BindFailed         Type = 0x0010 // a listener could not be bound
	Accepted           Type = 0x0020 // a listener accepted a connection
	AcceptFailed       Type = 0x0040 // a listener refused a connection or could not accept one
	Closed             Type = 0x0080 // the socket closed a connection or a listener
	CloseFailed        Type = 0x0100 // a listener could not be closed
	Disconnected       Type = 0x0200 // an established connection ended
	MonitorStopped     Type = 0x0400 // the socket is closed: the last event
	HandshakeFailed    Type = 0x0800 // the handshake ended without a reason from the peer
	HandshakeSucceeded Type = 0x1000 // the peer is ready, messages flow
	HandshakeProtocol  Type = 0x2000 // the peer broke the protocol; Status has libzmq's code
	HandshakeAuth      Type = 0x4000 // the peer was refused, or refused the socket; Status has the ZAP status
	// DuplicateID is not in libzmq: a peer was refused because its routing id
	// is in use.
	DuplicateID Type = 0x10000000
	// MulticastLoss is not in libzmq: Packets of a multicast group cannot be
	// repaired, the messages in them are lost.
	MulticastLoss Type = 0x20000000
)

var names = map[Type]string{
	Connected: "connected", ConnectDelayed: "connect delayed", ConnectRetried: "connect retried",
	Listening: "listening", BindFailed: "bind failed", Accepted: "accepted",
	AcceptFailed: "accept failed", Closed: "closed", CloseFailed: "close failed",
	Disconnected: "disconnected", MonitorStopped: "monitor stopped",
	HandshakeFailed: "handshake failed", HandshakeSucceeded: "handshake succeeded",
	HandshakeProtocol: "handshake failed: protocol", HandshakeAuth: "handshake failed: auth",
	DuplicateID: "duplicate routing id", MulticastLoss: "multicast loss",
}

// String returns the name of the type in lower case, such as "disconnected".
func (t Type) String() string {
	if n, ok := names[t]; ok {
		return n
	}
	return "unknown event"
}

// Event is something that happened to a connection or a listener.
type Event struct {
	Type     Type
	Time     time.Time
	Endpoint string        // the endpoint, as zmq.Endpoint.Addr returns it
	Local    string        // the local address of the connection, if there is one
	Remote   string        // the address of the peer, if there is a connection
	Interval time.Duration // of ConnectRetried: the wait before the next attempt
	Status   uint32        // of HandshakeProtocol libzmq's code, of HandshakeAuth the ZAP status
	Err      error         // the reason, nil if there is none
	Packets  int           // of MulticastLoss: the number of lost packets
	Lost     int           // events that a slow reader missed before this one
}
