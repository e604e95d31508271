package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// side is the library at one end of a measurement.
type side int

const (
	ourSide side = iota
	libzmq
)

// programs are the paths of the programs that a measurement starts, and a
// directory for ipc sockets.
type programs struct{ dir, lintel, peer, self string }

// perfTools are the measurements that are commands of lintel perf. The others
// are in this program (see ours).
var perfTools = map[string]bool{
	"local_thr": true, "remote_thr": true, "local_lat": true, "remote_lat": true,
	"inproc_thr": true, "inproc_lat": true, "proxy_thr": true,
}

// command is the program for one end.
func (p programs) command(ctx context.Context, s side, name string, args ...string) *exec.Cmd {
	switch {
	case s == libzmq:
		return exec.CommandContext(ctx, p.peer, append([]string{name}, args...)...)
	case perfTools[name]:
		return exec.CommandContext(ctx, p.lintel, append([]string{"perf", name, "--json"}, args...)...)
	}
	return exec.CommandContext(ctx, p.self, append([]string{"ours", name}, args...)...)
}

// row is one or more lines of the table.
type row struct {
	name       string
	columns    []column
	cross      bool
	alone      bool // libzmq is not measured
	run        func(ctx context.Context, p programs, receiver, sender side) (map[string]float64, error)
	bare       func(ctx context.Context, p programs) (map[string]float64, error)
	bareTarget float64 // 0: none, the line shows the kernel's share of the time
}

const stuck = 2 * time.Minute

// headStart is the delay between the starts of the two ends. A sender whose
// connection is refused retries after 100 ms, which would count as latency.
const headStart = 100 * time.Millisecond

