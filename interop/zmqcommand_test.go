package interop_test

import (
	"os/exec"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// command starts lintel zmq.
func command(t *testing.T, args ...string) *peers.Proc {
	t.Helper()
	return peers.Start(t, exec.Command(lintel(t), append([]string{"zmq"}, args...)...))
}

// secured has the security options of both ends of a connection.
type secured struct {
	name           string
	server, client []any // options of pyzmq: names and values
}

func (s secured) flags(options []any) (flags []string) {
	for i := 0; i < len(options); i += 2 {
		value, ok := options[i+1].(string)
		if !ok {
			value = itoa(options[i+1].(int))
		}
		flags = append(flags, "--option", options[i].(string)+"="+value)
	}
	return flags
}

func securities() []secured {
	serverSecret := zmq.NewSecretKey()
	serverPublic := serverSecret.Public()
	clientSecret := zmq.NewSecretKey()
	clientPublic := clientSecret.Public()
	return []secured{
		{name: "NULL"},
		{
			name:   "CURVE",
			server: []any{"curve_server", 1, "curve_publickey", serverPublic.String(), "curve_secretkey", serverSecret.Text()},
			client: []any{
				"curve_serverkey", serverPublic.String(),
				"curve_publickey", clientPublic.String(), "curve_secretkey", clientSecret.Text(),
			},
		},
	}
}

// TestSocketCommands exchanges messages with libzmq through standard input and
// output, for each pair of types and with either side binding.
func TestSocketCommands(t *testing.T) {
	const binary = `\x00\xff\x5c`
	big := strings.Repeat("x", 100000)
	tests := []struct {
		ours, theirs string
		flags        []string
		talk         func(t *testing.T, c *peers.Proc, s *pysock)
	}{
		{ours: "pair", theirs: "PAIR", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			c.Send("one\t" + binary)
			sameFrames(t, s.recv(), []string{"one", "\x00\xff\\"})
			s.send("two", "\x00\xff\\", "", big)
			sameLine(t, c, "two\t"+binary+"\t\t"+big)
		}},
		{ours: "req", theirs: "REP", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			for _, request := range []string{"first", "second"} {
				c.Send(request)
				sameFrames(t, s.recv(), []string{request})
				s.send("re", request)
				sameLine(t, c, "re\t"+request)
			}
		}},
		{ours: "req", theirs: "ROUTER", flags: []string{"--option", "req_relaxed=1", "--option", "req_correlate=1"}, talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			c.Send("first")
			first := s.recv()
			c.Send("second")
			second := s.recv()
			first[3], second[3] = "too late", "in time"
			s.send(first...)
			s.send(second...)
			sameLine(t, c, "in time")
			if err := c.Close(); err != nil {
				t.Errorf("after the end of standard input: %v", err)
			}
		}},
		{ours: "rep", theirs: "REQ", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			s.send("ask", "")
			sameLine(t, c, "ask\t")
			sameFrames(t, s.recv(), []string{"ask", ""})
		}},
		{ours: "rep", theirs: "REQ", flags: []string{"--reply", `no\x21` + "\tsir"}, talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			s.send("ask")
			sameLine(t, c, "ask")
			sameFrames(t, s.recv(), []string{"no!", "sir"})
		}},
		{ours: "dealer", theirs: "ROUTER", flags: []string{"--identity", `id\x01`}, talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			c.Send("hello")
			sameFrames(t, s.recv(), []string{"id\x01", "hello"})
			s.send("id\x01", "", "back")
			sameLine(t, c, "\tback")
		}},
		{ours: "router", theirs: "DEALER", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			s.send("hello")
			id, body, _ := strings.Cut(c.Line(), "\t")
			if body != "hello" {
				t.Errorf("received %q", body)
			}
			c.Send(id + "\tto\tyou")
			sameFrames(t, s.recv(), []string{"to", "you"})
		}},
		{ours: "push", theirs: "PULL", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			for _, line := range []string{"a", "", "b\tc"} {
				c.Send(line)
				sameFrames(t, s.recv(), strings.Split(line, "\t"))
			}
			if err := c.Close(); err != nil {
				t.Errorf("after the end of standard input: %v", err)
			}
		}},
		{ours: "pull", theirs: "PUSH", flags: []string{"--count", "2"}, talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			s.send("a")
			s.send("b", big)
			sameLine(t, c, "a")
			sameLine(t, c, "b\t"+big)
			if err := c.Wait(); err != nil {
				t.Errorf("after --count messages: %v", err)
			}
		}},
		{ours: "sub", theirs: "XPUB", flags: []string{"--subscribe", `a\x00`}, talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			sameFrames(t, s.recv(), []string{"\x01a\x00"})
			s.send("b", "not for us")
			s.send("a\x00b", "for us")
			sameLine(t, c, `a\x00b`+"\tfor us")
		}},
		{ours: "xsub", theirs: "XPUB", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			c.Send(`\x01topic`)
			sameFrames(t, s.recv(), []string{"\x01topic"})
			s.send("topic", "x")
			sameLine(t, c, "topic\tx")
			c.Send(`\x00topic`)
			sameFrames(t, s.recv(), []string{"\x00topic"})
		}},
		{ours: "xpub", theirs: "XSUB", talk: func(t *testing.T, c *peers.Proc, s *pysock) {
			s.send("\x01t")
			s.listen()
			sameLine(t, c, `\x01t`)
			c.Send("other")
			c.Send("topic\tbody")
			sameFrames(t, s.answer().strings(), []string{"topic", "body"})
		}},
	}
	for _, security := range securities() {
		for _, l := range []link{links[0], links[1]} {
			for _, tt := range tests {
				t.Run(strings.Join([]string{security.name, l.name, tt.ours, strings.Join(tt.flags, " ")}, "/"), func(t *testing.T) {
					t.Parallel()
					z := newPyzmq(t)
					if l.weBind {
						c := command(t, append(append([]string{tt.ours, "--bind", "tcp://127.0.0.1:*"}, tt.flags...), security.flags(security.server)...)...)
						s := z.socket(tt.theirs, security.client...)
						s.connect(c.ExpectLog(`^bound (tcp://127\.0\.0\.1:\d+)$`)[1])
						tt.talk(t, c, s)
						return
					}
					s := z.socket(tt.theirs, security.server...)
					c := command(t, append(append([]string{tt.ours, "--connect", s.bind("tcp://127.0.0.1:*")}, tt.flags...), security.flags(security.client)...)...)
					tt.talk(t, c, s)
				})
			}
		}
	}
}

