package cache

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"lintel.dev/bench/harness"
)

// server is a running server under attack.
type server struct {
	name string
	addr string // of TCP and UDP
	http string // of the metrics page; ours only
	tls  string // address of TLS; empty without
	cmd  *exec.Cmd
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func (o *Options) start(side int, a attack) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	args := append([]string{"-u", "root", "-l", "127.0.0.1", "-p", port, "-U", port, "-c", "10000", "-m", "1024", "-t", "2"}, a.flags...)
	s := &server{name: "memcached", addr: addr}
	if a.tls {
		if s.tls, err = freeAddr(); err != nil {
			return nil, err
		}
		args = append([]string{"-u", "root", "-l", "notls:" + addr, "-l", s.tls, "-Z", "-o", o.certificate.Option(), "-c", "10000", "-m", "1024", "-t", "2"}, a.flags...)
	}
	s.cmd = exec.Command(o.Peer, args...)
	if side == harness.Ours {
		if s.http, err = freeAddr(); err != nil {
			return nil, err
		}
		s.name, s.cmd = "lintel", exec.Command(o.lintel, append([]string{"memcached", "--http", s.http}, args...)...)
	}
	var stderr bytes.Buffer
	s.cmd.Stderr = &stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			return s, c.Close()
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen: %s", s.name, strings.TrimSpace(stderr.String()))
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	_ = s.cmd.Wait()
}

// fill stores items with keys key0, key1 ... and values of 32 octets.
func (s *server) fill(items int) error {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	w := bufio.NewWriterSize(c, 64<<10)
	value := strings.Repeat("v", 32)
	for i := range items {
		fmt.Fprintf(w, "set key%d 0 0 32 noreply\r\n%s\r\n", i, value)
	}
	return ask(c, w, "version\r\n", "VERSION")
}

// prepare sends the commands that the attack needs to have been sent.
func (s *server) prepare(a attack) error {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	w := bufio.NewWriter(c)
	for _, command := range a.before {
		if err := ask(c, w, command+"\r\n", ""); err != nil {
			return err
		}
	}
	return nil
}

// ask sends a request and reads one line, which must begin with want.
func ask(c net.Conn, w *bufio.Writer, request, want string) error {
	if _, err := w.WriteString(request); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, want) {
		err = fmt.Errorf("%q replied %q", strings.TrimSpace(request), strings.TrimSpace(line))
	}
	return err
}

// goodClient sends one request at a time, a get or a set, each millisecond.
type goodClient struct {
	net.Conn
	r     *bufio.Reader
	items int
}

// newGoodClient connects to addr, with TLS if config is not nil.
func newGoodClient(addr string, config *tls.Config, items int) (*goodClient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		secured := tls.Client(c, config)
		if err := secured.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
		c = secured
	}
	return &goodClient{c, bufio.NewReader(c), items}, nil
}

// giveUp is when a server counts as dead.
const giveUp = 20 * time.Second

// noticed is what a good client notices of an attack.
type noticed struct {
	waits []time.Duration // for the replies, sorted
}

// p99 returns the wait that one request in a hundred exceeds.
func (n noticed) p99() time.Duration { return n.waits[len(n.waits)*99/100] }

// worst returns the longest wait.
func (n noticed) worst() time.Duration { return n.waits[len(n.waits)-1] }

// watch runs until ctx is done, and a request is answered.
func (g *goodClient) watch(ctx context.Context) (noticed, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var seen noticed
	for n := 0; ctx.Err() == nil || n == 0; n++ {
		began := time.Now()
		err := g.request(n)
		seen.waits = append(seen.waits, time.Since(began))
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			break // the server is dead: the wait says so
		}
		if err != nil {
			return seen, fmt.Errorf("good client: %w", err)
		}
		<-tick.C
	}
	slices.Sort(seen.waits)
	return seen, nil
}

func (g *goodClient) request(n int) error {
	key := fmt.Sprintf("key%d", n%min(g.items, 100))
	g.SetDeadline(time.Now().Add(giveUp))
	if n%2 == 0 {
		if _, err := fmt.Fprintf(g, "set %s 0 0 4\r\ngood\r\n", key); err != nil {
			return err
		}
		_, err := g.r.ReadString('\n')
		return err
	}
	if _, err := fmt.Fprintf(g, "get %s\r\n", key); err != nil {
		return err
	}
	for {
		line, err := g.r.ReadString('\n')
		if err != nil || line == "END\r\n" {
			return err
		}
	}
}
