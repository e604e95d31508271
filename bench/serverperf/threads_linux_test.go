package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/bench/harness"
)

// TestThreadsInMemory checks that every set in memory is stored, and that the
// measurement ends with its context.
func TestThreadsInMemory(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two cores")
	}
	b := &settings{table: &harness.Table{}, duration: 40 * time.Millisecond, memory: 32, clientCPU: 1}
	r, err := threadsInMemory(context.Background(), b, &server{name: "lintel"})
	if err != nil || len(r) != 1 || !(r[0] > 0) {
		t.Errorf("%v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := threadsInMemory(ctx, b, &server{name: "lintel"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an end", err)
	}
	if r, err := threadsInMemory(ctx, b, &server{name: "peer"}); err != nil || r[0] == r[0] {
		t.Errorf("%v, %v of the peer, want nothing", r, err)
	}
}

func TestParse(t *testing.T) {
	for _, wrong := range []string{"-peer no-such-program", "-peers sh,no-such-program", "-rounds 0", "-threads 0", "-memory 1", "more"} {
		if _, err := parse(strings.Fields("-peer sh " + wrong)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", wrong, err)
		}
	}
	for _, wrong := range []string{"-only nonsense", "-traces nowhere"} {
		s, err := parse(strings.Fields("-peer sh " + wrong))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.measures(); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}

// TestRun measures lintel beside itself, under the name and with the flags of
// memcached and of Pogocache: the ratio of what does not vary is 1.
func TestRun(t *testing.T) {
	lintel, err := harness.BuildLintel(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "memcached")
	if err := os.Symlink(lintel, link); err != nil {
		t.Fatal(err)
	}
	standIn := filepath.Join(t.TempDir(), "pogocache")
	script := `#!/bin/sh
test "$*" = "-h 127.0.0.1 --maxconns ` + strconv.Itoa(maxConns) + ` -m 8 -t 1 -p ${10}" || exit 2
exec "` + lintel + `" memcached -u root -l "$2" -c "$4" -m "$6" -t "$8" -p "${10}"
`
	if err := os.WriteFile(standIn, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := parse(strings.Fields("--peers " + link + "," + standIn + " --client-cpu 0 --threads 1 --only items.*500 --memory 8 --json"))
	if err != nil {
		t.Fatal(err)
	}
	s.lintel = lintel
	measures, err := s.measures()
	if err != nil || len(measures) != 1 {
		t.Fatalf("%d measures, %v", len(measures), err)
	}
	var out bytes.Buffer
	s.table.Out = &out
	r, err := s.table.Run(t.Context(), s.measure(measures[0]))
	if err != nil || r[0].Ratio < 0.8 || r[0].Ratio > 1.25 || !strings.Contains(out.String(), `"measure":"items per resident MB, 500 B values"`) {
		t.Errorf("%+v, %v\n%s", r, err, out.String())
	}
	var third struct {
		Measure string
		Ratio   float64
	}
	_, line, _ := strings.Cut(out.String(), "\n")
	if err := json.Unmarshal([]byte(line), &third); err != nil || third.Measure != "  beside pogocache" || third.Ratio < 0.8 || third.Ratio > 1.25 {
		t.Errorf("%+v, %v of %q, want lintel beside pogocache", third, err, line)
	}
}

// TestNotSpoken checks that a peer that does not know a command has no figure,
// and that our server must know it.
func TestNotSpoken(t *testing.T) {
	s := &settings{table: &harness.Table{Out: io.Discard, Rounds: 1}, peers: []string{"/bin/pogocache"}}
	knows := "lintel"
	m := s.measure(&measure{
		rows: []harness.Row{{Name: "items"}}, alone: true,
		take: func(_ context.Context, _ *settings, v *server) ([]float64, error) {
			if v.name != knows {
				return nil, fmt.Errorf("stats of %s: %w", v.name, errNotSpoken)
			}
			return []float64{1}, nil
		},
	})
	if r, err := s.table.Run(t.Context(), m); err != nil || r[0].Ours != 1 || !math.IsNaN(r[0].Peer) {
		t.Errorf("%+v, %v, want no figure of the peer", r, err)
	}
	knows = "pogocache"
	if _, err := s.table.Run(t.Context(), m); !errors.Is(err, errNotSpoken) {
		t.Errorf("%v, want errNotSpoken for ours", err)
	}
}
