package perfcli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lintel.dev/internal/cli"
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

	self        string // our program
	show        func(text string)
	traceRatios []float64
	notes       []string // on the measure being taken
}

func newPerfCacheBench() *cobra.Command {
	s := &benchSettings{}
	cmd := &cobra.Command{
		Use:   "cache-bench",
		Short: "Measure our cache server beside memcached, as ratios",
		Long: `Measure our cache server beside memcached: both on one core, the load generator
on another, in turns. Each figure is the median of the rounds; cpu is user and
system time of the server's process over the keys served.`,
		Example: `  lintel perf cache-bench --rounds 3 --only 'get, one in flight'
  lintel perf cache-bench --memory 64 --json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.rounds < 1 || s.memory < 8 || s.threads < 1 {
				return cli.Usagef("want --rounds and --threads of at least 1 and --memory of at least 8")
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

func (b *benchSettings) run(ctx context.Context, stdout, stderr io.Writer) error {
	measures, err := b.measures()
	if err != nil {
		return err
	}
	peer, err := exec.LookPath(b.peer)
	if err != nil {
		return cli.Usagef("--peer %s: not found; install memcached or name another", b.peer)
	}
	b.peer = peer
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.show = func(string) {}
	if cli.IsTerminal(stderr) {
		b.show = func(text string) { fmt.Fprintf(stderr, "\r\x1b[K%s", text) }
	}
	if !b.json {
		fmt.Fprintf(stdout, "-m %d -t %d, %d rounds of %v, medians; miss ratios with -m %d, of traces with -m %d\n\n%-40s %12s %12s %8s %10s\n",
			b.memory, b.threads, b.rounds, b.duration, b.missMemory(), traceMemory, "measure", "lintel", "peer", "ratio", "target")
	}
	for _, m := range measures {
		ours, theirs, err := b.compare(ctx, &m)
		b.show("")
		if err != nil {
			return fmt.Errorf("%s: %w", m.rows[0].name, err)
		}
		for i, r := range m.rows {
			if err := b.print(stdout, r, ours[i], theirs[i]); err != nil {
				return err
			}
		}
		for _, note := range b.notes {
			if !b.json {
				fmt.Fprintf(stdout, "  (%s)\n", note)
			}
		}
		b.notes = nil
	}
	if n := len(b.traceRatios); n > 1 {
		sum := 0.0
		for _, r := range b.traceRatios {
			sum += r
		}
		return b.print(stdout, row{"mean of the ratios of the traces", "", "<= 0.92"}, sum/float64(n), 1)
	}
	return nil
}

// print writes a row. What could not be measured is not a number.
func (b *benchSettings) print(stdout io.Writer, r row, ours, theirs float64) error {
	if strings.HasPrefix(r.name, "miss ratio, trace ") && ours >= 0 && theirs > 0 {
		b.traceRatios = append(b.traceRatios, ours/theirs)
	}
	number := func(v float64) any {
		if math.IsNaN(v) {
			return nil
		}
		return v
	}
	if b.json {
		return json.NewEncoder(stdout).Encode(map[string]any{
			"measure": r.name, "unit": r.unit, "lintel": number(ours), "peer": number(theirs), "ratio": number(ours / theirs), "target": r.target,
		})
	}
	text := func(format string, v float64) string {
		if math.IsNaN(v) {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	_, err := fmt.Fprintf(stdout, "%-40s %12s %12s %8s %10s\n", r.name, text("%.4g", ours), text("%.4g", theirs), text("%.3f", ours/theirs), r.target)
	return err
}

// servers are ours and the peer's with so many threads and megabytes.
func (b *benchSettings) servers(threads, memory int) [2]*benchServer {
	flags := []string{"-u", "root", "-l", "127.0.0.1", "-c", "10000", "-m", strconv.Itoa(memory), "-t", strconv.Itoa(threads)}
	return [2]*benchServer{
		{name: "lintel", args: append([]string{b.self, "memcached"}, flags...)},
		{name: "peer", args: append([]string{b.peer}, flags...)},
	}
}

// compare takes a measure of both servers, in turns, and returns the medians of each of its rows.
func (b *benchSettings) compare(ctx context.Context, m *measure) (ours, theirs []float64, err error) {
	rounds, memory := b.rounds, b.memory
	if m.once {
		rounds = 1
	}
	if m.memory > 0 {
		memory = m.memory
	}
	servers := b.servers(b.threads, memory)
	got := [2][][]float64{make([][]float64, len(m.rows)), make([][]float64, len(m.rows))}
	if !m.alone {
		for _, s := range servers {
			if err := s.start(b.serverCPU); err != nil {
				return nil, nil, err
			}
			defer s.stop()
		}
	}
	if m.prepare != nil {
		if err := m.prepare(ctx, b, servers); err != nil {
			return nil, nil, err
		}
	}
	for round := range rounds {
		for i := range 2 {
			which := (i + round) % 2 // who begins changes
			b.show(fmt.Sprintf("%s: %s, round %d of %d", m.rows[0].name, servers[which].name, round+1, rounds))
			v, err := m.take(ctx, b, servers[which])
			if err != nil {
				return nil, nil, err
			}
			for j := range v {
				got[which][j] = append(got[which][j], v[j])
			}
		}
	}
	for j := range m.rows {
		ours, theirs = append(ours, median(got[0][j])), append(theirs, median(got[1][j]))
	}
	return ours, theirs, nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// start runs the server on a port of its own.
func (s *benchServer) start(cpus ...int) error {
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
	if err := startOn(s.cmd, cpus...); err != nil {
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

// startOn starts cmd on some cores. A child runs where the thread that made it
// may run.
func startOn(cmd *exec.Cmd, cpus ...int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, c := range cpus {
		some.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return cli.Usagef("cores %v: %v, see --server-cpu and --client-cpu", cpus, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return cmd.Start()
}

// load runs perf cache against s, in a process on the client's core.
func (b *benchSettings) load(ctx context.Context, s *benchServer, args ...string) (*loadResult, error) {
	return b.loadOn(ctx, s, []int{b.clientCPU}, args...)
}

func (b *benchSettings) loadOn(ctx context.Context, s *benchServer, cpus []int, args ...string) (*loadResult, error) {
	cmd := exec.CommandContext(ctx, b.self, append([]string{"perf", "cache", "--json", "--quiet", "--server", s.addr, "--pid", strconv.Itoa(s.cmd.Process.Pid)}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := startOn(cmd, cpus...); err != nil {
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
