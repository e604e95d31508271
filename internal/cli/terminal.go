package cli

import (
	"cmp"
	"encoding/json"
	"io"
	"os"
	"sync"
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

// Output is the standard output of a command. It keeps the first error of a write:
// a command that prints with fmt does not look, and what it printed on a full disk
// must not count as a success.
type Output struct {
	w   io.Writer
	mu  sync.Mutex // protects err
	err error
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

// Write writes to the standard output.
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = cmp.Or(o.err, err)
	}
	return n, err
}

// Err returns the first error of a write.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Fd returns the descriptor of the standard output, for IsTerminal.
func (o *Output) Fd() uintptr {
	if f, ok := o.w.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// IsTerminal reports whether w is a terminal that obeys control sequences.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
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
