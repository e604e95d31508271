package zmq_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// audience is what the tests of fan-out share: a publisher, and subscribers each
// with the topics it wants.
type audience struct {
	rig
	pub    *zmq.XPub
	subs   []*zmq.Sub
	topics [][]string
}

func newAudience(r rig, pubOpts, subOpts []zmq.Option, topics ...[]string) *audience {
	a := &audience{rig: r, topics: topics}
	a.pub = made(r, zmq.NewXPub, append(pubOpts, zmq.WithOption("xpub_verboser", "1"))...)
	at := r.bind(a.pub)
	for _, want := range topics {
		sub := made(r, zmq.NewSub, subOpts...)
		a.subs = append(a.subs, sub)
		r.connect(sub, at)
		for _, topic := range want {
			r.must(sub.Subscribe(topic))
			r.want(a.pub, "\x01"+topic)
		}
	}
	return a
}

// due is what a subscriber gets of what was sent.
func due(sent []zmq.Msg, topics []string) (all []string) {
	for _, m := range sent {
		for _, t := range topics {
			if strings.HasPrefix(string(m[0]), t) {
				all = append(all, m.String())
				break
			}
		}
	}
	return all
}

// received checks that each subscriber gets what it is due, in order.
func (a *audience) received(sent []zmq.Msg) {
	var wg sync.WaitGroup
	for i, sub := range a.subs {
		wg.Go(func() {
			for n, want := range due(sent, a.topics[i]) {
				m, err := sub.Recv(a.ctx)
				if err != nil || m.String() != want {
					a.Errorf("subscriber %d, message %d: %.60q, %v, want %.60q", i, n, m, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func secrets() (bound, connected []zmq.Option) {
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	return []zmq.Option{zmq.WithCurveServer(ssec)}, []zmq.Option{zmq.WithCurve(csec, spub)}
}

// Whatever way a message takes to its subscribers, each gets its own in order.
func TestAudience(t *testing.T) {
	run := func(t *testing.T, r rig, bound, connected []zmq.Option) {
		noMark := zmq.WithHWM(0)
		a := newAudience(r, append(bound, noMark), append(connected, noMark),
			[]string{"a"}, []string{"a"}, []string{"a"}, []string{"b"}, []string{"b"}, []string{"a", "b"}, []string{"c"}, []string{""}, []string{"ab", "ac"})
		large := strings.Repeat("x", 20<<10)
		var sent []zmq.Msg
		for i := range 3000 {
			m := zmq.NewMsg(fmt.Sprint("a", i))
			switch phase := i / 500; {
			case phase == 1:
				m = zmq.NewMsg(fmt.Sprint(string(rune('a'+i%3)), i), "tail")
			case phase == 2:
				m = zmq.NewMsg(fmt.Sprint(string(rune('a'+i/50%2)), i), "", "tail")
			case phase == 3 && i%7 == 0:
				m = zmq.NewMsg(fmt.Sprint("a", i), large)
			case phase == 4 && i%60 == 0:
				m = zmq.NewMsg(fmt.Sprint("c", i))
			case phase == 4:
				m = zmq.NewMsg(fmt.Sprint("b", i))
			}
			sent = append(sent, m)
			send := a.pub.Send
			if i%2 == 0 {
				send = a.pub.SendOwned
			}
			r.must(send(r.ctx, m))
		}
		a.received(sent)
	}
	everywhere(t, func(t *testing.T, r rig) { run(t, r, nil, nil) })
	t.Run("curve", func(t *testing.T) {
		bound, connected := secrets()
		run(t, rig{T: t, net: networks()[0], ctx: t.Context(), zctx: new(zmq.Context)}, bound, connected)
	})
}

// Peers that get the same messages share a log of them, unless they are in the
// same process, and until they get something else.
func TestReadersOfALog(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		a := newAudience(r, []zmq.Option{zmq.WithHWM(0)}, []zmq.Option{zmq.WithHWM(0)}, []string{"a"}, []string{"a"}, []string{"a", "b"})
		var sent []zmq.Msg
		publish := func(n int, topic string) {
			for range n {
				sent = append(sent, zmq.NewMsg(topic))
				r.send(a.pub, topic)
			}
		}
		readers := func(want int) {
			r.Helper()
			if r.net.name == "inproc" {
				want = 0
			}
			if n := zmq.Readers(a.pub); n != want {
				r.Errorf("%d read the log, want %d", n, want)
			}
		}
		readers(0)
		publish(20, "a")
		readers(3)
		publish(1, "b") // one of them gets something else
		readers(2)
		publish(20, "a")
		readers(2)
		publish(20, "a")
		readers(3)
		a.received(sent)
		sent = nil

		r.must(a.subs[0].Close())
		a.subs, a.topics = a.subs[1:], a.topics[1:]
		r.want(a.pub, "\x00a")
		publish(50, "a")
		readers(2)
		r.must(a.subs[0].Unsubscribe("a"))
		r.want(a.pub, "\x00a")
		readers(0) // without subscribers nothing is shared
		a.topics[0] = []string{"none"}
		publish(50, "a")
		readers(0)
		a.received(sent[50:])
	})
}

// A peer that does not read fills its queue to the mark and no further, and
// takes nothing from those with which it shares a log.
func TestMarkOfAReaderIsExact(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			const mark = 300
			r := rig{T: t, net: n, ctx: t.Context(), zctx: new(zmq.Context)}
			a := newAudience(r, []zmq.Option{zmq.WithOption("sndhwm", strconv.Itoa(mark)), zmq.WithLinger(0)}, []zmq.Option{zmq.WithOption("rcvhwm", "10")},
				[]string{"a"}, []string{"a"}, []string{"a"})
			body := strings.Repeat("x", 4000)
			shared := false
			for i := 0; ; i++ {
				r.send(a.pub, fmt.Sprint("a", i), body)
				for _, sub := range a.subs[1:] {
					r.want(sub, fmt.Sprint("a", i), body)
				}
				shared = shared || zmq.Readers(a.pub) == 3
				var full []zmq.PeerStats
				for _, p := range a.pub.Stats().Peers {
					if p.SendQueue > mark {
						t.Fatalf("%d messages in a queue for %d", p.SendQueue, mark)
					}
					if p.DroppedFull > 0 {
						full = append(full, p)
					}
				}
				if len(full) == 0 || full[0].SendQueue < mark {
					continue
				}
				slow := full[0]
				if len(full) > 1 || !shared {
					t.Errorf("%d peers missed something; shared a log: %v", len(full), shared)
				}
				if n := slow.MessagesSent + slow.DroppedFull; n != uint64(i+1) {
					t.Errorf("%d sent or dropped of %d", n, i+1)
				}
				last := -1
				for range slow.MessagesSent {
					m, err := a.subs[0].Recv(r.ctx)
					r.must(err)
					var n int
					if _, err := fmt.Sscanf(string(m[0]), "a%d", &n); err != nil || n <= last || string(m[1]) != body {
						t.Fatalf("%.40q after %d", m, last)
					}
					last = n
				}
				break
			}
			r.until(func() bool { // there is room again
				r.send(a.pub, "again")
				return zmq.Readers(a.pub) == 3
			})
		})
	}
}

// Close waits until everyone has what was published before.
func TestAudienceLingers(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		topics := [][]string{{"a"}, {"a"}, {"b"}, {"b"}, {""}}
		a := newAudience(r, []zmq.Option{zmq.WithHWM(0), zmq.WithLinger(-1)}, []zmq.Option{zmq.WithHWM(0)}, topics...)
		var sent []zmq.Msg
		for i := range 2000 {
			m := zmq.NewMsg(fmt.Sprintf("%c%d", 'a'+i/1000, i))
			sent = append(sent, m)
			r.must(a.pub.Send(r.ctx, m))
		}
		closed := make(chan error, 1)
		go func() { closed <- a.pub.Close() }()
		a.received(sent)
		r.must(<-closed)
	})
}

