package interop_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// The environment variables that make this test binary one end of a cable, in a
// network namespace.
const (
	cableRole = "LINTEL_CABLE_ROLE" // send, receive
	cableHost = "LINTEL_CABLE_HOST" // the address of the sender
)

func init() { children[cableRole] = cableEnd }

// beats end a connection 4 s after a PING without an answer: a busy machine is not silent
// for that long.
var beats = zmq.WithHeartbeat(time.Second, 4*time.Second, 0)

// cableEnds are the endpoints of the sender: of a PUSH and of a PUB.
func cableEnds() [2]string {
	host := "tcp://" + os.Getenv(cableHost)
	return [2]string{host + ":7001", host + ":7002"}
}

func cableEnd() error {
	if os.Getenv(cableRole) == "send" {
		return sendOverCable()
	}
	return receiveOverCable()
}

// sendOverCable sends numbers with a PUSH and a PUB, one each 2 ms, until a line
// arrives on stdin. It prints how many the PUSH sent and how many it counts as lost.
func sendOverCable() error {
	push, err := zmq.NewPush(beats)
	if err != nil {
		return err
	}
	pub, err := zmq.NewPub(beats)
	if err != nil {
		return err
	}
	at := cableEnds()
	if _, err := push.Bind(at[0]); err != nil {
		return err
	}
	if _, err := pub.Bind(at[1]); err != nil {
		return err
	}
	fmt.Println("bound")
	stopped := make(chan struct{})
	in := bufio.NewScanner(os.Stdin)
	go func() {
		in.Scan()
		close(stopped)
	}()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { // ends a Send that waits for a peer
		<-stopped
		stop()
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	for running := true; running; {
		select {
		case <-tick.C:
		case <-stopped:
			running = false
			continue
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(sent))
		if err := pub.SendBytes(ctx, b); err != nil {
			return err
		}
		if push.SendBytes(ctx, b) == nil {
			sent++
		}
	}
	if err := push.SendBytes(context.Background(), []byte("end")); err != nil {
		return err
	}
	fmt.Printf("sent %d lost %d\n", sent, push.Stats().DroppedLost)
	in.Scan()
	return nil
}

// receiveOverCable prints the events of a PULL and a SUB that matter, one line each,
// and at the end how many numbers the PULL received.
func receiveOverCable() error {
	pull, err := zmq.NewPull(beats)
	if err != nil {
		return err
	}
	sub, err := zmq.NewSub(beats, zmq.WithSubscribe(""))
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(text string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(text)
	}
	at := cableEnds()
	var cut, fresh atomic.Bool
	for i, s := range []zmq.Socket{pull, sub} {
		events := s.Events(context.Background())
		go func() {
			for e := range events {
				switch e.Type {
				case event.HandshakeSucceeded:
					say(s.Type() + " connected")
					if s.Type() == "SUB" && cut.Load() {
						fresh.Store(true)
					}
				case event.Disconnected:
					if s.Type() == "SUB" {
						cut.Store(true)
					}
					say(s.Type() + " disconnected")
				case event.Closed:
					say(s.Type() + " attempt failed")
				}
			}
		}()
		if _, err := s.Connect(at[i]); err != nil {
			return err
		}
	}
	go func() {
		for {
			if _, err := sub.RecvBytes(context.Background()); err != nil {
				return
			}
			if fresh.CompareAndSwap(true, false) {
				say("SUB receives again")
			}
		}
	}()
	seen := make(map[uint32]bool)
	for {
		b, err := pull.RecvBytes(context.Background())
		if err != nil {
			return err
		}
		if string(b) == "end" {
			break
		}
		n := binary.BigEndian.Uint32(b)
		if seen[n] {
			return fmt.Errorf("number %d arrived twice", n)
		}
		seen[n] = true
	}
	say(fmt.Sprintf("received %d", len(seen)))
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

// await reads lines until all that are wanted have come, in any order.
func await(t *testing.T, p *peers.Proc, lines ...string) {
	t.Helper()
	missing := make(map[string]int)
	for _, l := range lines {
		missing[l]++
	}
	for left := len(lines); left > 0; {
		if l := p.Line(); missing[l] > 0 {
			missing[l]--
			left--
		}
	}
}

// TestCableCut cuts the link between two hosts until attempts to connect have failed,
// with PUSH and PULL, PUB and SUB across it. With heartbeats both sides notice, they
// are connected again soon after the link is back, and each message of the PUSH has
// arrived or is counted as lost.
func TestCableCut(t *testing.T) {
	n := newNetwork(t, 2)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func(host int, role string) *peers.Proc {
		cmd := n.on(host, self)
		cmd.Env = append(os.Environ(), cableRole+"="+role, cableHost+"="+address(0))
		return peers.Start(t, cmd)
	}
	link := func(state string) {
		t.Helper()
		bridge := strings.TrimSuffix(n[0], "0") + "bridge"
		if said, status := peers.Run(t, exec.Command("ip", "-n", bridge, "link", "set", "port0", state)); status != 0 {
			t.Fatal(said)
		}
	}
	sender := start(0, "send")
	sameLine(t, sender, "bound")
	receiver := start(1, "receive")
	await(t, receiver, "PULL connected", "SUB connected")
	theirs := newPyzmqBy(t, func(program ...string) *exec.Cmd { return n.on(1, program...) }).
		socket("SUB", "subscribe", "", "heartbeat_ivl", 1000, "heartbeat_timeout", 4000, "reconnect_ivl", 100, "connect_timeout", 2000)
	theirs.connect("tcp://" + address(0) + ":7002")
	theirs.recv()

	link("down")
	await(t, receiver, "PULL disconnected", "SUB disconnected")
	await(t, receiver, "PULL attempt failed", "SUB attempt failed") // after the time for one attempt
	link("up")
	back := time.Now()
	await(t, receiver, "PULL connected", "SUB connected", "SUB receives again")
	took := time.Since(back)
	t.Logf("connected again %v after the link came back", took.Round(time.Millisecond))
	if took > 20*time.Second { // 2 s on a machine that has time
		t.Errorf("connected again only after %v", took)
	}
	theirs.do("recv_many", zmqRequest{"count": 2000}) // libzmq is connected again too: its queue had fewer

	sender.Send("stop")
	var sent, lost, received int
	if _, err := fmt.Sscanf(sender.Line(), "sent %d lost %d", &sent, &lost); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := fmt.Sscanf(receiver.Line(), "received %d", &received); err == nil {
			break
		}
	}
	t.Logf("%d sent, %d received, %d counted as lost", sent, received, lost)
	if received+lost < sent || received == 0 {
		t.Errorf("%d of %d messages are neither received nor counted", sent-received-lost, sent)
	}
	sender.Send("")
	receiver.Send("")
}
