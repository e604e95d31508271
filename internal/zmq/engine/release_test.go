package engine

import (
	"net"
	"runtime"
	"testing"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// The memory of an incomplete message is used again once its connection has
// ended.
func TestReleaseKeepsMemory(t *testing.T) {
	const rounds, frames, size = 50, 10, 64 << 10
	body := make([]byte, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		var in Input
		in.Init(nil, Limits{MaxFrame: -1, MaxMessage: -1}, nil, nil)
		for range frames {
			if err := in.Frame(flow.More, body, false); err != nil {
				t.Fatal(err)
			}
		}
		in.Release()
	}
	runtime.ReadMemStats(&after)
	// The race detector lets a pool lose a quarter of what it gets.
	if used := after.TotalAlloc - before.TotalAlloc; used > rounds*frames*size/2 {
		t.Errorf("%d octets allocated for %d rounds of %d", used, rounds, frames*size)
	}
}

// A connection that waits for the rest of a frame keeps what has arrived of it,
// and no block to read into.
func TestShrink(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	e := NewStream(near, Config{SocketType: zmtp.PAIR, Limits: Limits{MaxFrame: -1, MaxMessage: -1}})
	defer e.Close(ErrClosed)
	if e.raw == nil {
		t.Skip("no raw I/O on this system")
	}
	r := &e.r
	r.limit = maxRead
	const part = "\x00\x05ha"
	if _, err := far.Write([]byte(part)); err != nil {
		t.Fatal(err)
	}
	for r.filled < len(part) {
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	if !r.block {
		t.Fatal("it reads into no block")
	}
	r.noWait = true
	if _, err := r.readRaw(nil, false); err != ErrNothing {
		t.Fatalf("%v, want nothing to read", err)
	}
	if r.block || len(r.buf) != len(part) || string(r.buf[r.start:r.filled]) != part {
		t.Errorf("holds %d octets, %q of them read, want %q", len(r.buf), r.buf[r.start:r.filled], part)
	}
	r.noWait = false
	if _, err := far.Write([]byte("lf")); err != nil {
		t.Fatal(err)
	}
	for r.filled < len(part)+2 {
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(r.buf[r.start:r.filled]); got != part+"lf" {
		t.Errorf("read %q", got)
	}
}
