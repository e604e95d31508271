package bench

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	theirs "github.com/go-zeromq/zmq4"

	ours "lintel.dev/compat/gozeromq"
)

// pairs are the conversations of go-zeromq's examples, and the weather updates of
// the guide. a is bound, b connects.
var pairs = []struct {
	name, a, b string
	talk       func(a, b socket) error
}{
	{"hwserver", "REP", "REQ", func(a, b socket) error { return requests(b, a) }},
	{"hwclient bound", "REQ", "REP", requests},
	{"push", "PULL", "PUSH", func(a, b socket) error { return work(b, a) }},
	{"pull", "PUSH", "PULL", work},
	{"wuserver", "PUB", "SUB", weather},
	{"wuclient bound", "SUB", "PUB", func(a, b socket) error { return weather(b, a) }},
	{"rtdealer", "ROUTER", "DEALER", routed},
}

// TestMixed lets a program of go-zeromq talk to one with our package of its API,
// and to one of ours, in both directions.
func TestMixed(t *testing.T) {
	makers := make(map[string]socketMaker)
	for _, m := range sockets {
		makers[m.name] = m
	}
	for _, peers := range [][2]string{
		{"go-zeromq", "compat-gozeromq"},
		{"compat-gozeromq", "go-zeromq"},
		{"go-zeromq", "lintel"},
		{"lintel", "go-zeromq"},
		{"compat-gozeromq", "compat-gozeromq"},
	} {
		for _, p := range pairs {
			for _, transport := range []string{"tcp", "ipc"} {
				t.Run(fmt.Sprintf("%s/%s/%s and %s", p.name, transport, peers[0], peers[1]), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // ends sockets that would wait without end
					defer cancel()
					open := func(maker, typ, name string) socket {
						s, err := makers[maker].make(ctx, typ, name)
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { s.Close() })
						return s
					}
					a, b := open(peers[0], p.a, "a"), open(peers[1], p.b, "b")
					at := "tcp://127.0.0.1:*"
					if transport == "ipc" {
						at = "ipc://" + filepath.Join(t.TempDir(), "s")
					}
					addr, err := a.bind(at)
					if err != nil {
						t.Fatal(err)
					}
					if err := b.connect(addr); err != nil {
						t.Fatal(err)
					}
					if err := p.talk(a, b); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// expect receives a message.
func expect(s socket, want ...string) error {
	m, err := s.recvFrames()
	if err != nil {
		return err
	}
	if got := texts(m); !slices.Equal(got, want) {
		return fmt.Errorf("received %q, expected %q", got, want)
	}
	return nil
}

func texts(m [][]byte) []string {
	var all []string
	for _, frame := range m {
		all = append(all, string(frame))
	}
	return all
}

func requests(req, rep socket) error {
	for i := range 10 {
		question, answer := fmt.Sprintf("hello %d", i), strings.Repeat("world", i*1000)
		if err := sendConnected(req, question); err != nil {
			return err
		}
		if err := expect(rep, question); err != nil {
			return err
		}
		if err := rep.send([]byte(answer)); err != nil {
			return err
		}
		if err := expect(req, answer); err != nil {
			return err
		}
	}
	return nil
}

// sendConnected sends when there is a connection: go-zeromq's REQ, and ours with its
// API, fail until a peer of a bound one is there.
func sendConnected(req socket, text string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		err := req.send([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "no connections available") || time.Now().After(end) {
			return err
		}
	}
}

func work(push, pull socket) error {
	const messages = 200
	sent := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := push.sendFrames([][]byte{[]byte("job"), []byte(fmt.Sprint(i)), make([]byte, i)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range messages {
		if err := expect(pull, "job", fmt.Sprint(i), string(make([]byte, i))); err != nil {
			return err
		}
	}
	return <-sent
}

// weather publishes the weather of two places until the subscriber has received
// ten updates of the one that it asked for. What is published before the
// subscription arrived is lost.
func weather(pub, sub socket) error {
	if err := subscribe(sub, "10001 "); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() {
		for range 10 {
			m, err := sub.recvFrames()
			if err == nil && (len(m) != 2 || !bytes.HasPrefix(m[0], []byte("10001 ")) || string(m[1]) != "80 %") {
				err = fmt.Errorf("received %q, expected the weather of 10001", m)
			}
			if err != nil {
				received <- err
				return
			}
		}
		received <- nil
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-received:
			return err
		case <-tick.C:
			for _, place := range []string{"10002 20 C", "10001 25 C"} {
				if err := pub.sendFrames([][]byte{[]byte(place), []byte("80 %")}); err != nil {
					return err
				}
			}
		}
	}
}

// subscribe makes a SUB receive what begins with topic only.
func subscribe(s socket, topic string) error {
	switch s := s.(type) {
	case goZeroMQ:
		if err := s.s.SetOption(theirs.OptionSubscribe, topic); err != nil {
			return err
		}
		return s.s.SetOption(theirs.OptionUnsubscribe, "")
	case compatZeroMQ:
		if err := s.s.SetOption(ours.OptionSubscribe, topic); err != nil {
			return err
		}
		return s.s.SetOption(ours.OptionUnsubscribe, "")
	case lintelSocket:
		if err := s.SetOption("subscribe", topic); err != nil {
			return err
		}
		return s.SetOption("unsubscribe", "")
	}
	return fmt.Errorf("no subscriptions of %T", s)
}

func routed(router, dealer socket) error {
	for i := range 10 {
		n := fmt.Sprint(i)
		if err := dealer.sendFrames([][]byte{{}, []byte("ready"), []byte(n)}); err != nil {
			return err
		}
		if err := expect(router, "b", "", "ready", n); err != nil {
			return err
		}
		if err := router.sendFrames([][]byte{[]byte("b"), {}, []byte("work"), []byte(n)}); err != nil {
			return err
		}
		if err := expect(dealer, "", "work", n); err != nil {
			return err
		}
	}
	return nil
}
