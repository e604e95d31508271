package zmq_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// seeds are what a peer may say, good and bad.
func seeds(f *testing.F) {
	for _, typ := range []string{"PUSH", "SUB", "DEALER", "REQ"} {
		hello := greeting(1, "NULL") + command("READY", property("Socket-Type", typ)+property("Identity", "x"))
		for _, traffic := range []string{
			frame(0, "a") + frame(1, "b") + frame(0, "c"),
			frame(1, "") + frame(0, "request") + command("PING", "\x00\x01ctx"),
			command("SUBSCRIBE", "A") + frame(0, "\x01B") + command("CANCEL", "A") + frame(0, "\x00B"),
			frame(0, strings.Repeat("x", 9000)) + frame(0, "after"),
			"\x02\xff\xff\xff\xff\xff\xff\xff\xff", "\x06\x00\x00\x00\x00\x00\x00\xff\xff", frame(4, ""),
		} {
			f.Add([]byte(hello + traffic))
		}
	}
	f.Add([]byte("\x01\x00\x02\x01a\x02\x00b"))
	f.Add([]byte(signature + "\x01\x05\x00\x00\x00\x01a"))
	f.Add([]byte(greeting(0, "NULL") + command("ERROR", "\x03400")))
	f.Add([]byte(greeting(1, "CURVE") + command("HELLO", strings.Repeat("\x01", 194))))
	f.Add([]byte(greeting(1, "PLAIN") + command("HELLO", "\x01a\x01b")))
	f.Add([]byte{})
}

// victims are the sockets that face arbitrary bytes.
func victims(t *testing.T) map[string]zmq.Socket {
	zctx := new(zmq.Context)
	secret := zmq.NewSecretKey()
	all := map[string]zmq.Socket{}
	for name, typ := range map[string]string{
		"pull": "PULL", "xpub": "XPUB", "router": "ROUTER", "rep": "REP", "curve": "PULL", "plain": "PULL",
	} {
		o := []zmq.Option{zmq.InContext(zctx), zmq.WithLinger(0), zmq.WithReconnect(-1, 0), zmq.WithMaxMessage(1<<20, 100)}
		switch name {
		case "curve":
			o = append(o, zmq.WithCurveServer(secret))
		case "plain":
			o = append(o, zmq.WithOption("plain_server", "1"))
		}
		s, err := zmq.New(typ, o...)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = s
	}
	return all
}

// say writes arbitrary bytes and hangs up, reading whatever comes back.
func say(c net.Conn, data []byte) {
	go func() {
		c.Write(data)
		c.Close()
	}()
	io.Copy(io.Discard, c)
}

// settle waits until the peer that spoke nonsense is gone, receiving what it
// sent as an application would.
func settle(t *testing.T, s zmq.Socket) {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for {
		for {
			m, err := s.(zmq.Receiver).TryRecv()
			if err != nil {
				if w, ok := s.(zmq.Sender); ok && s.Type() == "REP" {
					w.TrySend(zmq.NewMsg("reply"))
				}
				break
			}
			m.Release()
		}
		if len(s.Stats().Peers) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%v: the peer is still there", s.Type())
		}
	}
}

// FuzzBoundSide connects with arbitrary bytes to sockets of each kind: they
// survive and let go of the connection.
func FuzzBoundSide(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, s := range victims(t) {
			m := new(memory)
			if _, err := s.(interface {
				BindListener(net.Listener) (*zmq.Endpoint, error)
			}).BindListener(m.listen()); err != nil {
				t.Fatal(name, err)
			}
			c, err := m.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(name, err)
			}
			say(c, data)
			settle(t, s)
			s.Close()
		}
	})
}

// FuzzConnectedSide answers sockets that connect with arbitrary bytes.
func FuzzConnectedSide(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		spub := zmq.NewSecretKey().Public()
		csec := zmq.NewSecretKey()
		for _, o := range [][]zmq.Option{nil, {zmq.WithPlain("a", "b")}, {zmq.WithCurve(csec, spub)}} {
			said := make(chan struct{})
			o = append(o, zmq.InContext(new(zmq.Context)), zmq.WithLinger(0), zmq.WithReconnect(-1, 0),
				zmq.WithMaxMessage(1<<20, 100), zmq.WithDialer(func(context.Context, string, string) (net.Conn, error) {
					here, there := memoryPipe()
					go func() {
						defer close(said)
						say(there, data)
					}()
					return here, nil
				}))
			s, err := zmq.NewDealer(o...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Connect("tcp://memory:1"); err != nil {
				t.Fatal(err)
			}
			<-said
			settle(t, s)
			s.Close()
		}
	})
}
