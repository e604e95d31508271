package zmq_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lintel.dev/zmq"
)

func (r rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// test_sub_forward and the rule of 1.2: the subscriber counts, everything is
// passed on but a cancel that is not the last.
func TestSubscriptionsAreCounted(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub, zmq.WithOption("xpub_verboser", "1")), made(r, zmq.NewSub)
		r.connect(sub, r.bind(pub))
		r.must(sub.Subscribe("start"))
		r.want(pub, "\x01start")
		r.must(sub.Unsubscribe("never")) // unknown: nothing is sent
		r.must(sub.Subscribe("A"))
		r.must(sub.Subscribe("A"))
		r.must(sub.Unsubscribe("A"))
		r.must(sub.Subscribe("mark"))
		r.want(pub, "\x01A")
		r.want(pub, "\x01A")
		r.want(pub, "\x01mark")
		r.send(pub, "A", "still")
		r.want(sub, "A", "still")
		r.must(sub.Unsubscribe("A"))
		r.want(pub, "\x00A")
		r.send(pub, "A", "no more")
		r.send(pub, "mark")
		r.want(sub, "mark")
	})
}

// Prefixes match the first frame alone; the empty one matches everything.
func TestPrefixMatching(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewSub)
		r.connect(sub, r.bind(pub))
		r.must(sub.Subscribe("ab"))
		r.want(pub, "\x01ab")
		for _, m := range []string{"a", "b", "", "ba", "aab"} {
			r.send(pub, m, "ab")
		}
		r.send(pub, "ab")
		r.send(pub, "abc", "1")
		r.want(sub, "ab")
		r.want(sub, "abc", "1")
		r.must(sub.Subscribe(""))
		r.want(pub, "\x01")
		r.send(pub, "")
		r.want(sub, "")
	})
}

// One message for overlapping subscriptions, also of one subscriber.
func TestOverlapIsOneMessage(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewSub)
		r.connect(sub, r.bind(pub))
		for _, topic := range []string{"", "a", "ab", "abc"} {
			r.must(sub.Subscribe(topic))
			r.want(pub, "\x01"+topic)
		}
		r.send(pub, "abcd")
		r.send(pub, "end")
		r.want(sub, "abcd")
		r.want(sub, "end")
	})
}

// test_xpub_verbose.
func TestXPubVerbose(t *testing.T) {
	for _, c := range []struct {
		option string
		want   []string
	}{
		{"", []string{"\x01A", "\x01B", "\x00A", "\x00B"}},
		{"xpub_verbose", []string{"\x01A", "\x01A", "\x01B", "\x00A", "\x00B"}},
		{"xpub_verboser", []string{"\x01A", "\x01A", "\x01B", "\x00A", "\x00A", "\x00B"}},
	} {
		t.Run(c.option, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r rig) {
				pub := made(r, zmq.NewXPub)
				if c.option != "" {
					r.must(pub.SetOption(c.option, "1"))
				}
				ep := r.bind(pub)
				one, two := made(r, zmq.NewSub), made(r, zmq.NewSub)
				r.connect(one, ep)
				r.connect(two, ep)
				next := 0
				expect := func(n int) {
					t.Helper()
					for range n {
						r.want(pub, c.want[next])
						next++
					}
				}
				r.must(one.Subscribe("A"))
				expect(1)
				r.must(two.Subscribe("A"))
				if c.option != "" {
					expect(1)
				}
				r.must(two.Subscribe("B"))
				expect(1)
				r.must(one.Unsubscribe("A"))
				if c.option == "xpub_verboser" {
					expect(1)
				}
				r.must(two.Unsubscribe("A"))
				expect(1)
				r.must(two.Unsubscribe("B"))
				expect(1)
				r.nothing(pub)
			})
		})
	}
}

// What a publisher receives of several subscriptions when a subscriber comes or
// goes is in the order of their octets, as libzmq has it.
func TestSubscriptionsInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewSub)
		topics := []string{"", "A", "B", "BA", "C", "\xff"}
		for _, topic := range slices.Backward(topics) {
			r.must(sub.Subscribe(topic))
		}
		r.connect(sub, r.bind(pub))
		for _, topic := range topics {
			r.want(pub, "\x01"+topic)
		}
		r.must(sub.Close())
		for _, topic := range topics {
			r.want(pub, "\x00"+topic)
		}
	})
}

