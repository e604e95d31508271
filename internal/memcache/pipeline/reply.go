package pipeline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"lintel.dev/internal/memcached/mcproto"
)

// maxStats bounds the lines of one stats reply.
const maxStats = 1 << 20

// chunk is the number of bytes of a value that are allocated before they arrive.
const chunk = 64 << 10

// parser reads replies from a connection. Every method can be interrupted by a read
// deadline: it then returns an error that os.ErrDeadlineExceeded matches, and the
// next call of read with the same Call goes on at the byte where it stopped. For
// that, lines are consumed only as a whole, and the state of a half-read reply is
// kept in the parser.
type parser struct {
	br       *bufio.Reader
	maxValue int
	progress func() // called when some of a large reply has arrived

	// State of the reply being read.
	next   int               // replies, values or lines done
	answer error             // what the caller gets for them
	value  []byte            // the part of a value that has arrived
	size   int               // its length; -1 if no value is being read
	head   mcproto.MetaReply // the first line; of classic values Flags and CAS
	item   *Item             // receives the value; nil if Call.Buf does
}

func newParser(br *bufio.Reader, maxValue int, progress func()) parser {
	return parser{br: br, maxValue: maxValue, progress: progress, size: -1}
}

// line reads a line and returns it without its ending. The bytes are valid until the
// next read.
func (p *parser) line() ([]byte, error) {
	b, _ := p.br.Peek(p.br.Buffered())
	at := bytes.IndexByte(b, '\n')
	for at < 0 {
		have := len(b)
		if have == p.br.Size() {
			return nil, fmt.Errorf("%w: line of more than %d bytes", ErrProtocol, have)
		}
		if _, err := p.br.Peek(have + 1); err != nil {
			return nil, err
		}
		b, _ = p.br.Peek(p.br.Buffered())
		if at = bytes.IndexByte(b[have:], '\n'); at >= 0 {
			at += have
		}
	}
	_, _ = p.br.Discard(at + 1)
	if at > 0 && b[at-1] == '\r' {
		at--
	}
	return b[:at], nil
}

// readValue reads the value that p.head announced, with its line ending. It returns it
// as an item, or nil after storing it in cl.Buf. p.size is -1 afterwards.
func (p *parser) readValue(cl *Call) (*Item, error) {
	into := cl.Op == OpGetInto || cl.Op == OpArith
	if p.size > p.maxValue {
		return nil, fmt.Errorf("%w: value of %d bytes, the limit is %d", ErrProtocol, p.size, p.maxValue)
	}
	it := p.item
	if p.value == nil && p.br.Buffered() >= p.size+2 {
		// All of it is in the buffer: no state to keep.
		b, _ := p.br.Peek(p.size + 2)
		if b[p.size] != '\r' || b[p.size+1] != '\n' {
			return nil, badEnding(b[p.size:])
		}
		if into {
			cl.Buf = append(cl.Buf[:0], b[:p.size]...)
		} else {
			it = newItem(p.size)
			copy(it.Value, b)
		}
		_, _ = p.br.Discard(len(b))
	} else {
		if err := p.readPart(cl, into); err != nil {
			return nil, err
		}
		if into {
			cl.Buf = p.value
		} else {
			it = p.item
			it.Value = p.value
		}
		p.value, p.item = nil, nil
	}
	p.size = -1
	if into {
		cl.Flags = p.head.Flags
	} else {
		it.Flags, it.CAS = p.head.Flags, p.head.CAS
	}
	return it, nil
}

