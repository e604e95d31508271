package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lintel.dev/bench/harness"
	"lintel.dev/memcached"
)

// threadCores is how many cores a measurement of two threads over sockets
// needs: two for the server and two for the clients.
const threadCores = 4

// secondThread measures the sets a second of two threads over those of one.
// With fewer cores than threadCores the sets come from memory instead of
// sockets, and the peer cannot be measured.
func secondThread() *measure {
	m := &measure{
		rows:  []harness.Row{{Name: "sets of 2 threads over those of 1", Limit: 1.8}},
		take:  threadsOverSockets,
		alone: true,
	}
	if runtime.NumCPU() < threadCores {
		m.rows[0].Name += ", no sockets"
		m.take = threadsInMemory
	}
	return m
}

func threadsOverSockets(ctx context.Context, s *settings, v *server) ([]float64, error) {
	var rates [2]float64
	for i := range rates {
		for _, one := range s.servers(i+1, s.memory) {
			if one.name != v.name {
				continue
			}
			if err := one.start(0, 1); err != nil {
				return nil, err
			}
			r, err := s.loadOn(ctx, one, []int{2, 3}, "--threads", "2", "--ratio", "0:1", "--pipeline", "16", "--duration", s.duration.String())
			one.stop()
			if err != nil {
				return nil, err
			}
			rates[i] = r.Rate
		}
	}
	return []float64{rates[1] / rates[0]}, nil
}

// threadsInMemory measures a server of this process whose connections are in
// memory. Each client is a goroutine that replaces items at random, 15 at a
// time, in two thirds of the memory.
func threadsInMemory(ctx context.Context, b *settings, s *server) ([]float64, error) {
	if s.name != "lintel" || runtime.NumCPU() < 2 || b.serverCPU == b.clientCPU {
		return []float64{math.NaN()}, nil
	}
	memory := max(8, b.memory/4)
	server, err := memcached.New(memcached.Options{MemoryLimit: int64(memory) << 20, Threads: 2})
	if err != nil {
		return nil, err
	}
	clients := &setsListener{conns: make(chan *setsConn), closed: make(chan struct{}), cpus: []int{b.serverCPU, b.clientCPU}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(clients) })
	defer serving.Wait()
	defer func() { _ = server.Shutdown(context.WithoutCancel(ctx)) }()

	keys := memory << 20 / 220
	if _, err := clients.run(1, keys, func(n int64) bool { return n >= int64(keys) || ctx.Err() != nil }, true); err != nil {
		return nil, err
	}
	before := b.lineTrip()
	var rates [2]float64
	for range 4 { // short runs, of which the fastest counts: other load on the machine only slows them down
		for i := range rates {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			end := time.Now().Add(b.duration / 8)
			r, err := clients.run(i+1, keys, func(int64) bool { return time.Now().After(end) }, false)
			if err != nil {
				return nil, err
			}
			rates[i] = max(rates[i], r)
		}
	}
	b.table.Note("%.2f M sets a second, then %.2f; a round trip of a cache line to the other core takes %d ns before, %d ns after",
		rates[0]/1e6, rates[1]/1e6, before.Nanoseconds(), b.lineTrip().Nanoseconds())
	return []float64{rates[1] / rates[0]}, nil
}

// lineTrip measures how long a cache line takes from one of the cores to the
// other and back. On a virtual machine it may vary by a factor of six between
// runs, and the gain of a second thread follows it.
func (b *settings) lineTrip() time.Duration {
	const trips = 200_000
	var began time.Time
	var line struct {
		_    [128]byte
		turn atomic.Int32
		_    [128]byte
	}
	pass := func(cpu int, mine int32) {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var one unix.CPUSet
		one.Set(cpu)
		_ = unix.SchedSetaffinity(0, &one)
		for i := range trips + 1 {
			for line.turn.Load() != mine {
			}
			line.turn.Store(1 - mine)
			if i == 0 && mine == 0 {
				for line.turn.Load() != mine {
				}
				began = time.Now() // both have started
			}
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pass(b.serverCPU, 0) })
	both.Go(func() { pass(b.clientCPU, 1) })
	both.Wait()
	return time.Since(began) / trips
}

// setsListener is a listener whose connections are in memory.
type setsListener struct {
	conns  chan *setsConn
	closed chan struct{}
	once   sync.Once
	cpus   []int // of the clients
}

func (l *setsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *setsListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *setsListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// run starts clients that set keys, and returns how many keys a second were
// stored. A client ends when done returns true for the number of keys it has
// set. With inOrder it sets each key once, in order.
func (l *setsListener) run(clients, keys int, done func(n int64) bool, inOrder bool) (rate float64, err error) {
	all := make([]*setsConn, clients)
	began := time.Now()
	for i := range all {
		all[i] = newSetsConn(keys, l.cpus[i], done, inOrder)
		l.conns <- all[i]
	}
	stored := int64(0)
	for _, c := range all {
		<-c.over
		if n := c.stored.Load(); n != c.sent {
			err = errors.Join(err, fmt.Errorf("%d of %d sets were stored", n, c.sent))
		}
		stored += c.stored.Load()
	}
	return float64(stored) / time.Since(began).Seconds(), err
}

// setsConn is the server's end of a connection in memory. Read returns set
// commands; Write counts the replies.
type setsConn struct {
	line    []byte
	keys    int
	cpu     int
	inOrder bool
	done    func(n int64) bool
	random  uint64
	sent    int64
	stored  atomic.Int64
	over    chan struct{}
	once    sync.Once
	_       [128]byte // keeps the next one off these cache lines
}

const setsKey = len("set key:") // where the digits of the key are

func newSetsConn(keys, cpu int, done func(int64) bool, inOrder bool) *setsConn {
	return &setsConn{
		line: []byte("set key:00000000 0 0 100\r\n" + strings.Repeat("x", 100) + "\r\n"), keys: keys, cpu: cpu, done: done, inOrder: inOrder,
		random: rand.Uint64() | 1, over: make(chan struct{}),
	}
}

func (c *setsConn) Read(p []byte) (n int, err error) {
	if c.sent == 0 {
		// The goroutine that serves the connection gets a core of its own until
		// it ends: on a busy machine the scheduler may put two on one core.
		// Where pinning is not allowed, they share.
		runtime.LockOSThread()
		var one unix.CPUSet
		one.Set(c.cpu)
		_ = unix.SchedSetaffinity(0, &one)
	}
	if c.sent > 0 && c.done(c.sent) {
		return 0, io.EOF
	}
	for len(p)-n >= len(c.line) {
		line := p[n : n+copy(p[n:], c.line)]
		key := int(c.sent) % c.keys
		if !c.inOrder {
			c.random ^= c.random << 13
			c.random ^= c.random >> 7
			c.random ^= c.random << 17
			key = int(c.random % uint64(c.keys))
		}
		for at := setsKey + 7; key > 0; key /= 10 {
			line[at] = '0' + byte(key%10)
			at--
		}
		n += len(line)
		c.sent++
	}
	return n, nil
}

func (c *setsConn) Write(p []byte) (int, error) {
	c.stored.Add(int64(bytes.Count(p, []byte("STORED\r\n"))))
	return len(p), nil
}

func (c *setsConn) Close() error {
	c.once.Do(func() { close(c.over) })
	return nil
}

func (c *setsConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *setsConn) RemoteAddr() net.Addr             { return c.LocalAddr() }
func (c *setsConn) SetDeadline(time.Time) error      { return nil }
func (c *setsConn) SetReadDeadline(time.Time) error  { return nil }
func (c *setsConn) SetWriteDeadline(time.Time) error { return nil }
