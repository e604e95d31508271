package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/epgm"
	"lintel.dev/internal/zmq/epgm/epgmtest"
	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// The environment variables that make this test binary a host of a group, in a
// network namespace.
const (
	groupRole = "LINTEL_GROUP_ROLE" // pub, sub
	groupAt   = "LINTEL_GROUP_AT"   // endpoint
	groupLoss = "LINTEL_GROUP_LOSS" // a seed: one datagram in twenty is lost on the way in and out
	groupFrom = "LINTEL_GROUP_FROM" // sub: the first message it is to get
)

func init() { children[groupRole] = groupHost }

// groupEnd is a publisher or subscriber.
type groupEnd interface {
	Send(frames ...string) error
	Recv() ([]string, error)
}

// socketEnd is one that is a socket.
type socketEnd struct {
	pub *zmq.Pub
	sub *zmq.Sub
}

func (s socketEnd) Send(frames ...string) error { return s.pub.Send(context.Background(), msg(frames)) }

func (s socketEnd) Recv() ([]string, error) {
	m, err := s.sub.Recv(context.Background())
	return stringFrames(m), err
}

func groupHost() error {
	end, err := openGroupEnd(os.Getenv(groupAt), os.Getenv(groupRole) == "pub", os.Getenv(groupLoss))
	if err != nil {
		return err
	}
	if os.Getenv(groupRole) == "pub" {
		return publishToHosts(end)
	}
	first, err := strconv.Atoi(os.Getenv(groupFrom))
	if err != nil {
		return err
	}
	return subscribeOnHost(end, first)
}

func openGroupEnd(at string, pub bool, loss string) (groupEnd, error) {
	if loss != "" {
		return openLossyEnd(at, pub, loss)
	}
	speed := zmq.WithOption("rate", strconv.Itoa(rate))
	if pub {
		p, err := zmq.NewPub(speed)
		if err == nil {
			_, err = p.Connect(at)
		}
		return socketEnd{pub: p}, err
	}
	s, err := zmq.NewSub(speed)
	if err == nil {
		err = s.Subscribe("")
	}
	if err == nil {
		_, err = s.Connect(at)
	}
	return socketEnd{sub: s}, err
}

func openLossyEnd(at string, pub bool, seed string) (groupEnd, error) {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return nil, err
	}
	_, address, _ := strings.Cut(at, "://")
	cfg, err := epgm.Parse(address)
	if err != nil {
		return nil, err
	}
	cfg.Rate, cfg.Limits, cfg.Wrap = rate, enginetest.Unlimited, epgmtest.Lossy(n)
	open := epgm.NewReceiver
	if pub {
		open = epgm.NewSource
	}
	c, err := open(cfg)
	if err != nil {
		return nil, err
	}
	s, _, err := enginetest.Run(context.Background(), c)
	return s, err
}

// publishToHosts sends one half of the messages at each line of stdin, and
// messages for joining in between. It sends repairs until stdin ends.
func publishToHosts(end groupEnd) error {
	lines := make(chan struct{})
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- struct{}{}
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-tick.C:
			if err := end.Send("sync"); err != nil {
				return err
			}
		case _, more := <-lines:
			if !more {
				return nil
			}
			for range published / 2 {
				if err := end.Send("topic", body(sent)); err != nil {
					return err
				}
				sent++
			}
		}
	}
}

