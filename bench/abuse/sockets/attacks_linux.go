package sockets

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// attack is something that peers do to a target.
type attack struct {
	name     string
	kinds    []string // sockets of the target, of which each has a good peer
	oursOnly bool     // Debian's libzmq does not have what is attacked
	memory   float64  // megabytes that the target may grow; 0: as in each row
	run      func(ctx context.Context, at endpoints) error
}

// waitingMemory is the bound of rcvhwm_octets, 64 MiB and 1 MiB of each peer, twice:
// a Go heap takes up to double what it holds. libzmq counts messages, not octets.
const waitingMemory = 200

// topicsMemory is the bound of the subscriptions of one peer, 64 MiB, in which
// short topics count a third of what they take; of the peer that left and of the
// next one; and what the collector has not freed yet. In an XPUB that is not
// read, the notifications come on top.
const topicsMemory = 450

// allMemory is the sum of the bounds of three sockets, twice.
const allMemory = 1500

// unfinishedMemory is the bound of unfinished_octets, 512 MiB beside the peer
// with the most, and what the collector has not freed yet.
const unfinishedMemory = 640

var attacks = []attack{
	{name: "PING flood", kinds: []string{"router"}, run: pings(8)},
	{name: "1-octet ws fragments", kinds: []string{"ws"}, oursOnly: true, run: fragments(8)},
	{name: "PUB, 1 M topics leave", kinds: []string{"pub"}, memory: topicsMemory, run: leavers("pub", 1_000_000)},
	{name: "XPUB, 1 M topics leave", kinds: []string{"xpub"}, memory: topicsMemory, run: leavers("xpub", 1_000_000)},
	{name: "XPUB, 1 MiB upstream", kinds: []string{"xpub"}, run: upstream(4)},
	{name: "60,000-frame messages", kinds: []string{"pull"}, memory: waitingMemory, run: manyFrames(4)},
	{name: "unfinished messages", kinds: []string{"router"}, memory: unfinishedMemory, run: unfinished(50, 1<<30)},
	{name: "half frames, 2,000 peers", kinds: []string{"router"}, run: halfFrames(2000)},
	{name: "CURVE, bad HELLO", kinds: []string{"curve"}, run: curve(20, badHello)},
	{name: "CURVE, cut after HELLO", kinds: []string{"curve"}, run: curve(20, cutHello)},
	{name: "CURVE, bad INITIATE", kinds: []string{"curve"}, run: curve(20, badInitiate)},
	{name: "connect and leave", kinds: []string{"router"}, run: churn(20)},
	{name: "subscribe and cancel", kinds: []string{"pub"}, run: cancellers(8)},
	{name: "slow greetings", kinds: []string{"router"}, run: slowGreetings(500)},
	{name: "all together", kinds: []string{"router", "curve", "pull", "pub", "xpub"}, memory: allMemory, run: together(
		pings(4), leavers("pub", 100_000), upstream(2), manyFrames(2), unfinished(50, 512<<20),
		curve(5, badHello), curve(5, cutHello), curve(5, badInitiate), churn(5), cancellers(2), slowGreetings(100),
	)},
}

// together runs several attacks at the same time.
func together(all ...func(context.Context, endpoints) error) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		errs := make(chan error, len(all))
		for _, a := range all {
			go func() { errs <- a(ctx, at) }()
		}
		var first error
		for range all {
			if err := <-errs; first == nil {
				first = err
			}
		}
		return first
	}
}

// joiner connects to a socket of the target as one of socketType.
func joiner(at endpoints, name, socketType string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return join(ctx, at.address(name), socketType) }
}

// block repeats what next appends until there are 64 KiB.
func block(next func(b []byte, i int) []byte) []byte {
	var b []byte
	for i := 0; len(b) < 64<<10; i++ {
		b = next(b, i)
	}
	return b
}

// pings send PING and never read PONG.
func pings(n int) func(context.Context, endpoints) error {
	flood := block(func(b []byte, _ int) []byte { return command(b, zmtp.AppendPing(nil, 0, nil)) })
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, joiner(at, "router", "DEALER"), repeat(flood))
	}
}

