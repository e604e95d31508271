package arena

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A build for 32 bits ends with one error that says why.
func TestNeeds64Bits(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a part of the standard library")
	}
	for _, arch := range []string{"386", "arm"} {
		cmd := exec.Command("go", "build", "-o", os.DevNull, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "undefined: theMemcachedServerNeedsA64BitSystem") || strings.Count(string(out), "\n") != 2 {
			t.Errorf("GOARCH=%s: %v\n%s", arch, err, out)
		}
	}
}
