package zmq_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// TestConflateTopics checks that of all messages published while the subscriber
// did not receive, the latest of each topic is left, whole.
func TestConflateTopics(t *testing.T) {
	for _, subBinds := range []bool{false, true} {
		t.Run(fmt.Sprintf("sub binds %v", subBinds), func(t *testing.T) {
			everywhere(t, func(t *testing.T, r rig) {
				// The high-water mark of the publisher must not lose any.
				pub := made(r, zmq.NewXPub, zmq.WithHWM(0))
				sub := made(r, zmq.NewSub, zmq.WithOption("conflate_topics", "1"), zmq.WithHWM(0))
				if err := sub.Subscribe(""); err != nil {
					t.Fatal(err)
				}
				if subBinds {
					r.connect(pub, r.bind(sub))
				} else {
					r.connect(sub, r.bind(pub))
				}
				r.want(pub, "\x01")
				const rounds = 200
				large := strings.Repeat("L", 20000)
				for i := range rounds {
					r.send(pub, "a", fmt.Sprint(i))
					r.send(pub, "b", "head", large, fmt.Sprint(i))
					r.send(pub, fmt.Sprint("a", i%3), fmt.Sprint(i))
				}
				const sent = rounds * 3
				for {
					st := sub.Stats()
					if st.MessagesReceived == sent {
						if st.DroppedConflated != sent-5 {
							t.Errorf("%d messages replaced, want %d", st.DroppedConflated, sent-5)
						}
						break
					}
					runtime.Gosched()
					if r.ctx.Err() != nil {
						t.Fatalf("%d of %d messages arrived", st.MessagesReceived, sent)
					}
				}
				r.want(sub, "a", fmt.Sprint(rounds-1))
				r.want(sub, "b", "head", large, fmt.Sprint(rounds-1))
				r.want(sub, "a0", "198")
				r.want(sub, "a1", "199")
				r.want(sub, "a2", "197")
				if m, err := sub.TryRecv(); err == nil {
					t.Errorf("one more message: %v", m)
				}
				r.send(pub, "a", "again")
				r.want(sub, "a", "again")
			})
		})
	}
}

// TestConflateCounts: messages that a newer one replaces are counted, on the
// side whose queue they were in.
func TestConflateCounts(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push := made(r, zmq.NewPush, zmq.WithHWM(0))
		pull := made(r, zmq.NewPull, zmq.WithOption("conflate", "1"))
		r.connect(pull, r.bind(push))
		const sent = 100
		for i := range sent {
			r.send(push, fmt.Sprint(i))
		}
		for pull.Stats().MessagesReceived < sent {
			runtime.Gosched()
			if r.ctx.Err() != nil {
				t.Fatalf("%d of %d messages arrived", pull.Stats().MessagesReceived, sent)
			}
		}
		r.want(pull, fmt.Sprint(sent-1))
		if n := pull.Stats().DroppedConflated; n != sent-1 {
			t.Errorf("%d messages replaced, want %d", n, sent-1)
		}
	})
}
