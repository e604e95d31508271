package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// ours is our end of a measurement that lintel perf does not have. Arguments
// and figures are those of the C program.
func ours(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("ours: no measurement")
	}
	name, at := args[0], args[1]
	if name == "proxy" && len(args) == 3 {
		return proxy(ctx, at, args[2])
	}
	var n [3]int
	for i, a := range args[2:min(len(args), 5)] {
		v, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		n[i] = v
	}
	switch name {
	case "fan_sub":
		return fanSub(ctx, at, n[0], n[1])
	case "fan_pub":
		return fanPub(ctx, at, n[0], n[1], n[2])
	case "router_echo":
		return routerEcho(ctx, at, n[0])
	case "dealers":
		return dealers(ctx, at, n[0], n[1], n[2])
	case "allocs":
		return allocs(ctx, at, n[0], n[1])
	case "stay_thr":
		return stay(ctx, at, n[0], n[1])
	case "proxy_sub":
		return proxySub(ctx, at, n[0], n[1])
	case "proxy_pub":
		return proxyPub(ctx, at, n[0], n[1])
	case "multi_sub":
		return multiSub(ctx, at, n[0], n[1], n[2])
	case "multi_pub":
		return multiPub(ctx, at, n[0], n[1], n[2])
	case "topics":
		return topics(ctx, at, n[0], n[1])
	case "idle_router":
		return idleRouter(ctx, at, n[0])
	case "idle_dealers":
		return idleDealers(ctx, at, n[0])
	case "bare_pull", "bare_echo":
		return bareServe(name, strings.TrimPrefix(at, "tcp://"), n[0], n[1])
	case "bare_push", "bare_ask":
		return bareDial(name, strings.TrimPrefix(at, "tcp://"), n[0], n[1])
	case "bare_crowd":
		return bareCrowd(strings.TrimPrefix(at, "tcp://"), n[0])
	case "bare_clients":
		return bareClients(strings.TrimPrefix(at, "tcp://"), n[0], n[1])
	}
	return fmt.Errorf("no measurement %q", name)
}

func fanSub(ctx context.Context, at string, subscribers, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type part struct {
		first time.Time
		err   error
	}
	parts := make(chan part, subscribers)
	subs := make([]*zmq.Sub, subscribers)
	for i := range subs {
		s, err := zmq.NewSub(zmq.WithOption("rcvhwm", "0"))
		if err == nil {
			err = s.Subscribe(strconv.Itoa(i % 10))
		}
		if err == nil {
			_, err = s.Connect(at)
		}
		if err != nil {
			return err
		}
		subs[i] = s
		go func() {
			var p part
			left := count / subscribers
			for _, p.err = range s.Views(ctx) {
				if p.first.IsZero() {
					p.first = time.Now()
				}
				if left--; left == 0 || p.err != nil {
					break
				}
			}
			parts <- p
		}()
	}
	start := time.Now().Add(time.Hour)
	for range subs {
		p := <-parts
		if p.err != nil {
			return p.err
		}
		if p.first.Before(start) {
			start = p.first
		}
	}
	fmt.Printf("delivered %.0f\n", float64(count)/time.Since(start).Seconds())
	for _, s := range subs {
		s.Close()
	}
	return nil
}

func fanPub(ctx context.Context, at string, subscribers, rounds, size int) error {
	s, err := zmq.NewXPub(zmq.WithOption("sndhwm", "0"), zmq.WithOption("xpub_verbose", "1"), zmq.WithLinger(-1))
	if err != nil {
		return err
	}
	if _, err := s.Bind(at); err != nil {
		return err
	}
	for range subscribers {
		if b, err := s.RecvBytes(ctx); err != nil || len(b) != 2 {
			return errors.Join(err, fmt.Errorf("subscription of %d bytes", len(b)))
		}
	}
	body := make([]byte, size)
	for range rounds {
		for t := range byte(10) {
			body[0] = '0' + t
			if err := s.SendBytes(ctx, body); err != nil {
				return err
			}
		}
	}
	return s.Close()
}

func routerEcho(ctx context.Context, at string, count int) error {
	s, err := zmq.NewRouter(zmq.WithLinger(-1))
	if err != nil {
		return err
	}
	if _, err := s.Bind(at); err != nil {
		return err
	}
	for range count {
		m, err := s.Recv(ctx)
		if err != nil {
			return err
		}
		if err := s.Send(ctx, m); err != nil {
			return err
		}
	}
	return s.Close()
}

