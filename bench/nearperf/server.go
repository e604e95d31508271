package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"lintel.dev/bench/harness"
	"lintel.dev/zmq"
)

// serverCost measures the processor time of the server for a set, with a feed and
// subscribers, beside a server without a feed. The subscribers run in this process.
func serverCost(t *harness.Table, lintel string, subscribers, sets int) *harness.Measure {
	var sides [2]*cacheServer
	received := new(atomic.Int64)
	turns := 0
	row := harness.Row{Name: fmt.Sprintf("server CPU a set, %d subscribers", subscribers), Unit: "us", Less: true}
	if subscribers == 0 {
		row.Target = 1.02
	}
	return &harness.Measure{
		Rows: []harness.Row{row},
		Prepare: func(ctx context.Context) (func(), error) {
			ctx, cancel := context.WithCancel(ctx)
			var readers sync.WaitGroup
			end := func() {
				cancel()
				for _, s := range sides {
					if s != nil {
						s.stop()
					}
				}
				readers.Wait()
			}
			var err error
			if sides[harness.Peer], err = startServer(ctx, lintel); err != nil {
				return end, err
			}
			s, err := startServer(ctx, lintel, "--invalidate", "tcp://127.0.0.1:*")
			if err != nil {
				return end, err
			}
			sides[harness.Ours] = s
			for range subscribers {
				sub, err := zmq.NewSub(zmq.WithSubscribe("i"))
				if err != nil {
					return end, err
				}
				if _, err := sub.Connect(s.feed); err != nil {
					return end, errors.Join(err, sub.Close())
				}
				if _, err := sub.Recv(ctx); err != nil { // a heartbeat: the subscription is known
					return end, errors.Join(err, sub.Close())
				}
				readers.Go(func() {
					defer sub.Close()
					for m, err := range sub.Messages(ctx) {
						if err != nil {
							return
						}
						received.Add(int64(m.Size()))
					}
				})
			}
			return end, nil
		},
		Take: func(_ context.Context, side int) ([]float64, error) {
			s := sides[side]
			before, err := s.cpu()
			if err != nil {
				return nil, err
			}
			octets := received.Load()
			if err := s.load(sets); err != nil {
				return nil, err
			}
			after, err := s.cpu()
			if err != nil {
				return nil, err
			}
			if side == harness.Ours {
				turns++
			}
			if turns == t.Rounds && side == harness.Ours && subscribers > 0 {
				published, err1 := s.stat("feed_published")
				lost, err2 := s.stat("feed_lost")
				if err := errors.Join(err1, err2); err != nil {
					return nil, err
				}
				t.Note("%.1f octets a set and subscriber; %.0f changes published, %.0f lost",
					float64(received.Load()-octets)/float64(sets*subscribers), published, lost)
			}
			return []float64{(after - before) * 1e6 / float64(sets)}, nil
		},
	}
}

// cacheServer is a process of the cache server, and a connection to it.
type cacheServer struct {
	cmd  *exec.Cmd
	conn net.Conn
	in   *bufio.Reader
	feed string // endpoint, empty without a feed
}

var (
	listensOn = regexp.MustCompile(`listens on (127\.0\.0\.1:\d+)`)
	feedOn    = regexp.MustCompile(`invalidations on (tcp://\S+)`)
)

func startServer(ctx context.Context, lintel string, args ...string) (*cacheServer, error) {
	s := &cacheServer{cmd: exec.CommandContext(ctx, lintel, append([]string{"memcached", "-p", "-1", "-l", "127.0.0.1", "-m", "256", "-t", "2"}, args...)...)}
	if os.Geteuid() == 0 {
		s.cmd.Args = append(s.cmd.Args, "-u", "root")
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := feedOn.FindStringSubmatch(lines.Text()); m != nil {
			s.feed = m[1]
		}
		if m := listensOn.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			if s.conn, err = net.Dial("tcp", m[1]); err != nil {
				s.stop()
				return nil, err
			}
			s.in = bufio.NewReader(s.conn)
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s memcached did not start", lintel)
}

func (s *cacheServer) stop() {
	if s.conn != nil {
		s.conn.Close()
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed
}

// load sets n items, 64 in a write, and waits until all are done.
func (s *cacheServer) load(n int) error {
	const inWrite, keys = 64, 10_000
	value := strings.Repeat("v", 100)
	var b []byte
	for done := 0; done < n; {
		b = b[:0]
		for range min(inWrite, n-done) {
			b = fmt.Appendf(b, "set key:%012d 0 0 100 noreply\r\n%s\r\n", done%keys, value)
			done++
		}
		if _, err := s.conn.Write(append(b, "mn\r\n"...)); err != nil {
			return err
		}
		if line, err := s.in.ReadString('\n'); err != nil || line != "MN\r\n" {
			return fmt.Errorf("sets: reply %q: %w", line, err)
		}
	}
	return nil
}

// cpu returns the processor time of the process in seconds.
func (s *cacheServer) cpu() (float64, error) {
	user, err1 := s.stat("rusage_user")
	system, err2 := s.stat("rusage_system")
	return user + system, errors.Join(err1, err2)
}

// stat returns one figure of stats.
func (s *cacheServer) stat(name string) (value float64, err error) {
	if _, err := io.WriteString(s.conn, "stats\r\n"); err != nil {
		return 0, err
	}
	found := false
	for {
		line, err := s.in.ReadString('\n')
		switch text, ok := strings.CutPrefix(strings.TrimSpace(line), "STAT "+name+" "); {
		case err != nil:
			return 0, err
		case line == "END\r\n" && !found:
			return 0, fmt.Errorf("stats: no line %s", name)
		case line == "END\r\n":
			return value, nil
		case ok:
			if value, err = strconv.ParseFloat(text, 64); err != nil {
				return 0, fmt.Errorf("stats %s: %w", name, err)
			}
			found = true
		}
	}
}
