package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func init() { perfCommands = append(perfCommands, newPerfCacheBench) }

// benchSettings say how perf cache-bench compares.
type benchSettings struct {
	peer      string
	memory    int
	threads   int
	rounds    int
	duration  time.Duration
	only      string
	traces    string
	serverCPU int
	clientCPU int
	json      bool
}

func newPerfCacheBench() *cobra.Command {
	s := &benchSettings{}
	cmd := &cobra.Command{
		Use:   "cache-bench",
		Short: "Measure our cache server beside memcached, as ratios",
		Long: `Measure our cache server beside memcached: both on one core, the load generator
on another, in turns. Each figure is the median of the rounds; cpu is user and
system time of the server's process over the keys served.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unexpected argument %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.rounds < 1 || s.memory < 8 || s.threads < 1 {
				return usagef("want --rounds and --threads of at least 1 and --memory of at least 8")
			}
			return s.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.peer, "peer", "memcached", "the other server, which takes memcached's flags")
	f.IntVar(&s.memory, "memory", 256, "megabytes of each (-m)")
	f.IntVar(&s.threads, "threads", 2, "threads of each (-t)")
	f.IntVar(&s.rounds, "rounds", 5, "runs of each load")
	f.DurationVar(&s.duration, "duration", 2*time.Second, "of a run")
	f.StringVar(&s.only, "only", "", "regular expression of the measures to take")
	f.StringVar(&s.traces, "traces", "", "directory of traces (*.gz) to replay with -m 64")
	f.IntVar(&s.serverCPU, "server-cpu", 0, "core of the servers")
	f.IntVar(&s.clientCPU, "client-cpu", 1, "core of the load generator")
	f.BoolVar(&s.json, "json", false, "one line of JSON for each measure")
	return cmd
}

// measure is a row of the table.
type measure struct {
	name   string
	unit   string
	target string
	// take measures once; which of its results is given is the row's affair.
	take func(ctx context.Context, b *benchSettings, server *benchServer) (float64, error)
	once bool // needs no rounds: nothing in it is a time
}

// benchServer is a server under test.
type benchServer struct {
	name string
	args []string
	addr string
	cmd  *exec.Cmd
	peak float64 // requests a second of the reference, for loads relative to it
}

func cpuOf(load ...string) func(context.Context, *benchSettings, *benchServer) (float64, error) {
	return func(ctx context.Context, b *benchSettings, s *benchServer) (float64, error) {
		r, err := b.load(ctx, s, append(load, "--duration", b.duration.String())...)
		if err != nil {
			return 0, err
		}
		return r.CPUPerKey, nil
	}
}

func itemsPerByte(valueSize int) func(context.Context, *benchSettings, *benchServer) (float64, error) {
	return func(ctx context.Context, b *benchSettings, s *benchServer) (float64, error) {
		n := b.memory << 20 / (valueSize + 20) * 3 / 2 // more than fit
		_, err := b.load(ctx, s, "--ratio", "0:1", "--preload", "--keys", strconv.Itoa(n), "--value-size", strconv.Itoa(valueSize),
			"--pipeline", "32", "--conns", "4", "--requests", "1")
		if err != nil {
			return 0, err
		}
		items, err := s.stat("curr_items")
		if err != nil {
			return 0, err
		}
		rss, err := s.resident()
		return items / rss * 1e6, err
	}
}

func missRatio(load ...string) func(context.Context, *benchSettings, *benchServer) (float64, error) {
	return func(ctx context.Context, b *benchSettings, s *benchServer) (float64, error) {
		r, err := b.load(ctx, s, append(load, "--fill", "--conns", "4", "--pipeline", "8")...)
		if err != nil {
			return 0, err
		}
		return 1 - r.HitRatio, nil
	}
}

func halfPeakP99(ctx context.Context, b *benchSettings, s *benchServer) (float64, error) {
	r, err := b.load(ctx, s, "--rate", strconv.FormatFloat(s.peak/2, 'f', 0, 64), "--duration", b.duration.String())
	if err != nil {
		return 0, err
	}
	return r.Latency.P99, nil
}

// idleBytes is what each of many connections that do nothing costs.
func idleBytes(_ context.Context, _ *benchSettings, s *benchServer) (float64, error) {
	const n = 9000
	before, err := s.resident()
	if err != nil {
		return 0, err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, "mn\r\n"); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			return 0, err
		}
	}
	after, err := s.resident()
	return (after - before) / n, err
}

func (b *benchSettings) measures() ([]measure, error) {
	many := strconv.Itoa(b.memory << 20 / 190 * 10) // ten times what memcached holds of them
	all := []measure{
		{"cpu per get, one in flight", "us", "<= 0.80", cpuOf(), false},
		{"cpu per get, 16 in flight", "us", "<= 0.38", cpuOf("--pipeline", "16"), false},
		{"cpu per key, 50-key gets", "us", "<= 0.25", cpuOf("--multi", "50"), false},
		{"cpu per set, one in flight", "us", "<= 0.80", cpuOf("--ratio", "0:1"), false},
		{"cpu per set, 16 in flight", "us", "<= 0.50", cpuOf("--ratio", "0:1", "--pipeline", "16"), false},
		{"p99 at half of the peer's peak", "us", "<= 1.00", halfPeakP99, false},
		{"memory per idle connection", "bytes", "", idleBytes, true},
		{"items per resident MB, 32 B values", "", ">= 1.60", itemsPerByte(32), true},
		{"items per resident MB, 100 B values", "", ">= 1.35", itemsPerByte(100), true},
		{"items per resident MB, 500 B values", "", ">= 1.10", itemsPerByte(500), true},
		{"miss ratio, zipf 0.99", "", "<= 0.85", missRatio("--dist", "zipf:0.99", "--keys", many, "--requests", many), true},
		{"miss ratio, zipf, 30 % one-hit", "", "<= 0.80", missRatio("--dist", "zipf:0.99", "--keys", many, "--requests", many, "--one-hit", "0.3"), true},
	}
	if b.traces != "" {
		files, err := filepath.Glob(filepath.Join(b.traces, "*.gz"))
		if err != nil || len(files) == 0 {
			return nil, usagef("--traces %s: no *.gz there", b.traces)
		}
		for _, name := range files {
			keys, err := readTrace(name)
			if err != nil {
				return nil, err
			}
			slices.Sort(keys)
			distinct := len(slices.Compact(keys))
			for _, part := range []int{4, 10} {
				// So many bytes a key that this part of them fits.
				size := min(max(64<<20/(distinct/part)-80, 1), 900_000)
				all = append(all, measure{
					fmt.Sprintf("miss ratio, %s, 1/%d fits", strings.TrimSuffix(filepath.Base(name), ".gz"), part), "", "<= 1.00",
					func(ctx context.Context, b *benchSettings, s *benchServer) (float64, error) {
						r, err := b.load(ctx, s, "--trace", name, "--value-size", strconv.Itoa(size))
						if err != nil {
							return 0, err
						}
						return 1 - r.HitRatio, nil
					}, true,
				})
			}
		}
	}
	if b.only == "" {
		return all, nil
	}
	re, err := regexp.Compile(b.only)
	if err != nil {
		return nil, usagef("--only %s: %v", b.only, err)
	}
	all = slices.DeleteFunc(all, func(m measure) bool { return !re.MatchString(m.name) })
	if len(all) == 0 {
		return nil, usagef("--only %s: no measure is called that", b.only)
	}
	return all, nil
}

func (b *benchSettings) run(ctx context.Context, stdout, stderr io.Writer) error {
	measures, err := b.measures()
	if err != nil {
		return err
	}
	peer, err := exec.LookPath(b.peer)
	if err != nil {
		return usagef("--peer %s: not found; install memcached or name another", b.peer)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if !b.json {
		fmt.Fprintf(stdout, "-m %d -t %d, %d rounds of %v, medians\n\n%-38s %12s %12s %8s %8s\n", b.memory, b.threads, b.rounds, b.duration,
			"measure", "lintel", "peer", "ratio", "target")
	}
	for _, m := range measures {
		memory := b.memory
		if strings.HasPrefix(m.name, "miss ratio, ") && !strings.HasPrefix(m.name, "miss ratio, zipf") {
			memory = 64
		}
		flags := []string{"-u", "root", "-l", "127.0.0.1", "-c", "10000", "-m", strconv.Itoa(memory), "-t", strconv.Itoa(b.threads)}
		ours, theirs, err := b.compare(ctx, m,
			&benchServer{name: "lintel", args: append([]string{self, "memcached"}, flags...)},
			&benchServer{name: "peer", args: append([]string{peer}, flags...)})
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if b.json {
			err := json.NewEncoder(stdout).Encode(map[string]any{"measure": m.name, "unit": m.unit, "lintel": ours, "peer": theirs, "ratio": ours / theirs, "target": m.target})
			if err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(stdout, "%-38s %12.4g %12.4g %8.3f %8s\n", m.name, ours, theirs, ours/theirs, m.target)
	}
	return nil
}

// compare takes a measure of both servers, in turns.
func (b *benchSettings) compare(ctx context.Context, m measure, ours, theirs *benchServer) (float64, float64, error) {
	rounds := b.rounds
	if m.once {
		rounds = 1
	}
	var got [2][]float64
	for _, s := range []*benchServer{theirs, ours} {
		if err := s.start(b.serverCPU); err != nil {
			return 0, 0, err
		}
		defer s.stop()
	}
	if strings.HasPrefix(m.name, "p99") {
		r, err := b.load(ctx, theirs, "--duration", b.duration.String())
		if err != nil {
			return 0, 0, err
		}
		ours.peak, theirs.peak = r.Rate, r.Rate
	}
	for round := range rounds {
		for i := range 2 {
			which := (i + round) % 2 // who begins changes
			v, err := m.take(ctx, b, []*benchServer{ours, theirs}[which])
			if err != nil {
				return 0, 0, err
			}
			got[which] = append(got[which], v)
		}
	}
	return median(got[0]), median(got[1]), nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// start runs the server on a port of its own.
func (s *benchServer) start(cpu int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.addr = ln.Addr().String()
	_, port, _ := net.SplitHostPort(s.addr)
	ln.Close()
	s.cmd = exec.Command(s.args[0], append(s.args[1:], "-p", port)...)
	var said bytes.Buffer
	s.cmd.Stderr = &said
	if err := startOn(cpu, s.cmd); err != nil {
		return err
	}
	for range 200 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.stop()
	return fmt.Errorf("%s does not listen: %s", s.name, strings.TrimSpace(said.String()))
}

func (s *benchServer) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// startOn starts cmd on one core. A child runs where the thread that made it
// may run.
func startOn(cpu int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return usagef("core %d: %v, see --server-cpu and --client-cpu", cpu, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return cmd.Start()
}

// load runs perf cache against s, in a process on the client's core.
func (b *benchSettings) load(ctx context.Context, s *benchServer, args ...string) (*loadResult, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"perf", "cache", "--json", "--quiet", "--server", s.addr, "--pid", strconv.Itoa(s.cmd.Process.Pid)}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := startOn(b.clientCPU, cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return nil, errors.New(strings.TrimPrefix(text, "lintel: "))
		}
		return nil, err
	}
	r := new(loadResult)
	return r, json.Unmarshal(out.Bytes(), r)
}

// resident is the server's memory in bytes.
func (s *benchServer) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages float64
	_, err = fmt.Sscan(string(text), &size, &pages)
	return pages * float64(os.Getpagesize()), err
}

// stat is one figure of the server's stats.
func (s *benchServer) stat(name string) (float64, error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "stats\r\nquit\r\n"); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "STAT "+name+" "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("no %s among the stats of %s", name, s.name)
}
