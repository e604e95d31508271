// Package pi estimates pi with messages. It draws random points in a square and
// counts those inside a quarter circle. Each step is a role, the roles are
// connected by three patterns of ZeroMQ, and every role can be another process
// in any language.
//
//	             PUB   SUB 00          PUSH
//	bitsource ------+----- always-yes -----+-- tally (PULL)
//	                |                      |
//	                +----- judge ----------+
//	                   SUB 01, 10, 11
//	                         | REQ
//	                         | REP
//	                     pythagoras
//
// # Losses
//
// PUB never waits. It drops a point for a worker whose queue is full, for that
// worker only. Always-yes is fast and judges are slow, so under load the
// quadrants lose different shares of their points and the count of verdicts is
// biased upwards. The report therefore counts each branch and its losses, and
// gives a second estimate that weights the quadrants equally.
package pi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel.dev/demo"
)

// The intervals of progress output: on a terminal, and elsewhere.
const (
	liveEvery = 100 * time.Millisecond
	lineEvery = 2 * time.Second
)

// After the bitsource has stopped, the run waits for points that are in flight:
// until nothing has arrived for quietFor, or stuckFor if some are known to be
// missing.
const (
	drainEvery = 5 * time.Millisecond
	quietFor   = 300 * time.Millisecond
	stuckFor   = 5 * time.Second
	drainMost  = 30 * time.Second
)

// Run plays the configured roles for the configured time, or until ctx ends,
// which is not an error. It writes the report to cfg.Out. Wrong input is a
// *demo.InputError.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.check(); err != nil {
		return err
	}
	var picture *os.File
	if cfg.Plot != "" {
		if picture, err = openPlot(cfg.Plot); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, picture.Close())
			if err != nil {
				os.Remove(cfg.Plot)
			}
		}()
	}
	s, err := newStage(&cfg)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			s.close()
		}
	}()
	progress := demo.NewScreen(cfg.Progress)
	defer progress.Clear()
	if len(cfg.Roles) < len(Roles()) {
		for _, line := range s.bound {
			progress.Printf("%s\n", line)
		}
	}

	took, err := s.play(ctx, progress)
	if err != nil {
		return err
	}
	progress.Clear()
	report := s.report(took)
	closed = true
	if err := s.close(); err != nil {
		return err
	}
	if cfg.plays(Tally) && report.Points != nil && *report.Points == 0 && ctx.Err() == nil {
		return errors.New("pi: no verdict arrived: is every role played somewhere, at the same endpoints?")
	}
	if picture != nil && *report.Points > 0 {
		format, err := plotFormat(cfg.Plot)
		if err != nil {
			return err
		}
		b, err := plot(format, s.counts.tally.samples())
		if err != nil {
			return err
		}
		if _, err := picture.Write(b); err != nil {
			return err
		}
	}
	if cfg.JSON {
		return json.NewEncoder(cfg.Out).Encode(report)
	}
	out := demo.NewScreen(cfg.Out)
	report.print(out, &cfg)
	return out.Err()
}

// play runs the roles. It returns how long points were published or counted.
func (s *stage) play(ctx context.Context, progress *demo.Screen) (time.Duration, error) {
	// The roles do not end with ctx, because the last points must still be
	// judged.
	roles, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, roles := errgroup.WithContext(roles)
	var end context.Context
	end, s.enough = context.WithCancel(ctx)
	defer s.enough()
	unhook := context.AfterFunc(roles, s.enough) // a role that fails ends the run
	defer unhook()

	if s.rep != nil {
		group.Go(func() error { return s.add(roles) })
	}
	if s.pull != nil {
		group.Go(func() error { return s.count(roles) })
	}
	for _, w := range s.works {
		group.Go(func() error { return s.work(roles, w) })
	}
	s.ready(end)
	start := time.Now()
	if s.cfg.Duration > 0 {
		timer := time.AfterFunc(s.cfg.Duration, s.enough)
		defer timer.Stop()
	}
	if s.pub != nil {
		group.Go(func() error { return ended(end, s.publish(end)) })
	}
	s.watch(end, progress, start)
	took := time.Since(start)
	if s.pub != nil && (s.pull != nil || len(s.works) > 0) {
		s.drain(roles)
	}
	stop()
	return took, group.Wait()
}

// watch shows the progress until ctx ends.
func (s *stage) watch(ctx context.Context, progress *demo.Screen, start time.Time) {
	every := lineEvery
	if progress.Terminal() {
		every = liveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			line := s.live(time.Since(start))
			if progress.Terminal() {
				progress.Live("%s", line)
			} else {
				progress.Printf("%s\n", line)
			}
		}
	}
}

// live returns one line of progress.
func (s *stage) live(elapsed time.Duration) string {
	done, what := int64(0), "points published"
	line := ""
	switch {
	case s.pull != nil:
		now := s.counts.verdicts()
		done, what = now.points, "points"
		if done > 0 {
			line = fmt.Sprintf("pi is about %.5f ± %.5f   ", now.estimate(), now.errorBand())
		}
	case s.pub != nil:
		done = sum(&s.counts.published)
	default:
		done, what = sum(&s.counts.answered), "points judged"
	}
	line += fmt.Sprintf("%s %s   %s/s", demo.Count(done), what, demo.Count(int64(float64(done)/elapsed.Seconds())))
	if s.pub != nil {
		line += fmt.Sprintf("   %s dropped", demo.Count(s.pub.Stats().DroppedFull))
	}
	return line
}

// drain waits until the points under way have been judged and counted.
func (s *stage) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainMost)
	defer cancel()
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		patience := quietFor
		if left, known := s.underWay(); known {
			if left <= 0 {
				return
			}
			patience = stuckFor
		}
		if n := sum(&s.counts.answered) + s.counts.verdicts().points; n != last {
			last, since = n, time.Now()
		} else if time.Since(since) >= patience {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// underWay returns the number of points between the bitsource and the last role
// of this process. It is known if every subscriber of the bitsource is a worker
// of this process.
func (s *stage) underWay() (n int64, known bool) {
	// Later stages are read before earlier ones, so no point counts as arrived
	// before it has.
	counted := s.counts.verdicts().points
	answered := sum(&s.counts.answered) + s.counts.malformed.Load()
	stats := s.pub.Stats()
	if !s.cfg.plays(AlwaysYes) || !s.cfg.plays(Judge) || len(stats.Peers) != len(s.works) {
		return 0, false
	}
	n = sum(&s.counts.published) - int64(stats.DroppedFull) - answered
	if s.pull != nil {
		n += answered - counted
	}
	return n, true
}
