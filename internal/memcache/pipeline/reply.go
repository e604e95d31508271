package memcache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"lintel.dev/internal/memcached/mcproto"
)

// errDowngrade: the server knows meta commands but not opaques, without which
// a reply cannot be told from another's.
var errDowngrade = errors.New("memcache: server returns no opaques")

// maxStats bounds the lines of one stats reply.
const maxStats = 1 << 20

// wire reads replies off a connection.
type wire struct {
	br       *bufio.Reader
	maxValue int
	progress func() // some of a large reply arrived
}

// line reads up to and including LF and returns what precedes the line's
// ending. The bytes are valid until the next read.
func (w *wire) line() ([]byte, error) {
	b, err := w.br.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%w: a line of over %d bytes", ErrProtocol, w.br.Size())
		}
		return nil, err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b, nil
}

// chunk is how much of an announced value is allocated before it arrives.
const chunk = 64 << 10

// body reads n bytes and the line ending after them, appending to dst.
func (w *wire) body(dst []byte, n int) ([]byte, error) {
	for n > 0 {
		k := min(n, max(chunk, len(dst)))
		at := len(dst)
		if cap(dst)-at < k {
			grown := make([]byte, at, at+k)
			copy(grown, dst)
			dst = grown
		}
		dst = dst[:at+k]
		if _, err := io.ReadFull(w.br, dst[at:]); err != nil {
			return dst, noEOF(err)
		}
		if n -= k; n > 0 {
			w.progress()
		}
	}
	return dst, w.ending()
}

