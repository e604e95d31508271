package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

func TestClientServer(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		server := made(r, zmq.NewServer)
		at := r.bind(server)
		ids := map[string]string{}
		var clients []*zmq.Client
		for i := range 3 {
			c := made(r, zmq.NewClient)
			r.connect(c, at)
			r.send(c, fmt.Sprint("from ", i))
			clients = append(clients, c)
		}
		for range clients {
			m, err := server.Recv(r.ctx)
			if err != nil || len(m) != 2 || len(m[0]) != 4 || ids[string(m[0])] != "" {
				t.Fatalf("%q %v", m, err)
			}
			ids[string(m[0])] = strings.TrimPrefix(string(m[1]), "from ")
		}
		for id, name := range ids {
			if err := server.Send(r.ctx, zmq.NewMsg(id, "to "+name)); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range clients {
			r.want(c, fmt.Sprint("to ", i))
		}
		unknown := []byte{0, 0, 0, 1}
		for ids[string(unknown)] != "" {
			unknown[3]++
		}
		if err := server.Send(r.ctx, zmq.Msg{unknown, nil}); !errors.Is(err, zmq.ErrHostUnreachable) {
			t.Errorf("to an unknown peer: %v", err)
		}
	})
}

func TestOneFrameOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		gather := made(r, zmq.NewGather)
		at := r.bind(gather)
		for _, s := range []zmq.Sender{made(r, zmq.NewScatter), made(r, zmq.NewClient), made(r, zmq.NewChannel)} {
			if err := s.Send(r.ctx, zmq.NewMsg("a", "b")); !errors.Is(err, zmq.ErrNotSupported) {
				t.Errorf("%v: two frames: %v", s, err)
			}
		}
		server := made(r, zmq.NewServer)
		id := binary.BigEndian.AppendUint32(nil, 7)
		for _, m := range []zmq.Msg{{id}, {id, id, id}, {[]byte("id"), nil}} {
			if err := server.Send(r.ctx, m); err == nil {
				t.Errorf("SERVER took %q", m)
			}
		}
		scatter := made(r, zmq.NewScatter)
		r.connect(scatter, at)
		r.send(scatter, "whole")
		r.want(gather, "whole")
	})
}

func TestScatterGather(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		scatter := made(r, zmq.NewScatter)
		at := r.bind(scatter)
		var gathers []*zmq.Gather
		for range 3 {
			g := made(r, zmq.NewGather)
			r.connect(g, at)
			gathers = append(gathers, g)
		}
		for range gathers {
			r.send(scatter, "hello")
		}
		for got := 0; got < len(gathers); {
			for _, g := range gathers {
				soon, stop := context.WithTimeout(r.ctx, 5*time.Millisecond)
				m, err := g.Recv(soon)
				stop()
				switch {
				case err == nil && m.String() == "hello":
					got++
				case r.ctx.Err() != nil || err == nil:
					t.Fatalf("%q %v", m, err)
				}
			}
		}
	})
}

func TestChannel(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		a, b := made(r, zmq.NewChannel), made(r, zmq.NewChannel)
		r.connect(a, r.bind(b))
		for i := range 100 {
			r.send(a, fmt.Sprint("to b ", i))
			r.want(b, fmt.Sprint("to b ", i))
			r.send(b, fmt.Sprint("to a ", i))
			r.want(a, fmt.Sprint("to a ", i))
		}
	})
}

func TestPeer(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		a, b := made(r, zmq.NewPeer), made(r, zmq.NewPeer)
		e, err := a.Connect(r.bind(b))
		r.must(err)
		id := e.RoutingID()
		if len(id) != 4 {
			t.Fatalf("routing id %q", id)
		}
		r.must(a.Send(r.ctx, zmq.Msg{id, []byte("question")}))
		q, err := b.Recv(r.ctx)
		if err != nil || len(q) != 2 || string(q[1]) != "question" {
			t.Fatalf("%q %v", q, err)
		}
		r.must(b.Send(r.ctx, zmq.Msg{q[0], []byte("answer")}))
		if m, err := a.Recv(r.ctx); err != nil || string(m[0]) != string(id) || string(m[1]) != "answer" {
			t.Fatalf("%q %v, want from %q", m, err, id)
		}
		immediate := made(r, zmq.NewPeer, zmq.WithOption("immediate", "1"), zmq.WithLinger(0))
		e, err = immediate.Connect("tcp://127.0.0.1:1")
		r.must(err)
		if id := e.RoutingID(); id != nil {
			t.Errorf("a PEER with immediate knows the routing id %q before the peer is there", id)
		}
	})
}

