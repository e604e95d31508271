// Package cache has the rows of the cache server: attacks on ours and on
// memcached, of which a good client measures the longest wait for a reply.
package cache

import (
	"context"
	"fmt"
	"math"
	"time"

	"lintel.dev/bench/harness"
)

// Bounds of what one attack may do to ours.
const (
	maxWait   = 250 // milliseconds
	maxMemory = 150 // megabytes
)

// Options is what the rows need to know.
type Options struct {
	Lintel string        // the program lintel
	Peer   string        // the program memcached
	Items  int           // items that the server holds
	Length time.Duration // of an attack
}

// Measures returns a measure for each attack.
func (o *Options) Measures() []*harness.Measure {
	all := make([]*harness.Measure, len(attacks))
	for i, a := range attacks {
		all[i] = &harness.Measure{
			Rows: []harness.Row{
				{Name: a.name + ": worst wait", Unit: "ms", Less: true, Limit: maxWait},
				{Name: a.name + ": memory", Unit: "MB", Less: true, Limit: maxMemory},
			},
			Take: func(ctx context.Context, side int) ([]float64, error) { return o.take(ctx, a, side) },
		}
	}
	return all
}

// take runs one attack on one server and returns the good client's longest wait
// and the growth of the server.
func (o *Options) take(ctx context.Context, a attack, side int) ([]float64, error) {
	none := []float64{math.NaN(), math.NaN()}
	if side == harness.Peer && a.oursOnly {
		return none, nil
	}
	s, err := o.start(side, a.flags)
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
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	good, err := newGoodClient(s.addr, o.Items)
	if err != nil {
		return nil, err
	}
	defer good.Close()

	ctx, cancel := context.WithTimeout(ctx, o.Length)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, s) }()
	worst, peak, err := good.watch(ctx, s)
	cancel()
	if attackErr := <-ended; err == nil && attackErr != nil {
		err = fmt.Errorf("attack on %s: %w", s.name, attackErr)
	}
	return []float64{float64(worst.Microseconds()) / 1000, peak - before}, err
}
