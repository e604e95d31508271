package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
)

// A server that does not know a classic command with a data block answers ERROR to its
// line and executes the block: the bytes of a value. Some proxies know set but not cas.
// Before the first value of each Mode, a connection for classic commands therefore
// carries a proof: the command with a block that is no command, and a gets of the same
// key. The server has taken the block if the reply to the gets is the second one. The
// item would have expired in 1970, so nothing is stored. (twemproxy closes the
// connection at a negative time.)

// helloKey is the prefix of the keys of the handshake and of proofs.
const helloKey = "lintel:hello"

// expired is a TTL: more than 30 days are a time since 1970.
const expired = 30*24*60*60 + 1

// modeBits are the bits of Conn.proven.
var modeBits = map[Mode]uint32{ModeSet: 1, ModeAdd: 2, ModeReplace: 4, ModeAppend: 8, ModePrepend: 16, ModeCAS: 32}

// Proof returns the call that must succeed on c before cl is sent, or nil if none is
// needed. The caller sends it, waits for it and calls Proven.
func (c *Conn) Proof(cl *Call) *Call {
	if c.Meta || cl.Op != OpStore && cl.Op != OpStoreMulti {
		return nil
	}
	mode := cl.Mode
	if cl.Op == OpStoreMulti {
		mode = ModeSet
	}
	if c.proven.Load()&modeBits[mode] != 0 {
		return nil
	}
	proof := NewCall(cl.pool, OpProof, fmt.Sprintf("%s:%016x", helloKey, rand.Uint64()))
	proof.Mode, proof.Value, proof.TTL, proof.CAS, proof.Internal = mode, []byte("??"), expired, 1, true
	return proof
}

// Proven returns the result of a call that Proof returned, after Wait. It matches
// ErrServer if the server does not take the values of cl's mode.
func (c *Conn) Proven(proof *Call) error {
	if proof.Err == nil {
		c.proven.Or(modeBits[proof.Mode])
	}
	if reply, ok := errors.AsType[*ReplyError](proof.Err); ok {
		name, _, _ := bytes.Cut(appendClassicStore(nil, "", nil, 0, 0, 0, proof.Mode), []byte(" "))
		return fmt.Errorf("no value sent, %s is not supported: %w", name, reply)
	}
	return proof.Err
}

// proof reads the replies to a proof. A server that did not take the block has answered
// it with a line of its own. It is in step again after the reply to the gets.
func (p *parser) proof() (answer, broken error) {
	for ; ; p.next++ {
		line, err := p.line()
		if err != nil {
			return nil, err
		}
		down := bytes.HasPrefix(line, []byte("SERVER_ERROR")) // of a proxy, perhaps
		value := bytes.HasPrefix(line, []byte("VALUE "+helloKey))
		switch {
		case p.next == 0:
			switch string(line) {
			case "STORED", "NOT_STORED", "NOT_FOUND", "EXISTS":
				continue
			}
			if !down {
				p.answer, broken = errorLine(line)
				if p.answer == nil || broken == ErrAuth {
					return p.answer, broken
				}
			}
		case string(line) == "END", p.next == 1 && down && p.answer == nil:
			return p.done()
		case p.next == 1 && value, p.next == 2 && string(line) == "??": // a server without expiry times
		case p.next == 1:
			p.answer = &ReplyError{string(line)}
		default:
			return nil, unexpected(line)
		}
	}
}
