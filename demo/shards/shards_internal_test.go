package shards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lintel.dev/demo"
	"lintel.dev/memcache/placement"
)

func wordList(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%cword%d\n", 'a'+i%26, i)
	}
	return b.String()
}

// TestServersAgreeWithArithmetic compares the measured shares and misses with
// those computed from the rules.
func TestServersAgreeWithArithmetic(t *testing.T) {
	const n, servers = 2600, 3
	var out bytes.Buffer
	cfg := Defaults()
	cfg.Words, cfg.Name, cfg.Servers, cfg.JSON, cfg.Out = strings.NewReader(wordList(n)), "list", servers, true, &out
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	all, err := schemes()
	if err != nil {
		t.Fatal(err)
	}
	if r.Words != n || r.Servers != servers || len(r.Schemes) != len(all) {
		t.Fatalf("%+v", r)
	}
	place := func(sch scheme, names ...int) func(string) int {
		var list []placement.Server
		for _, i := range names {
			list = append(list, placement.Server{Host: "127.0.0.1", Port: 1, Weight: 1, Name: serverName(i)})
		}
		picker, err := sch.selector.Place(list)
		if err != nil {
			t.Fatal(err)
		}
		return func(key string) int { return names[picker.Pick(key, nil)] }
	}
	for i, sch := range all {
		want := Scheme{Name: sch.name, Keys: make([]int64, servers)}
		before := place(sch, 0, 1, 2)
		joins, last, next := place(sch, 0, 1, 2, 3), place(sch, 0, 1), place(sch, 0, 2)
		for word := range strings.Lines(wordList(n)) {
			word = strings.TrimSpace(word)
			at := before(word)
			want.Keys[at]++
			for _, change := range []struct {
				now   int
				moved *int64
			}{{joins(word), &want.Moved.Joins}, {last(word), &want.Moved.LastLeaves}, {next(word), &want.Moved.NextLeaves}} {
				if change.now != at {
					*change.moved++
				}
			}
		}
		if got := r.Schemes[i]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", sch.name, got, want)
		}
	}
}

// The plain rules move most keys when a server joins, the consistent ones
// little more than the minimum.
func TestConsistentSchemesMoveLittle(t *testing.T) {
	var out bytes.Buffer
	cfg := Defaults()
	cfg.JSON, cfg.Out = true, &out
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for i, sch := range r.Schemes {
		moved := demo.Ratio(sch.Moved.Joins, int64(r.Words))
		consistent := i >= 3
		if consistent && (moved < 0.15 || moved > 0.25) || !consistent && moved < 0.4 {
			t.Errorf("by %s %s of the keys move when a fifth server joins", sch.Name, demo.Percent(moved))
		}
	}
}

func TestFiguresAndBars(t *testing.T) {
	var out bytes.Buffer
	cfg := Defaults()
	cfg.Words, cfg.Name, cfg.Out = strings.NewReader("apple\nfig\nmelon\nzest\n"), "list", &out
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"4 words on 4 servers\n",
		"first letter    server0          2   50.0 %  ██████████████████████████████\n",
		"                server2          0    0.0 %  \n",
		"server4 joins", "server3 leaves", "server1 leaves",
		"least possible   20.0 %  ██", "ketama", "rendezvous", "jump",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the screen lacks %q\n%s", want, &out)
		}
	}
}

func TestBadInput(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"one server":   func(c *Config) { c.Servers = 1 },
		"many servers": func(c *Config) { c.Servers = 33 },
		"no words":     func(c *Config) { c.Words = strings.NewReader("") },
	} {
		cfg := Defaults()
		change(&cfg)
		var input *demo.InputError
		if err := Run(t.Context(), cfg); !errors.As(err, &input) || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s: error %v, want an InputError that says what was expected", name, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Defaults()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
