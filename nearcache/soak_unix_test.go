//go:build unix

package nearcache

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/memcache"
	"lintel.dev/memcached"
	nearserver "lintel.dev/nearcache/server"
)

// The soak test runs servers and a client as processes of their own (this test
// binary again, see TestMain), more clients in this process, and proxies on every
// way between them. A writer stores registers with increasing values. Every read
// is checked: it must not return a value older than the newest one that was
// acknowledged before maxStale before the read began.

var (
	soakFor    = flag.Duration("soak", 4*time.Second, "how long TestSoak injects faults")
	soakMutant = flag.String("soak-mutant", "", "switch a rule off: token, gen, writing or arrival")
)

const (
	soakStale = 500 * time.Millisecond
	soakRole  = "LINTEL_NEAR_SOAK"    // environment: what a process of the test is
	soakSlack = 20 * time.Millisecond // of the wall clock, by which two processes are compared
	registers = 20
)

func mutantsOf(name string) state.Mutants {
	return state.Mutants{NoToken: name == "token", NoGen: name == "gen", NoWriting: name == "writing", ArrivalFresh: name == "arrival"}
}

// soakProcess runs the role of this process. It reports whether there is one.
func soakProcess() bool {
	var err error
	switch role, args, _ := strings.Cut(os.Getenv(soakRole), " "); role {
	case "":
		return false
	case "server":
		err = soakServer(args)
	case "client":
		err = soakReader(strings.Fields(args), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// soakServer serves until SIGTERM and writes its addresses to stdout. It ends with
// the test, whose pipe is its stdin.
func soakServer(file string) error {
	feed, err := nearserver.New(&nearserver.Config{Endpoints: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		return err
	}
	s, err := memcached.New(memcached.Options{Feed: feed, MemoryFile: file, MemoryLimit: 16 << 20, Threads: 1})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() { io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	go s.Serve(ln)
	fmt.Printf("%s %s\n", ln.Addr(), strings.TrimPrefix(feed.Endpoints()[0], "tcp://"))
	<-term
	return errors.Join(s.Shutdown(context.Background()), feed.Close())
}

// soakReader reads registers through a near cache and writes a line for each read:
// register, time at which it began, value. args are the cache addresses, each with
// the address of its feed behind a slash, and the mutant.
func soakReader(args []string, out io.Writer) error {
	if f, ok := out.(*os.File); ok && f == os.Stdout {
		go func() { io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	}
	c, near, err := soakCache(args)
	if err != nil {
		return err
	}
	defer c.Close()
	defer near.Close()
	return soakReads(near, out, nil)
}

func soakReads(near *Cache, out io.Writer, done <-chan struct{}) error {
	w := bufio.NewWriter(out)
	for n := 0; ; n++ {
		select {
		case <-done:
			return w.Flush()
		default:
		}
		r := rand.IntN(registers)
		began := time.Now().UnixNano()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		it, err := near.Get(ctx, register(r))
		if err == nil {
			fmt.Fprintf(w, "%d %d %s\n", r, began, it.Value)
		}
		cancel()
		if n%16 == 0 {
			if st := near.Stats(); n%4096 == 0 {
				fmt.Fprintf(w, "# %d %d %d %d\n", st.Hits, st.Suspects, st.Revalidated, st.Voided)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			wait(time.Millisecond)
		}
	}
}

// wait is the length of a fault, a delay of a proxy, or the pace of a reader or
// writer. No result of the test depends on it.
func wait(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
}

func soakCache(args []string) (*memcache.Client, *Cache, error) {
	feeds := make(map[string]string)
	var addrs []string
	for _, a := range args[1:] {
		addr, feed, _ := strings.Cut(a, "/")
		addrs, feeds[addr] = append(addrs, addr), "tcp://"+feed
	}
	c, err := memcache.New(&memcache.Options{ReadTimeout: 300 * time.Millisecond, BackoffMax: 100 * time.Millisecond}, addrs...)
	if err != nil {
		return nil, nil, err
	}
	near, err := New(context.Background(), c, &Options{
		MaxStale: soakStale, Feed: func(server string, _ []string) string { return feeds[server] }, mutants: mutantsOf(strings.TrimPrefix(args[0], "mutant=")),
	})
	if err != nil {
		c.Close()
	}
	return c, near, err
}

// soakProxy forwards connections to a target that can change, cuts and delays.
type soakProxy struct {
	ln    net.Listener
	mu    sync.Mutex
	to    string
	conns map[net.Conn]bool
	delay atomic.Int64
	cut   atomic.Bool
	wg    sync.WaitGroup
}

func newSoakProxy(t *testing.T) *soakProxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &soakProxy{ln: ln, conns: make(map[net.Conn]bool)}
	p.wg.Go(func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			to := p.to
			p.mu.Unlock()
			b, err := net.Dial("tcp", to)
			if err != nil || p.cut.Load() || !p.add(a, b) {
				a.Close()
				if err == nil {
					b.Close()
				}
				continue
			}
			p.wg.Go(func() { p.pipe(a, b) })
			p.wg.Go(func() { p.pipe(b, a) })
		}
	})
	t.Cleanup(func() { ln.Close(); p.end(); p.wg.Wait() })
	return p
}

func (p *soakProxy) add(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	for _, c := range cs {
		p.conns[c] = true
	}
	return true
}

func (p *soakProxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if d := p.delay.Load(); d > 0 {
			wait(time.Duration(d))
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *soakProxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	if p.conns != nil {
		clear(p.conns)
	}
}

func (p *soakProxy) end() {
	p.drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = nil
}

func (p *soakProxy) target(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = addr
}

// soakNode is a server process and the proxies in front of it.
type soakNode struct {
	t           *testing.T
	file        string
	cache, feed *soakProxy
	cmd         *exec.Cmd
	direct      atomic.Pointer[string] // its address, for the writer
}

// soakChild starts a process of the test.
func soakChild(t *testing.T, role string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), soakRole+"="+role)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // closed when this process ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func (n *soakNode) start() {
	n.t.Helper()
	cmd, out := soakChild(n.t, "server "+n.file)
	line, err := out.ReadString('\n')
	cache, feed, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		n.t.Fatalf("server: %q, %v", line, err)
	}
	n.cmd = cmd
	n.cache.target(cache)
	n.feed.target(feed)
	n.direct.Store(&cache)
}

func (n *soakNode) end(sig syscall.Signal) {
	n.cmd.Process.Signal(sig)
	n.cmd.Wait()
}

// soakHistory is the values of each register that were acknowledged.
type soakHistory struct {
	mu    sync.Mutex
	acked [registers][]ack

	reads, violations atomic.Int64
	first             atomic.Pointer[string]
}

type ack struct {
	at    int64
	value int64
}

func (h *soakHistory) add(r int, value int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[r] = append(h.acked[r], ack{time.Now().UnixNano(), value})
}

// check takes a line of a reader.
func (h *soakHistory) check(line string) {
	var r int
	var began, value int64
	if _, err := fmt.Sscanf(line, "%d %d %d", &r, &began, &value); err != nil {
		return
	}
	h.reads.Add(1)
	limit := began - int64(soakStale+soakSlack)
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.acked[r]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at < limit {
			if value < list[i].value && h.violations.Add(1) == 1 {
				text := fmt.Sprintf("register %d: a read returned %d, %v after %d was acknowledged", r, value, time.Duration(began-list[i].at), list[i].value)
				h.first.Store(&text)
			}
			return
		}
	}
}

// lines passes the lines of a reader to check and counts.
func (h *soakHistory) lines(r io.Reader, counts *sync.Map, name string) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		switch {
		case err != nil:
			return // the process was killed: the line may be cut off
		case strings.HasPrefix(line, "# "):
			counts.Store(name, strings.TrimSpace(line))
		default:
			h.check(line)
		}
	}
}

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	var nodes []*soakNode
	args := []string{"mutant=" + *soakMutant}
	for i := range 2 {
		n := &soakNode{t: t, file: filepath.Join(dir, fmt.Sprint("memory", i)), cache: newSoakProxy(t), feed: newSoakProxy(t)}
		n.start()
		t.Cleanup(func() { n.end(syscall.SIGKILL) })
		nodes = append(nodes, n)
		args = append(args, n.cache.ln.Addr().String()+"/"+n.feed.ln.Addr().String())
	}
	h := &soakHistory{}
	var counts sync.Map
	var wg sync.WaitGroup
	done := make(chan struct{})

	// Readers: three goroutines over one cache here, and a process.
	c, near, err := soakCache(args)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		pr, pw := io.Pipe()
		wg.Go(func() { soakReads(near, pw, done); pw.Close() })
		wg.Go(func() { h.lines(pr, &counts, fmt.Sprint("goroutine ", i)) })
	}
	child, out := soakChild(t, "client "+strings.Join(args, " "))
	wg.Go(func() { h.lines(out, &counts, "process") })

	var writes, unclear atomic.Int64
	wg.Go(func() { soakWriter(nodes, c, h, done, &writes, &unclear) })

	faults := make(map[string]int)
	end := time.After(*soakFor)
	names := []string{"kill -9", "stop a server", "stop a client", "cut the feed", "cut the cache", "delay the feed", "delay the cache", "flush_all", "warm restart", "cold restart"}
	for round := 0; ; round++ {
		select {
		case <-end:
		case <-time.After(200 * time.Millisecond):
			name := names[round%len(names)]
			n := nodes[rand.IntN(len(nodes))]
			faults[name]++
			soakFault(name, n, child)
			continue
		}
		break
	}
	close(done)
	child.Process.Kill()
	child.Wait()
	wg.Wait()
	near.Close()
	c.Close()
	t.Logf("faults: %v", faults)
	t.Logf("%d reads checked, %d writes acknowledged, %d without an answer", h.reads.Load(), writes.Load(), unclear.Load())
	t.Log("hits, suspects, found unchanged, voided:")
	counts.Range(func(name, line any) bool { t.Logf("  %v %v", name, line); return true })
	st := near.Stats()
	t.Logf("%+v", st)
	if v := h.violations.Load(); v > 0 {
		t.Errorf("%d reads were staler than %v, the first: %s", v, soakStale, *h.first.Load())
	}
	if st.Hits == 0 || writes.Load() == 0 || h.reads.Load() == 0 {
		t.Errorf("nothing was tried: %d hits, %d writes, %d reads", st.Hits, writes.Load(), h.reads.Load())
	}
}

