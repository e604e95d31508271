package perfcli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

func newPerfLocalLat() *cobra.Command {
	return newPerfTool("local_lat", "REP that sends back what it gets", "bind-to", "roundtrip",
		`  lintel perf local_lat tcp://127.0.0.1:5555 1 10000`, localLat)
}

func newPerfRemoteLat() *cobra.Command {
	return newPerfTool("remote_lat", "REQ to a local_lat; print the latency", "connect-to", "roundtrip",
		`  lintel perf remote_lat tcp://127.0.0.1:5555 1 10000`, remoteLat)
}

func newPerfInprocLat() *cobra.Command {
	return newPerfTool("inproc_lat", "Print the latency of REQ and REP in one process", "", "roundtrip",
		`  lintel perf inproc_lat 1 100000`, inprocLat)
}

func localLat(ctx context.Context, p *perfRun) error {
	s, err := p.open("REP", true)
	if err != nil {
		return err
	}
	if _, err := s.Bind(p.endpoint); err != nil {
		return errors.Join(cli.EndpointError(err), s.Close())
	}
	return errors.Join(p.echo(ctx, s.(*zmq.Rep)), s.Close())
}

func (p *perfRun) echo(ctx context.Context, s *zmq.Rep) error {
	for range p.count {
		b, err := p.frame(ctx, s)
		if err != nil {
			return err
		}
		if err := s.SendBytes(ctx, b); err != nil {
			return err
		}
		zmq.Msg{b}.Release()
	}
	return nil
}

func remoteLat(ctx context.Context, p *perfRun) error {
	s, err := p.open("REQ", false)
	if err != nil {
		return err
	}
	if _, err := s.Connect(p.endpoint); err != nil {
		return errors.Join(cli.EndpointError(err), s.Close())
	}
	elapsed, trips, err := p.ask(ctx, s.(*zmq.Req))
	if err == nil {
		p.reportSize("roundtrip")
		err = p.reportLatency(elapsed, trips)
	}
	return errors.Join(err, s.Close())
}

// ask measures the time of all round trips, and with --json of each. As in
// libzmq's tool, the time to connect counts.
func (p *perfRun) ask(ctx context.Context, s *zmq.Req) (elapsed time.Duration, trips *histogram, err error) {
	if p.json {
		trips = new(histogram)
	}
	b := make([]byte, p.size)
	start := time.Now()
	last := start
	for range p.count {
		if err := s.SendBytes(ctx, b); err != nil {
			return 0, nil, err
		}
		reply, err := p.frame(ctx, s)
		if err != nil {
			return 0, nil, err
		}
		zmq.Msg{reply}.Release()
		if trips != nil {
			now := time.Now()
			trips.record(int64(now.Sub(last)))
			last = now
		}
	}
	return time.Since(start), trips, nil
}

func inprocLat(ctx context.Context, p *perfRun) error {
	const endpoint = "inproc://lat_test"
	s, err := p.open("REQ", false)
	if err != nil {
		return err
	}
	if _, err := s.Bind(endpoint); err != nil {
		return errors.Join(err, s.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worker := make(chan error, 1)
	go func() { worker <- p.echoInproc(ctx, endpoint) }()
	p.reportSize("roundtrip")
	elapsed, trips, err := p.ask(ctx, s.(*zmq.Req))
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-worker); err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(p.reportLatency(elapsed, trips), s.Close())
}

func (p *perfRun) echoInproc(ctx context.Context, endpoint string) error {
	s, err := p.open("REP", true)
	if err != nil {
		return err
	}
	if _, err := s.Connect(endpoint); err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(p.echo(ctx, s.(*zmq.Rep)), s.Close())
}