func TestRadioDish(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		radio, dish, other := made(r, zmq.NewRadio), made(r, zmq.NewDish), made(r, zmq.NewDish)
		at := r.bind(radio)
		for _, group := range []string{"news", "sport", ""} {
			if err := dish.Join(group); err != nil {
				t.Fatal(err)
			}
		}
		if err := dish.Join("news"); err == nil {
			t.Error("joined twice")
		}
		if err := dish.Leave("absent"); err == nil {
			t.Error("left what was not joined")
		}
		if err := dish.Join(strings.Repeat("g", 256)); err == nil {
			t.Error("joined a group of 256 octets")
		}
		if err := other.Join("end"); err != nil {
			t.Fatal(err)
		}
		if err := dish.Join("end"); err != nil {
			t.Fatal(err)
		}
		r.connect(dish, at)
		r.connect(other, at)
		// A message that arrives says that its group is known.
		known := func(d *zmq.Dish, groups ...string) {
			for _, g := range groups {
				for want := g + "|sync"; ; {
					if err := radio.SendGroup(r.ctx, g, []byte("sync")); err != nil {
						t.Fatal(err)
					}
					soon, stop := context.WithTimeout(r.ctx, 5*time.Millisecond)
					m, err := d.Recv(soon)
					stop()
					if err == nil && m.String() == want {
						break
					}
					if r.ctx.Err() != nil {
						t.Fatalf("%q never arrives", want)
					}
				}
			}
		}
		known(dish, "news", "sport", "", "end")
		known(other, "end")
		for _, m := range [][2]string{{"news", "1"}, {"culture", "2"}, {"new", "3"}, {"newspaper", "4"}, {"", "5"}, {"sport", "6"}} {
			r.send(radio, m[0], m[1])
		}
		r.send(radio, "end", "done")
		var got []string
		for {
			group, b, err := dish.RecvGroup(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if string(b) == "done" {
				break
			}
			if string(b) != "sync" {
				got = append(got, group+"="+string(b))
			}
		}
		if fmt.Sprint(got) != "[news=1 =5 sport=6]" {
			t.Errorf("got %q", got)
		}
		for {
			_, b, err := other.RecvGroup(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if string(b) == "done" {
				break
			}
			if string(b) != "sync" {
				t.Errorf("other got %q", b)
			}
		}
		for _, bad := range []zmq.Msg{{[]byte("one")}, {nil, nil, nil}, {make([]byte, 256), nil}} {
			if err := radio.Send(r.ctx, bad); err == nil {
				t.Errorf("RADIO took %d frames, the first of %d octets", len(bad), len(bad[0]))
			}
		}
	})
}

