package zmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// ProxyStats counts what a proxy carried, as its answer to STATISTICS says. A
// message of several frames counts once.
type ProxyStats struct {
	Front, Back ProxySide
}

// ProxySide are the messages and bytes received from one socket of a proxy and
// sent to it.
type ProxySide struct {
	MessagesIn, BytesIn   uint64
	MessagesOut, BytesOut uint64
}

// ParseProxyStats reads the answer to STATISTICS of a proxy, ours or libzmq's,
// on a machine with the byte order of this one.
func ParseProxyStats(m Msg) (ProxyStats, error) {
	var s ProxyStats
	numbers := s.numbers()
	if len(m) != len(numbers) {
		return s, fmt.Errorf("zmq: proxy statistics of %d frames, expected %d", len(m), len(numbers))
	}
	for i, n := range numbers {
		if len(m[i]) != 8 {
			return ProxyStats{}, fmt.Errorf("zmq: proxy statistics: frame %d has %d octets, expected 8", i+1, len(m[i]))
		}
		*n = binary.NativeEndian.Uint64(m[i])
	}
	return s, nil
}

// numbers are the counts in the order of the answer.
func (s *ProxyStats) numbers() [8]*uint64 {
	f, b := &s.Front, &s.Back
	return [8]*uint64{
		&f.MessagesIn, &f.BytesIn, &f.MessagesOut, &f.BytesOut,
		&b.MessagesIn, &b.BytesIn, &b.MessagesOut, &b.BytesOut,
	}
}

// Proxy carries messages between two sockets, in both directions as far as
// their types send and receive, until ctx is done or a socket is closed; it
// returns the reason. ROUTER and DEALER make a queue, XSUB and XPUB a
// forwarder, PULL and PUSH a streamer. With the same socket on both sides each
// message goes back to where it came from.
//
// A message is received only when the other side has room for it, so that
// high-water marks reach through the proxy. capture, if not nil, gets a copy of
// each message. The caller keeps the sockets and closes them.
func Proxy(ctx context.Context, front, back Socket, capture Sender) error {
	p, err := newProxy(front, back, capture)
	if err != nil {
		return err
	}
	return p.run(ctx, nil)
}

// ProxySteerable is Proxy that obeys the commands that control receives: PAUSE,
// RESUME, TERMINATE, which makes it return nil, and STATISTICS. The answer to
// STATISTICS is a message of eight frames, each a number of 64 bits in the
// machine's byte order: messages in, bytes in, messages out and bytes out of
// front, then of back; ParseProxyStats reads it. A REP control socket answers any other command with an
// empty message; other types of socket do not answer. Unknown commands do
// nothing.
func ProxySteerable(ctx context.Context, front, back Socket, capture Sender, control Receiver) error {
	p, err := newProxy(front, back, capture)
	if err != nil {
		return err
	}
	return p.run(ctx, control)
}

// proxyBurst is how many messages go one way before a command is looked at.
const proxyBurst = 1000

type proxy struct {
	ways    []*proxyWay
	capture Sender

	mu sync.Mutex
	// The fields below are protected by mu.
	resumed chan struct{} // closed on RESUME; nil: not paused
}

// proxyWay is one direction of a proxy.
type proxyWay struct {
	p        *proxy
	from     Receiver
	to       Sender
	busy     sync.Mutex // held during a burst, which PAUSE waits for
	messages atomic.Uint64
	bytes    atomic.Uint64
	back     bool // from back to front
}

func newProxy(front, back Socket, capture Sender) (*proxy, error) {
	p := &proxy{capture: capture}
	p.add(front, back, false)
	if front.base() != back.base() {
		p.add(back, front, true)
	}
	if len(p.ways) == 0 {
		return nil, fmt.Errorf("zmq: proxy: %w: nothing goes between %v and %v", ErrNotSupported, front.Type(), back.Type())
	}
	return p, nil
}

func (p *proxy) add(from, to Socket, back bool) {
	r, ok := from.(Receiver)
	s, ok2 := to.(Sender)
	if ok && ok2 {
		p.ways = append(p.ways, &proxyWay{p: p, from: r, to: s, back: back})
	}
}

// errTerminate is the TERMINATE command.
var errTerminate = errors.New("terminate")

func (p *proxy) run(ctx context.Context, control Receiver) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, w := range p.ways {
		wg.Go(func() { cancel(w.run(ctx)) })
	}
	if control != nil {
		wg.Go(func() { cancel(p.obey(ctx, control)) })
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, errTerminate) {
		return err
	}
	return nil
}

