package interop_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"os/exec"
	"strconv"
	"testing"

	"lintel.dev/interop/peers"
)

// pyzmq is a process with libzmq sockets, driven step by step
// (testdata/zmqpeer.py).
type pyzmq struct {
	t *testing.T
	p *peers.Proc
}

func newPyzmq(t *testing.T) *pyzmq {
	t.Helper()
	return newPyzmqBy(t, func(program ...string) *exec.Cmd { return exec.Command(program[0], program[1:]...) })
}

// newPyzmqBy starts the process with the caller's function.
func newPyzmqBy(t *testing.T, command func(program ...string) *exec.Cmd) *pyzmq {
	t.Helper()
	p := peers.Start(t, command(peers.Python(t, "zmq"), "testdata/zmqpeer.py"))
	p.Expect("^ready ")
	return &pyzmq{t, p}
}

// pysock is one libzmq socket there.
type pysock struct {
	*pyzmq
	id string
}

type zmqRequest map[string]any

type zmqReply struct {
	Frames   [][]byte `json:"frames"`
	Endpoint string   `json:"endpoint"`
	Digest   string   `json:"digest"`
	Event    string   `json:"event"`
	Value    int      `json:"value"`
	Bytes    []byte   `json:"bytes"`
	Public   string   `json:"public"`
	Secret   string   `json:"secret"`
	Errno    string   `json:"errno"`
	Error    string   `json:"error"`
}

func (r zmqReply) strings() []string { return stringFrames(r.Frames) }

// ask sends a request and fails the test if the reply is an error.
func (z *pyzmq) ask(op string, r zmqRequest) zmqReply {
	z.t.Helper()
	z.tell(op, r)
	return z.answer()
}

// tell sends a request without waiting for the reply, so that the test can act
// meanwhile.
func (z *pyzmq) tell(op string, r zmqRequest) {
	z.t.Helper()
	if r == nil {
		r = zmqRequest{}
	}
	r["op"] = op
	z.p.SendJSON(r)
}

func (z *pyzmq) answer() zmqReply {
	z.t.Helper()
	reply := z.result()
	if reply.Errno != "" {
		z.t.Fatalf("pyzmq: %s: %s\n%s", reply.Errno, reply.Error, z.p.Log())
	}
	return reply
}

// try sends a request that may fail.
func (z *pyzmq) try(op string, s *pysock) zmqReply {
	z.t.Helper()
	z.tell(op, zmqRequest{"id": s.id})
	return z.result()
}

// result is a reply, which may be an error.
func (z *pyzmq) result() zmqReply {
	z.t.Helper()
	var reply zmqReply
	z.p.Reply(&reply)
	return reply
}

// socket makes a socket of a type in libzmq's spelling ("PUSH") with options
// by name; a string is an option of bytes, an int one of numbers.
func (z *pyzmq) socket(typ string, options ...any) *pysock {
	z.t.Helper()
	return z.socketAs(typ, typ, options...)
}

// socketAs creates a socket with a name, for a second one of the same type in
// the process.
func (z *pyzmq) socketAs(id, typ string, options ...any) *pysock {
	z.t.Helper()
	s := &pysock{z, id}
	z.ask("socket", zmqRequest{"id": id, "type": typ})
	for i := 0; i < len(options); i += 2 {
		s.option(options[i].(string), options[i+1])
	}
	return s
}

func (s *pysock) do(op string, r zmqRequest) zmqReply {
	s.t.Helper()
	if r == nil {
		r = zmqRequest{}
	}
	r["id"] = s.id
	return s.ask(op, r)
}

func (s *pysock) option(name string, v any) {
	s.t.Helper()
	if text, ok := v.(string); ok {
		s.do("set", zmqRequest{"name": name, "bytes": []byte(text)})
		return
	}
	s.do("set", zmqRequest{"name": name, "value": v})
}

func (s *pysock) bind(endpoint string) string {
	s.t.Helper()
	return s.do("bind", zmqRequest{"endpoint": endpoint}).Endpoint
}

func (s *pysock) connect(endpoint string) {
	s.t.Helper()
	s.do("connect", zmqRequest{"endpoint": endpoint})
}

func (s *pysock) send(frames ...string) {
	s.t.Helper()
	s.do("send", zmqRequest{"frames": byteFrames(frames)})
}

func (s *pysock) recv() []string {
	s.t.Helper()
	return s.do("recv", nil).strings()
}

// until waits for an event of a monitored socket and ignores others.
func (s *pysock) until(event string) zmqReply {
	s.t.Helper()
	return s.nextEvent(func(e string) bool { return e == event })
}

// nextEvent returns the next of the wanted events.
func (s *pysock) nextEvent(want func(event string) bool) zmqReply {
	s.t.Helper()
	for {
		if r := s.do("event", nil); want(r.Event) {
			return r
		}
	}
}

// listen starts to receive; answer returns the message. libzmq processes new
// and renewed connections only during a call on the socket.
func (s *pysock) listen() {
	s.t.Helper()
	s.tell("recv", zmqRequest{"id": s.id})
}

func (s *pysock) close() {
	s.t.Helper()
	s.do("close", nil)
}

func byteFrames(frames []string) [][]byte {
	b := make([][]byte, len(frames))
	for i, f := range frames {
		b[i] = []byte(f)
	}
	return b
}

func stringFrames(frames [][]byte) []string {
	s := make([]string, len(frames))
	for i, f := range frames {
		s[i] = string(f)
	}
	return s
}

func itoa(i int) string { return strconv.Itoa(i) }

// digest is the running SHA-256 of messages that zmqpeer.py keeps as well.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) message(frames [][]byte) {
	for _, f := range frames {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		d.Write(n[:])
		d.Write(f)
	}
}

func (d digest) String() string { return hex.EncodeToString(d.Sum(nil)) }
