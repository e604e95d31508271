package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/jetstream"
)

// cutter dials connections that can be cut.
type cutter struct {
	mu    sync.Mutex
	conns []*cutConn
	when  func(written []byte) bool // cut before this is written
}

type cutConn struct {
	net.Conn
	c *cutter
}

var errCut = errors.New("the test cut the connection")

func (c *cutter) Dial(network, address string) (net.Conn, error) {
	nc, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	conn := &cutConn{nc, c}
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	return conn, nil
}

func (c *cutConn) Write(b []byte) (int, error) {
	c.c.mu.Lock()
	when := c.c.when
	c.c.mu.Unlock()
	if when != nil && when(b) {
		c.c.cut()
		return 0, errCut
	}
	return c.Conn.Write(b)
}

// cut closes all connections.
func (c *cutter) cut() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// cutBefore cuts the connection before the next write that contains text.
func (c *cutter) cutBefore(text string) <-chan struct{} {
	done := make(chan struct{})
	var once sync.Once
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when = func(b []byte) (cut bool) {
		if bytes.Contains(b, []byte(text)) {
			once.Do(func() { cut = true; close(done) })
		}
		return cut
	}
	return done
}

// openCut opens an engine whose connection goes through c.
func openCut(t *testing.T, s *embedded.Server, c *cutter, onEvent func(engine.Event)) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(within(t), jetstream.Config{
		URL:     s.URL(),
		NATS:    []nats.Option{nats.SetCustomDialer(c)},
		Options: engine.Options{OnEvent: onEvent},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestDeadLetterCut cuts the connection after a dead letter is stored and before
// the message is acknowledged: there is one dead letter in the end, and the message
// is gone.
func TestDeadLetterCut(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Listen: "127.0.0.1:0"})
	c := &cutter{}
	q := openQueue(t, openCut(t, s, c, nil), "jobs", engine.QueueConfig{AckWait: time.Second, MaxDeliver: 1})
	put(t, q, "id", "poison")
	if err := get(t, q).Nak(0); err != nil {
		t.Fatal(err)
	}
	cut := c.cutBefore("+ACK")
	ctx, cancel := context.WithCancel(within(t))
	got := make(chan []engine.Job, 1)
	go func() { // moves the message, and has nothing to return
		jobs, _ := q.Get(ctx, 1)
		got <- jobs
	}()
	select {
	case <-cut:
	case <-ctx.Done():
		t.Fatal("the message was not acknowledged")
	}
	awaitEmpty(t, q)
	cancel()
	if jobs := <-got; len(jobs) > 0 {
		t.Errorf("got delivery %d of message %d", jobs[0].Deliveries(), jobs[0].Seq())
	}
	if dead := deadLetters(t, q); len(dead) != 1 || dead[0].Original != 1 || dead[0].Message.ID != "id" {
		t.Errorf("the dead letters are %+v", dead)
	}
}

// awaitEmpty waits until q has no message, also while there is no connection.
func awaitEmpty(t *testing.T, q engine.Queue) {
	t.Helper()
	for ctx := within(t); ; poll(ctx) {
		i, err := q.Info(ctx)
		if err == nil && i.Waiting+i.Unacked == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the queue is %+v, %v", i, err)
		}
	}
}

// poll lets some time pass between two questions.
func poll(ctx context.Context) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
}

// ackAgain acknowledges a job, again when the connection was cut.
func ackAgain(t *testing.T, j engine.Job) {
	t.Helper()
	for err := j.Ack(within(t)); err != nil && !errors.Is(err, engine.ErrLate); err = j.Ack(within(t)) {
		if within(t).Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestReconnect cuts the connection again and again under load. Every message with
// an ID is stored once; a consumer goes on.
func TestReconnect(t *testing.T) {
	t.Parallel()
	const n, cuts = 1000, 5
	s := start(t, embedded.Config{Listen: "127.0.0.1:0"})
	c := &cutter{}
	var disconnects, reconnects atomic.Int64
	e := openCut(t, s, c, func(ev engine.Event) {
		switch ev.Kind {
		case engine.Disconnected:
			disconnects.Add(1)
		case engine.Reconnected:
			reconnects.Add(1)
		}
	})
	q := openQueue(t, e, "jobs", engine.QueueConfig{AckWait: time.Second, MaxDeliver: -1, MaxOutstanding: 64})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			wg.Add(1)
			if i%(n/cuts) == n/cuts/2 {
				c.cut()
			}
			m := engine.Message{ID: fmt.Sprint(i), Frames: [][]byte{[]byte(fmt.Sprint(i))}}
			err := q.Put(within(t), m, func(_ engine.Receipt, err error) {
				if err != nil {
					t.Errorf("put %d: %v", i, err)
				}
				wg.Done()
			})
			if err != nil {
				t.Errorf("Put: %v", err)
				wg.Done()
			}
		}
	})
	seen := make(map[string]bool)
	for len(seen) < n {
		jobs, err := q.Get(within(t), 16)
		if err != nil {
			t.Fatalf("%v after %d messages", err, len(seen))
		}
		for _, j := range jobs {
			seen[j.Message().ID] = true
			ackAgain(t, j)
		}
	}
	wg.Wait()
	i := info(t, q)
	if i.Last != n {
		t.Errorf("%d messages were stored, want %d", i.Last, n)
	}
	if disconnects.Load() == 0 || reconnects.Load() == 0 {
		t.Errorf("%d disconnects and %d reconnects were reported", disconnects.Load(), reconnects.Load())
	}
	t.Logf("%d disconnects", disconnects.Load())
}
