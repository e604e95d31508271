package zmq4

import (
	"bytes"
	"slices"
)

// SocketType is the name of a socket type.
type SocketType string

// The socket types.
const (
	Pair   SocketType = "PAIR"
	Pub    SocketType = "PUB"
	Sub    SocketType = "SUB"
	Req    SocketType = "REQ"
	Rep    SocketType = "REP"
	Dealer SocketType = "DEALER"
	Router SocketType = "ROUTER"
	Pull   SocketType = "PULL"
	Push   SocketType = "PUSH"
	XPub   SocketType = "XPUB"
	XSub   SocketType = "XSUB"
)

// peers are the types that a socket of each type talks to (RFC 23).
var peers = map[SocketType][]SocketType{
	Pair:   {Pair},
	Pub:    {Sub, XSub},
	XPub:   {Sub, XSub},
	Sub:    {Pub, XPub},
	XSub:   {Pub, XPub},
	Req:    {Rep, Router},
	Rep:    {Req, Dealer},
	Dealer: {Rep, Dealer, Router},
	Router: {Req, Dealer, Router},
	Push:   {Pull},
	Pull:   {Push},
}

// IsCompatible reports whether a socket of type sck and one of type peer can be
// connected. An unknown type is compatible with none.
func (sck SocketType) IsCompatible(peer SocketType) bool { return slices.Contains(peers[sck], peer) }

// SocketIdentity is the identity that a socket tells its peers.
type SocketIdentity []byte

// String returns the octets before the first that is zero.
func (id SocketIdentity) String() string {
	before, _, _ := bytes.Cut(id, []byte{0})
	return string(before)
}
