//go:build unix

package logging

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// streamID returns the value that JOURNAL_STREAM has for f.
func streamID(t *testing.T, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