func dealers(ctx context.Context, at string, clients, count, size int) error {
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	start := time.Now()
	for i := range clients {
		s, err := zmq.NewDealer()
		if err != nil {
			return err
		}
		if _, err := s.Connect(at); err != nil {
			return err
		}
		share := count / clients
		if i < count%clients {
			share++
		}
		wg.Go(func() {
			body := make([]byte, size)
			for range share {
				err := s.SendBytes(ctx, body)
				if err == nil {
					_, err = s.RecvBytes(ctx)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
		defer s.Close()
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Printf("echoes %.0f\n", float64(count)/time.Since(start).Seconds())
	return nil
}

// resident is the memory of this process, after the collector gave back what it
// could.
func resident() (int, error) {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	return pages * os.Getpagesize(), err
}

func topics(ctx context.Context, at string, subscriptions, count int) error {
	pub, err := zmq.NewXPub(zmq.WithHWM(0))
	if err != nil {
		return err
	}
	defer pub.Close()
	sub, err := zmq.NewXSub(zmq.WithHWM(0))
	if err != nil {
		return err
	}
	defer sub.Close()
	if _, err := pub.Bind(at); err != nil {
		return err
	}
	if _, err := sub.Connect(at); err != nil {
		return err
	}
	before, err := resident()
	if err != nil {
		return err
	}
	noted := make(chan error, 1)
	go func() {
		for range subscriptions {
			if _, err := pub.RecvBytes(ctx); err != nil {
				noted <- err
				return
			}
		}
		noted <- nil
	}()
	for i := range uint32(subscriptions) {
		if err := sub.SendBytes(ctx, fmt.Appendf(nil, "\x01topic.%08x", i*2654435761)); err != nil {
			return err
		}
	}
	if err := <-noted; err != nil {
		return err
	}
	after, err := resident()
	if err != nil {
		return err
	}
	start := time.Now()
	var topic []byte
	for i := range uint32(count) {
		topic = fmt.Appendf(topic[:0], "topic.%07x-none", i*40503&0xfffffff)
		if err := pub.SendBytes(ctx, topic); err != nil {
			return err
		}
	}
	elapsed := time.Since(start)
	fmt.Printf("ns %.1f\nbytes %.1f\n", float64(elapsed.Nanoseconds())/float64(count), float64(after-before)/float64(subscriptions))
	return nil
}

// idleRouter waits for a message of each peer and reports the memory of one.
func idleRouter(ctx context.Context, at string, peers int) error {
	s, err := zmq.NewRouter(zmq.WithHWM(0))
	if err != nil {
		return err
	}
	before, err := resident()
	if err != nil {
		return err
	}
	if _, err := s.Bind(at); err != nil {
		return err
	}
	ids := make([][]byte, 0, peers)
	for range peers {
		m, err := s.Recv(ctx)
		if err != nil {
			return err
		}
		ids = append(ids, bytes.Clone(m[0]))
	}
	after, err := resident()
	if err != nil {
		return err
	}
	fmt.Printf("idle %.0f\n", float64(after-before)/float64(peers))
	for _, id := range ids {
		if err := s.Send(ctx, zmq.Msg{id, []byte("done")}); err != nil {
			return err
		}
	}
	return s.Close()
}

// idleDealers connects peers that know just enough of ZMTP, say something each,
// and wait for the router's message that ends them.
func idleDealers(_ context.Context, at string, peers int) error {
	greeting := append([]byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL"), make([]byte, 48)...)
	opening := append(greeting, "\x04\x27\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"...)
	opening[len(greeting)+1] = byte(len(opening) - len(greeting) - 2)
	conns := make([]net.Conn, 0, peers)
	for range peers {
		c, err := dial(strings.TrimPrefix(at, "tcp://"))
		if err != nil {
			return err
		}
		defer c.Close()
		// libzmq takes no message before it has sent its own READY.
		if _, err := c.Write(opening); err != nil {
			return err
		}
		if err := readUntil(c, "READY"); err != nil {
			return err
		}
		if _, err := c.Write([]byte("\x00\x02hi")); err != nil {
			return err
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		if err := readUntil(c, "done"); err != nil {
			return err
		}
	}
	return nil
}

func readUntil(c net.Conn, word string) error {
	var seen []byte
	for b := make([]byte, 512); !bytes.Contains(seen, []byte(word)); {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		seen = append(seen, b[:n]...)
	}
	return nil
}

// dial waits for a listener that is about to appear.
func dial(at string) (net.Conn, error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", at)
		if err == nil || time.Now().After(end) {
			return c, err
		}
	}
}

// bareServe and bareDial are the floor: the same bytes over a net.Conn.
func bareServe(name, at string, size, count int) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, size)
	var start time.Time
	for i := range count {
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		if i == 0 {
			start = time.Now()
		}
		if name == "bare_echo" {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
	}
	if name == "bare_pull" {
		fmt.Printf("rate %.0f\n", float64(count)/time.Since(start).Seconds())
	}
	return nil
}

func bareDial(name, at string, size, count int) error {
	c, err := dial(at)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, size)
	trips := make([]float64, 0, count)
	start := time.Now()
	last := start
	for range count {
		if _, err := c.Write(b); err != nil {
			return err
		}
		if name == "bare_push" {
			continue
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		now := time.Now()
		trips = append(trips, float64(now.Sub(last).Nanoseconds())/2e3)
		last = now
	}
	if name == "bare_ask" {
		fmt.Printf("mean %.3f\np99 %.3f\n", float64(last.Sub(start).Nanoseconds())/2e3/float64(count), percentile(trips, 0.99))
	}
	return nil
}

func percentile(v []float64, p float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[min(int(float64(len(s))*p), len(s)-1)]
}
