package listen

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Endpoint{
		"":                              {Port: 11211},
		"*":                             {Port: 11211},
		"127.0.0.1":                     {Host: "127.0.0.1", Port: 11211},
		"localhost:80":                  {Host: "localhost", Port: 80},
		"10.0.0.1:0":                    {Host: "10.0.0.1"},
		"::1":                           {Host: "::1", Port: 11211},
		"[::1]":                         {Host: "::1", Port: 11211},
		"[::1]:5":                       {Host: "::1", Port: 5},
		"notls:1.2.3.4:5":               {Host: "1.2.3.4", Port: 5, TLS: TLSNone},
		"mtls:a":                        {Host: "a", Port: 11211, TLS: TLSMutual},
		"btls:[::]:1":                   {Host: "::", Port: 1, TLS: TLSBasic},
		"proto[ascii]:a:1":              {Host: "a", Port: 1, Protocol: "ascii"},
		"proto[binary]:tag[x]:a:1":      {Host: "a", Port: 1, Protocol: "binary", Tag: "x"},
		"tag_x_:a:1":                    {Host: "a", Port: 1, Tag: "x"},
		"tag[x]:proto[negotiating]:a:1": {Host: "a", Port: 1, Protocol: "auto-negotiate", Tag: "x"},
		"notls:tag[y]:[::1]:1":          {Host: "::1", Port: 1, TLS: TLSNone, Tag: "y"},
	} {
		got, err := Parse(text, 11211)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"a:", "a:x", "a:70000", "[::1", "[::1]x", "[::1]:", "a:-1", "proto[http]:a"} {
		if e, err := Parse(text, 1); err == nil || !strings.Contains(err.Error(), "expected") && !strings.Contains(err.Error(), "port") {
			t.Errorf("%q: %+v, %v", text, e, err)
		}
	}
}

func TestListen(t *testing.T) {
	ctx := context.Background()
	all, err := Endpoint{Host: "127.0.0.1"}.Listen(ctx, 5, nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d listeners, %v", len(all), err)
	}
	defer all[0].Close()
	port := all[0].Addr().(*net.TCPAddr).Port
	if again, err := (Endpoint{Host: "127.0.0.1", Port: port}).Listen(ctx, 0, nil); err == nil {
		again[0].Close()
		t.Error("one port was taken twice")
	}
	if _, err := (Endpoint{Host: "127.0.0.1", TLS: TLSMutual}).Listen(ctx, 0, nil); err == nil {
		t.Error("mtls: without TLS was taken")
	}
}

func TestUnix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes and no stale files there")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := Unix(path, 0o741, 5)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o741 {
		t.Errorf("mode %v, %v, want 741", fi.Mode(), err)
	}
	if l2, err := Unix(path, 0o700, 5); err == nil {
		l2.Close()
		t.Error("a socket in use was replaced")
	}
	// What a killed server leaves behind.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = Unix(path, 0o700, 0); err != nil {
		t.Fatalf("a stale socket stayed: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file outlived its listener: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Unix(path, 0o700, 0); err == nil {
		l.Close()
		t.Error("a file that is no socket was replaced")
	}
}

// TestFamilies checks that 0.0.0.0 and :: on one port are two listeners, in either
// order, and that each serves its own family only.
func TestFamilies(t *testing.T) {
	ctx := context.Background()
	for _, order := range [][]string{{"0.0.0.0", "::"}, {"::", "0.0.0.0"}} {
		port := 0
		for i, host := range order {
			all, err := Endpoint{Host: host, Port: port}.Listen(ctx, 0, nil)
			if err != nil && host == "::" && i == 0 {
				t.Skip("no IPv6")
			}
			if err != nil || len(all) != 1 {
				t.Fatalf("%v: %s: %d listeners, %v", order, host, len(all), err)
			}
			defer all[0].Close()
			port = all[0].Addr().(*net.TCPAddr).Port
			packets, err := Endpoint{Host: host, Port: port}.ListenPacket(ctx)
			if err != nil || len(packets) != 1 {
				t.Fatalf("%v: %s: %d UDP sockets, %v", order, host, len(packets), err)
			}
			defer packets[0].Close()
			if i > 0 {
				break
			}
			other := map[string]string{"0.0.0.0": "::1", "::": "127.0.0.1"}[host]
			if c, err := net.Dial("tcp", net.JoinHostPort(other, strconv.Itoa(port))); err == nil {
				c.Close()
				t.Errorf("%s also serves %s", host, other)
			}
		}
	}
}

// TestListenOnFree checks that an endpoint without a host starts on the families
// whose port is free, and fails only if none is.
func TestListenOnFree(t *testing.T) {
	ctx := context.Background()
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6")
	}
	port := probe.Addr().(*net.TCPAddr).Port
	defer probe.Close()

	all, err := Endpoint{Port: port}.Listen(ctx, 0, nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d listeners beside one on ::1, %v", len(all), err)
	}
	defer all[0].Close()
	if a := all[0].Addr().(*net.TCPAddr); a.Port != port || a.IP.To4() == nil {
		t.Errorf("listens on %v, want IPv4", a)
	}
	if again, err := (Endpoint{Port: port}).Listen(ctx, 0, nil); err == nil {
		again[0].Close()
		t.Error("listens where no address is free")
	} else if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has more than one line", err)
	}

	packet, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	packets, err := Endpoint{Port: packet.LocalAddr().(*net.UDPAddr).Port}.ListenPacket(ctx)
	if err != nil || len(packets) != 1 {
		t.Fatalf("%d UDP sockets beside one on 127.0.0.1, %v", len(packets), err)
	}
	packets[0].Close()
}
