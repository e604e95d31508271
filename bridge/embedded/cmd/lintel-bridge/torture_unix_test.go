//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		err := roles[role](os.Getenv(endpointVariable))
		fmt.Fprintln(os.Stderr, role, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// drainTime is how long a test waits for messages that must arrive. It decides only
// tests that fail.
const drainTime = 3 * time.Minute

// torture is a bridge with producers and workers, each a process.
type torture struct {
	t       *testing.T
	program string // lintel-bridge
	dir     string // of the sockets and the store
	args    []string
	begin   time.Time

	mu sync.Mutex
	// The fields below are protected by mu.
	confirmed map[string]bool
	done      map[string]int
	missing   int           // confirmed and not done
	changed   chan struct{} // of what the processes said
	wrong     []string
}

// process is one running program.
type process struct {
	cmd   *exec.Cmd
	log   strings.Builder // what it printed, until it has ended
	ended chan struct{}   // all its output is read, and it is gone
}

func newTorture(t *testing.T, args ...string) *torture {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lintel-bridge")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "bridge") // short: paths of sockets have 107 octets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &torture{
		t: t, program: program, dir: dir, args: args, begin: time.Now(),
		confirmed: make(map[string]bool), done: make(map[string]int), changed: make(chan struct{}, 1),
	}
}

func (x *torture) endpoint(name string) string { return "ipc://" + filepath.Join(x.dir, name) }

// start starts a command and passes its lines on to heard.
func (x *torture) start(cmd *exec.Cmd, output func(*exec.Cmd) (io.ReadCloser, error), heard func(line string)) *process {
	x.t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	r, err := output(cmd)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.log.WriteString(s.Text() + "\n")
			heard(s.Text())
		}
		_ = cmd.Wait() // it is killed
	}()
	return p
}

// bridge starts the queue and waits until it is ready.
func (x *torture) bridge() *process {
	x.t.Helper()
	return x.run(append([]string{
		"queue", "torture", "--max-deliver", "-1",
		"--in", "dealer=" + x.endpoint("pd"), "--in", "req=" + x.endpoint("pr"),
		"--out", "dealer=" + x.endpoint("wd"), "--out", "req=" + x.endpoint("wr"),
	}, x.args...)...)
}

// run starts lintel-bridge with a server in it and waits until it is ready.
func (x *torture) run(args ...string) *process {
	x.t.Helper()
	args = append(args, "--embedded", filepath.Join(x.dir, "store"))
	ready := make(chan struct{})
	p := x.start(exec.Command(x.program, args...), (*exec.Cmd).StderrPipe, func(line string) {
		if strings.HasSuffix(line, " INFO ready") {
			close(ready)
		}
	})
	select {
	case <-ready:
	case <-p.ended:
		x.t.Fatalf("the bridge ended before it was ready:\n%s", p.log.String())
	case <-time.After(drainTime):
		x.kill(p)
		x.t.Fatalf("the bridge is not ready after %v:\n%s", drainTime, p.log.String())
	}
	return p
}

// peer starts a producer or worker.
func (x *torture) peer(role, endpoint string) *process {
	x.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, endpointVariable+"="+x.endpoint(endpoint))
	return x.start(cmd, (*exec.Cmd).StdoutPipe, x.heard)
}

// heard notes what a process said.
func (x *torture) heard(line string) {
	word, id, _ := strings.Cut(line, " ")
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !made(id):
		x.wrong = append(x.wrong, fmt.Sprintf("%q was never put", line))
	case word == "OK" && !x.confirmed[id]:
		x.confirmed[id] = true
		if x.done[id] == 0 {
			x.missing++
		}
	case word == "DONE":
		if x.done[id]++; x.done[id] == 1 && x.confirmed[id] {
			x.missing--
		}
	}
	select {
	case x.changed <- struct{}{}:
	default:
	}
}

// kill ends a process with SIGKILL and waits until its output is read.
func (x *torture) kill(p *process) {
	x.t.Helper()
	select {
	case <-p.ended:
		x.t.Fatalf("%v ended by itself: %v\n%s", p.cmd.Args, p.cmd.ProcessState, p.log.String())
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// tortureTime is how long the torture lasts.
func tortureTime(t *testing.T) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("TORTURE")); err == nil {
		return d
	}
	switch {
	case testing.Short():
		return 3 * time.Second
	case os.Getenv("CI") == "true":
		return time.Minute
	}
	t.Log("10 s only; CI=true or TORTURE=5m is longer")
	return 10 * time.Second
}

