package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var binary struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

// lintel returns the path of the binary, built once for all tests and with the
// race detector if they have it.
func lintel(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "lintel-interop"); binary.err != nil {
			return
		}
		args := []string{"build", "-o", binary.dir}
		if raceEnabled {
			args = append(args, "-race")
		}
		binary.out, binary.err = exec.Command("go", append(args, "lintel.dev/cmd/lintel")...).CombinedOutput()
	})
	if binary.err != nil {
		t.Fatalf("go build: %v\n%s", binary.err, binary.out)
	}
	return filepath.Join(binary.dir, "lintel")
}

func removeBinary() {
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
}