func (w *wire) ending() error {
	b, err := w.br.Peek(2)
	if err != nil {
		return noEOF(err)
	}
	if b[0] != '\r' || b[1] != '\n' {
		return fmt.Errorf("%w: value is not followed by a line ending", ErrProtocol)
	}
	w.br.Discard(2)
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// value reads a value of n bytes into an item of its own.
func (w *wire) value(n int) (*Item, error) {
	if n > w.maxValue {
		return nil, fmt.Errorf("%w: a value of %d bytes, Options.MaxItemSize is %d", ErrProtocol, n, w.maxValue)
	}
	if n > chunk {
		b, err := w.body(nil, n)
		return &Item{Value: b}, err
	}
	it := newItem(n)
	if _, err := io.ReadFull(w.br, it.Value); err != nil {
		return nil, noEOF(err)
	}
	return it, w.ending()
}

// errorLine turns an error line of the server into an error, or returns nil.
// keep says whether the stream is still in step after it.
func errorLine(line []byte) (err error, keep bool) {
	switch {
	case bytes.HasPrefix(line, []byte("SERVER_ERROR")):
		if bytes.Contains(line, []byte("too large")) {
			return ErrTooLarge, true
		}
		return &replyError{string(line)}, true
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR cannot increment or decrement")):
		return ErrNotNumber, true
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR unauthenticated")):
		return ErrAuth, false
	case bytes.HasPrefix(line, []byte("CLIENT_ERROR")), bytes.Equal(line, []byte("ERROR")):
		return &replyError{string(line)}, false
	}
	return nil, false
}

func unexpected(line []byte) error {
	if len(line) > 40 {
		line = line[:40]
	}
	return fmt.Errorf("%w: %q", ErrProtocol, line)
}

// read reads the whole reply to cl. answer is the caller's error; broken is
// set when the connection cannot be used any more.
func (w *wire) read(cl *call, meta bool) (answer, broken error) {
	switch cl.op {
	case opCommand:
		return w.readCommand(cl)
	case opStats:
		return w.readStats(cl)
	}
	if meta {
		return w.readMeta(cl)
	}
	return w.readClassic(cl)
}

// meta reads the head of one reply that must carry opaque.
func (w *wire) metaHead(opaque uint64) (r mcproto.MetaReply, answer, broken error) {
	line, err := w.line()
	if err != nil {
		return r, nil, err
	}
	if r, err = mcproto.ParseMeta(line); err != nil {
		if answer, keep := errorLine(line); answer != nil {
			if keep {
				return r, answer, nil
			}
			return r, answer, answer
		}
		return r, nil, unexpected(line)
	}
	if !r.HasOpaque && r.Code == [2]byte{'E', 'N'} {
		return r, nil, errDowngrade
	}
	if !r.HasOpaque || r.Opaque != opaque {
		return r, nil, unexpected(line)
	}
	return r, nil, nil
}

func (w *wire) readMeta(cl *call) (answer, broken error) {
	switch cl.op {
	case opGetMulti:
		return w.metaMulti(cl)
	case opStoreMulti, opDeleteMulti:
		for i := range cl.keys {
			r, answer, broken := w.metaHead(cl.opaque + uint64(i))
			if broken != nil {
				return answer, broken
			}
			if answer == nil {
				answer = metaStatus(cl, r)
			}
			if answer != nil && answer == errStatus {
				return nil, statusError(r)
			}
			cl.errs[i] = answer
		}
		return nil, nil
	}
	r, answer, broken := w.metaHead(cl.opaque)
	if answer != nil || broken != nil {
		return answer, broken
	}
	if r.Size >= 0 {
		switch cl.op {
		case opGet, opLease:
			it, err := w.value(r.Size)
			if err != nil {
				return nil, err
			}
			if cl.op == opGet && isPlaceholder(r) {
				return ErrCacheMiss, nil
			}
			it.Key, it.Flags, it.CAS = cl.key, r.Flags, r.CAS
			cl.item, cl.won, cl.stale, cl.lost, cl.num = it, r.Won, r.Stale, r.Lost, uint64(r.TTL)
			return nil, nil
		case opGetInto:
			if r.Size > w.maxValue {
				return nil, fmt.Errorf("%w: a value of %d bytes, Options.MaxItemSize is %d", ErrProtocol, r.Size, w.maxValue)
			}
			cl.flags = r.Flags
			if cl.buf, broken = w.body(cl.buf[:0], r.Size); broken != nil {
				return nil, broken
			}
			if isPlaceholder(r) {
				return ErrCacheMiss, nil
			}
			return nil, nil
		case opArith:
			if r.Size > 64 {
				return nil, statusError(r)
			}
			if cl.buf, broken = w.body(cl.buf[:0], r.Size); broken != nil {
				return nil, broken
			}
			return cl.number(cl.buf)
		}
		return nil, statusError(r)
	}
	answer = metaStatus(cl, r)
	if answer == errStatus {
		return nil, statusError(r)
	}
	return answer, nil
}

func statusError(r mcproto.MetaReply) error {
	return fmt.Errorf("%w: %s", ErrProtocol, r.Code[:])
}

// errStatus marks a code that the request cannot have.
var errStatus = errors.New("memcache: code does not fit the request")

func metaStatus(cl *call, r mcproto.MetaReply) error {
	type code = [2]byte
	switch cl.op {
	case opGet, opGetInto, opLease:
		if r.Code == (code{'E', 'N'}) {
			return ErrCacheMiss
		}
	case opTouch:
		switch r.Code {
		case code{'H', 'D'}:
			return nil
		case code{'E', 'N'}:
			return ErrCacheMiss
		}
	default:
		switch r.Code {
		case code{'H', 'D'}:
			if cl.op != opArith {
				return nil
			}
		case code{'N', 'S'}:
			return ErrNotStored
		case code{'E', 'X'}:
			return ErrCASConflict
		case code{'N', 'F'}:
			return ErrCacheMiss
		}
	}
	return errStatus
}

func (cl *call) number(b []byte) (answer, broken error) {
	n, ok := mcproto.Uint(bytes.TrimRight(b, " "))
	if !ok {
		return nil, unexpected(b)
	}
	cl.num = n
	return nil, nil
}

// metaMulti reads the hits of a quiet batch up to the MN that ends it.
func (w *wire) metaMulti(cl *call) (answer, broken error) {
	next := 0
	for {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		r, err := mcproto.ParseMeta(line)
		if err != nil {
			e, keep := errorLine(line)
			switch {
			case e == nil:
				return nil, unexpected(line)
			case !keep:
				return e, e
			}
			answer = e
			continue
		}
		if r.Code == [2]byte{'M', 'N'} {
			return answer, nil
		}
		i := r.Opaque - cl.opaque
		if !r.HasOpaque || r.Size < 0 || i >= uint64(len(cl.keys)) || int(i) < next {
			return nil, unexpected(line)
		}
		next = int(i) + 1
		it, err := w.value(r.Size)
		if err != nil {
			return nil, err
		}
		w.progress()
		if isPlaceholder(r) {
			continue
		}
		it.Key, it.Flags, it.CAS = cl.keys[i], r.Flags, r.CAS
		cl.items[i] = it
	}
}

// isPlaceholder tells the empty item that a lease leaves where a value is
// going to be: to a plain read, that is a miss.
func isPlaceholder(r mcproto.MetaReply) bool {
	return r.Size == 0 && r.Flags == 0 && (r.Won || r.Lost)
}

var (
	lineEnd       = []byte("END")
	lineStored    = []byte("STORED")
	lineNotStored = []byte("NOT_STORED")
	lineExists    = []byte("EXISTS")
	lineNotFound  = []byte("NOT_FOUND")
	lineDeleted   = []byte("DELETED")
	lineTouched   = []byte("TOUCHED")
)

func (w *wire) readClassic(cl *call) (answer, broken error) {
	switch cl.op {
	case opGet, opGetInto, opLease, opGetMulti:
		return w.classicValues(cl)
	case opStoreMulti, opDeleteMulti:
		for i := range cl.keys {
			answer, broken := w.classicStatus(cl)
			if broken != nil {
				return answer, broken
			}
			cl.errs[i] = answer
		}
		return nil, nil
	}
	return w.classicStatus(cl)
}

func (w *wire) classicStatus(cl *call) (answer, broken error) {
	line, err := w.line()
	if err != nil {
		return nil, err
	}
	switch cl.op {
	case opStore, opStoreMulti:
		switch {
		case bytes.Equal(line, lineStored):
			return nil, nil
		case bytes.Equal(line, lineNotStored):
			return ErrNotStored, nil
		case cl.mode == modeCAS && bytes.Equal(line, lineExists):
			return ErrCASConflict, nil
		case cl.mode == modeCAS && bytes.Equal(line, lineNotFound):
			return ErrCacheMiss, nil
		}
	case opDelete, opDeleteMulti, opInvalidate:
		switch {
		case bytes.Equal(line, lineDeleted):
			return nil, nil
		case bytes.Equal(line, lineNotFound):
			return ErrCacheMiss, nil
		}
	case opTouch:
		switch {
		case bytes.Equal(line, lineTouched):
			return nil, nil
		case bytes.Equal(line, lineNotFound):
			return ErrCacheMiss, nil
		}
	case opArith:
		if bytes.Equal(line, lineNotFound) {
			return ErrCacheMiss, nil
		}
		if len(line) > 0 && line[0] >= '0' && line[0] <= '9' {
			return cl.number(line)
		}
	}
	if e, keep := errorLine(line); e != nil {
		if keep {
			return e, nil
		}
		return e, e
	}
	return nil, unexpected(line)
}

func (w *wire) classicValues(cl *call) (answer, broken error) {
	next, hit := 0, false
	for {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		if bytes.Equal(line, lineEnd) {
			if !hit && cl.op != opGetMulti {
				return ErrCacheMiss, nil
			}
			return nil, nil
		}
		v, err := mcproto.ParseValue(line)
		if err != nil {
			if e, keep := errorLine(line); e != nil {
				if keep {
					return e, nil
				}
				return e, e
			}
			return nil, unexpected(line)
		}
		// All our reads ask for the version: a line without is not one to them.
		if !v.HasCAS {
			return nil, unexpected(line)
		}
		if cl.op != opGetMulti {
			if hit || string(v.Key) != cl.key {
				return nil, unexpected(line)
			}
			hit = true
		} else {
			for next < len(cl.keys) && string(v.Key) != cl.keys[next] {
				next++
			}
			if next == len(cl.keys) {
				return nil, unexpected(line)
			}
		}
		if cl.op == opGetInto {
			if v.Size > w.maxValue {
				return nil, fmt.Errorf("%w: a value of %d bytes, Options.MaxItemSize is %d", ErrProtocol, v.Size, w.maxValue)
			}
			cl.flags = v.Flags
			if cl.buf, err = w.body(cl.buf[:0], v.Size); err != nil {
				return nil, err
			}
			continue
		}
		it, err := w.value(v.Size)
		if err != nil {
			return nil, err
		}
		it.Flags, it.CAS = v.Flags, v.CAS
		if cl.op == opGetMulti {
			it.Key = cl.keys[next]
			cl.items[next] = it
			next++
			w.progress()
		} else {
			it.Key = cl.key
			cl.item = it
		}
	}
}

func (w *wire) readCommand(cl *call) (answer, broken error) {
	line, err := w.line()
	if err != nil {
		return nil, err
	}
	if e, keep := errorLine(line); e != nil {
		if keep {
			return e, nil
		}
		return e, e
	}
	if !bytes.HasPrefix(line, []byte(cl.expect)) {
		return nil, unexpected(line)
	}
	cl.buf = append(cl.buf[:0], line...)
	return nil, nil
}

func (w *wire) readStats(cl *call) (answer, broken error) {
	cl.stats = make(map[string]string)
	for n := 0; n < maxStats; n++ {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		rest, ok := bytes.CutPrefix(line, []byte("STAT "))
		switch {
		case ok:
			name, value, _ := bytes.Cut(rest, []byte(" "))
			cl.stats[string(name)] = string(value)
		case bytes.Equal(line, lineEnd), bytes.Equal(line, []byte("RESET")), bytes.Equal(line, []byte("OK")):
			return nil, nil
		default:
			if e, keep := errorLine(line); e != nil {
				if keep {
					return e, nil
				}
				return e, e
			}
			return nil, unexpected(line)
		}
	}
	return nil, fmt.Errorf("%w: over %d lines of statistics", ErrProtocol, maxStats)
}
