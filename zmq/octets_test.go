package zmq_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// A peer is held back while more octets wait than rcvhwm_octets; nothing is lost.
func TestRecvOctets(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull, zmq.WithOption("rcvhwm_octets", "100000"), zmq.WithHWM(0))
	push := made(r, zmq.NewPush, zmq.WithHWM(0))
	r.connect(push, r.bind(pull))
	const messages, size = 300, 50_000
	for i := range messages {
		b := make([]byte, size)
		b[0] = byte(i)
		r.must(push.SendBytes(r.ctx, b))
	}
	r.until(func() bool { return pull.Stats().BytesReceived >= 100_000 })
	for i := range messages {
		b, err := pull.RecvBytes(r.ctx)
		r.must(err)
		if len(b) != size || b[0] != byte(i) {
			t.Fatalf("message %d of %d octets", b[0], len(b))
		}
		// What arrived and was not received: the limit, one batch and one read beyond.
		if over := int(pull.Stats().BytesReceived) - (i+1)*size; over > 100_000+size+128<<10 {
			t.Fatalf("%d octets wait", over)
		}
	}
}

// The octets of all peers together are bounded too, but for 1 MiB of each. A peer
// that sends little is not held back for the others.
func TestRecvOctetsOfAll(t *testing.T) {
	const limit, peers, messages, size, own = 4 << 20, 6, 16, 500_000, 1 << 20
	r := overTCP(t)
	pull := made(r, zmq.NewPull, zmq.WithOption("rcvhwm_octets", fmt.Sprint(limit)), zmq.WithHWM(0))
	at := r.bind(pull)
	for range peers {
		push := made(r, zmq.NewPush, zmq.WithHWM(0))
		r.connect(push, at)
		for range messages {
			r.must(push.SendBytes(r.ctx, make([]byte, size)))
		}
	}
	r.until(func() bool { return pull.Stats().BytesReceived >= peers*own })
	good := made(r, zmq.NewPush)
	r.connect(good, at)
	r.must(good.SendBytes(r.ctx, []byte("good")))
	got, goodAt := 0, 0
	for i := range peers*messages + 1 {
		b, err := pull.RecvBytes(r.ctx)
		r.must(err)
		if got += len(b); string(b) == "good" {
			goodAt = i + 1
		}
		// The limit, and of each peer its own part, a batch and a read beyond.
		if over := int(pull.Stats().BytesReceived) - got; over > limit+peers*(own+size+128<<10) {
			t.Fatalf("%d octets wait", over)
		}
	}
	if want := peers*messages*size + len("good"); got != want || goodAt == 0 {
		t.Errorf("%d octets, want %d; the good peer's message was number %d", got, want, goodAt)
	}
}

// In process, too, few octets wait for a socket that does not receive, whatever
// the messages are: the sender waits, or drops them if that is what its type does.
func TestRecvOctetsInproc(t *testing.T) {
	const limit = 1 << 20
	octets := zmq.WithOption("rcvhwm_octets", fmt.Sprint(limit))
	for _, pair := range []struct {
		from, to     string
		fromConnects bool
	}{
		{"PUSH", "PULL", true},
		{"PUSH", "PULL", false},
		{"DEALER", "ROUTER", true},
		{"PAIR", "PAIR", true},
		{"PUB", "SUB", false},
		{"XSUB", "XPUB", true},
		{"XSUB", "XPUB", false},
		{"CLIENT", "SERVER", true},
	} {
		for _, size := range []int{100, 5000, 100_000} {
			t.Run(fmt.Sprintf("%v %d", pair, size), func(t *testing.T) {
				r := rig{T: t, net: networks()[2], ctx: t.Context(), zctx: new(zmq.Context)}
				from := made(r, func(o ...zmq.Option) (zmq.Socket, error) { return zmq.New(pair.from, o...) }, zmq.WithHWM(0)).(zmq.Sender)
				to := made(r, func(o ...zmq.Option) (zmq.Socket, error) { return zmq.New(pair.to, o...) }, octets, zmq.WithHWM(0)).(zmq.Receiver)
				if sub, ok := to.(*zmq.Sub); ok {
					r.must(sub.Subscribe(""))
				}
				if pair.fromConnects {
					r.connect(from, r.bind(to))
				} else {
					r.connect(to, r.bind(from))
				}
				body := make([]byte, size)
				body[0] = 2 // no subscription
				accepted := 0
				for range 8 * limit / size {
					if from.TrySend(zmq.Msg{body}) == nil {
						accepted++
					}
				}
				got := 0
				for m, err := to.TryRecv(); err == nil; m, err = to.TryRecv() {
					got += m.Size()
				}
				// Twice the limit, and what an XPUB and a pipe hold apart from each other.
				if accepted == 0 || got < limit/2 || got > 3*limit {
					t.Errorf("%d messages accepted, %d octets waited, expected about %d", accepted, got, limit)
				}
				r.until(func() bool { return from.TrySend(zmq.Msg{body}) == nil })
				if pair.from != "PUB" && pair.from != "XSUB" {
					_, err := to.Recv(r.ctx)
					r.must(err)
				}
			})
		}
	}
}

// The unfinished messages of all peers together are bounded: those peers are
// disconnected that sent nothing for the longest time. The largest message does not
// count.
func TestUnfinishedOctets(t *testing.T) {
	const limit, each, peers = 4 << 20, 1 << 20, 30
	for name, unfinished := range map[string]string{
		"frames":       strings.Repeat(frame(1, strings.Repeat("f", 1000)), each/1000),
		"large frames": strings.Repeat(frame(1, strings.Repeat("f", 100_000)), each/100_000+1),
		"half a frame": frame(0, strings.Repeat("f", 4*each))[:each],
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			pull := made(r, zmq.NewPull, zmq.WithOption("unfinished_octets", fmt.Sprint(limit)))
			events, stop := iter.Pull(pull.Events(r.ctx))
			defer stop()
			at := r.bind(pull)
			good := r.dialRaw(at)
			good.shake(1, "PUSH")
			body := strings.Repeat("g", 2*each)
			good.put(frame(1, body))
			for range 2 { // after the second PONG, what came before the first counts
				good.put(command("PING", "\x00\x00"))
				good.get(len(command("PONG", "")))
			}
			for range peers {
				w := r.dialRaw(at)
				w.shake(1, "PUSH")
				w.put(unfinished)
			}
			// All but those that fit beside the good one.
			for range peers - limit/each {
				if e := next(t, events, event.Disconnected); e.Err == nil || !strings.Contains(e.Err.Error(), "unfinished_octets") {
					t.Fatalf("disconnected for %v", e.Err)
				}
			}
			good.put(frame(0, "good"))
			r.want(pull, body, "good")
		})
	}
}
