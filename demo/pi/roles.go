package pi

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/demo"
	"lintel.dev/zmq"
)

// counts are the counters of the roles of this process, by branch.
type counts struct {
	published [4]atomic.Int64
	answered  [4]atomic.Int64
	yes       [4]atomic.Int64
	malformed atomic.Int64 // messages of peers that are not in the wire format

	mu    sync.Mutex // guards tally
	tally tally
}

// verdicts returns the state of the tally.
func (c *counts) verdicts() sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sample{c.tally.yes, c.tally.points}
}

// sum returns the sum of all branches.
func sum(branches *[4]atomic.Int64) (n int64) {
	for i := range branches {
		n += branches[i].Load()
	}
	return n
}

// stage has the sockets of the roles of this process.
type stage struct {
	cfg    *Config
	ctx    *zmq.Context
	counts counts
	judged atomic.Int64 // points, over all branches

	pub   *zmq.Pub
	rep   *zmq.Rep
	pull  *zmq.Pull
	works []*worker
	bound []string // resolved endpoints with who is there, for people

	// enough ends the run when cfg.Points are reached.
	enough context.CancelFunc
}

// worker is a judge, or an always-yes, which has no req.
type worker struct {
	sub  *zmq.Sub
	req  *zmq.Req
	push *zmq.Push
}

// askAgainAfter is how long a judge waits for a sum before it sends the request
// again: a restarted pythagoras does not know it.
const askAgainAfter = 2 * time.Second