func (w *proxyWay) run(ctx context.Context) error {
	if w.p.capture == nil {
		if r := newRelay(w.from.base(), w.to.base()); r != nil {
			return w.relay(ctx, r)
		}
	}
	for ctx.Err() == nil {
		if err := w.from.base().awaitRecv(ctx); err != nil {
			return err
		}
		if err := w.to.base().awaitSend(ctx); err != nil {
			return err
		}
		if err := w.begin(ctx); err != nil {
			return err
		}
		m, captured, err := w.burst()
		w.busy.Unlock()
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if !captured {
			if err := w.p.capture.Send(ctx, m); err != nil {
				return err
			}
		}
		if err := w.sent(m.Size(), w.to.SendOwned(ctx, m)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin takes busy when the proxy is not paused.
func (w *proxyWay) begin(ctx context.Context) error {
	for {
		w.busy.Lock()
		w.p.mu.Lock()
		resumed := w.p.resumed
		w.p.mu.Unlock()
		if resumed == nil {
			return nil
		}
		w.busy.Unlock()
		select {
		case <-resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// burst carries messages as long as none has to wait. One that has to is
// returned; captured tells whether the capture socket has it already.
func (w *proxyWay) burst() (waiting Msg, captured bool, err error) {
	to := w.to.base()
	for range proxyBurst {
		if !to.canSendNow() {
			return nil, false, nil
		}
		m, err := w.from.TryRecv()
		if errors.Is(err, ErrWouldBlock) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if w.p.capture != nil {
			if err := w.p.capture.TrySend(m); errors.Is(err, ErrWouldBlock) {
				return m, false, nil
			} else if err != nil {
				return nil, false, err
			}
		}
		size := m.Size()
		err = w.to.SendOwned(try, m)
		if errors.Is(err, ErrWouldBlock) {
			return m, true, nil
		}
		if err := w.sent(size, err); err != nil {
			return nil, false, err
		}
	}
	return nil, false, nil
}

// sent counts a message. One for a peer that has gone is dropped: that is no
// reason to stop.
func (w *proxyWay) sent(size int, err error) error {
	if errors.Is(err, ErrHostUnreachable) {
		return nil
	}
	if err == nil {
		w.messages.Add(1)
		w.bytes.Add(uint64(size))
	}
	return err
}

func (p *proxy) stats() (s ProxyStats) {
	for _, w := range p.ways {
		in, out := &s.Front, &s.Back
		if w.back {
			in, out = out, in
		}
		if len(p.ways) == 1 && w.from.base() == w.to.base() {
			out = in
		}
		m, b := w.messages.Load(), w.bytes.Load()
		in.MessagesIn, in.BytesIn = m, b
		out.MessagesOut, out.BytesOut = m, b
	}
	return s
}

// pause stops or restarts all directions, and returns when no burst of before
// is under way.
func (p *proxy) pause(on bool) {
	p.mu.Lock()
	switch {
	case on && p.resumed == nil:
		p.resumed = make(chan struct{})
	case !on && p.resumed != nil:
		close(p.resumed)
		p.resumed = nil
	}
	p.mu.Unlock()
	for _, w := range p.ways {
		w.settle()
	}
}

// settle waits for a burst that is under way.
func (w *proxyWay) settle() {
	w.busy.Lock()
	defer w.busy.Unlock()
}

// obey carries out commands.
func (p *proxy) obey(ctx context.Context, control Receiver) error {
	for m, err := range control.Messages(ctx) {
		if err != nil {
			return err
		}
		var answer Msg
		terminate := false
		switch string(m[0]) {
		case "PAUSE":
			p.pause(true)
		case "RESUME":
			p.pause(false)
		case "TERMINATE":
			terminate = true
		case "STATISTICS":
			answer = p.stats().frames()
		}
		if control.Type() == TypeRep && answer == nil {
			answer = Msg{{}}
		}
		if s, ok := control.(Sender); ok && answer != nil {
			if err := s.Send(ctx, answer); err != nil {
				return err
			}
		}
		if terminate {
			return errTerminate
		}
	}
	return ctx.Err()
}

func (s ProxyStats) frames() Msg {
	var m Msg
	for _, n := range s.numbers() {
		m = append(m, binary.NativeEndian.AppendUint64(nil, *n))
	}
	return m
}

// awaitRecv waits until a message can be received, for ever if need be.
func (s *core) awaitRecv(ctx context.Context) error {
	s.recv.Lock()
	defer s.recv.Unlock()
	var lingered bool
	for s.recvFailed == nil {
		s.tell()
		if s.gather(ctx) {
			continue
		}
		if s.pat.canRecvNow() {
			return nil
		}
		if s.local && !lingered && !s.canRecv.Any() {
			lingered = true
			s.lingerRecv()
			continue
		}
		lingered = false
		s.stopAlone()
		if err := s.canRecv.Wait(ctx, s.recv, -1); err != nil {
			return err
		}
	}
	return s.recvFailed
}

// awaitSend waits until a message can be sent.
func (s *core) awaitSend(ctx context.Context) error {
	s.send.Lock()
	defer s.send.Unlock()
	for s.failed == nil {
		if s.pat.canSendNow() {
			return nil
		}
		if err := s.canSend.Wait(ctx, s.send, -1); err != nil {
			return err
		}
	}
	return s.failed
}

func (s *core) canSendNow() bool {
	s.send.Lock()
	defer s.send.Unlock()
	return s.failed == nil && s.pat.canSendNow()
}
