package netloop_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lintel.dev/internal/memcached/netloop"
)

func init() {
	dedicated := func(cfg netloop.Config) (netloop.Loop, error) {
		if runtime.GOMAXPROCS(0) < 8 {
			runtime.GOMAXPROCS(8) // or there is no processor to spare
		}
		cfg.Dedicated = true
		return netloop.New(cfg)
	}
	variants = append(variants, variant{"dedicated/tcp", dedicated, "tcp"}, variant{"dedicated/unix", dedicated, "unix"})
}

// TestCollectorWhileWaiting stops the world while loops wait, with a processor
// each or without.
func TestCollectorWhileWaiting(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{Threads: 3})
		peers := []*peer{b.dial(), b.dial(), b.dial()}
		for range 20 {
			for _, p := range peers {
				p.send("echo hello\n")
				p.want("hello\n")
			}
			runtime.GC()
		}
	})
}

// descriptors are the open ones of this process that a driver could leak.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	var open []string
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && (to == "anon_inode:[eventfd]" || to == "anon_inode:[eventpoll]" || len(to) > 7 && to[:7] == "socket:") {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

func TestNoDescriptorLeft(t *testing.T) {
	// The runtime opens its own poller with the first socket, for good.
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close()
	}
	each(t, func(t *testing.T, v variant) {
		before := descriptors(t)
		t.Run("serve", func(t *testing.T) {
			b := v.start(t, netloop.Config{Threads: 3, MaxConns: 8})
			for range 12 {
				b.dial()
			}
			p := b.dial()
			p.Close()
			for range 8 {
				<-b.opened
			}
		})
		after := descriptors(t)
		for _, d := range after {
			if !slices.Contains(before, d) {
				t.Errorf("left open: %s", d)
			}
		}
	})
}

func TestSpread(t *testing.T) {
	b := variants[0].start(t, netloop.Config{Threads: 4})
	var per [4]int
	for range 40 {
		b.dial()
		per[(<-b.opened).Loop()]++
	}
	if per != [4]int{10, 10, 10, 10} {
		t.Errorf("connections per thread %v, want 10 each", per)
	}
}

// idle is the smallest session there can be.
type idle struct{ n int }

func (s *idle) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	s.n++
	w.B = append(w.B, in...)
	return len(in), netloop.NeedMore
}
func (s *idle) Closed(netloop.Reason) {}

// An idle connection, once used, holds no buffer.
func TestIdleConnectionsAreSmall(t *testing.T) {
	n := 9000
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	n = min(n, (int(lim.Cur)-200)/2)
	if n < 500 {
		t.Skipf("only %d descriptors allowed", lim.Cur)
	}
	loop, err := netloop.New(netloop.Config{Threads: 2, NewSession: func(netloop.Conn) netloop.Session { return new(idle) }})
	if err != nil {
		t.Fatal(err)
	}
	ln := variants[0].listen(t)
	port := ln.Addr().(*net.TCPAddr).Port
	served := make(chan error, 1)
	go func() { served <- loop.Serve(ln) }()
	defer func() {
		loop.Shutdown(context.Background())
		<-served
	}()

	// The clients are bare descriptors, which cost this process nothing.
	fds := make([]int, 0, n)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	msg := pattern[:8<<10]
	got := make([]byte, len(msg))
	open := func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, msg); err != nil {
			t.Fatal(err)
		}
		for have := 0; have < len(msg); {
			k, err := unix.Read(fd, got[have:])
			if k <= 0 {
				t.Fatal(k, err)
			}
			have += k
		}
	}
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for range 100 {
		open()
	}
	before := used()
	for len(fds) < n {
		open()
	}
	per := (float64(used()) - float64(before)) / float64(n-100)
	t.Logf("%d idle connections: %.0f bytes each", n, per)
	if per > 512 {
		t.Errorf("an idle connection costs %.0f bytes before its session, want 512 at most", per)
	}
}

// A connection may be older than Serve: it waits in the listener's backlog.
// Without TCP_NODELAY its longer replies would take 40 ms.
func TestEarlyConnectionsDoNotDelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	delay := make(chan int, 1)
	loop, err := netloop.New(netloop.Config{Threads: 1, NewSession: func(c netloop.Conn) netloop.Session {
		on, err := unix.GetsockoptInt(c.ID(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if err != nil {
			t.Error(err)
		}
		delay <- on
		return &idle{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- loop.Serve(l) }()
	if on := <-delay; on == 0 {
		t.Error("TCP_NODELAY is off")
	}
	if err := loop.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

// Many ask at once for short replies and do not read them until there is no
// room for more: every reply arrives, whole and in order.
func TestShortRepliesTogether(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{Threads: 1})
		const rounds, size = 100, 2000
		holder := b.dial()
		peers := make([]*peer, 16)
		<-b.opened
		for i := range peers {
			peers[i] = b.dial()
			// So small a buffer that a few replies fill it.
			if err := unix.SetsockoptInt((<-b.opened).ID(), unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10); err != nil {
				t.Fatal(err)
			}
		}
		for r := range rounds {
			holder.send("hold\n")
			<-b.held
			for _, p := range peers {
				p.send("echo %d\ncopy %d\n", r, size)
			}
			b.resume <- struct{}{}
		}
		for i, p := range peers {
			if i%8 == 3 {
				p.Close() // with replies waiting
				continue
			}
			for r := range rounds {
				p.want(fmt.Sprintf("%d\n%s", r, pattern[:size]))
			}
		}
	})
}

// TestHandshakeIsAcknowledged: the kernel does not delay the acknowledgement of
// the last record of a TLS handshake, which the server does not answer.
func TestHandshakeIsAcknowledged(t *testing.T) {
	b := variant{"net/tls", netloop.New, "tls"}.start(t, netloop.Config{Threads: 1})
	b.dial()
	quick, err := unix.GetsockoptInt((<-b.opened).ID(), unix.IPPROTO_TCP, unix.TCP_QUICKACK)
	if err != nil || quick != 1 {
		t.Errorf("TCP_QUICKACK is %d after the handshake, %v", quick, err)
	}
}
