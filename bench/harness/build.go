package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildLintel builds the lintel command into dir, without cgo, and returns its
// path. The working directory must be within the bench module.
func BuildLintel(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "lintel.dev").Output()
	if err != nil {
		return "", fmt.Errorf("harness: find module lintel.dev: run this in the folder bench: %w", err)
	}
	program := filepath.Join(dir, "lintel")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/lintel")
	build.Dir = strings.TrimSpace(string(root))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("harness: go build ./cmd/lintel: %w\n%s", err, out)
	}
	return program, nil
}