// A subscriber that goes away takes its subscriptions along.
func TestDepartureUnsubscribes(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub)
		ep := r.bind(pub)
		one, two := made(r, zmq.NewSub), made(r, zmq.NewSub)
		r.connect(one, ep)
		r.connect(two, ep)
		r.must(one.Subscribe("A"))
		r.want(pub, "\x01A")
		r.must(two.Subscribe("B"))
		r.want(pub, "\x01B")
		if n := pub.TopicCount(); n != 2 {
			t.Errorf("%d topics, want 2", n)
		}
		r.must(one.Close())
		r.want(pub, "\x00A")
		r.nothing(pub)
		if n := pub.TopicCount(); n != 1 {
			t.Errorf("%d topics, want 1", n)
		}
	})
}

// With xpub_verboser, a departure takes back each subscription of the peer
// once, however often it was made and whichever other peer has it.
func TestDepartureVerboser(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub, zmq.WithOption("xpub_verboser", "1"))
		ep := r.bind(pub)
		stays, goes := made(r, zmq.NewXSub), made(r, zmq.NewXSub)
		r.connect(stays, ep)
		r.connect(goes, ep)
		for _, sub := range []*zmq.XSub{stays, goes, goes} {
			r.must(sub.Subscribe("A"))
			r.want(pub, "\x01A")
		}
		r.must(goes.Close())
		r.want(pub, "\x00A")
		r.nothing(pub)
	})
}

// test_xpub_manual.
func TestXPubManual(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub, zmq.WithOption("xpub_manual", "1"))
		sub := made(r, zmq.NewSub)
		r.connect(sub, r.bind(pub))
		r.must(sub.Subscribe("A"))
		r.must(sub.Subscribe("XA"))
		r.want(pub, "\x01A")
		r.must(pub.Subscribe("XA"))
		r.send(pub, "A")
		r.send(pub, "XA")
		r.want(sub, "XA")
		r.want(pub, "\x01XA")
		r.must(sub.Unsubscribe("A"))
		r.want(pub, "\x00A")
		r.must(pub.SetOption("unsubscribe", "XA"))
		r.send(pub, "XA")
		r.must(pub.Subscribe("XA"))
		r.send(pub, "XA", "last")
		r.want(sub, "XA", "last")
	})
	plain := made(rig{T: t, zctx: new(zmq.Context)}, zmq.NewXPub)
	if err := plain.Subscribe("x"); !errors.Is(err, zmq.ErrNotSupported) {
		t.Error(err)
	}
}

// test_xpub_manual_last_value: the next message is for the newcomer alone.
func TestXPubManualLastValue(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub, zmq.WithOption("xpub_manual_last_value", "1"))
		ep := r.bind(pub)
		one, two := made(r, zmq.NewSub), made(r, zmq.NewSub)
		for i, sub := range []*zmq.Sub{one, two} {
			r.connect(sub, ep)
			r.must(sub.Subscribe("A"))
			r.want(pub, "\x01A")
			r.must(pub.Subscribe("A"))
			r.send(pub, "A", "cached", fmt.Sprint(i))
		}
		r.send(pub, "A", "all")
		r.want(one, "A", "cached", "0")
		r.want(one, "A", "all")
		r.want(two, "A", "cached", "1")
		r.want(two, "A", "all")
	})
}

// test_xpub_welcome_msg.
func TestXPubWelcome(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub, zmq.WithOption("xpub_welcome_msg", "W"))
		sub := made(r, zmq.NewSub)
		r.must(sub.Subscribe("W"))
		r.connect(sub, r.bind(pub))
		r.want(pub, "\x01W")
		r.want(sub, "W")
	})
}

// test_xpub_nodrop: a full subscriber makes the publisher wait.
func TestXPubNoDrop(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	pub := made(r, zmq.NewXPub, zmq.WithOption("sndhwm", "2"), zmq.WithOption("xpub_nodrop", "1"))
	sub := made(r, zmq.NewSub, zmq.WithOption("rcvhwm", "1"))
	pub.Bind("inproc://a")
	sub.Connect("inproc://a")
	r.must(sub.Subscribe(""))
	r.want(pub, "\x01")
	for i := range 3 {
		r.send(pub, fmt.Sprint(i))
	}
	r.refused(pub, "x")
	done := make(chan error)
	go func() { done <- pub.Send(r.ctx, zmq.NewMsg("3")) }()
	for i := range 4 {
		r.want(sub, fmt.Sprint(i))
	}
	r.must(<-done)
}

