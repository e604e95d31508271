package interop_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// programs returns the programs of the quick start in a language, with the
// addresses of the cache server and of the PULL socket in place of those of the page.
func programs(t *testing.T, language, cache, pull string) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		text := strings.ReplaceAll(m[1], "127.0.0.1:11211", cache)
		all = append(all, strings.ReplaceAll(text, "tcp://127.0.0.1:5557", pull))
	}
	if len(all) == 0 {
		t.Fatalf("the quick start has no program in %s", language)
	}
	return all
}

// TestQuickstart runs the programs of the quick start that are not in Go.
func TestQuickstart(t *testing.T) {
	for _, tc := range []struct {
		language, message string
		command           func(t *testing.T) []string
	}{
		{"python", "four", func(t *testing.T) []string {
			return []string{peers.Python(t, "zmq", "pymemcache"), "-c"}
		}},
		{"js", "five", func(t *testing.T) []string {
			t.Setenv("NODE_PATH", peers.NodeModules(t, "memjs", "zeromq"))
			return []string{peers.Program(t, "node"), "-e"}
		}},
	} {
		t.Run(tc.language, func(t *testing.T) {
			command := tc.command(t)
			pull, err := zmq.NewPull()
			if err != nil {
				t.Fatal(err)
			}
			defer pull.Close()
			endpoint, err := pull.Bind("tcp://127.0.0.1:*")
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, program := range programs(t, tc.language, embedded(t), endpoint.Addr()) {
				out, status := peers.Run(t, exec.Command(command[0], command[1], program))
				if status != 0 {
					t.Fatalf("status %d:\n%s\n%s", status, program, out)
				}
				said.WriteString(out)
			}
			if got := strings.TrimSpace(said.String()); got != "good day" {
				t.Errorf("the programs print %q, expected good day", got)
			}
			if m, err := pull.Recv(guard(t)); err != nil || len(m) != 1 || string(m[0]) != tc.message {
				t.Errorf("received %q, %v, expected %s", m, err, tc.message)
			}
		})
	}
}