func soakFault(name string, n *soakNode, child *exec.Cmd) {
	long := 2 * soakStale
	switch name {
	case "kill -9":
		n.end(syscall.SIGKILL)
		n.start()
	case "warm restart":
		n.end(syscall.SIGTERM)
		n.start()
	case "cold restart":
		n.end(syscall.SIGKILL)
		os.Remove(n.file)
		n.start()
	case "stop a server":
		n.cmd.Process.Signal(syscall.SIGSTOP)
		wait(long)
		n.cmd.Process.Signal(syscall.SIGCONT)
	case "stop a client":
		child.Process.Signal(syscall.SIGSTOP)
		wait(long)
		child.Process.Signal(syscall.SIGCONT)
	case "cut the feed", "cut the cache":
		p := n.feed
		if name == "cut the cache" {
			p = n.cache
		}
		p.cut.Store(true)
		p.drop()
		wait(long / 2)
		p.cut.Store(false)
	case "delay the feed":
		n.feed.delay.Store(int64(long))
		wait(2 * long)
		n.feed.delay.Store(0)
	case "delay the cache":
		n.cache.delay.Store(int64(50 * time.Millisecond))
		wait(long)
		n.cache.delay.Store(0)
	case "flush_all":
		if nc, err := net.Dial("tcp", *n.direct.Load()); err == nil {
			io.WriteString(nc, "flush_all\r\n")
			bufio.NewReader(nc).ReadString('\n')
			nc.Close()
		}
	}
}