// TestStreamCommand exchanges data with libzmq's STREAM, which has no security.
func TestStreamCommand(t *testing.T) {
	for _, l := range links[:2] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newPyzmq(t).socket("STREAM")
			var c *peers.Proc
			if l.weBind {
				c = command(t, "stream", "--bind", "tcp://127.0.0.1:*")
				s.connect(c.ExpectLog(`^bound (tcp://127\.0\.0\.1:\d+)$`)[1])
			} else {
				c = command(t, "stream", "--connect", s.bind("tcp://127.0.0.1:*"))
			}
			there := s.recv()[0]
			here, empty, _ := strings.Cut(c.Line(), "\t")
			if empty != "" {
				t.Errorf("told of the connection with %q", empty)
			}
			s.send(there, "raw\\\n")
			sameLine(t, c, here+"\t"+`raw\x5c\x0a`)
			c.Send(here + "\t" + `GET /\x0d\x0a`)
			sameFrames(t, s.recv(), []string{there, "GET /\r\n"})
			c.Send("absent\tx") // an error line on stderr; the command continues
			c.ExpectLog("^lintel: send: .*routing id")
			c.Send(here + "\t")
			sameFrames(t, s.recv(), []string{there, ""})
		})
	}
}

// TestMonitorCommand checks the printed events of a connection with libzmq.
func TestMonitorCommand(t *testing.T) {
	pull := newPyzmq(t).socket("PULL")
	c := command(t, "monitor", "push", "--json", "--connect", pull.bind("tcp://127.0.0.1:*"))
	for _, want := range []string{"connect delayed", "connected", "handshake succeeded"} {
		var e struct{ Event string }
		c.Reply(&e)
		if e.Event != want {
			t.Errorf("event %q, want %q", e.Event, want)
		}
	}
	pull.close()
	c.Expect(`"event":"disconnected"`)
	c.Expect(`"event":"connect retried"`)
}

