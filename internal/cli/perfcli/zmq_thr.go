package perfcli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

func newPerfLocalThr() *cobra.Command {
	return newPerfTool("local_thr", "PULL messages at an endpoint and print the throughput", "bind-to", "message",
		`  lintel perf local_thr tcp://127.0.0.1:5555 100 1000000`, localThr)
}

func newPerfRemoteThr() *cobra.Command {
	return newPerfTool("remote_thr", "PUSH messages to a local_thr", "connect-to", "message",
		`  lintel perf remote_thr tcp://127.0.0.1:5555 100 1000000`, remoteThr)
}

func newPerfInprocThr() *cobra.Command {
	return newPerfTool("inproc_thr", "Print the throughput of PUSH and PULL in one process", "", "message",
		`  lintel perf inproc_thr 100 1000000`, inprocThr)
}

func newPerfProxyThr() *cobra.Command {
	return newPerfTool("proxy_thr", "Print the throughput of two XPUB through a proxy to a SUB", "", "message",
		`  lintel perf proxy_thr 100 1000000`, proxyThr)
}

func localThr(ctx context.Context, p *perfRun) error {
	s, err := p.open("PULL", true)
	if err != nil {
		return err
	}
	if _, err := s.Bind(p.endpoint); err != nil {
		return errors.Join(cli.EndpointError(err), s.Close())
	}
	elapsed, err := p.pull(ctx, s.(zmq.Receiver))
	if err == nil {
		p.reportSize("message")
		err = p.reportThroughput(elapsed)
	}
	return errors.Join(err, s.Close())
}

// pull receives all messages and returns the time since the first.
func (p *perfRun) pull(ctx context.Context, s zmq.Receiver) (time.Duration, error) {
	var start time.Time
	n := 0
	for b, err := range s.Views(ctx) {
		if err == nil {
			err = p.check(b)
		}
		if err != nil {
			return 0, err
		}
		if n++; n == 1 {
			start = time.Now()
		}
		if n == p.count {
			break
		}
	}
	return time.Since(start), nil
}

func remoteThr(ctx context.Context, p *perfRun) error {
	s, err := p.open("PUSH", false)
	if err != nil {
		return err
	}
	if _, err := s.Connect(p.endpoint); err != nil {
		return errors.Join(cli.EndpointError(err), s.Close())
	}
	return errors.Join(p.push(ctx, s.(zmq.Sender)), s.Close())
}

// ownedFrom is the size in bytes from which a message is sent without a copy, as
// libzmq's tool sends all. The bytes never change, so one message is sent
// repeatedly.
const ownedFrom = 8 << 10

func (p *perfRun) push(ctx context.Context, s zmq.Sender) error {
	b := make([]byte, p.size)
	send := func() error { return s.SendBytes(ctx, b) }
	if p.size >= ownedFrom {
		m := zmq.Msg{b}
		send = func() error { return s.SendOwned(ctx, m) }
	}
	for range p.count {
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}

func inprocThr(ctx context.Context, p *perfRun) error {
	const endpoint = "inproc://thr_test"
	s, err := p.open("PULL", true)
	if err != nil {
		return err
	}
	if _, err := s.Bind(endpoint); err != nil {
		return errors.Join(err, s.Close())
	}
	p.reportSize("message")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worker := make(chan error, 1)
	go func() { worker <- p.pushInproc(ctx, endpoint) }()
	elapsed, err := p.pull(ctx, s.(zmq.Receiver))
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-worker); err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(p.reportThroughput(elapsed), s.Close())
}

func (p *perfRun) pushInproc(ctx context.Context, endpoint string) error {
	s, err := p.open("PUSH", false)
	if err != nil {
		return err
	}
	if _, err := s.Connect(endpoint); err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(p.push(ctx, s.(zmq.Sender)), s.Close())
}

// proxyThr has the topology and the options of libzmq's tool: two XPUB that
// wait for room send count messages each, through XSUB and XPUB, to a SUB that
// stops after count of them.
func proxyThr(ctx context.Context, p *perfRun) (err error) {
	const hwm = 10000
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open []zmq.Socket
	defer func() {
		for _, s := range open {
			err = errors.Join(err, s.Close())
		}
	}()
	socket := func(t string, opts ...zmq.Option) zmq.Socket {
		if err != nil {
			return nil
		}
		var s zmq.Socket
		if s, err = p.open(t, false, append(opts, zmq.WithHWM(hwm))...); err == nil {
			open = append(open, s)
		}
		return s
	}
	noDrop := zmq.WithOption("xpub_nodrop", "1")
	front, back := socket("XSUB"), socket("XPUB", noDrop)
	sub := socket("SUB", zmq.WithLinger(0))
	pubs := []zmq.Socket{socket("XPUB", noDrop), socket("XPUB", noDrop)}
	if err != nil {
		return err
	}
	p.reportSize("message")
	for _, at := range []string{"inproc://perf_pub1", "inproc://perf_pub2"} {
		if _, err := front.Bind(at); err != nil {
			return err
		}
	}
	if _, err := back.Bind("inproc://perf_backend"); err != nil {
		return err
	}
	if err := sub.(*zmq.Sub).Subscribe(""); err != nil {
		return err
	}
	if _, err := sub.Connect("inproc://perf_backend"); err != nil {
		return err
	}
	done := make(chan error, len(pubs))
	proxied := make(chan struct{})
	go func() {
		defer close(proxied)
		_ = (&zmq.Proxy{Front: front, Back: back}).Run(ctx) // ends with ctx
	}()
	defer func() { cancel(); <-proxied }()

	start := time.Now()
	for i, s := range pubs {
		go func() { done <- p.publish(ctx, s.(*zmq.XPub), fmt.Sprintf("inproc://perf_pub%d", i+1)) }()
	}
	if _, err := p.pull(ctx, sub.(zmq.Receiver)); err != nil {
		return err
	}
	elapsed := time.Since(start)
	// The publishers' queued messages would wait for room without end.
	cancel()
	for range pubs {
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return p.reportThroughput(elapsed)
}

// publish waits for the subscription and sends the messages.
func (p *perfRun) publish(ctx context.Context, s *zmq.XPub, endpoint string) error {
	if _, err := s.Connect(endpoint); err != nil {
		return err
	}
	if b, err := s.RecvBytes(ctx); err != nil || len(b) != 1 || b[0] != 1 {
		return errors.Join(err, fmt.Errorf("received %q, expected a subscription to everything", b))
	}
	return p.push(ctx, s)
}