// test_hwm_pubsub: what does not fit is dropped, for that subscriber, and
// counted.
func TestPubDrops(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	pub := made(r, zmq.NewXPub, zmq.WithOption("sndhwm", "2"))
	pub.Bind("inproc://a")
	slow, fast := made(r, zmq.NewSub, zmq.WithOption("rcvhwm", "3")), made(r, zmq.NewSub, zmq.WithOption("rcvhwm", "100"))
	for _, sub := range []*zmq.Sub{slow, fast} {
		sub.Connect("inproc://a")
		r.must(sub.Subscribe(""))
	}
	r.want(pub, "\x01")
	for i := range 20 {
		r.send(pub, fmt.Sprint(i), "tail")
	}
	for i := range 20 {
		r.want(fast, fmt.Sprint(i), "tail")
	}
	for i := range 5 {
		r.want(slow, fmt.Sprint(i), "tail")
	}
	r.nothing(slow)
	if n := pub.Stats().DroppedFull; n != 15 {
		t.Errorf("%d drops counted, want 15", n)
	}
	r.send(pub, "again")
	r.want(slow, "again")
}

// Subscriptions get through whatever the marks are (libzmq loses them).
func TestSubscriptionsBeyondTheMark(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewPub), made(r, zmq.NewSub, zmq.WithHWM(1))
		const n = 5000
		for i := range n / 2 {
			r.must(sub.Subscribe(fmt.Sprint("topic", i)))
		}
		r.connect(sub, r.bind(pub))
		for i := range n / 2 {
			r.must(sub.Subscribe(fmt.Sprint("topic", n/2+i)))
		}
		r.until(func() bool { return pub.TopicCount() == n })
	})
}

// test_pub_invert_matching.
func TestInvertMatching(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		invert := zmq.WithOption("invert_matching", "1")
		pub := made(r, zmq.NewPub, invert)
		ep := r.bind(pub)
		with, without := made(r, zmq.NewSub, invert), made(r, zmq.NewSub, invert)
		r.connect(with, ep)
		r.connect(without, ep)
		r.must(with.Subscribe("A"))
		r.until(func() bool { return pub.TopicCount() == 1 })
		r.ready(pub, 2)
		r.send(pub, "A1")
		r.send(pub, "B")
		r.want(with, "B")
		r.want(without, "A1")
		r.want(without, "B")
	})
}

// test_xsub_verbose, test_sub_forward: subscriptions as messages, and messages
// upstream.
func TestXSub(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub, sub := made(r, zmq.NewXPub), made(r, zmq.NewXSub)
		r.connect(sub, r.bind(pub))
		r.send(sub, "\x01A")
		r.want(pub, "\x01A")
		r.send(sub, "hello", "up")
		r.want(pub, "hello", "up")
		r.send(sub, "\x01A")
		r.send(sub, "\x00A")
		r.send(pub, "A", "x")
		r.want(sub, "A", "x")
		r.send(sub, "\x00A")
		r.want(pub, "\x00A")
		r.send(sub, "\x00A") // unknown by now
		r.must(sub.SetOption("xsub_verbose_unsubscribe", "1"))
		r.send(sub, "\x00A")
		r.want(pub, "\x00A")
	})
}

// Every frame may be a subscription; with only_first_subscribe, none is in a
// message that does not begin with one.
func TestOnlyFirstSubscribe(t *testing.T) {
	for _, c := range []struct {
		option string
		want   []string // what the XPUB receives, sorted
	}{
		{"0", []string{"\x01B", "\x01C", "\x01D", "end", "up|down"}},
		{"1", []string{"\x01C", "\x01D", "end", "up|\x01B|down"}},
	} {
		t.Run(c.option, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r rig) {
				first := zmq.WithOption("only_first_subscribe", c.option)
				pub, sub := made(r, zmq.NewXPub, first), made(r, zmq.NewXSub, first)
				r.connect(sub, r.bind(pub))
				r.send(sub, "\x01A")
				r.want(pub, "\x01A")
				r.send(sub, "up", "\x01B", "down")
				r.send(sub, "\x01C", "\x01D", "end")
				var got []string // subscriptions may overtake messages
				for range c.want {
					m, err := pub.Recv(r.ctx)
					r.must(err)
					got = append(got, string(bytes.Join(m, []byte("|"))))
				}
				slices.Sort(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("received %q, want %q", got, c.want)
				}
			})
		})
	}
}