func sameLine(t *testing.T, c *peers.Proc, want string) {
	t.Helper()
	if got := c.Line(); got != want {
		t.Errorf("printed %.100q, want %.100q", got, want)
	}
}

// TestProxyCommand puts lintel between libzmq's sockets.
func TestProxyCommand(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		z := newPyzmq(t)
		c := command(t, "proxy", "--front", "router:tcp://127.0.0.1:*", "--back", "dealer:tcp://127.0.0.1:*")
		req, rep := z.socket("REQ"), z.socket("REP")
		req.connect(c.ExpectLog(" INFO bound (.*)$")[1])
		rep.connect(c.ExpectLog(" INFO bound (.*)$")[1])
		req.send("question", "1")
		sameFrames(t, rep.recv(), []string{"question", "1"})
		rep.send("answer")
		sameFrames(t, req.recv(), []string{"answer"})
	})
	t.Run("forwarder", func(t *testing.T) {
		t.Parallel()
		z := newPyzmq(t)
		c := command(t, "proxy", "--front", "xsub:tcp://127.0.0.1:*", "--back", "xpub:tcp://127.0.0.1:*")
		pub, sub := z.socket("XPUB"), z.socket("SUB", "subscribe", "b")
		pub.connect(c.ExpectLog(" INFO bound (.*)$")[1])
		sub.connect(c.ExpectLog(" INFO bound (.*)$")[1])
		sameFrames(t, pub.recv(), []string{"\x01b"})
		pub.send("a", "no")
		pub.send("b", "yes")
		sameFrames(t, sub.recv(), []string{"b", "yes"})
	})
	t.Run("streamer with capture and control", func(t *testing.T) {
		t.Parallel()
		z := newPyzmq(t)
		c := command(
			t, "proxy", "--front", "pull:tcp://127.0.0.1:*", "--back", "push:tcp://127.0.0.1:*",
			"--capture", "push:tcp://127.0.0.1:*", "--control", "rep:tcp://127.0.0.1:*",
		)
		push, pull, tap, control := z.socket("PUSH"), z.socket("PULL"), z.socketAs("TAP", "PULL"), z.socket("REQ")
		for _, s := range []*pysock{push, pull, tap, control} {
			s.connect(c.ExpectLog(" INFO bound (.*)$")[1])
		}
		push.send("work")
		sameFrames(t, pull.recv(), []string{"work"})
		sameFrames(t, tap.recv(), []string{"work"})
		control.send("TERMINATE")
		sameFrames(t, control.recv(), []string{""})
		if err := c.Wait(); err != nil {
			t.Errorf("after TERMINATE: %v", err)
		}
	})
}

// TestKeysForCzmq reads Lintel's certificates with pyzmq's zmq.auth, which has
// czmq's format.
func TestKeysForCzmq(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command(lintel(t), "zmq", "keygen", "--meta", "name=Joe", dir+"/joe").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const script = `
import sys, zmq, zmq.auth
public, none = zmq.auth.load_certificate(sys.argv[1])
assert none is None, none
again, secret = zmq.auth.load_certificate(sys.argv[1] + "_secret")
assert again == public, (again, public)
assert zmq.curve_public(secret) == public
`
	if out, err := exec.Command(peers.Python(t, "zmq"), "-c", script, dir+"/joe").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