func TestUDPRadioDish(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	dish, err := zmq.NewDish()
	if err != nil {
		t.Fatal(err)
	}
	defer dish.Close()
	if err := dish.Join("g"); err != nil {
		t.Fatal(err)
	}
	e, err := dish.Bind("udp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	radio, err := zmq.NewRadio()
	if err != nil {
		t.Fatal(err)
	}
	defer radio.Close()
	if _, err := radio.Connect(e.Addr()); err != nil {
		t.Fatal(err)
	}
	for i, m := range []zmq.Msg{
		zmq.NewMsg("other", "not for us"), zmq.NewMsg("g", "first"), zmq.NewMsg("g", strings.Repeat("x", 9000)),
		zmq.NewMsg("g", strings.Repeat("y", 8000)), zmq.NewMsg("g", ""),
	} {
		if err := radio.Send(ctx, m); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, want := range []string{"first", strings.Repeat("y", 8000), ""} {
		group, b, err := dish.RecvGroup(ctx)
		if err != nil || group != "g" || string(b) != want {
			t.Fatalf("%q %.20q %v, want %.20q", group, b, err, want)
		}
	}
	// Datagrams that are none of a RADIO's cost a counter.
	c, err := net.Dial("udp", strings.TrimPrefix(e.Addr(), "udp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range []string{"\xff", "\x05gro", "\x01gafter"} {
		if _, err := c.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	if _, b, err := dish.RecvGroup(ctx); err != nil || string(b) != "after" {
		t.Fatalf("%q %v", b, err)
	}
	if n := dish.Stats().DroppedMalformed; n != 2 {
		t.Errorf("%d malformed datagrams counted, want 2", n)
	}
}

func TestDgram(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	a, err := zmq.NewDgram()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	e, err := a.Bind("udp://127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Dial("udp", strings.TrimPrefix(e.Addr(), "udp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	m, err := a.Recv(ctx)
	if err != nil || len(m) != 2 || string(m[0]) != plain.LocalAddr().String() || string(m[1]) != "ping" {
		t.Fatalf("%q %v", m, err)
	}
	if err := a.Send(ctx, zmq.Msg{m[0], []byte("pong")}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := plain.Read(b)
	if err != nil || string(b[:n]) != "pong" {
		t.Fatalf("%q %v", b[:n], err)
	}
	for says, m := range map[string]zmq.Msg{
		"1 frames":            zmq.NewMsg("alone"),
		`address "nowhere"`:   zmq.NewMsg("nowhere", "body"),
		`address "here:x"`:    zmq.NewMsg("here:x", "body"),
		"body of 8193 octets": {m[0], make([]byte, 8193)},
	} {
		if err := a.Send(ctx, m); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that says %s", err, says)
		}
	}
}

// Each transport says which types it does not carry.
func TestCarriage(t *testing.T) {
	for _, c := range []struct {
		typ  string
		at   string
		bind bool
	}{
		{"RADIO", "udp://127.0.0.1:*", true},
		{"DISH", "udp://127.0.0.1:9", false},
		{"PUB", "udp://127.0.0.1:9", false},
		{"DGRAM", "tcp://127.0.0.1:*", true},
		{"DGRAM", "inproc://d", true},
		{"STREAM", "ws://127.0.0.1:*", true},
		{"STREAM", "inproc://s", true},
		{"STREAM", "vsock://*:*", true},
		{"DGRAM", "vsock://*:*", true},
		{"PUSH", "tipc://{5555,0}", true},
		{"PUSH", "tipc://{5555,0}", false},
		{"REQ", "epgm://127.0.0.1;239.1.1.1:5555", false},
		{"RADIO", "epgm://127.0.0.1;239.1.1.1:5555", false},
	} {
		s, err := zmq.New(c.typ)
		if err != nil {
			t.Fatal(err)
		}
		if c.bind {
			_, err = s.Bind(c.at)
		} else {
			_, err = s.Connect(c.at)
		}
		if !errors.Is(err, zmq.ErrNotSupported) {
			t.Errorf("%v at %s: %v", c.typ, c.at, err)
		}
		s.Close()
	}
}

// A DISH may join many groups, up to the octets that topics have; beyond, its
// connection ends.
func TestGroupFlood(t *testing.T) {
	r := overTCP(t)
	radio := made(r, zmq.NewRadio)
	events, stop := iter.Pull(radio.Events(r.ctx))
	defer stop()
	w := r.dialRaw(r.bind(radio))
	w.shake(1, "DISH")
	next(t, events, event.HandshakeSucceeded)
	joined := make(chan int)
	go func() {
		var b []byte
		n := 0
		for ; n < 1<<20; n++ {
			b = append(b, command("JOIN", fmt.Sprintf("%0255d", n))...)
			if len(b) < 1<<20 {
				continue
			}
			if _, err := w.c.Write(b); err != nil {
				break
			}
			b = b[:0]
		}
		joined <- n
	}()
	if e := next(t, events, event.Disconnected); e.Err == nil || !strings.Contains(e.Err.Error(), "subscriptions") {
		t.Errorf("disconnected because of %v", e.Err)
	}
	if n := <-joined; n < 100_000 || n == 1<<20 {
		t.Errorf("%d groups were taken", n)
	}
}
