package interop_test

import (
	"context"
	"testing"

	"lintel.dev/zmq"
)

// A PUSH and a PULL of libzmq are not disturbed by Drain: by the property that our
// PUSH announces, and by a PULL of ours that leaves.
func TestDrainBesideLibzmq(t *testing.T) {
	ctx := guard(t)
	python := newPyzmq(t)

	// Ours behind libzmq's PUSH, bound and connected: Drain closes the connection.
	theirs := python.socket("PUSH")
	at := theirs.bind("tcp://127.0.0.1:*")
	first := opened[*zmq.Pull](t)(zmq.NewPull())
	ep, err := first.Connect(at)
	if err != nil {
		t.Fatal(err)
	}
	theirs.send("to the first")
	sameFrames(t, frames(t, ctx, first), []string{"to the first"})
	if err := ep.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	second := opened[*zmq.Pull](t)(zmq.NewPull())
	if ep, err = second.Bind("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	theirs = python.socketAs("connected", "PUSH")
	theirs.connect(ep.Addr())
	theirs.send("to the second")
	sameFrames(t, frames(t, ctx, second), []string{"to the second"})
	if err := ep.Drain(ctx); err != nil {
		t.Fatal(err)
	}

	// libzmq's PULL behind our PUSH, beside one of ours that leaves by Drain.
	push := opened[*zmq.Push](t)(zmq.NewPush())
	bound, err := push.Bind("tcp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	leaver := opened[*zmq.Pull](t)(zmq.NewPull(zmq.WithHWM(10)))
	if ep, err = leaver.Connect(bound.Addr()); err != nil {
		t.Fatal(err)
	}
	if err := push.SendBytes(ctx, []byte("alone")); err != nil {
		t.Fatal(err)
	}
	sameFrames(t, frames(t, ctx, leaver), []string{"alone"})
	worker := python.socket("PULL")
	worker.connect(bound.Addr())
	const n = 1000
	body := make([]byte, 10_000) // all of them do not fit into the buffers of the kernel
	sent := make(chan error, 1)
	go func() {
		for range n {
			if err := push.SendBytes(ctx, body); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	got := 0
	if _, err := leaver.RecvBytes(ctx); err != nil {
		t.Fatal(err)
	}
	got++
	reading, stop := context.WithCancel(ctx)
	drained := make(chan error, 1)
	go func() {
		drained <- ep.Drain(ctx)
		stop()
	}()
	for {
		if _, err := leaver.RecvBytes(reading); err != nil {
			break
		}
		got++
	}
	for {
		if _, err := leaver.TryRecv(); err != nil {
			break
		}
		got++
	}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	worker.do("recv_many", zmqRequest{"count": n - got})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if lost := push.Stats().DroppedLost; lost != 0 {
		t.Errorf("%d messages lost", lost)
	}
}

// frames receives a message.
func frames(t *testing.T, ctx context.Context, pull *zmq.Pull) []string {
	t.Helper()
	m, err := pull.Recv(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stringFrames(m)
}
