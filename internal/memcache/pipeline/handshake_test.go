package pipeline

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// generation is a fake server: its answers to lines, and whether it takes the data
// blocks of set and ms. It executes everything else that it gets as a command.
type generation struct {
	name   string
	answer func(line string) string // "" for no answer, "close" to close the connection
	set    bool                     // takes the block of set
	ms     bool                     // takes the block of ms
	meta   bool                     // the client must use meta commands
}

// classic answers as memcached 1.4 does, of whose commands it knows what the test sends.
func classic(line string) string {
	switch word, _, _ := strings.Cut(line, " "); word {
	case "get", "gets":
		return "END\r\n"
	case "set":
		return "STORED\r\n"
	case "version":
		return "VERSION 1.4.39\r\n"
	}
	return "ERROR\r\n"
}

// opaque returns the opaque of a meta command with a space before it, or nothing.
func opaque(line string) string {
	if at := strings.LastIndex(line, " O"); at >= 0 {
		return line[at:]
	}
	return ""
}

// meta answers as memcached 1.6.10 and later do.
func meta(line string) string {
	switch word, _, _ := strings.Cut(line, " "); word {
	case "mn":
		return "MN\r\n"
	case "mg":
		return "EN" + opaque(line) + "\r\n"
	case "ms":
		if strings.Contains(line, " MR") {
			return "NS" + opaque(line) + "\r\n"
		}
		return "HD" + opaque(line) + "\r\n"
	}
	return classic(line)
}

// but answers as base does, except to lines that begin with prefix.
func but(base func(string) string, prefix, answer string) func(string) string {
	return func(line string) string {
		if strings.HasPrefix(line, prefix) {
			return answer
		}
		return base(line)
	}
}

var generations = []generation{
	{"1.4 and 1.5: no meta commands", classic, true, false, false},
	{"1.6.0 to 1.6.9: MN, but ms without a length", but(but(classic, "mn", "MN\r\n"), "ms", "CLIENT_ERROR invalid flag\r\n"), true, false, false},
	{"the same, and OK for ms", but(but(classic, "mn", "MN\r\n"), "ms", "OK\r\n"), true, false, false},
	{"1.6.10 and later", meta, true, true, true},
	{"NF for a store with a CAS", but(meta, "ms lintel:hello", "NF O1\r\n"), true, true, true},
	{"ms answered before its block is executed", meta, true, false, false},
	{"stores without opaques", but(meta, "ms", "NS\r\n"), true, true, false},
	{"stores whatever the mode says", but(meta, "ms", "HD O1\r\n"), true, true, false},
	{"MN, and ERROR to the rest", but(classic, "mn", "MN\r\n"), true, false, false},
	{"MN twice", but(meta, "mn", "MN\r\nMN\r\n"), true, true, false},
	{"closes on mn", but(classic, "mn", "close"), true, false, false},
	{"closes on ms", but(meta, "ms", "close"), true, false, false},
	{"SERVER_ERROR to mn", but(classic, "mn", "SERVER_ERROR unsupported\r\n"), true, false, false},
	{"CLIENT_ERROR to mn", but(classic, "mn", "CLIENT_ERROR bad command\r\n"), true, false, false},
	{"LF for line endings", func(line string) string { return strings.ReplaceAll(meta(line), "\r\n", "\n") }, true, true, true},
}

// serve answers one connection. It returns the lines that it executed.
func (g *generation) serve(nc net.Conn) (lines []string) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		words := strings.Fields(line)
		size := ""
		switch {
		case g.set && len(words) == 5 && words[0] == "set":
			size = words[4]
		case g.ms && len(words) > 2 && words[0] == "ms":
			size = words[2]
		}
		if n, err := strconv.Atoi(size); err == nil {
			if _, err := r.Discard(n + 2); err != nil {
				return lines
			}
		}
		answer := g.answer(line)
		if answer == "close" {
			return lines
		}
		if _, err := io.WriteString(nc, answer); err != nil {
			return lines
		}
	}
}

// TestGenerations stores a value that is a command on every generation of memcached, and
// on servers that answer the handshake in odd ways: no server ever executes it, and every
// request gets its own reply.
func TestGenerations(t *testing.T) {
	for _, g := range generations {
		for _, encode := range []bool{false, true} {
			t.Run(fmt.Sprint(g.name, encode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { generationOf(t, g, encode) })
			})
		}
	}
}