// fragments send a message that does not end, in fragments of one octet.
func fragments(n int) func(context.Context, endpoints) error {
	const binary, fin, masked = 2, 0x80, 0x80
	noMask := make([]byte, 4)
	flood := block(func(b []byte, _ int) []byte { return append(append(b, 0, masked|1), "\x00\x00\x00\x00a"...) })
	return func(ctx context.Context, at endpoints) error {
		address := at.address("ws")
		return crowd(ctx, n, func(ctx context.Context) (net.Conn, error) {
			c, err := dial(ctx, address, []byte("GET / HTTP/1.1\r\nHost: "+address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ZWS2.0/NULL\r\n\r\n"))
			if err != nil {
				return nil, err
			}
			body := append([]byte{2}, ready("DEALER")...) // flags: a command
			first := append([]byte{fin | binary, masked | byte(len(body))}, noMask...)
			first = append(first, body...)
			first = append(first, binary, masked|1, 0, 0, 0, 0, 0) // flags of the endless message
			if _, err := c.Write(first); err != nil {
				c.Close()
				return nil, err
			}
			return c, nil
		}, repeat(flood))
	}
}

// leavers subscribe to many topics and leave once all are known. There is one
// at a time, and one at least comes and leaves.
func leavers(name string, topics int) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		for first := true; first || ctx.Err() == nil; first = false {
			// The first one has more time than the attack.
			life, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			err := leaver(life, at.address(name), topics)
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func leaver(ctx context.Context, address string, topics int) error {
	c, err := join(ctx, address, "SUB")
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var b []byte
	for i := range topics {
		b = command(b, zmtp.AppendSubscribe(nil, fmt.Appendf(nil, "topic%07d", i)))
		if len(b) > 64<<10 || i == topics-1 {
			if _, err := c.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	// A publication for the last subscription shows that all are known.
	if _, err := c.Write(command(nil, zmtp.AppendSubscribe(nil, mark))); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 2+len(mark)))
	return err
}

// upstream sends messages of 1 MiB to an XPUB.
func upstream(n int) func(context.Context, endpoints) error {
	message := frame(nil, 0, bytes.Repeat([]byte("m"), 1<<20))
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, joiner(at, "xpub", "XSUB"), repeat(message))
	}
}

// manyFrames sends messages of 60,000 frames of one octet to a PULL.
func manyFrames(n int) func(context.Context, endpoints) error {
	var message []byte
	for range 60_000 - 1 {
		message = frame(message, zmtp.FlagMore, []byte("f"))
	}
	message = frame(message, 0, []byte("f"))
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, joiner(at, "pull", "PUSH"), repeat(message))
	}
}

// unfinished sends frames of messages that never end, of total octets, on n
// connections.
func unfinished(n int, total int64) func(context.Context, endpoints) error {
	part := frame(nil, zmtp.FlagMore, bytes.Repeat([]byte("u"), 64<<10))
	return func(ctx context.Context, at endpoints) error {
		var left atomic.Int64
		left.Store(total)
		return crowd(ctx, n, joiner(at, "router", "DEALER"), func(c net.Conn) {
			for left.Add(-int64(len(part))) > 0 {
				if _, err := c.Write(part); err != nil {
					return
				}
			}
			<-ctx.Done()
		})
	}
}

// halfFrames begin a frame and wait.
func halfFrames(n int) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, joiner(at, "router", "DEALER"), func(c net.Conn) {
			if _, err := c.Write([]byte{0}); err == nil {
				<-ctx.Done()
			}
		})
	}
}

// curve makes n attackers that each do handshake, again and again.
func curve(n int, handshake func(c net.Conn) error) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, func(ctx context.Context) (net.Conn, error) {
			return dial(ctx, at.address("curve"), greeting("CURVE"))
		}, func(c net.Conn) { _ = handshake(c) })
	}
}

// badHello sends a HELLO whose signature is wrong.
func badHello(c net.Conn) error {
	hello := make([]byte, 200)
	rand.Read(hello)
	copy(hello, "\x05HELLO\x01\x00")
	_, err := c.Write(command(nil, hello))
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return err
}

// hello sends a HELLO as it should be and waits for the WELCOME.
func hello(c net.Conn) (welcome []byte, err error) {
	server, err := zmtp.ParseKey(serverPublic)
	if err != nil {
		return nil, err
	}
	m := zmtp.NewCurveClient(zmtp.NewKeyPair(), server, nil)
	body, _ := m.Produce(nil)
	if _, err := c.Write(command(nil, body)); err != nil {
		return nil, err
	}
	answer := make([]byte, zmtp.GreetingSize+2+168)
	_, err = io.ReadFull(c, answer)
	return answer[zmtp.GreetingSize+2:], err
}

// cutHello leaves after the WELCOME.
func cutHello(c net.Conn) error {
	_, err := hello(c)
	return err
}

// badInitiate sends an INITIATE of random octets.
func badInitiate(c net.Conn) error {
	if _, err := hello(c); err != nil {
		return err
	}
	initiate := make([]byte, 300)
	rand.Read(initiate)
	copy(initiate, "\x08INITIATE")
	_, err := c.Write(command(nil, initiate))
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return err
}

// churn connects and leaves after the handshake.
func churn(n int) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		return crowd(ctx, n, joiner(at, "router", "DEALER"), func(net.Conn) {})
	}
}

// cancellers subscribe to topics and cancel the subscriptions.
func cancellers(n int) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		var number atomic.Int64
		return crowd(ctx, n, joiner(at, "pub", "SUB"), func(c net.Conn) {
			me := number.Add(1)
			repeat(block(func(b []byte, i int) []byte {
				topic := fmt.Appendf(nil, "peer%dtopic%d", me, i)
				return command(command(b, zmtp.AppendSubscribe(nil, topic)), zmtp.AppendCancel(nil, topic))
			}))(c)
		})
	}
}

// slowGreetings send an octet of their greeting each 100 ms.
func slowGreetings(n int) func(context.Context, endpoints) error {
	return func(ctx context.Context, at endpoints) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		whole := greeting("NULL")
		conns := make([]net.Conn, 0, n)
		defer func() {
			var wg sync.WaitGroup
			for _, c := range conns {
				wg.Go(func() { c.Close() })
			}
			wg.Wait()
		}()
		for range n {
			c, err := dial(ctx, at.address("router"), nil)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		for i := range whole {
			for _, c := range conns {
				if _, err := c.Write(whole[i : i+1]); err != nil {
					return err
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
		<-ctx.Done()
		return nil
	}
}
