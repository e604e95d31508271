package perfcli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/memcached/netloop"
)

// preloadDepth is the least number of sets in flight on a connection before the
// measurement.
const preloadDepth = 32

// load is a run against one server.
type load struct {
	set       *loadSettings
	values    *values
	trace     []uint64
	start     time.Time
	conns     []*loadConn
	tally     []loadTally // one for each thread
	fresh     atomic.Uint64
	freshFrom uint64
	asked     atomic.Int64 // requests so far, with --scan
	failed    chan error   // the first error

	// Fields of the phase that is running.
	phase  string
	depth  int
	record bool
	limit  int64 // requests; 0: no limit
	issued atomic.Int64
	over   atomic.Bool
	pacing atomic.Bool   // pace will issue more requests
	paced  bool          // pace issues the requests of the phase
	busy   atomic.Int64  // connections that have not finished the phase
	done   chan struct{} // closed by the last of them
	source func(*loadConn) (request, bool)
}

// loadTally is the measurement of the connections of one thread.
type loadTally struct {
	took                                  *histogram // in ns
	requests                              atomic.Int64
	keys, gets, hits, misses, sets, notIn int64
	_                                     [64]byte // keeps the next thread's off this cache line
}

// request is a command in flight.
type request struct {
	set   bool
	key   uint64
	keys  []uint64 // of a get of several
	began int64    // ns since load.start; in an open loop the time it was due
}

