package zmqcli

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/internal/zmq/epgm/epgmtest"
)

// session is a lintel zmq that the test talks to line by line.
type session struct {
	t     *testing.T
	in    *io.PipeWriter
	lines chan string // of standard output
	said  chan string // of standard error
}

func newSession(t *testing.T, args ...string) *session {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	s := &session{t: t, in: inW, lines: make(chan string), said: make(chan string, 100)}
	var running sync.WaitGroup
	forward := func(r io.Reader, to chan<- string) {
		for in := bufio.NewScanner(r); in.Scan(); {
			select {
			case to <- in.Text():
			case <-ctx.Done():
			}
		}
	}
	running.Go(func() { forward(outR, s.lines) })
	running.Go(func() { forward(errR, s.said) })
	root := New()
	root.SetArgs(args)
	root.SetIn(inR)
	root.SetOut(outW)
	root.SetErr(errW)
	running.Go(func() {
		if err := root.ExecuteContext(ctx); err != nil {
			t.Errorf("lintel zmq %s: %v", strings.Join(args, " "), err)
		}
		inR.Close()
		outW.Close()
		errW.Close()
	})
	t.Cleanup(func() {
		stop()
		inW.Close()
		running.Wait()
	})
	return s
}

// after waits for a line of standard error and returns what is behind the
// prefix.
func (s *session) after(prefix string) string {
	s.t.Helper()
	return s.await(s.said, func(line string) (string, bool) { return strings.CutPrefix(line, prefix) })
}

func (s *session) await(from <-chan string, want func(line string) (string, bool)) string {
	s.t.Helper()
	giveUp := time.NewTimer(readyIn)
	defer giveUp.Stop()
	for {
		select {
		case line := <-from:
			if rest, ok := want(line); ok {
				return rest
			}
		case <-giveUp.C:
			s.t.Fatal("the line never comes")
		}
	}
}

func (s *session) send(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// line is the next line of standard output.
func (s *session) line() string {
	s.t.Helper()
	return s.await(s.lines, func(line string) (string, bool) { return line, true })
}

func (s *session) want(line string) {
	s.t.Helper()
	if got := s.line(); got != line {
		s.t.Errorf("printed %q, want %q", got, line)
	}
}

// repeat sends a line until the other side has printed it: the test cannot see
// when a group is joined or a subscription arrives.
func (s *session) repeat(line string, to *session) {
	s.t.Helper()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			io.WriteString(s.in, line+"\n")
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	to.want(line)
	close(done)
	<-stopped
}

// roads are the transports that carry whatever has connections.
var roads = []string{"tcp://127.0.0.1:*", "ws://127.0.0.1:*/zmq", "ipc"}

// overRoads runs a test over each of them.
func overRoads(t *testing.T, f func(t *testing.T, at string)) {
	for _, at := range roads {
		t.Run(at[:strings.IndexAny(at+":", ":")], func(t *testing.T) {
			if at == "ipc" {
				at = "ipc://" + t.TempDir() + "/s"
			}
			f(t, at)
		})
	}
}

func TestServerAndClient(t *testing.T) {
	overRoads(t, func(t *testing.T, at string) {
		server := newSession(t, "server", "--bind", at)
		client := newSession(t, "client", "--connect", server.after("bound "))
		client.send(`ask \x00`)
		id, body, _ := strings.Cut(server.line(), "\t")
		if body != `ask \x00` {
			t.Errorf("printed %q", body)
		}
		server.send(id + "\tanswer")
		client.want("answer")
		server.send(`\x00\x00\x00\x00` + "\tto no peer")
		server.after("lintel: send: ")
		client.send("two\tframes")
		client.after("lintel: send: zmq: message of 2 frames, a CLIENT sends one")
	})
}

func TestPeers(t *testing.T) {
	overRoads(t, func(t *testing.T, at string) {
		a := newSession(t, "peer", "--bind", at)
		b := newSession(t, "peer", "--connect", a.after("bound "))
		id := b.after("peer ") // any four bytes, also spaces, and where
		id = id[:strings.LastIndex(id, " at ")]
		b.send(id + "\thello")
		from, body, _ := strings.Cut(a.line(), "\t")
		if body != "hello" {
			t.Errorf("printed %q", body)
		}
		a.send(from + "\tback")
		b.want(id + "\tback")
	})
}

func TestChannels(t *testing.T) {
	overRoads(t, func(t *testing.T, at string) {
		a := newSession(t, "channel", "--bind", at)
		b := newSession(t, "channel", "--connect", a.after("bound "))
		for _, line := range []string{"one", "", `\xff`} {
			b.send(line)
			a.want(line)
			a.send(line)
			b.want(line)
		}
	})
}

func TestScatterAndGather(t *testing.T) {
	overRoads(t, func(t *testing.T, at string) {
		gather := newSession(t, "gather", "--bind", at)
		scatter := newSession(t, "scatter", "--connect", gather.after("bound "))
		for _, line := range []string{"one", "two"} {
			scatter.send(line)
			gather.want(line)
		}
	})
}

func TestRadioAndDish(t *testing.T) {
	udp := func(t *testing.T, at string) {
		dish := newSession(t, "dish", "--bind", at, "--join", "sport")
		radio := newSession(t, "radio", "--connect", dish.after("bound "))
		radio.send("news\tnot for it")
		radio.repeat("sport\tsunny", dish)
	}
	overRoads(t, udp)
	t.Run("udp", func(t *testing.T) { udp(t, "udp://127.0.0.1:*") })
}

// TestDgrams exchanges datagrams with a plain UDP socket and with another
// DGRAM.
func TestDgrams(t *testing.T) {
	a := newSession(t, "dgram", "--bind", "udp://127.0.0.1:*")
	at := strings.TrimPrefix(a.after("bound "), "udp://")
	c, err := net.Dial("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(readyIn)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	a.want(c.LocalAddr().String() + "\thello")
	a.send(c.LocalAddr().String() + "\tback")
	var b [100]byte
	if n, err := c.Read(b[:]); err != nil || string(b[:n]) != "back" {
		t.Errorf("%q %v", b[:n], err)
	}

	other := newSession(t, "dgram", "--connect", "udp://"+at)
	other.send(at + "\tfrom another")
	from, body, _ := strings.Cut(a.line(), "\t")
	if body != "from another" {
		t.Errorf("printed %q", body)
	}
	a.send(from + "\tand back")
	other.want(at + "\tand back")
}

func TestPublishToGroup(t *testing.T) {
	for _, scheme := range []string{"epgm", "pgm"} {
		t.Run(scheme, func(t *testing.T) {
			if scheme == "pgm" {
				epgmtest.NeedRaw(t)
			}
			at := scheme + "://" + epgmtest.Group(t)
			sub := newSession(t, "sub", "--connect", at, "--subscribe", "a", "--option", "rate=100000")
			pub := newSession(t, "pub", "--connect", at, "--option", "rate=100000")
			pub.send("b\tnot for it")
			pub.repeat("a\tthis", sub)
		})
	}
}
