// Package cache has the rows of the cache server: attacks on ours and on
// memcached, of which a good client measures the longest wait for a reply.
package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"sync"
	"time"

	"lintel.dev/bench/abuse/victim"
	"lintel.dev/bench/harness"
)

// Options is what the rows need to know.
type Options struct {
	Peer   string        // the program memcached
	Items  int           // items that the server holds
	Length time.Duration // of an attack

	lintel      string               // the program lintel
	certificate *harness.Certificate // of the servers that listen with TLS
}

// Build finds memcached, and builds into dir what the servers need.
func (o *Options) Build(ctx context.Context, dir string) (err error) {
	if o.lintel, err = harness.BuildLintel(ctx, dir); err != nil {
		return err
	}
	if o.Peer, err = exec.LookPath(o.Peer); err != nil {
		return err
	}
	o.certificate, err = harness.NewCertificate(dir, harness.NewRSA)
	return err
}

// Measures returns a measure for each attack.
func (o *Options) Measures() []*harness.Measure {
	all := make([]*harness.Measure, len(attacks))
	for i, a := range attacks {
		all[i] = &harness.Measure{
			Rows: a.rows(),
			Take: func(ctx context.Context, side int) ([]float64, error) { return o.take(ctx, a, side) },
		}
	}
	return all
}

// rows returns what is measured of an attack: the waits of each good client, and
// the growth of the server.
func (a attack) rows() []harness.Row {
	ways := [][2]string{{"worst wait", "p99"}}
	if a.tls {
		ways = append(ways, [2]string{"worst, TLS", "p99, TLS"})
	}
	var rows []harness.Row
	for _, figure := range ways {
		rows = append(rows,
			harness.Row{Name: a.name + ": " + figure[0], Unit: "ms", Less: true, Limit: victim.MaxWait},
			harness.Row{Name: a.name + ": " + figure[1], Unit: "ms", Less: true},
		)
	}
	return append(rows, harness.Row{Name: a.name + ": memory", Unit: "MB", Less: true, Limit: victim.MaxMemory})
}

// take runs one attack on one server and returns the figures of its rows.
func (o *Options) take(ctx context.Context, a attack, side int) ([]float64, error) {
	if side == harness.Peer && a.oursOnly {
		return slices.Repeat([]float64{math.NaN()}, len(a.rows())), nil
	}
	s, err := o.start(side, a)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.fill(o.Items); err != nil {
		return nil, fmt.Errorf("fill %s: %w", s.name, err)
	}
	if err := s.prepare(a); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	good := make([]*goodClient, 0, 2)
	for _, at := range []struct {
		addr   string
		config *tls.Config
	}{{s.addr, nil}, {s.tls, o.certificate.Client()}} {
		if at.addr == "" {
			continue
		}
		g, err := newGoodClient(at.addr, at.config, o.Items)
		if err != nil {
			return nil, fmt.Errorf("good client of %s: %w", s.name, err)
		}
		defer g.Close()
		good = append(good, g)
	}

	watched, err := victim.Watch(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Length)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, s) }()
	seen, errs := make([]noticed, len(good)), make([]error, len(good))
	var wg sync.WaitGroup
	for i, g := range good {
		wg.Go(func() { seen[i], errs[i] = g.watch(ctx) })
	}
	wg.Wait()
	cancel()
	attackErr := <-ended
	growth, err := watched.Growth()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	if attackErr != nil {
		return nil, fmt.Errorf("attack on %s: %w", s.name, attackErr)
	}
	var figures []float64
	for _, n := range seen {
		figures = append(figures, milliseconds(n.worst()), milliseconds(n.p99()))
	}
	return append(figures, growth), nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