// soakWriter stores increasing values at the servers themselves, one at a time and
// without a deadline: a stopped server answers when it goes on, and after a killed
// one no write can happen later. Hence a newer value is never overwritten by an
// older one.
func soakWriter(nodes []*soakNode, c *memcache.Client, h *soakHistory, done <-chan struct{}, writes, unclear *atomic.Int64) {
	index := make(map[string]*soakNode)
	for _, n := range nodes {
		index[n.cache.ln.Addr().String()] = n
	}
	conns := make(map[*soakNode]*soakConn)
	defer func() {
		for _, x := range conns {
			x.nc.Close()
		}
	}()
	for next := int64(1); ; next++ {
		select {
		case <-done:
			return
		case <-time.After(200 * time.Microsecond):
		}
		r := rand.IntN(registers)
		key := register(r)
		n := index[c.ServerFor(key)]
		x := conns[n]
		if to := *n.direct.Load(); x == nil || x.to != to {
			if x != nil {
				x.nc.Close()
				delete(conns, n)
			}
			nc, err := net.Dial("tcp", to)
			if err != nil {
				continue
			}
			x = &soakConn{nc: nc, br: bufio.NewReader(nc), to: to}
			conns[n] = x
		}
		v := strconv.FormatInt(next, 10)
		_, err := fmt.Fprintf(x.nc, "set %s 0 0 %d\r\n%s\r\n", key, len(v), v)
		line := ""
		if err == nil {
			line, err = x.br.ReadString('\n')
		}
		if err == nil && line == "STORED\r\n" {
			h.add(r, next)
			writes.Add(1)
			continue
		}
		unclear.Add(1)
		x.nc.Close()
		delete(conns, n)
	}
}

func register(n int) string { return "register" + strconv.Itoa(n) }

type soakConn struct {
	nc net.Conn
	br *bufio.Reader
	to string
}
