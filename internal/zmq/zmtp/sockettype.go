package zmtp

// SocketType is the byte of a socket type in ZMTP 2.0. The values are also
// libzmq's.
type SocketType uint8

// The socket types.
const (
	PAIR SocketType = iota
	PUB
	SUB
	REQ
	REP
	DEALER
	ROUTER
	PULL
	PUSH
	XPUB
	XSUB
	STREAM
	SERVER
	CLIENT
	RADIO
	DISH
	GATHER
	SCATTER
	DGRAM
	PEER
	CHANNEL
)

var socketTypeNames = [...]string{
	"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM",
	"SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL",
}

// String returns the value of the Socket-Type property.
func (t SocketType) String() string {
	if int(t) < len(socketTypeNames) {
		return socketTypeNames[t]
	}
	return "unknown"
}

// partners are the peer types that each type accepts.
var partners = [...][]SocketType{
	PAIR:    {PAIR},
	PUB:     {SUB, XSUB},
	SUB:     {PUB, XPUB},
	REQ:     {REP, ROUTER},
	REP:     {REQ, DEALER},
	DEALER:  {REP, DEALER, ROUTER},
	ROUTER:  {REQ, DEALER, ROUTER},
	PULL:    {PUSH},
	PUSH:    {PULL},
	XPUB:    {SUB, XSUB},
	XSUB:    {PUB, XPUB},
	STREAM:  nil,
	SERVER:  {CLIENT},
	CLIENT:  {SERVER},
	RADIO:   {DISH},
	DISH:    {RADIO},
	GATHER:  {SCATTER},
	SCATTER: {GATHER},
	DGRAM:   {DGRAM}, // over datagrams, which do not name a type
	PEER:    {PEER},
	CHANNEL: {CHANNEL},
}

// Accepts reports whether a socket of type t accepts a peer whose Socket-Type
// property is name. The comparison is case-sensitive.
func (t SocketType) Accepts(name []byte) bool {
	if int(t) >= len(partners) {
		return false
	}
	for _, p := range partners[t] {
		if p.String() == string(name) {
			return true
		}
	}
	return false
}

// Partner returns the first of the types that t accepts, or t if there is none.
// It is assumed for a peer that does not send its type.
func (t SocketType) Partner() SocketType {
	if int(t) >= len(partners) || len(partners[t]) == 0 {
		return t
	}
	return partners[t][0]
}

// AnnouncesIdentity reports whether a socket of type t sends the Identity
// property. REQ, DEALER and ROUTER always do, even if it is empty.
func (t SocketType) AnnouncesIdentity() bool { return t == REQ || t == DEALER || t == ROUTER }
