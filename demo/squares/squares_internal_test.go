package squares

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"lintel.dev/demo"
	"lintel.dev/demo/internal/fleet"
	"lintel.dev/memcache"
)

// small is a short run without simulated work.
func small(out *bytes.Buffer) Config {
	cfg := Defaults()
	cfg.Work, cfg.Runs, cfg.Requests, cfg.Seed, cfg.Out = 0, 4, 500, 7, out
	return cfg
}

func runJSON(t *testing.T, cfg Config) Report {
	t.Helper()
	var out bytes.Buffer
	cfg.JSON, cfg.Out = true, &out
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%d lines, want one\n%s", n, &out)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return r
}

func TestEachNumberIsMissedOnce(t *testing.T) {
	r := runJSON(t, small(nil))
	if len(r.Runs) != 4 || len(r.Servers) != 4 {
		t.Fatalf("%d runs on %d servers, want 4 on 4", len(r.Runs), len(r.Servers))
	}
	misses, last := 0, -1
	for i, p := range r.Runs {
		if p.Hits+p.Misses != 500 || p.Seconds <= 0 {
			t.Errorf("run %d: %+v", i, p)
		}
		if p.Hits <= last {
			t.Errorf("run %d found %d, the one before %d", i, p.Hits, last)
		}
		misses, last = misses+p.Misses, p.Hits
	}
	lookups, keys := 0, 0
	for _, s := range r.Servers {
		if s.Keys == 0 {
			t.Errorf("%s got no key: both stages of hashing should be at work", s.Addr)
		}
		lookups, keys = lookups+s.Lookups, keys+s.Keys
	}
	if lookups != 2000 || keys != misses {
		t.Errorf("%d lookups of %d keys, %d misses", lookups, keys, misses)
	}
}

func TestOneScreen(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), small(&out)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"4 runs of 500 lookups", "found through 127.0.0.1:", "\n  4  ", "████", "server", "without a cache"} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen lacks %q", want)
		}
	}
	if lines := strings.Count(text, "\n"); lines > 24 {
		t.Errorf("%d lines do not fit on a screen", lines)
	}
	if strings.Contains(text, "\x1b") {
		t.Error("colour where there is no terminal")
	}
}

func TestAFleetStaysWarm(t *testing.T) {
	f, err := fleet.Start(3, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	cfg := small(nil)
	cfg.Servers = f.Addrs()
	if r := runJSON(t, cfg); r.Runs[0].Misses == 0 {
		t.Errorf("a cold fleet: %+v", r)
	}
	for _, p := range runJSON(t, cfg).Runs {
		if p.Misses != 0 {
			t.Errorf("missed %d numbers that the run before has stored", p.Misses)
		}
	}
	var out bytes.Buffer
	cfg.Out = &out
	if err := Run(t.Context(), cfg); err != nil || !strings.Contains(out.String(), "the cache was warm") {
		t.Errorf("%v\n%s", err, &out)
	}

	// A foreign value under one of the keys is an error.
	client, err := memcache.New(fleet.ClientOptions(), cfg.Servers...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for n := range maxN + 1 {
		if err := client.Set(t.Context(), &memcache.Item{Key: key(n), Value: []byte("mine")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "does another program use these keys?") {
		t.Errorf("error %v", err)
	}
}

func TestSlowWayIsAQuery(t *testing.T) {
	cfg := small(nil)
	cfg.DB = "sqlite:" + filepath.Join(t.TempDir(), "odd.db")
	r := runJSON(t, cfg)
	if r.Uncached <= 0 || !strings.Contains(r.SlowWay, "SQLite") {
		t.Errorf("%+v", r)
	}
}

func TestBadInput(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no instances":     {func(c *Config) { c.Instances = 0 }, "--instances 0: expected 1 to 64"},
		"many instances":   {func(c *Config) { c.Instances = 65 }, "--instances 65: expected 1 to 64"},
		"negative work":    {func(c *Config) { c.Work = -1 }, "--work -1ns: expected 0 or more"},
		"no runs":          {func(c *Config) { c.Runs = 0 }, "--runs 0: expected 1 to"},
		"no requests":      {func(c *Config) { c.Requests = 0 }, "--requests 0: expected 1 to"},
		"no such server":   {func(c *Config) { c.Servers = []string{gone.Addr().String()} }, "expected host:port[,host:port...] of memcached servers that answer"},
		"no server's name": {func(c *Config) { c.Servers = []string{"host:port"} }, "expected host:port[,host:port...] of memcached servers that answer"},
		"no such database": {func(c *Config) { c.DB = "oracle" }, `--db "oracle": expected postgres://`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cfg := small(&out)
			c.change(&cfg)
			err := Run(t.Context(), cfg)
			var input *demo.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want an InputError of one line with %q", err, c.says)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q before it looked at its input", &out)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := Run(ctx, small(&out)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestConclusion checks that the last line compares measured times, and never
// claims a gain that was not measured.
func TestConclusion(t *testing.T) {
	for _, c := range []struct {
		report Report
		want   string
	}{
		{Report{Seconds: 3, HitSeconds: 50e-6, SlowSeconds: 1.2e-3, Uncached: 24}, "3.0 s in all; without a cache 24.0 s: the slow way took 1.2 ms, a hit 50 µs."},
		{Report{Seconds: 3, HitSeconds: 2e-3, SlowSeconds: 1.2e-3, Uncached: 2}, "No gain"},
		{Report{Seconds: 3, SlowSeconds: 1.2e-3, Uncached: 2}, "there was no hit."},
		{Report{Seconds: 3, HitSeconds: 50e-6}, "no miss, the cache was warm"},
	} {
		if got := c.report.conclusion(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.report, got, c.want)
		}
	}
}
