package zmq4

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Proxy hands the messages of two sockets to each other.
type Proxy struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	done chan struct{}

	mu  sync.Mutex
	err error // why it ended; protected by mu
}

// NewProxy starts a proxy: what front receives back sends, and the reverse. If
// capture is not nil, it sends a copy of each message. The proxy ends when ctx
// is done, when a socket fails, or by Kill. An end of a connection (io.EOF) and a
// message that cannot be sent do not end it.
func NewProxy(ctx context.Context, front, back, capture Socket) *Proxy {
	ctx, stop := context.WithCancel(ctx)
	p := &Proxy{stop: stop, done: make(chan struct{})}
	p.wg.Go(func() {
		<-ctx.Done()
		p.end(ctx.Err())
	})
	var capturing sync.Mutex // a Send for each message, in one order
	p.start(ctx, front, back, capture, &capturing)
	p.start(ctx, back, front, capture, &capturing)
	go func() {
		p.wg.Wait()
		close(p.done)
	}()
	return p
}

// start starts one direction, if src receives messages at all.
func (p *Proxy) start(ctx context.Context, src, dst, capture Socket, capturing *sync.Mutex) {
	if src == nil || src.Type() == Push || src.Type() == Pub {
		return
	}
	p.wg.Go(func() {
		if err := forward(ctx, src, dst, capture, capturing); err != nil {
			p.end(err)
		}
		p.stop()
	})
}

func forward(ctx context.Context, src, dst, capture Socket, capturing *sync.Mutex) error {
	recv := src.Recv
	if s, ok := base(src); ok {
		recv = func() (Msg, error) { return s.recvUntil(ctx) }
	}
	for {
		msg, err := recv()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			continue
		case err != nil:
			return err
		}
		if dst != nil && dst.Type() != Pull && dst.Send(msg) != nil {
			continue
		}
		if capture != nil {
			capturing.Lock()
			_ = capture.Send(msg) // a capture that fails does not stop the proxy
			capturing.Unlock()
		}
	}
}

// base returns the socket of this package that a Socket is.
func base(s Socket) (*socket, bool) {
	switch s := s.(type) {
	case *socket:
		return s, true
	case topicSocket:
		return s.socket, true
	}
	return nil, false
}

// end records why the proxy ends. The first reason counts.
func (p *Proxy) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// Run waits for the end of the proxy and returns its reason: the error of the
// context or of a socket. After Kill it is nil.
func (p *Proxy) Run() error {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(p.err, errKilled) {
		return nil
	}
	return p.err
}

var errKilled = errors.New("zmq4: proxy killed")

// Kill ends the proxy.
func (p *Proxy) Kill() {
	p.end(errKilled)
	p.stop()
}

// Pause has no effect, as in go-zeromq.
func (p *Proxy) Pause() {}

// Resume has no effect, as in go-zeromq.
func (p *Proxy) Resume() {}

// Stats has no effect, as in go-zeromq.
func (p *Proxy) Stats() {}