// A chain of XSUB and XPUB forwards subscriptions up and messages down.
func TestForwarder(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	pub := made(r, zmq.NewXPub)
	in, out := made(r, zmq.NewXSub), made(r, zmq.NewXPub)
	sub := made(r, zmq.NewSub)
	pub.Bind("inproc://source")
	in.Connect("inproc://source")
	out.Bind("inproc://sink")
	done := make(chan error)
	go func() { done <- (&zmq.Proxy{Front: in, Back: out}).Run(r.ctx) }()
	sub.Connect("inproc://sink")
	r.must(sub.Subscribe("A"))
	r.want(pub, "\x01A")
	r.send(pub, "B")
	r.send(pub, "A", "1")
	r.want(sub, "A", "1")
	in.Close()
	if err := <-done; !errors.Is(err, zmq.ErrClosed) {
		t.Error(err)
	}
}

// A publisher that restarts gets all subscriptions again.
func TestResubscribe(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := rig{T: t, net: n, ctx: t.Context(), zctx: new(zmq.Context)}
			pub := made(r, zmq.NewPub)
			ep := r.bind(pub)
			sub := made(r, zmq.NewSub, zmq.WithReconnect(time.Millisecond, 0))
			r.connect(sub, ep)
			for i := range 100 {
				r.must(sub.Subscribe(fmt.Sprint(i)))
			}
			r.until(func() bool { return pub.TopicCount() == 100 })
			r.must(pub.Close())
			r.must(sub.Unsubscribe("7"))
			again := made(r, zmq.NewPub)
			r.until(func() bool { _, err := again.Bind(ep); return err == nil })
			r.until(func() bool { return again.TopicCount() == 99 })
			r.send(again, "7")
			r.send(again, "8")
			r.want(sub, "8")
		})
	}
}

// A subscriber that does not read holds its publisher's queue, not the others.
// A few messages fill all there is between the two: each is a turn of the fast
// one, and a busy machine makes turns long.
func TestSlowSubscriberAlone(t *testing.T) {
	r := rig{T: t, net: networks()[0], ctx: t.Context(), zctx: new(zmq.Context)}
	pub := made(r, zmq.NewXPub, zmq.WithOption("sndhwm", "2"), zmq.WithLinger(0))
	ep := r.bind(pub)
	slow, fast := made(r, zmq.NewSub, zmq.WithOption("rcvhwm", "1"), zmq.WithOption("rcvbuf", "8192")), made(r, zmq.NewSub)
	for _, sub := range []*zmq.Sub{slow, fast} {
		r.connect(sub, ep)
		r.must(sub.Subscribe(""))
	}
	r.until(func() bool { return pub.Stats().Accepted == 2 && pub.TopicCount() == 1 })
	r.ready(pub, 2)
	body := string(make([]byte, 1<<20))
	for i := 0; pub.Stats().DroppedFull < 3; i++ {
		if i == 100 {
			t.Fatal("100 MiB for a subscriber that does not read, and nothing dropped")
		}
		r.send(pub, fmt.Sprint(i), body)
		r.want(fast, fmt.Sprint(i), body)
	}
}

// Peers of an XPUB on which the application does not receive are held back when
// too many octets wait; a peer that only subscribes is not.
func TestXPubHoldsPeersBack(t *testing.T) {
	r := overTCP(t)
	pub := made(r, zmq.NewXPub, zmq.WithOption("rcvhwm_octets", "100000"))
	at := r.bind(pub)
	talks, reads := made(r, zmq.NewXSub, zmq.WithHWM(0)), made(r, zmq.NewSub)
	r.connect(talks, at)
	r.until(func() bool { return len(pub.Stats().Peers) == 1 && pub.Stats().Peers[0].Connected })
	const messages, size = 200, 50_000
	for i := range messages {
		b := make([]byte, size)
		b[0], b[1] = 2, byte(i)
		r.must(talks.SendBytes(r.ctx, b))
	}
	// Its subscription, which follows, is not read before the application receives.
	r.must(talks.Subscribe("t"))
	r.must(reads.Subscribe("r"))
	r.connect(reads, at)
	r.until(func() bool { return pub.TopicCount() >= 1 })
	got := 0
	for got < messages {
		m, err := pub.Recv(r.ctx)
		r.must(err)
		if len(m[0]) != size {
			continue // a subscription
		}
		if m[0][1] != byte(got) {
			t.Fatalf("message %d, want %d", m[0][1], byte(got))
		}
		got++
	}
	r.until(func() bool { return pub.TopicCount() == 2 })
}
