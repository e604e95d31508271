// Package pi estimates pi with messages: it throws points at a square and
// counts those inside a quarter circle. Each step is a role of its own, each
// pair of roles is joined by one of the three great patterns of ZeroMQ, and
// every role can be another process, in any language.
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
// PUB never waits: a point for a worker whose queue is full is dropped, for
// that worker alone. Always-yes is fast and judges are slow, so that under
// pressure the quadrants lose different shares of their points and the plain
// count of verdicts is bent upwards. The report therefore counts each branch
// and its losses, and gives a second estimate that weighs the quadrants alike.
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

// The intervals of what is shown meanwhile: on a terminal, and elsewhere.
const (
	liveEvery = 100 * time.Millisecond
	lineEvery = 2 * time.Second
)

// Once the bitsource is silent, points under way get time to arrive: until
// nothing has arrived for a while, longer if it is known that some are missing.
const (
	drainEvery = 5 * time.Millisecond
	quietFor   = 300 * time.Millisecond
	stuckFor   = 5 * time.Second
	drainMost  = 30 * time.Second
)

// Run plays the configured roles for the configured time, or until ctx ends,
// which is no error. It reports to cfg.Out. What the user got wrong comes as a
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
	// The roles outlive the time by what it takes to judge the last points, so
	// they do not end with ctx.
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

// watch shows how it goes until ctx ends.
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

// live is one line on how it goes.
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

// underWay is how many points are between the bitsource and the last role of
// this process. It is known when every subscriber of the bitsource is a worker
// of this process.
func (s *stage) underWay() (n int64, known bool) {
	// What a point has passed is read before what it comes to, so that none
	// is taken for arrived that is not.
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
