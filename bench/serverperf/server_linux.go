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
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startIn bounds how long a server may take until it accepts connections.
const startIn = 5 * time.Second

// maxConns is the limit of connections of each server. Many systems allow a
// process 20,000 descriptors.
const maxConns = 19_900

// errNotSpoken is returned for a command that a server does not know. A peer has
// no figure then.
var errNotSpoken = errors.New("not answered")

// server is a server under test.
type server struct {
	name string // "lintel" or the name of the peer's program
	args []string
	addr string
	cmd  *exec.Cmd // nil: not running
	peak float64   // requests a second of the peer, for loads relative to it
}

// servers returns ours and the peers, not started, with as many threads and
// megabytes.
func (s *settings) servers(threads, memory int) []*server {
	size := []string{"-m", strconv.Itoa(memory), "-t", strconv.Itoa(threads)}
	flags := append([]string{"-u", "root", "-l", "127.0.0.1", "-c", strconv.Itoa(maxConns)}, size...)
	all := []*server{{name: "lintel", args: append([]string{s.lintel, "memcached"}, flags...)}}
	for _, path := range s.peers {
		v := &server{name: filepath.Base(path), args: append([]string{path}, flags...)}
		if v.name == "pogocache" {
			v.args = append([]string{path, "-h", "127.0.0.1", "--maxconns", strconv.Itoa(maxConns)}, size...)
		}
		all = append(all, v)
	}
	return all
}

// start runs the server on a free port and the given cores, and returns when
// it accepts connections.
func (v *server) start(cpus ...int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.addr = ln.Addr().String()
	_, port, _ := net.SplitHostPort(v.addr)
	ln.Close()
	cmd := exec.Command(v.args[0], append(v.args[1:], "-p", port)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := startOn(cmd, cpus...); err != nil {
		return err
	}
	v.cmd = cmd
	for began := time.Now(); time.Since(began) < startIn; time.Sleep(25 * time.Millisecond) {
		if c, err := net.Dial("tcp", v.addr); err == nil {
			return c.Close()
		}
	}
	v.stop()
	return fmt.Errorf("%s does not listen after %v: %s", v.name, startIn, strings.TrimSpace(stderr.String()))
}

// stop ends the server and waits for it. It does nothing if the server is not
// running.
func (v *server) stop() {
	if v.cmd == nil {
		return
	}
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	_ = v.cmd.Wait()
	v.cmd = nil
}

// startOn starts cmd on some cores: a child process inherits the affinity of
// the thread that creates it.
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
		return fmt.Errorf("pin to cores %v: %w, see -server-cpu and -client-cpu", cpus, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return cmd.Start()
}

// loadResult is the part of the JSON of lintel perf cache that the rows use.
type loadResult struct {
	Rate      float64 `json:"requests_per_second"`
	Keys      int64   `json:"keys_asked"`
	Misses    int64   `json:"misses"`
	Fresh     int64   `json:"fresh"`
	HitRatio  float64 `json:"hit_ratio"`
	Sets      int64   `json:"sets"`
	NotStored int64   `json:"not_stored"`
	Latency   struct {
		P99 float64 `json:"p99"`
	} `json:"latency_us"`
	CPUPerKey float64 `json:"server_cpu_us_per_key"`
}

// load runs lintel perf cache against v on the client's core.
func (s *settings) load(ctx context.Context, v *server, args ...string) (*loadResult, error) {
	return s.loadOn(ctx, v, []int{s.clientCPU}, args...)
}

// loadOn runs lintel perf cache against v on some cores.
func (s *settings) loadOn(ctx context.Context, v *server, cpus []int, args ...string) (*loadResult, error) {
	cmd := exec.CommandContext(ctx, s.lintel, append([]string{
		"perf", "cache", "--json", "--quiet", "--server", v.addr, "--pid", strconv.Itoa(v.cmd.Process.Pid),
	}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := startOn(cmd, cpus...); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return nil, errors.New(strings.TrimPrefix(text, "lintel: "))
		}
		return nil, err
	}
	r := new(loadResult)
	return r, json.Unmarshal(stdout.Bytes(), r)
}

// resident returns the server's resident memory in bytes.
func (v *server) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages float64
	_, err = fmt.Sscan(string(text), &size, &pages)
	return pages * float64(os.Getpagesize()), err
}

// stat returns one figure of the server's stats.
func (v *server) stat(name string) (float64, error) {
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "stats\r\nquit\r\n"); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "STAT "+name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("stats of %s: line %s: %w", v.name, name, errNotSpoken)
}
