//go:build unix

package logging

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal reports whether w is the stream to systemd's journal that JOURNAL_STREAM
// names by its device and inode. The variable alone is not enough: the output of a
// service may have been redirected since.
func isJournal(w io.Writer) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	f, ok := w.(*os.File)
	if stream == "" || !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