// together runs the ends of a measurement and returns the figures they print.
func together(ctx context.Context, cmds ...*exec.Cmd) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	out := make([]bytes.Buffer, len(cmds))
	for i, cmd := range cmds {
		cmd.Stdout, cmd.Stderr = &out[i], os.Stderr
		if i > 0 {
			time.Sleep(headStart)
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
	}
	ended := context.AfterFunc(ctx, func() {
		for _, cmd := range cmds {
			cmd.Process.Kill()
		}
	})
	defer ended()
	var err error
	for i, cmd := range cmds {
		if i > 0 && err == nil && lingers(cmd) {
			cmd.Process.Kill()
			cmd.Wait()
			continue
		}
		if e := cmd.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), e))
			cancel()
		}
	}
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for i := range out {
		if err := figures(&out[i], values); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// lingers reports whether cmd runs until it is killed: proxies, and senders to
// libzmq over ipc, for the reason given in the C program.
func lingers(cmd *exec.Cmd) bool {
	args := cmd.Args[1:]
	if args[0] == "ours" {
		args = args[1:]
	}
	switch args[0] {
	case "stay_thr", "proxy", "proxy_pub", "multi_pub":
		return true
	}
	return filepath.Base(cmd.Path) == "peer" && args[0] == "remote_thr" && strings.HasPrefix(args[1], "ipc:")
}

// figures reads lines of JSON, lines of libzmq's tools and lines "name value".
func figures(out *bytes.Buffer, values map[string]float64) error {
	for s := bufio.NewScanner(out); s.Scan(); {
		line := s.Text()
		var object map[string]float64
		switch {
		case strings.HasPrefix(line, "{"):
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				return err
			}
			values["rate"], values["mean"], values["p99"] = object["messages_per_s"], object["average_latency_us"], object["p99_us"]
			continue
		case strings.HasSuffix(line, "[msg/s]"):
			line = strings.Replace(strings.TrimSuffix(line, " [msg/s]"), "mean throughput:", "rate", 1)
		case strings.HasPrefix(line, "average latency:"):
			line = strings.Replace(strings.TrimSuffix(line, " [us]"), "average latency:", "mean", 1)
		}
		name, value, _ := strings.Cut(line, " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return nil
}

// endpoint returns an unused endpoint.
func (p programs) endpoint(transport string) (string, error) {
	if transport == "ipc" {
		return "ipc://" + filepath.Join(p.dir, strconv.FormatInt(time.Now().UnixNano(), 36)), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return "tcp://" + l.Addr().String(), nil
}

// two is a measurement with one process at each end.
func two(transport, local, remote string, localArgs, remoteArgs []string) func(context.Context, programs, side, side) (map[string]float64, error) {
	return func(ctx context.Context, p programs, receiver, sender side) (map[string]float64, error) {
		at, err := p.endpoint(transport)
		if err != nil {
			return nil, err
		}
		name := remote
		if transport == "ipc" && remote == "remote_thr" && receiver == libzmq && sender == ourSide {
			name = "stay_thr"
		}
		return together(
			ctx,
			p.command(ctx, receiver, local, append([]string{at}, localArgs...)...),
			p.command(ctx, sender, name, append([]string{at}, remoteArgs...)...),
		)
	}
}

// proxied is a measurement of publishers, a proxy and a subscriber, each in a
// process of its own.
func proxied(transport string, args ...string) func(context.Context, programs, side, side) (map[string]float64, error) {
	return func(ctx context.Context, p programs, s, _ side) (map[string]float64, error) {
		front, err := p.endpoint(transport)
		if err != nil {
			return nil, err
		}
		back, err := p.endpoint(transport)
		if err != nil {
			return nil, err
		}
		return together(
			ctx,
			p.command(ctx, s, "proxy_sub", append([]string{back}, args...)...),
			p.command(ctx, s, "proxy", front, back),
			p.command(ctx, s, "proxy_pub", append([]string{front}, args...)...),
		)
	}
}

// byMulticast is a measurement of a publisher and a subscriber of a group.
func byMulticast(args ...string) func(context.Context, programs, side, side) (map[string]float64, error) {
	return func(ctx context.Context, p programs, receiver, sender side) (map[string]float64, error) {
		port, err := p.endpoint("tcp")
		if err != nil {
			return nil, err
		}
		at := "epgm://127.0.0.1;239.192.7.7" + port[strings.LastIndexByte(port, ':'):]
		return together(
			ctx,
			p.command(ctx, receiver, "multi_sub", append([]string{at}, args...)...),
			p.command(ctx, sender, "multi_pub", append([]string{at}, args...)...),
		)
	}
}

// one is a measurement within a process.
func one(name string, args ...string) func(context.Context, programs, side, side) (map[string]float64, error) {
	return func(ctx context.Context, p programs, s, _ side) (map[string]float64, error) {
		return together(ctx, p.command(ctx, s, name, args...))
	}
}

// bareTwo is a measurement of two processes over a plain net.Conn.
func bareTwo(local, remote string, args ...string) func(context.Context, programs) (map[string]float64, error) {
	run := two("tcp", local, remote, args, args)
	return func(ctx context.Context, p programs) (map[string]float64, error) {
		return run(ctx, p, ourSide, ourSide)
	}
}

// rows are the measures of the table and their targets.
func rows(scale float64) []row {
	n := func(count float64) string { return strconv.Itoa(max(int(count*scale), 100)) }
	rate := func(target float64) []column { return []column{{value: "rate", unit: "/s", target: target}} }
	thr := func(name, transport, size string, count, target float64, curve string) row {
		args := []string{size, n(count)}
		if curve != "" {
			args = append(args, curve)
		}
		return row{name: name, columns: rate(target), cross: true, run: two(transport, "local_thr", "remote_thr", args, args)}
	}
	lat := func(name, size string, count float64) row {
		args := []string{size, n(count)}
		return row{
			name: name, run: two("tcp", "local_lat", "remote_lat", args, args),
			columns: []column{
				{value: "mean", suffix: ", mean", unit: "us", target: 0.8, less: true},
				{value: "p99", suffix: ", p99", unit: "us", target: 0.8, less: true},
			},
			bare: bareTwo("bare_echo", "bare_ask", args...), bareTarget: 1.1,
		}
	}
	var all []row
	for _, transport := range []string{"tcp", "ipc"} {
		all = append(
			all,
			thr(transport+" throughput 8 B", transport, "8", 5e6, 3, ""),
			thr(transport+" throughput 64 B", transport, "64", 3e6, 3, ""),
			thr(transport+" throughput 1 KB", transport, "1024", 1e6, 1.5, ""),
			thr(transport+" throughput 64 KB", transport, "65536", 4e4, 1.2, ""),
			thr(transport+" throughput 1 MB", transport, "1048576", 3000, 1.2, ""),
		)
	}
	all[4].bare, all[4].bareTarget = bareTwo("bare_pull", "bare_push", "1048576", n(3000)), 0.8
	all = append(
		all,
		row{name: "inproc throughput 8 B", columns: rate(4), run: one("inproc_thr", "8", n(5e6))},
		row{name: "inproc throughput 1 KB", columns: rate(4), run: one("inproc_thr", "1024", n(2e6))},
		lat("tcp latency 1 B", "1", 1e5),
		lat("tcp latency 1 KB", "1024", 1e5),
		row{name: "inproc latency", run: one("inproc_lat", "1", n(2e5)), columns: []column{{value: "mean", unit: "us", target: 0.1, less: true}}},
		thr("CURVE throughput 64 B", "tcp", "64", 5e5, 1.2, "1"),
		thr("CURVE throughput 1 KB", "tcp", "1024", 3e5, 1.2, "1"),
		thr("CURVE throughput 16 KB", "tcp", "16384", 4e4, 1.2, "1"),
	)
	for _, subs := range []string{"10", "100"} {
		per, _ := strconv.Atoi(subs)
		each, _ := strconv.Atoi(n(1e6 / float64(per)))
		all = append(all, row{
			name: "PUB to " + subs + " SUB, 64 B, a tenth each", cross: true,
			columns: []column{{value: "delivered", unit: "/s", target: 2}},
			run: two("tcp", "fan_sub", "fan_pub", []string{subs, strconv.Itoa(each * per)},
				[]string{subs, strconv.Itoa(each), "64"}),
		})
	}
	return append(
		all,
		row{
			name: "topics", run: one("topics", "inproc://topics", n(1e6), n(1e6)),
			columns: []column{
				{value: "ns", suffix: ", 1 M, time a message", unit: "ns", target: 0.5, less: true},
				{value: "bytes", suffix: ", 1 M, memory each", unit: "B", target: 0.5, less: true},
			},
		},
		row{
			name: "ROUTER-DEALER, 100 clients, 64 B", columns: []column{{value: "echoes", unit: "/s", target: 2}}, cross: true,
			run:  two("tcp", "router_echo", "dealers", []string{n(2e5)}, []string{"100", n(2e5), "64"}),
			bare: bareTwo("bare_crowd", "bare_clients", "100", n(2e5)),
		},
		row{
			name: "allocations, 64 B, send and receive", alone: true, run: one("allocs", "tcp://127.0.0.1:*", "64", n(3e6)),
			columns: []column{{value: "allocs", unit: "/msg", limit: 0.1}},
		},
		row{
			name: "multicast 100 B", run: byMulticast("100", n(1e6), "2000000"), cross: true,
			columns: []column{{value: "rate", unit: "/s", target: 1}, {value: "arrived", suffix: ", share that arrived", target: 1}},
		},
		row{
			name: "multicast 1 KB, 200 Mbit/s", run: byMulticast("1024", n(3e5), "200000"), cross: true,
			columns: []column{{value: "rate", unit: "/s", target: 1}, {value: "arrived", suffix: ", share that arrived", target: 1}},
		},
		row{name: "proxy tcp 64 B", columns: rate(1.5), run: proxied("tcp", "64", n(1e6))},
		row{name: "proxy inproc 64 B", columns: rate(1.5), run: one("proxy_thr", "64", n(1e6))},
		row{
			name: "10,000 idle peers", columns: []column{{value: "idle", suffix: ", memory each", unit: "B", limit: 12 << 10}},
			run: func(ctx context.Context, p programs, receiver, _ side) (map[string]float64, error) {
				at, err := p.endpoint("tcp")
				if err != nil {
					return nil, err
				}
				return together(ctx, p.command(ctx, receiver, "idle_router", at, "10000"), p.command(ctx, ourSide, "idle_dealers", at, "10000"))
			},
		},
	)
}
