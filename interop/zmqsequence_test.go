package interop_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"lintel.dev/zmq"
)

// gaps checks publications of topic, body and a sequence number of four octets,
// little-endian, that grows by one for each publication of a topic.
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

// genesis is the first block of Bitcoin as a node publishes it with rawblock: a
// header of 80 octets, the count 1, and one transaction.
const genesis = "" +
	"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e" +
	"67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c01010000000100000000000000000000" +
	"00000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f" +
	"4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f75742066" +
	"6f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a6" +
	"7962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"

// bitcoinHash is SHA-256 twice, in the order in which nodes publish it.
func bitcoinHash(b []byte) string {
	once := sha256.Sum256(b)
	twice := sha256.Sum256(once[:])
	slices.Reverse(twice[:])
	return string(twice[:])
}

// TestSequences sends publications in the format of a Bitcoin node, with the
// body of a real block, from libzmq to Lintel and back. Omitted publications
// must show as gaps.
func TestSequences(t *testing.T) {
	block, err := hex.DecodeString(genesis)
	if err != nil {
		t.Fatal(err)
	}
	if h := hex.EncodeToString([]byte(bitcoinHash(block[:80]))); h != "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" {
		t.Fatalf("the block's hash is %s", h)
	}
	bodies := map[string]string{
		"rawblock": string(block), "hashblock": bitcoinHash(block[:80]),
		"rawtx": string(block[81:]), "hashtx": bitcoinHash(block[81:]),
		"sequence": bitcoinHash(block[81:]) + "A\x01\x00\x00\x00\x00\x00\x00\x00",
	}
	type publication struct {
		topic string
		n     uint32
	}
	replay := []publication{
		{"hashblock", 0},
		{"rawblock", 0},
		{"hashtx", 0xfffffffe},
		{"rawtx", 9},
		{"hashtx", 0xffffffff},
		{"hashtx", 0}, // wraps
		{"sequence", 1},
		{"sequence", 2},
		{"hashblock", 1},
		{"hashtx", 3},
		{"rawtx", 10},
		{"hashtx", 4},
		{"hashblock", 7},
		{"rawblock", 4},
		{"hashtx", 5},
		{"sequence", 3},
	}
	frames := func(p publication) []string {
		return []string{p.topic, bodies[p.topic], string(binary.LittleEndian.AppendUint32(nil, p.n))}
	}
	check := func(t *testing.T, g *gaps) {
		if g.lost["hashtx"] != 2 || g.lost["hashblock"] != 5 || g.lost["rawblock"] != 3 || g.lost["rawtx"]+g.lost["sequence"] != 0 {
			t.Errorf("lost %v, want 2 of hashtx, 5 of hashblock and 3 of rawblock", g.lost)
		}
	}
	topics := []string{"hash", "raw", "sequence"}
	t.Run("from libzmq", func(t *testing.T) {
		t.Parallel()
		pub := newPyzmq(t).socket("XPUB")
		sub := opened[*zmq.Sub](t)(zmq.NewSub())
		links[1].join(t, sub, pub)
		for _, topic := range topics {
			if err := sub.Subscribe(topic); err != nil {
				t.Fatal(err)
			}
			sameFrames(t, pub.recv(), []string{"\x01" + topic})
		}
		g := &gaps{make(map[string]uint32), make(map[string]uint32)}
		for _, p := range replay {
			pub.send("other", "not asked for", "\x00\x00\x00\x00")
			pub.send(frames(p)...)
			got := recvFrames(t, sub.Recv)
			sameFrames(t, got, frames(p))
			g.take(t, got)
		}
		check(t, g)
	})
	t.Run("to libzmq", func(t *testing.T) {
		t.Parallel()
		sub := newPyzmq(t).socket("SUB")
		pub := opened[*zmq.XPub](t)(zmq.NewXPub())
		for _, topic := range topics {
			sub.option("subscribe", topic)
		}
		links[0].join(t, pub, sub)
		for range topics {
			recvFrames(t, pub.Recv)
		}
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
