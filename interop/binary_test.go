package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var built struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

// lintel returns the path of the binary. It is built once for all tests, with
// the race detector if the tests are.
func lintel(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "lintel-interop"); built.err != nil {
			return
		}
		args := []string{"build", "-o", built.dir}
		if raceEnabled {
			args = append(args, "-race")
		}
		built.out, built.err = exec.Command("go", append(args, "lintel.dev/cmd/lintel")...).CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("go build: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "lintel")
}

func removeBinary() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}
