// Command cacheperf measures our cache client beside gomemcache: the same work
// in short, alternating turns. It prints one table with the target of each row.
//
//	go run ./cacheperf [-rounds 31] [-turn 40ms] [-rows REGEXP] [-server HOST:PORT,...]
//
// Without -server it starts sixteen of our servers in another process.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"lintel.dev/bench/harness"
	"lintel.dev/memcached"
)

// fleetSize is how many servers the widest row needs.
const fleetSize = 16

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cacheperf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		return serve(ctx)
	}
	t := harness.Flags(flag.CommandLine, os.Stdout, "gomemcache", 31)
	turn := flag.Duration("turn", 40*time.Millisecond, "length of a turn")
	list := flag.String("server", "", "servers to measure on, a `list` separated by commas; rows that need more are left out")
	flag.Parse()
	if err := t.Check(); err != nil {
		return err
	}
	if flag.NArg() > 0 || *turn <= 0 {
		return errors.New("unexpected arguments, see -help")
	}
	servers := strings.Split(*list, ",")
	if *list == "" {
		started, end, err := start(ctx)
		if err != nil {
			return err
		}
		defer end()
		servers = started
	}
	t.Head(fmt.Sprintf("turns of %v", *turn))
	for _, r := range rows {
		if r.servers > len(servers) {
			continue
		}
		if m := r.measure(servers[:r.servers], *turn); t.Wants(m) {
			if _, err := t.Run(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs this program as the servers and returns their addresses.
func start(ctx context.Context) (servers []string, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	end = func() { in.Close(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("start the servers: %w", err)
	}
	return strings.Fields(line), end, nil
}

// serve runs the servers until standard input ends.
func serve(ctx context.Context) error {
	var addrs []string
	var all []*memcached.Server
	for range fleetSize {
		s, err := memcached.New(memcached.Options{Threads: 1})
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go func() { _ = s.Serve(l) }()
		all, addrs = append(all, s), append(addrs, l.Addr().String())
	}
	fmt.Println(strings.Join(addrs, " "))
	_, err := io.Copy(io.Discard, os.Stdin)
	for _, s := range all {
		err = errors.Join(err, s.Shutdown(ctx))
	}
	return err
}