// newStage creates the sockets, binds the endpoints of this process and
// connects the workers.
func newStage(cfg *Config) (_ *stage, err error) {
	s := &stage{cfg: cfg, ctx: new(zmq.Context)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	here := s.options()
	pubsub, reqrep, pushpull := cfg.PubSub, cfg.ReqRep, cfg.PushPull

	if cfg.plays(Bitsource) {
		if s.pub, err = zmq.NewPub(here...); err != nil {
			return nil, err
		}
		if pubsub, err = s.bind(s.pub, "pubsub", pubsub, Bitsource); err != nil {
			return nil, err
		}
	}
	if cfg.plays(Pythagoras) {
		if s.rep, err = zmq.NewRep(here...); err != nil {
			return nil, err
		}
		if reqrep, err = s.bind(s.rep, "reqrep", reqrep, Pythagoras); err != nil {
			return nil, err
		}
	}
	if cfg.plays(Tally) {
		if s.pull, err = zmq.NewPull(here...); err != nil {
			return nil, err
		}
		if pushpull, err = s.bind(s.pull, "pushpull", pushpull, Tally); err != nil {
			return nil, err
		}
	}
	if cfg.plays(AlwaysYes) {
		if err := s.addWorker(branches[:1], pubsub, "", pushpull); err != nil {
			return nil, err
		}
	}
	if cfg.plays(Judge) {
		for _, prefixes := range judgePrefixes(cfg.Workers) {
			if err := s.addWorker(prefixes, pubsub, reqrep, pushpull); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// linger is how long Close waits for the last messages to be sent.
const linger = time.Second

// options are the options that all sockets of the stage share.
func (s *stage) options() []zmq.Option {
	return []zmq.Option{zmq.InContext(s.ctx), zmq.WithLinger(linger)}
}

// socket has the methods of all sockets.
type socket interface {
	Bind(string) (*zmq.Endpoint, error)
	Connect(string) (*zmq.Endpoint, error)
	Close() error
}

// bind binds a socket and returns the endpoint that peers connect to.
func (s *stage) bind(sock socket, flag, endpoint, role string) (string, error) {
	e, err := sock.Bind(endpoint)
	if err != nil {
		return "", badEndpoint(flag, endpoint, err)
	}
	s.bound = append(s.bound, role+" binds "+e.Addr())
	return e.Addr(), nil
}

func connect(sock socket, flag, endpoint string) error {
	if _, err := sock.Connect(endpoint); err != nil {
		return badEndpoint(flag, endpoint, err)
	}
	return nil
}

// badEndpoint returns the error of an endpoint with what would be right: another
// port if this one is in use, else the forms of endpoints.
func badEndpoint(flag, endpoint string, err error) error {
	if errors.Is(err, zmq.ErrAddressInUse) {
		return demo.Inputf("--%s %s: %w: expected a port or path that no other program uses", flag, endpoint, err)
	}
	return demo.Inputf("--%s %s: %w: expected inproc://NAME, tcp://HOST:PORT or ipc://PATH", flag, endpoint, err)
}

// addWorker creates a worker for points with the prefixes. It connects the
// worker's other sockets before it subscribes, so the worker is ready for the
// first point.
func (s *stage) addWorker(prefixes []string, pubsub, reqrep, pushpull string) (err error) {
	w := &worker{}
	s.works = append(s.works, w)
	here := s.options()
	if w.push, err = zmq.NewPush(here...); err != nil {
		return err
	}
	if err := connect(w.push, "pushpull", pushpull); err != nil {
		return err
	}
	if reqrep != "" {
		if w.req, err = zmq.NewReq(here...); err != nil {
			return err
		}
		if err := connect(w.req, "reqrep", reqrep); err != nil {
			return err
		}
	}
	if w.sub, err = zmq.NewSub(here...); err != nil {
		return err
	}
	for _, p := range prefixes {
		if err := w.sub.Subscribe(p); err != nil {
			return err
		}
	}
	return connect(w.sub, "pubsub", pubsub)
}

// close closes every socket.
func (s *stage) close() error {
	return s.ctx.Close(context.Background())
}

// topics returns the number of subscriptions of the workers of this process.
func (s *stage) topics() (n int) {
	if s.cfg.plays(AlwaysYes) {
		n++
	}
	if s.cfg.plays(Judge) {
		for _, prefixes := range judgePrefixes(s.cfg.Workers) {
			n += len(prefixes)
		}
	}
	return n
}

// readyIn bounds the wait for subscriptions.
const readyIn = 30 * time.Second

// ready waits until the subscriptions of this process's workers have arrived at
// its bitsource. Points published earlier would be lost.
func (s *stage) ready(ctx context.Context) {
	if s.pub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.pub.TopicCount() < s.topics() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// mostLate bounds the points that the bitsource publishes at once after a
// delay. A burst as long as the queues of its subscribers would be lost.
const mostLate = 200

// publish plays the bitsource until ctx ends.
func (s *stage) publish(ctx context.Context) error {
	seed := s.cfg.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	point := make([]byte, 0, pointLen)
	published := int64(0)
	one := func() error {
		word := random.Uint64()
		point = appendPoint(point[:0], word)
		if err := s.pub.SendBytes(ctx, point); err != nil {
			return err
		}
		s.counts.published[word>>62].Add(1)
		if published++; published == s.cfg.Points {
			s.enough()
		}
		return nil
	}

	if s.cfg.Interval == 0 {
		for ctx.Err() == nil {
			for i := 0; i < 64 && ctx.Err() == nil; i++ {
				if err := one(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	next := time.Now()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-wait.C:
			if late := now.Add(-mostLate * s.cfg.Interval); next.Before(late) {
				next = late
			}
			for !next.After(now) && ctx.Err() == nil {
				if err := one(); err != nil {
					return err
				}
				next = next.Add(s.cfg.Interval)
			}
			wait.Reset(time.Until(next))
		}
	}
}

// work plays an always-yes or a judge until ctx ends.
func (s *stage) work(ctx context.Context, w *worker) error {
	var question []byte
	for {
		point, err := w.sub.RecvBytes(ctx)
		if strange := (*zmq.MultipartError)(nil); errors.As(err, &strange) {
			s.counts.malformed.Add(1)
			continue
		}
		if err != nil {
			return ended(ctx, err)
		}
		branch, n, m, err := parsePoint(point)
		if err != nil {
			s.counts.malformed.Add(1)
			continue
		}
		in := true
		if w.req != nil {
			question = appendNumbers(question[:0], n, m)
			in, err = s.ask(ctx, w.req, question)
			if errors.Is(err, errBadSum) {
				s.counts.malformed.Add(1)
				continue
			}
			if err != nil {
				return ended(ctx, err)
			}
		}
		verdict := no
		if in {
			verdict = yes
		}
		if err := w.push.SendBytes(ctx, []byte(verdict)); err != nil {
			return ended(ctx, err)
		}
		s.counts.answered[branch].Add(1)
		if in {
			s.counts.yes[branch].Add(1)
		}
		if judged := s.judged.Add(1); judged == s.cfg.Points && s.pub == nil && s.pull == nil {
			s.enough()
		}
	}
}

// ask requests the sum from pythagoras, and repeats the request if no reply
// arrives.
func (s *stage) ask(ctx context.Context, req *zmq.Req, question []byte) (in bool, err error) {
	for {
		patience, cancel := context.WithTimeout(ctx, askAgainAfter)
		answer, err := req.Request(patience, zmq.Msg{question})
		cancel()
		switch {
		case err == nil && len(answer) == 1:
			return inside(answer[0])
		case err == nil:
			return false, errBadSum
		case ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, zmq.ErrPeerGone)):
			continue
		}
		return false, err
	}
}

// add plays pythagoras until ctx ends. It replies to an invalid request with
// null, so the peer does not wait.
func (s *stage) add(ctx context.Context) error {
	err := s.rep.Serve(ctx, func(_ context.Context, question zmq.Msg) (zmq.Msg, error) {
		if len(question) == 1 {
			if sum, err := sumOfSquares(question[0]); err == nil {
				return zmq.Msg{sum}, nil
			}
		}
		s.counts.malformed.Add(1)
		return zmq.NewMsg("null"), nil
	})
	return ended(ctx, err)
}

// count plays the tally until ctx ends.
func (s *stage) count(ctx context.Context) error {
	for {
		verdict, err := s.pull.RecvBytes(ctx)
		strange := (*zmq.MultipartError)(nil)
		if err != nil && !errors.As(err, &strange) {
			return ended(ctx, err)
		}
		text := string(verdict)
		if err != nil || text != yes && text != no {
			s.counts.malformed.Add(1)
			continue
		}
		s.counts.mu.Lock()
		s.counts.tally.add(text == yes)
		points := s.counts.tally.points
		s.counts.mu.Unlock()
		if points == s.cfg.Points && s.pub == nil {
			s.enough()
		}
	}
}

// ended returns nil for the error of a call that ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
