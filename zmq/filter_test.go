package zmq_test

import (
	"fmt"
	"testing"

	"lintel.dev/zmq"
)

// A SUB passes on what it asked for and nothing else, whatever its publisher
// sends and however its application receives.
func TestFilterOfEachWayToReceive(t *testing.T) {
	ways := []func(r rig, sub *zmq.Sub) ([]byte, error){
		func(r rig, sub *zmq.Sub) ([]byte, error) { return sub.RecvBytes(r.ctx) },
		func(r rig, sub *zmq.Sub) ([]byte, error) { return sub.RecvInto(r.ctx, nil) },
		func(r rig, sub *zmq.Sub) ([]byte, error) {
			m, err := sub.Recv(r.ctx)
			if err != nil {
				return nil, err
			}
			return m[0], nil
		},
	}
	everywhere(t, func(t *testing.T, r rig) {
		const rounds = 1000
		pub, sub := made(r, zmq.NewXPub, zmq.WithOption("xpub_manual", "1"), zmq.WithHWM(0)), made(r, zmq.NewSub, zmq.WithHWM(0))
		r.connect(sub, r.bind(pub))
		for _, topic := range []string{"A", "C"} {
			r.must(sub.Subscribe(topic))
			r.want(pub, "\x01"+topic)
		}
		r.must(pub.Subscribe("")) // everything: the subscriber has to choose
		go func() {
			for i := range rounds {
				for _, m := range []zmq.Msg{
					zmq.NewMsg(fmt.Sprintf("A%d", i)), zmq.NewMsg("B"), zmq.NewMsg("B", "A"), zmq.NewMsg(""), zmq.NewMsg(fmt.Sprintf("C%d", i)),
				} {
					if err := pub.Send(r.ctx, m); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		next := func(n int) string { return fmt.Sprintf("%c%d", "AC"[n%2], n/2) }
		n := 0
		check := func(b []byte, err error) {
			if err != nil || string(b) != next(n) {
				t.Fatalf("message %d is %q, %v, want %q", n, b, err, next(n))
			}
			n++
		}
		for n < rounds {
			check(ways[n%len(ways)](r, sub))
		}
		for b, err := range sub.Views(r.ctx) {
			if check(b, err); n == 2*rounds {
				break
			}
		}
	})
}
