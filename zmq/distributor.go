package zmq

import "lintel.dev/internal/zmq/flow"

// distributor sends a message to several peers and encodes it once (libzmq's
// dist). Peers without room miss the message. It is the sending part of XSUB
// and RADIO, and of PUB and XPUB for topics that do not share a log. The send
// lock protects it.
type distributor struct {
	pipes   []*pipe
	matched []*pipe // of pipes, those that get the next message
	round   uint64  // pipe.mark of those
	enc     flow.Batch
}

func (d *distributor) attach(p *pipe) { d.pipes = append(d.pipes, p) }
func (d *distributor) detach(p *pipe) { d.pipes = remove(d.pipes, p) }

// begin forgets the matches of the message before.
func (d *distributor) begin() {
	d.round++
	d.matched = d.matched[:0]
}

// match adds p to the peers that get the next message.
func (d *distributor) match(p *pipe) {
	if p.mark != d.round {
		p.mark = d.round
		d.matched = append(d.matched, p)
	}
}

// invert matches the peers that were not matched, and no others.
func (d *distributor) invert() {
	d.matched = d.matched[:0]
	for _, p := range d.pipes {
		if p.mark != d.round {
			d.matched = append(d.matched, p)
		}
	}
}

// ready reports whether every matched peer has room for a message.
func (d *distributor) ready() bool {
	for _, p := range d.matched {
		if !p.out.Ready() {
			return false
		}
	}
	return true
}

// send sends m to the matched peers.
func (d *distributor) send(m flow.Message) (wake *pipe) { return d.sendTo(d.matched, m) }

// sendTo sends m to all peers that have room. It wakes their consumers, except
// for that of a single peer, which it returns.
func (d *distributor) sendTo(to []*pipe, m flow.Message) (wake *pipe) {
	switch len(to) {
	case 0:
		return nil
	case 1:
		return to[0].pushOrDrop(&m)
	}
	d.enc.Reset()
	d.enc.Message(&m)
	for _, p := range to {
		p.pushEncoded(&d.enc)
	}
	return nil
}
