//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"lintel.dev/zmq"
)

// The programs of the torture: this test binary, started with a role and an
// endpoint in its environment. Each line that they print is one write.
const (
	roleVariable     = "LINTEL_BRIDGE_TEST_ROLE"
	endpointVariable = "LINTEL_BRIDGE_TEST_ENDPOINT"
)

// roles are the programs by name. They run until they are killed.
var roles = map[string]func(endpoint string) error{
	"put by DEALER":  putByDealer,
	"put by REQ":     putByReq,
	"work by DEALER": func(endpoint string) error { return workByDealer(endpoint, true) },
	"hold by DEALER": func(endpoint string) error { return workByDealer(endpoint, false) },
	"work by REQ":    workByReq,
}

const (
	window   = 64              // puts of a producer without an answer
	patience = 2 * time.Second // then they are repeated
	credit   = 16
)

// body returns the n-th message of a producer. Its checksum tells it from one that
// no producer made.
func body(life string, n int) string {
	id := fmt.Sprint(life, "-", n)
	return fmt.Sprintf("%s-%08x", id, crc32.ChecksumIEEE([]byte(id)))
}

// made reports whether body made b.
func made(b string) bool {
	if len(b) < 10 {
		return false
	}
	id := b[:len(b)-9]
	return b == fmt.Sprintf("%s-%08x", id, crc32.ChecksumIEEE([]byte(id)))
}

func say(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }

func connect[S zmq.Socket](made func(...zmq.Option) (S, error), endpoint string, options ...zmq.Option) (S, error) {
	s, err := made(append(options, zmq.WithReconnect(20*time.Millisecond, 0))...)
	if err != nil {
		return s, err
	}
	_, err = s.Connect(endpoint)
	return s, err
}

func receive(s zmq.Receiver, wait time.Duration) (zmq.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return s.Recv(ctx)
}

// putByDealer puts messages with a window, and repeats those without an answer.
func putByDealer(endpoint string) error {
	s, err := connect(zmq.NewDealer, endpoint)
	if err != nil {
		return err
	}
	life, next := rand.Text(), 0
	waiting := make(map[string]bool)
	put := func(id string) {
		waiting[id] = true
		_ = s.TrySend(zmq.NewMsg("", "PUT", id, id)) // repeated if there is no room
	}
	for {
		for len(waiting) < window {
			put(body(life, next))
			next++
		}
		m, err := receive(s, patience)
		if err != nil {
			for id := range waiting {
				put(id)
			}
			continue
		}
		if word, id := string(m[1]), string(m[2]); word != "NO" && waiting[id] {
			delete(waiting, id)
			say("OK %s", id)
		}
	}
}

// correlated lets a REQ give up a reply and ask again.
func correlated() []zmq.Option {
	return []zmq.Option{zmq.WithOption("req_relaxed", "1"), zmq.WithOption("req_correlate", "1")}
}

func request(s *zmq.Req, m zmq.Msg) (zmq.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Request(ctx, m)
}

func putByReq(endpoint string) error {
	s, err := connect(zmq.NewReq, endpoint, correlated()...)
	if err != nil {
		return err
	}
	life := rand.Text()
	for n := 0; ; n++ {
		id := body(life, n)
		for {
			reply, err := request(s, zmq.NewMsg("ID", id, id))
			if err == nil && string(reply[0]) != "NO" {
				break
			}
		}
		say("OK %s", id)
	}
}

// workByDealer prints jobs and then, unless it only holds them, acknowledges them.
func workByDealer(endpoint string, acknowledge bool) error {
	s, err := connect(zmq.NewDealer, endpoint)
	if err != nil {
		return err
	}
	var beat time.Time
	for {
		if time.Since(beat) > time.Second/2 {
			beat = time.Now()
			_ = s.TrySend(zmq.NewMsg("", "READY", fmt.Sprint(credit)))
		}
		m, err := receive(s, time.Second/2)
		if err != nil || string(m[1]) == "NO" {
			continue
		}
		say("DONE %s", m[3])
		if acknowledge {
			_ = s.TrySend(zmq.Msg{nil, []byte("ACK"), m[1]}) // if that fails, the job comes again
		}
	}
}

func workByReq(endpoint string) error {
	s, err := connect(zmq.NewReq, endpoint, correlated()...)
	if err != nil {
		return err
	}
	next := zmq.NewMsg("NEXT")
	for ask := next; ; {
		m, err := request(s, ask)
		if err != nil || string(m[0]) == "NO" {
			ask = next
			continue
		}
		say("DONE %s", m[2])
		ask = zmq.Msg{[]byte("ACK"), m[0]}
	}
}
