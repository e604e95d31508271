package interop_test

import (
	"encoding/binary"
	"testing"

	"lintel.dev/zmq"
)

// gaps follows publications of topic, body and a sequence number in four
// octets, lowest first, that grows by one for each of a topic.
type gaps struct {
	next map[string]uint32
	lost map[string]uint32
}

func (g *gaps) take(t *testing.T, frames []string) {
	t.Helper()
	if len(frames) != 3 || len(frames[2]) != 4 {
		t.Fatalf("publication %q, want topic, body and 4 octets", frames)
	}
	topic, n := frames[0], binary.LittleEndian.Uint32([]byte(frames[2]))
	if want, ok := g.next[topic]; ok {
		g.lost[topic] += n - want
	}
	g.next[topic] = n + 1
}

// TestSequences replays publications of the kind a bitcoin node makes, from
// libzmq to us and back: what was left out on the way shows as a gap.
func TestSequences(t *testing.T) {
	type publication struct {
		topic string
		n     uint32
	}
	replay := []publication{
		{"hashblock", 0}, {"hashtx", 0xfffffffe}, {"hashtx", 0xffffffff}, {"hashtx", 0}, // wraps
		{"hashblock", 1}, {"hashtx", 3}, {"hashtx", 4}, {"hashblock", 7}, {"hashtx", 5},
	}
	frames := func(p publication) []string {
		return []string{p.topic, "\x00\xff" + p.topic, string(binary.LittleEndian.AppendUint32(nil, p.n))}
	}
	check := func(t *testing.T, g *gaps) {
		if g.lost["hashtx"] != 2 || g.lost["hashblock"] != 5 {
			t.Errorf("lost %v, want 2 of hashtx and 5 of hashblock", g.lost)
		}
	}
	t.Run("from libzmq", func(t *testing.T) {
		t.Parallel()
		pub := newPyzmq(t).socket("XPUB")
		sub := opened[*zmq.Sub](t)(zmq.NewSub())
		if err := sub.Subscribe("hash"); err != nil {
			t.Fatal(err)
		}
		links[1].join(t, sub, pub)
		sameFrames(t, pub.recv(), []string{"\x01hash"})
		g := &gaps{make(map[string]uint32), make(map[string]uint32)}
		for _, p := range replay {
			pub.send("rawtx", "not asked for", "\x00\x00\x00\x00")
			pub.send(frames(p)...)
			got := recvFrames(t, sub.Recv)
			sameFrames(t, got, frames(p))
			g.take(t, got)
		}
		check(t, g)
	})
	t.Run("to libzmq", func(t *testing.T) {
		t.Parallel()
		sub := newPyzmq(t).socket("SUB", "subscribe", "hash")
		pub := opened[*zmq.XPub](t)(zmq.NewXPub())
		links[0].join(t, pub, sub)
		sameFrames(t, recvFrames(t, pub.Recv), []string{"\x01hash"})
		g := &gaps{make(map[string]uint32), make(map[string]uint32)}
		for _, p := range replay {
			sendFrames(t, pub.Send, frames(p)...)
			got := sub.recv()
			sameFrames(t, got, frames(p))
			g.take(t, got)
		}
		check(t, g)
	})
}
