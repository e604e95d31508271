package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/bench/harness"
)

// tlsConns is the number of connections of a TLS load.
const tlsConns = 50

// tlsLoad is the name that makes this program the load generator of the TLS rows,
// which runs on the client's core.
const tlsLoad = "tls-load"

// tlsRows are the measures with TLS: both servers require it on their only port.
func tlsRows() []*measure {
	cpu := func(name string, target float64, args ...string) *measure {
		return &measure{tls: true, rows: []harness.Row{less("cpu per TLS "+name, "us", target)}, take: tlsCPU(args...)}
	}
	return []*measure{
		cpu("get, one in flight", 0.95, "-pipeline", "1"),
		cpu("get, 16 in flight", 0.70, "-pipeline", "16"),
		cpu("handshake", 1, "-handshakes"),
		cpu("handshake, resumed", 1, "-handshakes", "-resume"),
		{tls: true, once: true, rows: []harness.Row{less("memory per idle TLS connection", "B", 1)}, take: idleTLSBytes},
	}
}

// tlsCPU measures the server's cpu time for each operation of a load.
func tlsCPU(args ...string) func(context.Context, *settings, *server) ([]float64, error) {
	return func(ctx context.Context, s *settings, v *server) ([]float64, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		args := append([]string{tlsLoad, "-addr", v.addr, "-duration", s.duration.String()}, args...)
		cmd := exec.CommandContext(ctx, self, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		before, err := v.cpu()
		if err != nil {
			return nil, err
		}
		if err := startOn(cmd, s.clientCPU); err != nil {
			return nil, err
		}
		if err := cmd.Wait(); err != nil {
			return nil, fmt.Errorf("%s: %w", cmp.Or(strings.TrimSpace(stderr.String()), tlsLoad), err)
		}
		after, err := v.cpu()
		if err != nil {
			return nil, err
		}
		var operations float64
		if err := json.Unmarshal(stdout.Bytes(), &operations); err != nil {
			return nil, err
		}
		return []float64{float64((after - before).Microseconds()) / operations}, nil
	}
}

// cpu returns the user and system time of the server.
func (v *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", v.cmd.Process.Pid, len(fields))
	}
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ
}

// idleTLSBytes is idleBytes over TLS.
func idleTLSBytes(_ context.Context, _ *settings, v *server) ([]float64, error) {
	const n = 2000
	before, err := v.resident()
	if err != nil {
		return nil, err
	}
	for range n {
		c, err := tls.Dial("tcp", v.addr, tlsClientConfig())
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "mn\r\n"); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, make([]byte, len("MN\r\n"))); err != nil {
			return nil, err
		}
	}
	after, err := v.resident()
	return []float64{(after - before) / n}, err
}

// tlsClientConfig is that of every client: a key exchange that both servers know.
// OpenSSL 3.0 has no ML-KEM, which the server would choose.
func tlsClientConfig() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
}

// runTLSLoad is the load generator. It prints the number of operations.
func runTLSLoad(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(tlsLoad, flag.ContinueOnError)
	addr := f.String("addr", "", "server")
	duration := f.Duration("duration", time.Second, "length")
	pipeline := f.Int("pipeline", 1, "gets in flight on each connection")
	handshakes := f.Bool("handshakes", false, "make connections instead of gets")
	resume := f.Bool("resume", false, "resume sessions")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	var operations atomic.Int64
	errs := make([]error, tlsConns)
	var wg sync.WaitGroup
	for i := range errs {
		config := tlsClientConfig()
		if *resume {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			config.ServerName = "resumed" // the cache's key
		}
		// Closed connections keep their ports for a minute: many addresses have
		// enough of them.
		dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i))}}, Config: config}
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil {
				errs[i] = tlsClient(ctx, dialer, *addr, *pipeline, *handshakes, &operations)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(operations.Load())
}

// tlsClient connects and sends gets until ctx is done, or one get if only the
// handshake counts, which also receives the session ticket.
func tlsClient(ctx context.Context, dialer *tls.Dialer, addr string, pipeline int, handshakes bool, operations *atomic.Int64) error {
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			<-ctx.Done() // its deadline is that of the dialer too
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	request := []byte(strings.Repeat("get key\r\n", pipeline))
	set := "set key 0 0 100\r\n" + strings.Repeat("x", 100) + "\r\n"
	if _, err := io.WriteString(c, set); err != nil {
		return err
	}
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	if handshakes {
		operations.Add(1)
		return nil
	}
	reply := make([]byte, pipeline*(len("VALUE key 0 100\r\n")+100+len("\r\nEND\r\n")))
	for ctx.Err() == nil {
		if _, err := c.Write(request); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, reply); err != nil {
			return err
		}
		operations.Add(int64(pipeline))
	}
	return nil
}
