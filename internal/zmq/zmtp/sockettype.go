package zmtp

// SocketType is the byte by which ZMTP 2.0 names a kind of socket. The values
// are also libzmq's.
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

// partners are the types that each type may talk to.
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
	DGRAM:   {DGRAM}, // over datagrams, where nobody says so
	PEER:    {PEER},
	CHANNEL: {CHANNEL},
}

// Accepts tells whether a socket of type t may talk to a peer whose Socket-Type
// property is name. Names are exact: they are not folded.
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

// Partner is the first of the types that t may talk to, or t if there is none:
// what is assumed of a peer that does not say.
func (t SocketType) Partner() SocketType {
	if int(t) >= len(partners) || len(partners[t]) == 0 {
		return t
	}
	return partners[t][0]
}

// AnnouncesIdentity tells whether a socket of type t sends the Identity
// property: REQ, DEALER and ROUTER always do, even an empty one.
func (t SocketType) AnnouncesIdentity() bool { return t == REQ || t == DEALER || t == ROUTER }
