package nearcache

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/memcache"
	"lintel.dev/zmq"
)

// server is what the cache knows of one server, with the goroutines that ask for
// fences and follow the feed.
type server struct {
	c      *core
	src    *state.Source
	cancel context.CancelFunc
	wake   chan struct{} // has one element while a fence should be asked for at once
	probed chan struct{} // closed after the first answer or failure

	unsupported atomic.Bool // the server has no invalidations

	mu        sync.Mutex // protects what follows
	link      *state.Link
	endpoint  string // of the feed that is followed
	malformed uint64 // messages and answers that could not be decoded
	fences    uint64 // answered
	failed    uint64 // fences that were not answered
	lastErr   error  // of the last fence or feed, nil after a success
}

// newServer starts the goroutines of a server.
func (c *core) newServer(name string) *server {
	s := &server{c: c, src: state.NewSource(name), wake: make(chan struct{}, 1), probed: make(chan struct{})}
	s.link = state.NewLink(c.table, s.src)
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(c.ctx)
	c.wg.Go(func() { s.run(ctx) })
	return s
}

// stop is called when the server left the fleet.
func (s *server) stop() {
	s.cancel()
	s.forget()
}

func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.Close()
}

// keeps reports whether the server's replies are worth keeping.
func (s *server) keeps(ttlOnly bool) bool { return ttlOnly || !s.unsupported.Load() }

// unsupportedPause is the time between two fences to a server without invalidations,
// which could be replaced by one that has them.
const unsupportedPause = 10 * time.Second

// run asks for fences until ctx ends.
func (s *server) run(ctx context.Context) {
	var feed following
	defer feed.stop()
	asked := false // at once after another fence
	for first := true; ctx.Err() == nil; first = false {
		again, feeds := s.fence(ctx)
		if first {
			close(s.probed)
		}
		if endpoint := s.choose(feeds); endpoint != "" && endpoint != feed.endpoint {
			feed.stop()
			feed.start(ctx, s, endpoint)
		}
		// A server whose epoch changes with every answer is not asked without pause.
		if asked = again && !asked; asked {
			continue
		}
		pause := s.c.o.MaxStale / 4
		if s.unsupported.Load() {
			pause = unsupportedPause
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.wake:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// following is the goroutine that follows a feed, if there is one.
type following struct {
	endpoint string
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

func (f *following) start(ctx context.Context, s *server, endpoint string) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.endpoint = endpoint
	f.done.Go(func() { s.follow(ctx, endpoint) })
}

func (f *following) stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

// fence asks for one fence. It reports whether the next one should follow at once, and
// the endpoints of the feed.
func (s *server) fence(ctx context.Context) (again bool, feeds []string) {
	s.mu.Lock()
	nonce := s.link.Ask(s.c.now())
	s.mu.Unlock()
	line, err := s.c.client.Command(ctx, s.src.Name, string(wire.AppendQuestion(nil, nonce)), "HD ")
	var answer wire.Fence
	malformed := false
	if err == nil {
		answer, err = wire.ParseAnswer([]byte(line))
		malformed = err != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr = err
	if err != nil {
		s.failed++
		if malformed {
			s.malformed++
		}
		// A server that has answered once is not without invalidations, but busy.
		s.unsupported.Store(s.fences == 0 && (errors.Is(err, memcache.ErrServer) || malformed))
		return false, nil
	}
	s.fences++
	s.unsupported.Store(false)
	return s.link.Answer(answer.Nonce, answer.Epoch, answer.Last), answer.Feeds
}

// choose returns the endpoint of the feed to follow.
func (s *server) choose(feeds []string) string {
	if len(feeds) == 0 {
		return ""
	}
	if f := s.c.o.Feed; f != nil {
		return f(s.src.Name, feeds)
	}
	return reachable(feeds[0], s.src.Name)
}

// reachable replaces the wildcard host of a TCP endpoint by the host of the server.
func reachable(endpoint, server string) string {
	addr, ok := strings.CutPrefix(endpoint, "tcp://")
	if !ok {
		return endpoint
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return endpoint
	}
	if ip := net.ParseIP(host); host != "*" && host != "" && (ip == nil || !ip.IsUnspecified()) {
		return endpoint
	}
	if host, _, err = net.SplitHostPort(server); err != nil {
		host = "127.0.0.1" // a Unix socket
	}
	return "tcp://" + net.JoinHostPort(host, port)
}

// follow applies the messages of the feed at endpoint until ctx ends.
func (s *server) follow(ctx context.Context, endpoint string) {
	feed, err := s.c.o.openFeed(endpoint)
	s.mu.Lock()
	s.endpoint = endpoint
	if err != nil {
		s.lastErr = err
	}
	s.mu.Unlock()
	if err != nil {
		return
	}
	defer feed.Close()
	var records []wire.Record
	for {
		msg, err := feed.Recv(ctx)
		if err != nil {
			return // ctx ended
		}
		records = s.take(msg, records[:0])
	}
}

// take applies one message. It returns records for the next one.
func (s *server) take(msg zmq.Msg, records []wire.Record) []wire.Record {
	h, records, err := wire.Decode(msg, records)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.malformed++
		return records[:0]
	}
	if s.link.Publication(s.c.now(), &h, records) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return records
}
