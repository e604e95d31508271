package zmtp

// null is the mechanism without security (RFC 23 section 3.4): each side sends
// READY and waits for the other's, in any order.
type null struct {
	local    Metadata
	peer     Metadata
	state    State
	sent     bool
	received bool
	verdict  verdict
}

// NewNull returns the NULL mechanism, which is the same on both sides. local
// are the properties to send. With zap, READY is sent after the ZAP reply
// accepts the peer.
func NewNull(local Metadata, zap bool) Mechanism {
	n := &null{local: local}
	if zap {
		n.state = StateZAP
	}
	return n
}

func (n *null) Name() string          { return "NULL" }
func (n *null) AsServer() bool        { return false }
func (n *null) State() State          { return n.state }
func (n *null) Credentials() [][]byte { return nil }
func (n *null) Peer() Metadata        { return n.peer }
func (n *null) Sealer() Sealer        { return nil }

func (n *null) Produce(dst []byte) (out []byte, ok bool) {
	switch {
	case n.state == StateFailed:
		return n.verdict.produce(dst)
	case n.state != StateHandshake || n.sent:
		return dst, false
	}
	n.sent = true
	n.advance()
	return AppendReady(dst, n.local), true
}

func (n *null) Consume(body []byte) error {
	err := n.consume(body)
	if err != nil {
		n.state = StateFailed
	}
	return err
}

func (n *null) consume(body []byte) error {
	c, data, err := parseHandshake(body)
	if err != nil {
		return err
	}
	if c != CommandReady || n.received {
		return unexpected("NULL", body, "one READY")
	}
	if n.peer, err = ParseMetadata(data); err != nil {
		return err
	}
	n.received = true
	n.advance()
	return nil
}

func (n *null) advance() {
	if n.state == StateHandshake && n.sent && n.received {
		n.state = StateReady
	}
}

func (n *null) Verdict(status int) {
	if n.state == StateZAP {
		n.state = n.verdict.settle(status, StateHandshake)
	}
}