// What a reader of a log had not got when its connection was lost waits for the
// next one.
func TestReaderComesBack(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := rig{T: t, net: n, ctx: t.Context(), zctx: new(zmq.Context)}
			pub := made(r, zmq.NewXPub, zmq.WithReconnect(time.Millisecond, 0), zmq.WithHWM(0), zmq.WithOption("xpub_verbose", "1"))
			subs := []*zmq.Sub{made(r, zmq.NewSub, zmq.WithHWM(0)), made(r, zmq.NewSub, zmq.WithHWM(0))}
			var at []string
			for _, sub := range subs {
				at = append(at, r.bind(sub))
				r.must(sub.Subscribe("a"))
				r.connect(pub, at[len(at)-1])
				r.want(pub, "\x01a")
			}
			for i := range 100 {
				r.send(pub, fmt.Sprint("a", i))
			}
			for i := range 100 {
				r.want(subs[0], fmt.Sprint("a", i))
				r.want(subs[1], fmt.Sprint("a", i))
			}
			if n := zmq.Readers(pub); n != 2 {
				t.Errorf("%d read the log, want 2", n)
			}
			r.must(subs[0].Close())
			connected := func() (n int) {
				for _, p := range pub.Stats().Peers {
					if p.Connected {
						n++
					}
				}
				return n
			}
			r.until(func() bool { return connected() == 1 })
			for i := range 5000 {
				r.send(pub, fmt.Sprint("a", 100+i))
			}
			again := made(r, zmq.NewSub, zmq.WithHWM(0))
			r.must(again.Subscribe("a"))
			r.until(func() bool { _, err := again.Bind(at[0]); return err == nil })
			for _, sub := range []*zmq.Sub{again, subs[1]} {
				for i := range 5000 {
					r.want(sub, fmt.Sprint("a", 100+i))
				}
			}
		})
	}
}