// subscribeOnHost prints "joined" when it receives from the publisher, and
// "all" when it has received every message from first on, once and in order.
func subscribeOnHost(end groupEnd, first int) error {
	for due, joined := first, false; due < published; {
		m, err := end.Recv()
		if err != nil {
			return err
		}
		switch {
		case len(m) == 1 && m[0] == "sync":
			if !joined {
				joined = true
				fmt.Println("joined")
			}
		case slices.Equal(m, []string{"topic", body(due)}):
			due++
		default:
			return fmt.Errorf("%.40q where message %d was due", m, due)
		}
	}
	fmt.Println("all")
	// It stays until the test ends it, because it may repair for others.
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

// network is hosts on one Ethernet: network namespaces, each with an eth0 that
// leads to a bridge.
type network []string

func newNetwork(t *testing.T, hosts int) network {
	t.Helper()
	ip := peers.Program(t, "ip")
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	prefix := fmt.Sprintf("lintel%d-", os.Getpid())
	run := func(args ...string) {
		t.Helper()
		if said, status := peers.Run(t, exec.Command(ip, args...)); status != 0 {
			t.Skipf("this system makes no networks: ip %s: %s", strings.Join(args, " "), said)
		}
	}
	add := func(name string) string {
		ns := prefix + name
		run("netns", "add", ns)
		t.Cleanup(func() { peers.Run(t, exec.Command(ip, "netns", "del", ns)) })
		return ns
	}
	bridge := add("bridge")
	run("-n", bridge, "link", "add", "br0", "type", "bridge")
	run("-n", bridge, "link", "set", "br0", "up")
	var n network
	for i := range hosts {
		ns := add(strconv.Itoa(i))
		port := "port" + strconv.Itoa(i)
		run("-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", bridge)
		run("-n", bridge, "link", "set", port, "master", "br0", "up")
		run("-n", ns, "addr", "add", address(i)+"/24", "dev", "eth0")
		run("-n", ns, "link", "set", "eth0", "up")
		run("-n", ns, "link", "set", "lo", "up")
		n = append(n, ns)
	}
	return n
}

func address(host int) string { return "10.77.0." + strconv.Itoa(host+1) }

// on returns a command that runs on one host.
func (n network) on(host int, command ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n[host]}, command...)...)
}

// start runs this test binary as a host of the group.
func (n network) start(t *testing.T, host int, at, role, from string, lossy bool) *peers.Proc {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := n.on(host, self)
	cmd.Env = append(os.Environ(), groupRole+"="+role, groupAt+"="+at, groupFrom+"="+from)
	if lossy {
		cmd.Env = append(cmd.Env, groupLoss+"="+strconv.Itoa(host+1))
	}
	return peers.Start(t, cmd)
}

// TestMulticastHosts publishes from one host to ten others, one of which joins
// in mid-stream, and to one with libzmq.
func TestMulticastHosts(t *testing.T) {
	for _, c := range []struct {
		name  string
		lossy bool
	}{{"sockets", false}, {"one datagram in twenty lost", true}} {
		t.Run(c.name, func(t *testing.T) {
			const receivers = 10
			const group = ";239.192.77.1:5555"
			const at = "epgm://eth0" + group
			n := newNetwork(t, 1+receivers+1)
			pub := n.start(t, 0, at, "pub", "", c.lossy)

			python := newPyzmqBy(t, func(program ...string) *exec.Cmd { return n.on(receivers+1, program...) })
			theirs := python.socket("SUB", "subscribe", "", "rate", rate)
			theirs.connect("epgm://" + address(receivers+1) + group) // it finds no interface by its name
			// See publishTo for why twenty are sent.
			theirs.do("recv_many", zmqRequest{"count": 20})
			theirs.tell("recv_past", zmqRequest{"id": theirs.id, "prefix": []byte("sync")})

			var ours []*peers.Proc
			join := func(host int, from string) {
				ours = append(ours, n.start(t, host, at, "sub", from, c.lossy))
			}
			for i := range receivers - 1 {
				join(i+1, "0")
			}
			for _, p := range ours {
				sameLine(t, p, "joined")
			}
			pub.Send("first half")
			if first := theirs.answer().strings(); !slices.Equal(first, []string{"topic", body(0)}) {
				t.Fatalf("libzmq gets %.40q first", first)
			}
			h := newDigest()
			for i := 1; i < published/2; i++ {
				h.message(byteFrames([]string{"topic", body(i)}))
			}
			if got := theirs.do("recv_many", zmqRequest{"count": published/2 - 1}).Digest; got != h.String() {
				t.Error("what came to libzmq is not what was published")
			}
			join(receivers, strconv.Itoa(published/2))
			sameLine(t, ours[receivers-1], "joined")
			pub.Send("second half")
			for _, p := range ours {
				sameLine(t, p, "all")
			}
		})
	}
}
