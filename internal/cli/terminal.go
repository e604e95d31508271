package cli

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// PrintJSON writes v as one line of JSON.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// IsTerminal reports whether w is a terminal that obeys control sequences.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// HasColours reports whether w is a terminal and NO_COLOR is not set.
func HasColours(w io.Writer) bool { return IsTerminal(w) && os.Getenv("NO_COLOR") == "" }

// ClearScreen moves the cursor of a terminal to its top left corner and clears
// the screen.
const ClearScreen = "\x1b[H\x1b[2J"

// Progress returns a progress bar on standard error. total is its end, -1 if
// that is unknown. The bar is shown only if show is true and standard error is
// a terminal.
func Progress(cmd *cobra.Command, what string, total int64, show bool) *progressbar.ProgressBar {
	out := cmd.ErrOrStderr()
	if !show || !IsTerminal(out) {
		out = io.Discard
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}