func (s *loadSettings) measure(ctx context.Context, show func(phase string, done int64, of float64)) (*loadResult, error) {
	l := &load{
		set:    s,
		values: newValues(s.values),
		start:  time.Now(),
		tally:  make([]loadTally, s.threads),
		failed: make(chan error, 1),
	}
	// Larger than the keys of any trace, and distinct from other seeds'.
	l.freshFrom = 1<<41 + s.seed%128<<32
	l.fresh.Store(l.freshFrom)
	if s.trace != "" {
		var err error
		if l.trace, err = readTrace(s.trace); err != nil {
			return nil, err
		}
	}
	if _, err := l.serverCPU(); err != nil {
		return nil, cli.Usage(err)
	}
	loop, err := netloop.New(netloop.Config{
		Threads:    s.threads,
		NewSession: l.session,
		MaxQueued:  1 << 31,
		SendBudget: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	defer loop.Shutdown(context.WithoutCancel(ctx))
	if err := l.connect(ctx, loop); err != nil {
		return nil, err
	}

	if s.preload {
		l.source = l.preloadSource
		if err := l.runPhase(ctx, "preload", int64(s.keys), 0, show); err != nil {
			return nil, err
		}
	}
	l.source = l.mixedSource
	if l.trace != nil {
		l.source = l.traceSource
	}
	if s.warmup > 0 && l.trace == nil {
		if err := l.runPhase(ctx, "warm-up", 0, s.warmup, show); err != nil {
			return nil, err
		}
	}
	for i := range l.tally {
		l.tally[i] = loadTally{took: new(histogram)}
	}
	limit, lasts := s.requests, s.duration
	if l.trace != nil && limit == 0 {
		limit = int64(len(l.trace) * s.passes)
	}
	if limit > 0 {
		lasts = 0
	}
	before := loop.Stats()
	cpuBefore, err := l.serverCPU()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l.freshFrom = l.fresh.Load()
	l.record = true
	if err := l.runPhase(ctx, "measure", limit, lasts, show); err != nil {
		return nil, err
	}
	took := time.Since(began)
	cpuAfter, err := l.serverCPU()
	if err != nil {
		return nil, err
	}
	after := loop.Stats()
	r := l.result(took)
	r.BytesIn = int64(after.BytesRead - before.BytesRead)
	r.BytesOut = int64(after.BytesWritten - before.BytesWritten)
	if s.pid != 0 {
		r.CPUSeconds = (cpuAfter - cpuBefore).Seconds()
		r.CPUPerReq = r.CPUSeconds * 1e6 / float64(max(r.Requests, 1))
		r.CPUPerKey = r.CPUSeconds * 1e6 / float64(max(r.Keys+r.Sets, 1))
	}
	return r, nil
}

func (l *load) serverCPU() (time.Duration, error) {
	if l.set.pid == 0 {
		return 0, nil
	}
	return processCPU(l.set.pid)
}

func (l *load) connect(ctx context.Context, loop netloop.Loop) error {
	network, addr := "tcp", l.set.server
	if strings.ContainsRune(addr, filepath.Separator) {
		network = "unix"
	} else if _, _, err := net.SplitHostPort(addr); err != nil {
		return cli.Usagef("--server %s: expected host:port or the path of a unix socket", addr)
	}
	var z *zipf
	if l.set.zipf > 0 {
		z = newZipf(l.set.keys, l.set.zipf)
	}
	l.conns = make([]*loadConn, 0, l.set.conns)
	var d net.Dialer
	for i := range l.set.conns {
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, l.set.conns, err)
		}
		c := &loadConn{load: l, opened: make(chan struct{})}
		c.choose = chooser{
			keys:   uint64(l.set.keys),
			rng:    rand.New(rand.NewPCG(l.set.seed, uint64(i))),
			zipf:   z,
			oneHit: l.set.oneHit,
			fresh:  func() uint64 { return l.fresh.Add(1) },
		}
		l.conns = append(l.conns, c)
		if err := loop.Adopt(nc); err != nil {
			return err
		}
		select {
		case <-c.opened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// session returns the session of the connection that connect has made last.
func (l *load) session(nc netloop.Conn) netloop.Session {
	c := l.conns[len(l.conns)-1]
	c.conn = nc
	close(c.opened)
	return c
}

// fail ends the run with err, unless it has failed already.
func (l *load) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
}

// runPhase runs all connections until limit requests have been answered, or for a
// time.
func (l *load) runPhase(ctx context.Context, phase string, limit int64, lasts time.Duration, show func(string, int64, float64)) error {
	l.phase, l.limit = phase, limit
	l.depth = l.set.pipeline
	paced := l.set.rate > 0 && phase != "preload"
	l.paced = paced
	if phase == "preload" {
		l.depth = max(l.depth, preloadDepth)
	}
	l.issued.Store(0)
	l.over.Store(false)
	before := l.requests()
	began := time.Now()

	pacing := make(chan struct{})
	l.done = make(chan struct{})
	l.busy.Store(int64(len(l.conns)))
	l.pacing.Store(paced)
	for _, c := range l.conns {
		c.start()
	}
	if paced {
		go func() {
			defer close(pacing)
			l.pace(began)
			l.pacing.Store(false)
			for _, c := range l.conns {
				c.checkDone()
			}
		}()
	} else {
		close(pacing)
	}
	var end <-chan time.Time
	if lasts > 0 {
		t := time.NewTimer(lasts)
		defer t.Stop()
		end = t.C
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			<-pacing
			if show != nil {
				show("", 0, 0)
			}
			select {
			case err := <-l.failed:
				return err
			default:
				return nil
			}
		case err := <-l.failed:
			l.over.Store(true)
			<-pacing
			return err
		case <-ctx.Done():
			l.over.Store(true)
			<-pacing
			return ctx.Err()
		case <-end:
			l.over.Store(true)
		case now := <-tick.C:
			if show == nil {
				continue
			}
			n := l.requests() - before
			if limit > 0 {
				show(phase, n, min(float64(n)/float64(limit), 1))
			} else {
				show(phase, n, min(now.Sub(began).Seconds()/lasts.Seconds(), 1))
			}
		}
	}
}

// pace sends requests when they are due, to the connections in turn.
func (l *load) pace(began time.Time) {
	interval := float64(time.Second) / l.set.rate
	base := began.Sub(l.start).Nanoseconds()
	for n := 0; !l.over.Load(); {
		due := int(float64(time.Since(began)) / interval)
		for ; n < due && !l.over.Load(); n++ {
			if !l.conns[n%len(l.conns)].send(base + int64(float64(n)*interval)) {
				return
			}
		}
		time.Sleep(min(time.Duration(interval), 100*time.Microsecond))
	}
}

// requests returns the number of answered requests over all phases.
func (l *load) requests() int64 {
	n := int64(0)
	for i := range l.tally {
		n += l.tally[i].requests.Load()
	}
	return n
}

// take reserves a request and returns its number, or false if the phase has
// none left.
func (l *load) take() (int64, bool) {
	if l.over.Load() {
		return 0, false
	}
	if l.limit == 0 {
		return 0, true
	}
	n := l.issued.Add(1)
	return n - 1, n <= l.limit
}

func (l *load) preloadSource(*loadConn) (request, bool) {
	n, ok := l.take()
	return request{set: true, key: uint64(n)}, ok
}

func (l *load) traceSource(*loadConn) (request, bool) {
	n, ok := l.take()
	return request{key: l.trace[n%int64(len(l.trace))]}, ok
}

// scanning reports whether the next request is one of a scan.
func (l *load) scanning() bool {
	if l.set.scan == 0 {
		return false
	}
	n := l.asked.Add(1) - 1
	return n%int64(l.set.every+l.set.scan) >= int64(l.set.every)
}

func (l *load) mixedSource(c *loadConn) (request, bool) {
	if _, ok := l.take(); !ok {
		return request{}, false
	}
	r := request{}
	if l.scanning() {
		r.key = l.fresh.Add(1)
		return r, true
	}
	r.key = c.choose.next()
	m := l.set.ratio
	if m.gets == 0 || m.sets > 0 && c.choose.rng.IntN(m.gets+m.sets) >= m.gets {
		r.set = true
		return r, true
	}
	if l.set.multi > 1 {
		r.keys = c.spareKeys()
		r.keys = append(r.keys, r.key)
		for len(r.keys) < l.set.multi {
			r.keys = append(r.keys, c.choose.next())
		}
	}
	return r, true
}

func (l *load) result(took time.Duration) *loadResult {
	r := &loadResult{Server: l.set.server, Conns: l.set.conns, Pipeline: l.set.pipeline, Seconds: took.Seconds()}
	all := new(histogram)
	for i := range l.tally {
		t := &l.tally[i]
		all.add(t.took)
		r.Requests += t.requests.Load()
		r.Keys += t.keys
		r.Gets += t.gets
		r.Hits += t.hits
		r.Misses += t.misses
		r.Sets += t.sets
		r.NotStored += t.notIn
	}
	r.Fresh = int64(l.fresh.Load() - l.freshFrom)
	r.Rate = float64(r.Requests) / took.Seconds()
	if r.Keys > 0 {
		r.HitRatio = float64(r.Hits) / float64(r.Keys)
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	r.Latency = latency{
		Mean: all.mean() / 1e3,
		P50:  us(all.percentile(50)),
		P90:  us(all.percentile(90)),
		P99:  us(all.percentile(99)),
		P999: us(all.percentile(99.9)),
		Max:  us(all.max),
	}
	return r
}

// processCPU returns the user and system time that a process has used.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("--pid: %w", err)
	}
	// The name, in parentheses, may contain spaces.
	_, rest, ok := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	var user, system int64
	if ok && len(f) > 12 {
		_, err1 := fmt.Sscan(f[11], &user)
		_, err2 := fmt.Sscan(f[12], &system)
		err = errors.Join(err1, err2)
	}
	if !ok || len(f) <= 12 || err != nil {
		return 0, fmt.Errorf("--pid: /proc/%d/stat reads %.60q", pid, text)
	}
	const perTick = time.Second / 100 // the kernel's USER_HZ, the same everywhere
	return time.Duration(user+system) * perTick, nil
}
