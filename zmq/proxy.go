package zmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/zmtp"
)

// Proxy carries messages between two sockets, in both directions as far as
// their types send and receive. ROUTER and DEALER make a queue, XSUB and XPUB a
// forwarder, PULL and PUSH a streamer. With the same socket as Front and Back
// each message goes back to where it came from.
//
// A message is received only when the other side has room for it, so that
// high-water marks reach through the proxy. The caller makes the sockets, and
// closes them after Run. A Proxy must not be copied.
type Proxy struct {
	Front, Back Socket
	Capture     Sender // if not nil, gets a copy of each message

	// Control, if not nil, receives commands: PAUSE, RESUME, TERMINATE, which
	// makes Run return nil, and STATISTICS. The answer to STATISTICS is a
	// message of eight frames, each a number of 64 bits in the machine's byte
	// order: messages received, bytes received, messages sent and bytes sent of
	// Front, then of Back. A REP answers other commands with an empty message;
	// other types of socket do not answer. Unknown commands do nothing.
	Control Receiver

	mu sync.Mutex
	// The fields below are protected by mu.
	ways    []*proxyWay
	resumed chan struct{} // closed on RESUME; nil: not paused
}

// ProxyStats counts the messages and bytes that a proxy received from one of
// its sockets and sent to it. A message of several frames counts once.
type ProxyStats struct {
	MessagesReceived, BytesReceived uint64
	MessagesSent, BytesSent         uint64
}

// Run carries messages until ctx is done or a socket is closed, and returns the
// reason. It returns ErrNotSupported for sockets between which nothing can be
// carried. A Proxy runs once.
func (p *Proxy) Run(ctx context.Context) error {
	ways := p.start()
	if len(ways) == 0 {
		return fmt.Errorf("zmq: proxy: %w: no messages go between %v and %v", ErrNotSupported, p.Front.Type(), p.Back.Type())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, w := range ways {
		wg.Go(func() { cancel(w.run(ctx)) })
	}
	if p.Control != nil {
		wg.Go(func() { cancel(p.obey(ctx)) })
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, errTerminate) {
		return err
	}
	return nil
}

// start makes the directions that the two sockets allow.
func (p *Proxy) start() []*proxyWay {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(p.Front, p.Back, false)
	if p.Front.base() != p.Back.base() {
		p.add(p.Back, p.Front, true)
	}
	return p.ways
}

func (p *Proxy) add(from, to Socket, back bool) {
	r, ok := from.(Receiver)
	s, ok2 := to.(Sender)
	if ok && ok2 {
		p.ways = append(p.ways, &proxyWay{p: p, from: r, to: s, back: back})
	}
}

// Stats returns what the proxy has carried so far.
func (p *Proxy) Stats() (front, back ProxyStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ways {
		in, out := &front, &back
		if w.back {
			in, out = out, in
		}
		if w.from.base() == w.to.base() {
			out = in
		}
		m, b := w.messages.Load(), w.bytes.Load()
		in.MessagesReceived, in.BytesReceived = m, b
		out.MessagesSent, out.BytesSent = m, b
	}
	return front, back
}

// statistics is the answer to STATISTICS.
func (p *Proxy) statistics() (m Msg) {
	front, back := p.Stats()
	for _, s := range []ProxyStats{front, back} {
		for _, n := range []uint64{s.MessagesReceived, s.BytesReceived, s.MessagesSent, s.BytesSent} {
			m = append(m, binary.NativeEndian.AppendUint64(nil, n))
		}
	}
	return m
}

// proxyBurst is how many messages go in one direction between two commands.
const proxyBurst = 1000

// proxyWay is one direction of a proxy.
type proxyWay struct {
	p        *Proxy
	from     Receiver
	to       Sender
	busy     sync.Mutex // held during a burst, which PAUSE waits for
	messages atomic.Uint64
	bytes    atomic.Uint64
	back     bool // from back to front
}

// errTerminate ends Run after the command TERMINATE.
var errTerminate = errors.New("terminate")

func (w *proxyWay) run(ctx context.Context) error {
	if w.p.Capture == nil {
		if b := newProxyBatch(w.from.base(), w.to.base()); b != nil {
			return w.carryBatches(ctx, b)
		}
	}
	for ctx.Err() == nil {
		if err := w.await(ctx); err != nil {
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
			if err := w.p.Capture.Send(ctx, m); err != nil {
				return err
			}
		}
		if err := w.sent(m.Size(), w.to.SendOwned(ctx, m)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// await waits until a message can be received, and then until one can be sent.
func (w *proxyWay) await(ctx context.Context) error {
	recv, send := &w.from.base().recv, &w.to.base().send
	if err := recv.lockReady(ctx); err != nil {
		return err
	}
	recv.unlock()
	if w.echoes() {
		return nil
	}
	if err := send.lockReady(ctx); err != nil {
		return err
	}
	send.Unlock()
	return nil
}

// echoes reports whether both sides are one REP, which can send only after it
// has received.
func (w *proxyWay) echoes() bool {
	return w.from.base() == w.to.base() && w.to.base().typ == zmtp.REP
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

// burst carries messages until one has to wait, which it returns. captured reports
// whether the capture socket has it already.
func (w *proxyWay) burst() (waiting Msg, captured bool, err error) {
	to := w.to.base()
	for range proxyBurst {
		to.send.Lock()
		ready := to.send.err == nil && to.send.ready()
		to.send.Unlock()
		if !ready && !w.echoes() {
			return nil, false, nil
		}
		m, err := w.from.TryRecv()
		if errors.Is(err, ErrWouldBlock) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if w.p.Capture != nil {
			if err := w.p.Capture.TrySend(m); errors.Is(err, ErrWouldBlock) {
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

// sent counts a message that was sent. One for a peer that has disconnected is
// dropped, and the proxy goes on.
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

// pause stops or restarts all directions. It returns when no earlier burst is in
// progress.
func (p *Proxy) pause(on bool) {
	p.mu.Lock()
	switch {
	case on && p.resumed == nil:
		p.resumed = make(chan struct{})
	case !on && p.resumed != nil:
		close(p.resumed)
		p.resumed = nil
	}
	ways := p.ways
	p.mu.Unlock()
	for _, w := range ways {
		w.settle()
	}
}

// settle waits for a burst in progress.
func (w *proxyWay) settle() {
	w.busy.Lock()
	defer w.busy.Unlock()
}

// obey executes commands.
func (p *Proxy) obey(ctx context.Context) error {
	control := p.Control
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
			answer = p.statistics()
		}
		if control.Type() == "REP" && answer == nil {
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