// Several goroutines publish while peers subscribe, unsubscribe, come and go.
func TestAudienceThatChanges(t *testing.T) {
	const publishers, messages = 3, 3000
	r := rig{T: t, net: networks()[0], ctx: t.Context(), zctx: new(zmq.Context)}
	steady := []string{"a"}
	a := newAudience(r, []zmq.Option{zmq.WithHWM(0)}, []zmq.Option{zmq.WithHWM(0)}, steady, steady, steady)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, sub := range a.subs[1:] {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r.must(sub.Subscribe("ab"))
				r.must(sub.Unsubscribe("ab"))
			}
		})
	}
	wg.Go(func() { // what subscribers do becomes known
		for {
			select {
			case <-stop:
				return
			default:
				a.pub.TryRecv()
				a.pub.Stats()
			}
		}
	})
	for p := range publishers {
		go func() {
			for i := range messages {
				if err := a.pub.Send(r.ctx, zmq.NewMsg("a"+string(rune('b'+p)), fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var got sync.WaitGroup
	for _, sub := range a.subs {
		got.Go(func() {
			next := map[string]int{}
			for range publishers * messages {
				m, err := sub.Recv(r.ctx)
				if err != nil || string(m[1]) != fmt.Sprint(next[string(m[0])]) {
					t.Errorf("%q, %v, want %v", m, err, next)
					return
				}
				next[string(m[0])]++
			}
		})
	}
	got.Wait()
	close(stop)
	wg.Wait()
}

// A publisher that connects knows the topics of the peer it is connected to, and
// those of no peer before.
func TestTopicsOfEarlierPeers(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := rig{T: t, net: n, ctx: t.Context(), zctx: new(zmq.Context)}
			pub := made(r, zmq.NewXPub, zmq.WithReconnect(time.Millisecond, 0))
			first := made(r, zmq.NewSub)
			r.must(first.Subscribe("a"))
			at := r.bind(first)
			r.connect(pub, at)
			r.want(pub, "\x01a")
			r.must(first.Close())
			second := made(r, zmq.NewSub)
			r.must(second.Subscribe("b"))
			r.until(func() bool { _, err := second.Bind(at); return err == nil })
			r.want(pub, "\x00a")
			r.want(pub, "\x01b")
			if n := pub.TopicCount(); n != 1 {
				t.Errorf("%d topics, want 1", n)
			}
			r.send(pub, "a")
			r.send(pub, "b")
			r.want(second, "b")
		})
	}
}

// A peer with many topics leaves: they are forgotten, messages of other peers
// are sent meanwhile, and the application of an XPUB is notified of each.
func TestManyTopicsLeave(t *testing.T) {
	const topics = 5000
	r := overTCP(t)
	pub := made(r, zmq.NewXPub)
	at := r.bind(pub)
	stays, leaves := made(r, zmq.NewSub), made(r, zmq.NewXSub)
	r.must(stays.Subscribe("00001"))
	r.connect(stays, at)
	r.want(pub, "\x0100001")
	for i := range topics {
		r.must(leaves.Subscribe(fmt.Sprintf("%05d", i)))
	}
	r.connect(leaves, at)
	for i := range topics {
		if i != 1 { // has a subscriber already
			r.want(pub, fmt.Sprintf("\x01%05d", i))
		}
	}
	r.must(leaves.Close())
	for i := range topics {
		if i != 1 {
			r.want(pub, fmt.Sprintf("\x00%05d", i))
		}
	}
	r.send(pub, "00001")
	r.want(stays, "00001")
	r.until(func() bool { return pub.TopicCount() == 1 })
}