// readPart reads the rest of a value that is not in the buffer as a whole into p.value,
// which grows as it arrives.
func (p *parser) readPart(cl *Call, into bool) error {
	if p.value == nil {
		switch {
		case into:
			p.value = cl.Buf[:0]
		case p.size > chunk:
			p.item = &Item{}
		default:
			p.item = newItem(p.size)
			p.value = p.item.Value[:0]
		}
	}
	for len(p.value) < p.size {
		at := len(p.value)
		if at == cap(p.value) {
			grown := make([]byte, at, at+min(p.size-at, max(chunk, at)))
			copy(grown, p.value)
			p.value = grown
		}
		n, err := p.br.Read(p.value[at:min(cap(p.value), p.size)])
		p.value = p.value[:at+n]
		if err != nil {
			return noEOF(err)
		}
		if len(p.value) < p.size {
			p.progress()
		}
	}
	b, err := p.br.Peek(2)
	if err != nil {
		return noEOF(err)
	}
	if b[0] != '\r' || b[1] != '\n' {
		return badEnding(b)
	}
	_, _ = p.br.Discard(2)
	return nil
}

func badEnding(b []byte) error {
	return fmt.Errorf("%w: value is followed by %q, expected a line ending", ErrProtocol, b)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// done ends a reply of several parts.
func (p *parser) done() (answer, broken error) {
	answer = p.answer
	p.next, p.answer = 0, nil
	return answer, nil
}

// readMeta reads the reply to cl from a server that speaks meta commands. answer is
// the caller's error. broken is set if the connection cannot be used any more, or if
// the read was interrupted.
func (p *parser) readMeta(cl *Call) (answer, broken error) {
	switch cl.Op {
	case OpCommand, OpStats:
		return p.readText(cl)
	case OpGetMulti, OpReadMulti:
		return p.metaValues(cl)
	case OpStoreMulti, OpDeleteMulti:
		for ; p.next < len(cl.Keys); p.next++ {
			if cl.Errs[p.next], broken = p.metaHead(cl, uint64(p.next)); broken != nil {
				return cl.Errs[p.next], broken
			}
		}
		return p.done()
	}
	if p.size < 0 {
		answer, broken = p.metaHead(cl, 0)
		if p.size < 0 {
			return answer, broken
		}
	}
	it, broken := p.readValue(cl)
	switch {
	case broken != nil:
		return nil, broken
	case cl.Op == OpArith:
		return cl.number(cl.Buf)
	case cl.Op == OpRead:
		it.Key = cl.Key
		cl.Read = readOf(&p.head, it)
		return nil, nil
	case cl.Op != OpLease && isPlaceholder(&p.head):
		return ErrCacheMiss, nil
	case it != nil:
		it.Key = cl.Key
		cl.Item, cl.Won, cl.Stale, cl.Lost, cl.Num = it, p.head.Won, p.head.Stale, p.head.Lost, uint64(p.head.TTL)
	}
	return nil, nil
}

// metaHead reads the first line of the reply to the nth request of cl. If a value
// follows, p.size is its length.
func (p *parser) metaHead(cl *Call, nth uint64) (answer, broken error) {
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	if p.head, err = mcproto.ParseMeta(line); err != nil {
		return errorLine(line)
	}
	r := &p.head
	read := cl.Op == OpGet || cl.Op == OpGetInto || cl.Op == OpRead || cl.Op == OpLease
	switch {
	case !r.HasOpaque && string(r.Code[:]) == "EN":
		return nil, ErrDowngrade
	case !r.HasOpaque || r.Opaque != cl.opaque+nth:
		return nil, unexpected(line)
	case r.Size >= 0 && (read || cl.Op == OpArith && r.Size <= 64):
		p.size = r.Size
		return nil, nil
	case string(r.Code[:]) == "EN" && (read || cl.Op == OpTouch), string(r.Code[:]) == "NF" && !read && cl.Op != OpTouch:
		return ErrCacheMiss, nil
	case string(r.Code[:]) == "HD" && cl.Op == OpRead && cl.CAS != 0 && r.CAS == cl.CAS:
		cl.Read = readOf(r, nil)
		return nil, nil
	case string(r.Code[:]) == "HD" && !read && cl.Op != OpArith:
		return nil, nil
	case string(r.Code[:]) == "NS" && !read && cl.Op != OpTouch:
		return ErrNotStored, nil
	case string(r.Code[:]) == "EX" && !read && cl.Op != OpTouch:
		return ErrCASConflict, nil
	}
	return nil, unexpected(line)
}

// number parses the number of OpArith. Decremented numbers may have trailing spaces.
func (cl *Call) number(b []byte) (answer, broken error) {
	n, ok := mcproto.Uint(bytes.TrimRight(b, " "))
	if !ok {
		return nil, unexpected(b)
	}
	cl.Num = n
	return nil, nil
}

// metaValues reads the hits of a batch of quiet requests up to the MN that ends it.
func (p *parser) metaValues(cl *Call) (answer, broken error) {
	for {
		if p.size < 0 {
			line, err := p.line()
			if err != nil {
				return nil, err
			}
			if p.head, err = mcproto.ParseMeta(line); err != nil {
				if p.answer, broken = errorLine(line); broken != nil {
					return p.answer, broken
				}
				continue
			}
			r := &p.head
			if string(r.Code[:]) == "MN" {
				return p.done()
			}
			i := r.Opaque - cl.opaque
			unchanged := cl.Op == OpReadMulti && string(r.Code[:]) == "HD" && i < uint64(len(cl.CASs)) && cl.CASs[i] != 0 && r.CAS == cl.CASs[i]
			if !r.HasOpaque || r.Size < 0 && !unchanged || i >= uint64(len(cl.Keys)) || int(i) < p.next {
				return nil, unexpected(line)
			}
			if unchanged {
				p.next = int(i) + 1
				cl.Reads[i] = readOf(r, nil)
				continue
			}
			p.next, p.size = int(i)+1, r.Size
		}
		it, broken := p.readValue(cl)
		if broken != nil {
			return nil, broken
		}
		p.progress()
		if cl.Op == OpReadMulti {
			it.Key = cl.Keys[p.next-1]
			cl.Reads[p.next-1] = readOf(&p.head, it)
		} else if !isPlaceholder(&p.head) {
			it.Key = cl.Keys[p.next-1]
			cl.Items[p.next-1] = it
		}
	}
}

// readOf returns the result of OpRead for a reply. it is nil if the item is
// unchanged.
func readOf(r *mcproto.MetaReply, it *Item) Read {
	read := Read{Item: it, Found: true, Unchanged: it == nil, Leased: r.Won || r.Stale || r.Lost, TTL: -1}
	if r.HasTTL {
		read.TTL = r.TTL
	}
	if it != nil && isPlaceholder(r) {
		read.Item, read.Found = nil, false
	}
	return read
}

// isPlaceholder reports whether a value is the empty item that a lease leaves in place
// of the value to come. For plain reads that is a miss.
func isPlaceholder(r *mcproto.MetaReply) bool {
	return r.Size == 0 && r.Flags == 0 && (r.Won || r.Lost)
}

// readClassic is readMeta for classic commands.
func (p *parser) readClassic(cl *Call) (answer, broken error) {
	switch cl.Op {
	case OpCommand, OpStats:
		return p.readText(cl)
	case OpGet, OpGetInto, OpRead, OpLease, OpGetMulti, OpReadMulti:
		return p.classicValues(cl)
	case OpProof:
		return p.proof()
	case OpStoreMulti, OpDeleteMulti:
		for ; p.next < len(cl.Keys); p.next++ {
			answer, broken := p.classicStatus(cl)
			if broken != nil {
				return answer, broken
			}
			cl.Errs[p.next] = answer
		}
		return p.done()
	}
	return p.classicStatus(cl)
}

// classicStatus reads a reply of one line.
func (p *parser) classicStatus(cl *Call) (answer, broken error) {
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	op := cl.Op
	store, del := op == OpStore || op == OpStoreMulti, op == OpDelete || op == OpDeleteMulti || op == OpInvalidate
	switch string(line) {
	case "STORED":
		if store {
			return nil, nil
		}
	case "NOT_STORED":
		if store {
			return ErrNotStored, nil
		}
	case "EXISTS":
		if store && cl.Mode == ModeCAS {
			return ErrCASConflict, nil
		}
	case "NOT_FOUND":
		if !store || cl.Mode == ModeCAS {
			return ErrCacheMiss, nil
		}
	case "DELETED":
		if del {
			return nil, nil
		}
	case "TOUCHED":
		if op == OpTouch {
			return nil, nil
		}
	}
	if op == OpArith && len(line) > 0 && line[0] >= '0' && line[0] <= '9' {
		return cl.number(line)
	}
	return errorLine(line)
}

// classicValues reads the values of gets or gats up to END.
func (p *parser) classicValues(cl *Call) (answer, broken error) {
	many := cl.Op == OpGetMulti || cl.Op == OpReadMulti
	for {
		if p.size < 0 {
			line, err := p.line()
			if err != nil {
				return nil, err
			}
			if string(line) == "END" {
				if p.next == 0 && !many {
					return ErrCacheMiss, nil
				}
				return p.done()
			}
			v, err := mcproto.ParseValue(line)
			if err != nil {
				return errorLine(line)
			}
			// All our reads ask for the CAS. A value without one answers another request.
			if !v.HasCAS {
				return nil, unexpected(line)
			}
			if many {
				for p.next < len(cl.Keys) && string(v.Key) != cl.Keys[p.next] {
					p.next++
				}
				if p.next == len(cl.Keys) {
					return nil, unexpected(line)
				}
			} else if p.next > 0 || string(v.Key) != cl.Key {
				return nil, unexpected(line)
			}
			p.next++
			p.head, p.size = mcproto.MetaReply{Flags: v.Flags, CAS: v.CAS}, v.Size
		}
		it, broken := p.readValue(cl)
		switch {
		case broken != nil:
			return nil, broken
		case many:
			it.Key = cl.Keys[p.next-1]
			if cl.Op == OpReadMulti {
				cl.Reads[p.next-1] = readOf(&p.head, it)
			} else {
				cl.Items[p.next-1] = it
			}
			p.progress()
		case cl.Op == OpRead:
			it.Key = cl.Key
			cl.Read = readOf(&p.head, it)
		case it != nil:
			it.Key = cl.Key
			cl.Item = it
		}
	}
}

// readText reads the reply to OpCommand, a line, or to OpStats.
func (p *parser) readText(cl *Call) (answer, broken error) {
	if cl.Op == OpStats && cl.Stats == nil {
		cl.Stats = make(map[string]string)
	}
	for ; p.next < maxStats; p.next++ {
		line, err := p.line()
		if err != nil {
			return nil, err
		}
		stat, ok := bytes.CutPrefix(line, []byte("STAT "))
		switch {
		case cl.Op == OpCommand && bytes.HasPrefix(line, []byte(cl.Expect)):
			cl.Buf = append(cl.Buf[:0], line...)
			return p.done()
		case cl.Op == OpStats && ok:
			name, value, _ := bytes.Cut(stat, []byte(" "))
			cl.Stats[string(name)] = string(value)
			continue
		case cl.Op == OpStats && (string(line) == "END" || string(line) == "RESET" || string(line) == "OK"):
			return p.done()
		}
		p.next = 0
		if cl.Op == OpCommand && string(line) == "ERROR" {
			// Without a data block the server is in step after an unknown command.
			return &ReplyError{string(line)}, nil
		}
		return errorLine(line)
	}
	return nil, fmt.Errorf("%w: more than %d lines of statistics", ErrProtocol, maxStats)
}

// errorLine converts an error line of the server. broken is set if the stream may be
// out of step after it, or if line is no error line.
func errorLine(line []byte) (answer, broken error) {
	switch {
	case bytes.HasPrefix(line, []byte("SERVER_ERROR")):
		if bytes.Contains(line, []byte("too large")) {
			return ErrTooLarge, nil
		}
		return &ReplyError{string(line)}, nil
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR cannot increment or decrement")):
		return ErrNotNumber, nil
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR unauthenticated")):
		return ErrAuth, ErrAuth
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR")), string(line) == "ERROR":
		err := &ReplyError{string(line)}
		return err, err
	}
	return nil, unexpected(line)
}

func unexpected(line []byte) error {
	return fmt.Errorf("%w: %q", ErrProtocol, line[:min(len(line), 40)])
}
