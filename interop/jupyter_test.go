package interop_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lintel.dev/interop/peers"
)

// TestJupyter: jupyter-client starts the kernel of interop/kernel by a
// kernelspec, as a notebook would, and uses it: information, execution with
// output and result, input from the user, signatures, heartbeat, interruption
// and shutdown.
func TestJupyter(t *testing.T) {
	python := peers.Python(t, "jupyter_client")
	dir := t.TempDir()
	bin := filepath.Join(dir, "kernel")
	if out, err := exec.Command("go", "build", "-o", bin, "./kernel").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	spec, err := json.Marshal(map[string]any{
		"argv": []string{bin, "{connection_file}"}, "display_name": "Lintel", "language": "words", "interrupt_mode": "message",
	})
	if err != nil {
		t.Fatal(err)
	}
	specs := filepath.Join(dir, "kernels", "lintel")
	if err := os.MkdirAll(specs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(specs, "kernel.json"), spec, 0o644); err != nil {
		t.Fatal(err)
	}
	type list = []any
	ok := func(n float64) list { return list{"ok", n} }
	want := map[string]any{
		"info":        list{"ok", "lintel", "5.3", "words"},
		"add":         list{ok(1), list{list{"result", "42"}}},
		"print":       list{ok(2), list{list{"stdout", "blåbær\n"}}},
		"wrong":       list{list{"error", 3.0}, list{list{"error", "Error"}}},
		"prompt":      list{"input_request", "Your name?"},
		"ask":         list{ok(4), list{list{"result", "Ann"}}},
		"signed":      list{ok(5), list{list{"result", "4"}}},
		"heartbeat":   "ping",
		"interrupted": list{list{"error", 6.0}, list{list{"error", "Interrupted"}}},
		"after":       list{ok(7), list{list{"result", "6"}}},
		"alive":       false,
	}
	for _, transport := range []string{"tcp", "ipc"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			home := peers.SocketDir(t) // short enough for ipc paths
			cmd := exec.Command(python, "testdata/jupyter.py", transport)
			cmd.Env = append(os.Environ(), "JUPYTER_PATH="+dir, "HOME="+home, "JUPYTER_RUNTIME_DIR="+home, "JUPYTER_CONFIG_DIR="+home, "IPYTHONDIR="+home)
			p := peers.Start(t, cmd)
			var got map[string]any
			p.Reply(&got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("jupyter-client saw (-want +got):\n%s\n%s", diff, p.Log())
			}
			if err := p.Close(); err != nil {
				t.Errorf("jupyter-client: %v\n%s", err, p.Log())
			}
		})
	}
}
