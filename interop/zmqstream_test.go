package interop_test

import (
	"testing"

	"lintel.dev/zmq"
)

// TestStreams: raw connections between our STREAM and libzmq's, whoever binds.
// Both hear of the connection, and talk.
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
