package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// globalModules is the folder of npm's global modules.
var globalModules = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("npm", "root", "-g").Output()
	return strings.TrimSpace(string(out)), err
})

// NodeModules returns the folder with the given npm packages.
func NodeModules(t testing.TB, packages ...string) string {
	t.Helper()
	dir, err := globalModules()
	if err != nil {
		Missing(t, "npm: %v", err)
	}
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(dir, p, "package.json")); err != nil {
			Missing(t, "npm package %s: %v", p, err)
		}
	}
	return dir
}
