// Package examples_test runs the programs of this folder against a queue.
package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/bridge"
	"lintel.dev/bridge/memory"
	"lintel.dev/interop/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build compiles a Go example.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

func TestExamples(t *testing.T) {
	for name, programs := range map[string]func(t *testing.T) (producer, worker []string, out string){
		"Python": func(t *testing.T) (producer, worker []string, out string) {
			return []string{peers.Python(t, "zmq"), "producer.py"}, []string{peers.Python(t, "zmq"), "worker.py"}, "out REQ"
		},
		"Python with prefetch": func(t *testing.T) (producer, worker []string, out string) {
			return []string{peers.Python(t, "zmq"), "producer.py"}, []string{peers.Python(t, "zmq"), "prefetch.py"}, "out DEALER"
		},
		"Go": func(t *testing.T) (producer, worker []string, out string) {
			return []string{build(t, "producer")}, []string{build(t, "worker")}, "out REQ"
		},
	} {
		t.Run(name, func(t *testing.T) {
			producer, worker, out := programs(t)
			run(t, producer, worker, out)
		})
	}
}

// run puts lines with one program and takes them with another, which is killed in
// between.
func run(t *testing.T, producer, worker []string, out string) {
	const lines = 200
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	e := memory.New(memory.Options{})
	defer e.Close()
	one := []string{"tcp://127.0.0.1:*"}
	q, err := bridge.NewQueue(ctx, e, "lines", bridge.QueueConfig{ReqProducers: one, ReqWorkers: one, DealerWorkers: one})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close(ctx) }()

	var input strings.Builder
	for i := range lines {
		fmt.Fprintln(&input, "line", i)
	}
	put := exec.CommandContext(ctx, producer[0], append(producer[1:], q.Endpoints()["in REQ"][0])...)
	put.Stdin, put.Stderr = strings.NewReader(input.String()), os.Stderr
	if err := put.Run(); err != nil {
		t.Fatalf("producer: %v", err)
	}

	seen := make(map[string]bool)
	for _, enough := range []int{lines / 2, lines} {
		take := exec.CommandContext(ctx, worker[0], append(worker[1:], q.Endpoints()[out][0])...)
		take.Stderr = os.Stderr
		stdout, err := take.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := take.Start(); err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(stdout); s.Scan(); { // to the end: a printed line may be acknowledged
			if seen[s.Text()] = true; len(seen) >= enough {
				_ = take.Process.Kill()
			}
		}
		_ = take.Wait()
	}
	for i := range lines {
		if line := fmt.Sprint("line ", i); !seen[line] {
			t.Errorf("%s was not processed", line)
		}
	}
	if len(seen) != lines {
		t.Errorf("%d different lines, want %d", len(seen), lines)
	}
}

// TestExamplesAreShort keeps the promise of docs/bridge.md: about ten lines beside
// the imports.
func TestExamplesAreShort(t *testing.T) {
	for _, name := range []string{"producer.py", "worker.py", "prefetch.py"} {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.Split(string(src), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
		if len(lines) > 20 {
			t.Errorf("%s has %d lines", name, len(lines))
		}
	}
}