// TestTorture kills the bridge, with the server in it, about every second, and
// producers and workers as often. Everything that was confirmed is processed.
func TestTorture(t *testing.T) {
	x := newTorture(t, "--ack-wait", "2s")
	bridge := x.bridge()
	type slot struct {
		role, endpoint string
		p              *process
	}
	peers := []*slot{
		{"put by DEALER", "pd", nil},
		{"put by DEALER", "pd", nil},
		{"put by REQ", "pr", nil},
		{"work by DEALER", "wd", nil},
		{"work by DEALER", "wd", nil},
		{"work by REQ", "wr", nil},
	}
	for _, s := range peers {
		s.p = x.peer(s.role, s.endpoint)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	over := time.After(tortureTime(t))
	bridges, others := 0, 0
	for running := true; running; {
		select {
		case <-over:
			running = false
		case <-time.After(time.Duration(200+rng.IntN(600)) * time.Millisecond):
			if rng.IntN(2) == 0 {
				x.kill(bridge)
				bridge = x.bridge()
				bridges++
				continue
			}
			s := peers[rng.IntN(len(peers))]
			x.kill(s.p)
			s.p = x.peer(s.role, s.endpoint)
			others++
		}
	}
	for _, s := range peers[:3] {
		x.kill(s.p)
	}
	x.drain()
	for _, s := range peers[3:] {
		x.kill(s.p)
	}
	x.kill(bridge)
	twice := 0
	for _, n := range x.done {
		if n > 1 {
			twice++
		}
	}
	for _, w := range x.wrong {
		t.Error(w)
	}
	if len(x.confirmed) == 0 {
		t.Error("nothing was put")
	}
	t.Logf("%d messages confirmed, 0 lost, %d processed more than once; the bridge was killed %d times, its peers %d times",
		len(x.confirmed), twice, bridges, others)
}

// drain waits until all that was confirmed is processed.
func (x *torture) drain() {
	x.t.Helper()
	late := time.After(drainTime)
	for {
		x.mu.Lock()
		missing := x.missing
		x.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-x.changed:
		case <-late:
			x.t.Fatalf("%d messages were confirmed and are not processed", missing)
		}
	}
}

// TestKilledWorker kills a worker that holds all jobs. The store would deliver them
// again after ten minutes.
func TestKilledWorker(t *testing.T) {
	x := newTorture(t, "--ack-wait", "10m")
	bridge := x.bridge()
	hold := x.peer("hold by DEALER", "wd")
	put := x.peer("put by REQ", "pr")
	for held := 0; held < credit; { // it says what it holds
		select {
		case <-x.changed:
			x.mu.Lock()
			held = len(x.done)
			x.mu.Unlock()
		case <-time.After(drainTime):
			t.Fatal("the worker did not get its jobs")
		}
	}
	x.kill(put)
	x.mu.Lock()
	clear(x.done)
	x.missing = len(x.confirmed)
	x.mu.Unlock()
	work := x.peer("work by DEALER", "wd")
	x.kill(hold)
	begin := time.Now()
	x.drain()
	t.Logf("all jobs of the killed worker were processed %v after its end", time.Since(begin).Round(time.Millisecond))
	x.kill(work)
	x.kill(bridge)
}

// TestLogGoesOn kills the bridge of a log. The feed of the next one is the same.
func TestLogGoesOn(t *testing.T) {
	const messages = 50
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	t.Cleanup(cancel)
	x := newTorture(t)
	start := func() *process {
		return x.run("log", "prices", "--ring", "5", "--in", "req="+x.endpoint("in"), "--live", x.endpoint("live"), "--control", x.endpoint("control"))
	}
	bridge := start()
	s, err := connect(zmq.NewReq, x.endpoint("in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for n := range messages {
		if reply, err := s.Request(ctx, zmq.NewMsg("topic", fmt.Sprint(n+1))); err != nil || reply.String() != fmt.Sprint("OK|", n+1) {
			t.Fatalf("append %d: %v, %v", n+1, reply, err)
		}
	}
	r, err := feed.Open(nil, feed.Source{Live: x.endpoint("live"), Control: x.endpoint("control"), From: feed.Oldest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	next := uint64(1)
	for e, err := range r.Messages(ctx) {
		switch {
		case err != nil:
			t.Fatalf("%v, next is %d", err, next)
		case e.Kind == feed.Gap || e.Kind == feed.Restart:
			t.Fatalf("%v at %v, next is %d", e.Kind, e.Position, next)
		case e.Kind != feed.Message:
			continue
		case e.Position.Seq != next || string(e.Payload) != fmt.Sprint(next):
			t.Fatalf("message %d %q, want %d", e.Position.Seq, e.Payload, next)
		}
		if next == messages/2 {
			x.kill(bridge)
			bridge = start()
		}
		if next++; next > messages {
			break
		}
	}
	x.kill(bridge)
}
