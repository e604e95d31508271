package nearcache

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
	"lintel.dev/zmq"
)

const testLanes = 2

// origin is a cache server with a feed, both in memory. The test decides when
// messages of the feed arrive.
type origin struct {
	*memcachetest.Server
	name string

	mu      sync.Mutex
	epoch   sequence.Epoch
	last    [testLanes]uint64
	queue   []zmq.Msg
	arrived chan struct{} // closed when the queue or held changes
	held    bool          // messages wait
	dropped bool          // messages are lost
	deaf    bool          // fences are not answered
	answer  func(nonce uint64) string
	plain   bool // the server has no invalidations
}

func newOrigin(name string) *origin {
	o := &origin{Server: memcachetest.New(nil), name: name, epoch: sequence.Epoch{1: 1}, arrived: make(chan struct{})}
	o.Intercept(o.intercept)
	return o
}

func (o *origin) intercept(line string) (string, bool) {
	question, ok := strings.CutPrefix(line, wire.Command+" ")
	if !ok {
		return "", false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	nonce, err := strconv.ParseUint(question, 10, 64)
	switch {
	case err != nil || o.plain:
		return "ERROR\r\n", true
	case o.deaf:
		return "SERVER_ERROR busy\r\n", true
	case o.answer != nil:
		return o.answer(nonce) + "\r\n", true
	}
	f := wire.Fence{Nonce: nonce, Epoch: o.epoch, Feeds: []string{"mem://" + o.name}, Last: o.last[:]}
	return string(wire.AppendAnswer(nil, &f)) + "\r\n", true
}

// with changes the state of the origin.
func (o *origin) with(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
	close(o.arrived)
	o.arrived = make(chan struct{})
}

// send sends a message. o.mu is held.
func (o *origin) send(h *wire.Header, records ...wire.Record) {
	if o.dropped {
		return
	}
	var body []byte
	for _, r := range records {
		body = wire.AppendRecord(body, r)
	}
	o.queue = append(o.queue, zmq.Msg{wire.AppendTopic(nil, h.Lane), wire.AppendHeader(nil, h), body})
}

// publish numbers a record for key, and sends it.
func (o *origin) publish(key string, op wire.Op) {
	o.with(func() {
		hash := wire.Hash([]byte(key))
		lane := int(hash % testLanes)
		o.last[lane]++
		o.send(&wire.Header{Lane: lane, Epoch: o.epoch, First: o.last[lane], Count: 1}, wire.Record{Op: op, Hash: hash})
	})
}

// change stores a value as another process would.
func (o *origin) change(key, value string) {
	o.Set(key, []byte(value), 0, 0)
	o.publish(key, wire.Changed)
}

func (o *origin) heartbeat() {
	o.with(func() {
		for lane, last := range o.last {
			o.send(&wire.Header{Lane: lane, Epoch: o.epoch, First: last})
		}
	})
}

// restart gives the origin a new epoch and no items.
func (o *origin) restart() {
	o.with(func() {
		o.epoch[1]++
		o.last = [testLanes]uint64{}
	})
	o.Disconnect()
}

// memFeed is the feed of an origin.
type memFeed struct{ o *origin }

func (f memFeed) Recv(ctx context.Context) (zmq.Msg, error) {
	for {
		f.o.mu.Lock()
		if len(f.o.queue) > 0 && !f.o.held {
			m := f.o.queue[0]
			f.o.queue = f.o.queue[1:]
			f.o.mu.Unlock()
			return m, nil
		}
		arrived := f.o.arrived
		f.o.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f memFeed) Close() error { return nil }

// rig is a cache over origins, in fake time.
type rig struct {
	t       testing.TB
	origins map[string]*origin
	client  *memcache.Client
	*Cache
}

// names of the origins, in order.
var originNames = []string{"10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"}

// options returns o, nil for none, with the rig's feeds.
func (r *rig) options(o *Options) *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.openFeed = func(endpoint string) (feed, error) {
		return memFeed{r.origins[strings.TrimPrefix(endpoint, "mem://")]}, nil
	}
	return &c
}

// inBubble runs a test with n origins whose feeds are followed.
func inBubble(t *testing.T, n int, o *Options, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) { runRig(t, n, o, test) })
}

func runRig(t testing.TB, n int, o *Options, test func(r *rig)) {
	r := &rig{t: t, origins: make(map[string]*origin)}
	for _, name := range originNames[:n] {
		r.origins[name] = newOrigin(name)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		o := r.origins[addr]
		if o == nil {
			return nil, fmt.Errorf("no server at %s", addr)
		}
		return o.Dial(ctx, network, addr)
	}
	var err error
	if r.client, err = memcache.New(&memcache.Options{Dial: dial, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond}, originNames[:n]...); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				for _, o := range r.origins {
					o.heartbeat()
				}
			case <-stop:
				return
			}
		}
	})
	defer func() {
		close(stop)
		beat.Wait()
		if r.Cache != nil {
			r.Cache.Close()
		}
		r.client.Close()
		for _, o := range r.origins {
			o.Server.Close()
		}
	}()
	if r.Cache, err = New(context.Background(), r.client, r.options(o)); err != nil {
		t.Fatal(err)
	}
	pass(time.Second)
	test(r)
}

// pass lets fake time pass.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

// reads returns how many reads reached the servers.
func (r *rig) reads() (n int) {
	for _, o := range r.origins {
		n += o.Count("mg")
	}
	return n
}

// want reads key and compares value and number of requests.
func (r *rig) want(how, key, value string, requests int) {
	r.t.Helper()
	before := r.reads()
	it, err := r.Get(context.Background(), key)
	got := ""
	switch {
	case err == nil:
		got = string(it.Value)
	case err != memcache.ErrCacheMiss:
		r.t.Fatalf("%s: get %s: %v", how, key, err)
	}
	if n := r.reads() - before; got != value || n != requests {
		r.t.Errorf("%s: get %s is %q with %d requests, expected %q with %d", how, key, got, n, value, requests)
	}
}

func (r *rig) only() *origin { return r.origins[originNames[0]] }
