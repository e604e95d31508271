package interop_test

import (
	"errors"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// TestStreams makes raw connections between the STREAMs of both
// implementations, with either side binding. Both are notified of the
// connection and exchange data.
func TestStreams(t *testing.T) {
	for _, l := range links[:2] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			theirs := newPyzmq(t).socket("STREAM")
			ours := opened[*zmq.Stream](t)(zmq.NewStream())
			l.join(t, ours, theirs)
			here, there := recvFrames(t, ours.Recv), theirs.recv()
			if len(here) != 2 || len(there) != 2 || here[1] != "" || there[1] != "" {
				t.Fatalf("told of the connection with %q and %q", here, there)
			}
			sendFrames(t, ours.Send, here[0], "GET / HTTP/1.0\r\n\r\n")
			sameFrames(t, theirs.recv(), []string{there[0], "GET / HTTP/1.0\r\n\r\n"})
			theirs.send(there[0], "\x00\xff binary")
			sameFrames(t, recvFrames(t, ours.Recv), []string{here[0], "\x00\xff binary"})
		})
	}
}

// TestStreamsEnd closes the connection with an empty frame after the data. The
// other side is notified, and reconnects if it was the one that connected. The
// side that closed it is not notified and does not reconnect.
func TestStreamsEnd(t *testing.T) {
	for _, l := range links[:2] {
		setup := func(t *testing.T) (ours *zmq.Stream, theirs *pysock, here, there string) {
			t.Parallel()
			theirs = newPyzmq(t).socket("STREAM", "reconnect_ivl", 1)
			ours = opened[*zmq.Stream](t)(zmq.NewStream(zmq.WithReconnect(time.Millisecond, 0)))
			l.join(t, ours, theirs)
			return ours, theirs, recvFrames(t, ours.Recv)[0], theirs.recv()[0]
		}
		t.Run(l.name+"/we end", func(t *testing.T) {
			ours, theirs, here, there := setup(t)
			sendFrames(t, ours.Send, here, "farewell")
			sendFrames(t, ours.Send, here, "")
			sameFrames(t, theirs.recv(), []string{there, "farewell"})
			sameFrames(t, theirs.recv(), []string{there, ""})
			if err := ours.Send(guard(t), msg([]string{here, "late"})); !errors.Is(err, zmq.ErrHostUnreachable) {
				t.Errorf("sent to a connection that we ended: %v", err)
			}
			if l.weBind {
				sameFrames(t, theirs.recv(), []string{there, ""})
				theirs.send(there, "again")
				id := recvFrames(t, ours.Recv)
				sameFrames(t, id[1:], []string{""})
				sameFrames(t, recvFrames(t, ours.Recv), []string{id[0], "again"})
			}
		})
		t.Run(l.name+"/they end", func(t *testing.T) {
			ours, theirs, here, there := setup(t)
			theirs.send(there, "farewell")
			theirs.send(there, "")
			theirs.listen() // libzmq acts on it only during a call
			sameFrames(t, recvFrames(t, ours.Recv), []string{here, "farewell"})
			sameFrames(t, recvFrames(t, ours.Recv), []string{here, ""})
			if l.weBind {
				theirs.p.Kill() // it waits for data that is not sent
				return
			}
			sameFrames(t, recvFrames(t, ours.Recv), []string{here, ""})
			id := theirs.answer().strings()
			sendFrames(t, ours.Send, here, "again")
			sameFrames(t, theirs.recv(), []string{id[0], "again"})
		})
	}
}