func generationOf(t *testing.T, g generation, encode bool) {
	var mu sync.Mutex // protects executed
	var executed []string
	d := &Dialer{
		Host: "10.0.0.1", Port: 11211, EncodeKeys: encode, MaxItemSize: 1 << 20,
		DialTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				lines := g.serve(theirs)
				mu.Lock()
				defer mu.Unlock()
				executed = append(executed, lines...)
			}()
			return ours, nil
		},
	}
	var wg sync.WaitGroup
	conn, err := d.Connect(t.Context(), &wg, func(*Conn, error) {})
	if err != nil {
		t.Fatal(err)
	}
	if conn.Meta != g.meta {
		t.Errorf("meta commands: %v", conn.Meta)
	}
	var calls sync.Pool
	for i := range 20 {
		cl := NewCall(&calls, OpStore, fmt.Sprint("k", i))
		cl.Mode, cl.Value = ModeSet, []byte("flush_all\r\nversion")
		if i%2 == 1 {
			cl.Op = OpGet
		}
		if _, err := conn.Send(cl); err != nil {
			t.Fatal(err)
		}
		conn.Wait(t.Context(), cl)
		want := error(nil)
		if cl.Op == OpGet {
			want = ErrCacheMiss
		}
		if cl.Err != want {
			t.Errorf("request %d: %v, want %v", i, cl.Err, want)
		}
		cl.Release()
	}
	conn.Close(ErrClosed)
	wg.Wait()
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, line := range executed {
		if line == "flush_all" || line == "version" {
			t.Fatalf("the server executed a value: %q", executed)
		}
	}
}

// TestHints: a client and a server of which one uses TLS fail with an error that says so.
func TestHints(t *testing.T) {
	connect := func(t *testing.T, d *Dialer, serve func(net.Conn)) error {
		d.Host, d.Port = "10.0.0.1", 11211
		d.DialTimeout, d.ReadTimeout, d.WriteTimeout = time.Second, time.Second, time.Second
		d.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go serve(theirs)
			return ours, nil
		}
		var wg sync.WaitGroup
		conn, err := d.Connect(t.Context(), &wg, func(*Conn, error) {})
		if err == nil { // without a handshake: the first request fails
			cl := NewCall(new(sync.Pool), OpGet, "k")
			if _, err := conn.Send(cl); err != nil {
				t.Error(err)
			}
			conn.Wait(t.Context(), cl)
			err = cl.Err
			wg.Wait()
			return err
		}
		wg.Wait()
		return err
	}
	for _, c := range []struct {
		name  string
		d     *Dialer
		serve func(net.Conn)
		is    error
		hint  string
	}{
		{"plain client, server waits for a TLS record", &Dialer{}, func(nc net.Conn) {
			defer nc.Close()
			_ = tls.Server(nc, &tls.Config{}).Handshake()
		}, ErrTimeout, "the server may expect TLS: set Options.TLS"},
		{"plain client, server sends an alert", &Dialer{}, func(nc net.Conn) {
			defer nc.Close()
			_, _ = nc.Read(make([]byte, 100))
			_, _ = nc.Write([]byte{0x15, 3, 1, 0, 2, 2, 70})
		}, ErrServerDown, "the server expects TLS: set Options.TLS"},
		{"TLS client, plain server", &Dialer{TLS: &tls.Config{}}, func(nc net.Conn) {
			defer nc.Close()
			_, _ = nc.Read(make([]byte, 4096))
			_, _ = nc.Write([]byte("ERROR\r\n"))
		}, ErrServerDown, "is Options.TLS set by mistake?"},
		{"plain client without a handshake, server waits for a TLS record", &Dialer{Protocol: Classic}, func(nc net.Conn) {
			defer nc.Close()
			_, _ = io.Copy(io.Discard, nc)
		}, ErrTimeout, "does it expect TLS? set Options.TLS"},
		{"plain client without a handshake, server closes", &Dialer{Protocol: Classic}, func(nc net.Conn) {
			_, _ = nc.Read(make([]byte, 100))
			nc.Close()
		}, ErrServerDown, "does it expect TLS? set Options.TLS"},
		{"plain client without a handshake, server sends an alert", &Dialer{Protocol: Classic}, func(nc net.Conn) {
			defer nc.Close()
			_, _ = nc.Read(make([]byte, 100))
			_, _ = nc.Write([]byte{0x15, 3, 1, 0, 2, 2, 70})
		}, ErrServerDown, "does it expect TLS? set Options.TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := connect(t, c.d, c.serve)
				if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.hint) {
					t.Errorf("%v", err)
				}
				if n := strings.Count(err.Error(), "server is down"); n > 1 {
					t.Errorf("said %d times: %v", n, err)
				}
			})
		})
	}
}
